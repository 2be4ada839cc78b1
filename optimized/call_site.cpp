#include "optimized/call_site.h"

namespace twincheck::optimized {

TopkOutput append_shared_to_topk_output(const Matrix& ids, const Matrix& weights, const Matrix& router_logits,
                                        const SharedExperts* shared, const AppendOptions& options) {
  if (!options.fuse || shared == nullptr) return {ids, weights, router_logits, {Status::kOk, ""}};
  AppendArgs args{};
  args.size = sizeof args;
  args.source = static_cast<int32_t>(shared->source);
  args.topk_ids = ids;
  args.topk_weights = weights;
  args.shared = shared->shared;
  args.hidden = shared->hidden;
  args.gate = shared->gate;
  args.out_ids = options.out_ids;
  args.out_weights = options.out_weights;
  args.num_shared = options.num_shared;
  args.base_id = options.base_id;
  args.remap_local_routed = options.remap_local_routed;
  args.scale = options.scale;
  args.stream = options.stream;
  const Result result = append(args);
  if (result.status != Status::kOk) return {ids, weights, router_logits, result};
  return {options.out_ids, options.out_weights, router_logits, result};
}

}  // namespace twincheck::optimized
