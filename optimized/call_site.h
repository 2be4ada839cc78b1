// The call as an inference engine makes it: top-k output in, top-k output with the shared experts out.
#pragma once

#include "contract/words.h"
#include "optimized/append.h"

namespace twincheck::optimized {

// Where the shared experts' weights come from. kConstant uses no matrix, kWeights and kLogits use `shared`, kGate uses
// `hidden` and `gate`; the others stay as they are here.
struct SharedExperts {
  Source source = Source::kConstant;
  Matrix shared{};
  Matrix hidden{};
  Matrix gate{};
};

struct AppendOptions {
  bool fuse = true;
  int64_t num_shared = 1;
  int64_t base_id = 0;
  int64_t remap_local_routed = 0;
  float scale = 1.0F;
  Matrix out_ids{};      // the caller's buffers, [T, K + S]; used with fusion only
  Matrix out_weights{};  // each may hold its input in place
  void* stream = nullptr;
};

// `result` is kOk, or why nothing was appended; ids and weights are then as they came.
struct TopkOutput {
  Matrix ids, weights, router_logits;
  Result result;
};

// With fusion disabled or no shared experts' source (null) the very same ids, weights and logits, and nothing launched;
// otherwise out_ids and out_weights, with append() enqueued on them, and the same logits. The logits are never looked at.
TopkOutput append_shared_to_topk_output(const Matrix& ids, const Matrix& weights, const Matrix& router_logits,
                                        const SharedExperts* shared, const AppendOptions& options);

}  // namespace twincheck::optimized
