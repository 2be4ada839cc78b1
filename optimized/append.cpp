#include "optimized/append.h"

#include <hip/hip_runtime.h>

#include "optimized/append_kernel.h"
#include "optimized/launch.h"
#include "optimized/plan.h"
#include "optimized/tuning.h"

namespace twincheck::optimized {
namespace {

template <class Id, class Weight, class Value, Source kSource>
TWINCHECK_LAUNCHES Result launch(const Chunks& chunks, void* stream) {
  return for_each_chunk(chunks, [stream](const Plan& plan) {
    return TWINCHECK_LAUNCH_EARLY((append_kernel<Id, Weight, Value, kSource>), plan, stream);
  });
}

template <class Id, class Weight>
Result launch_source(const AppendArgs& args, const Chunks& chunks) {
  if (args.source == TWINCHECK_CONSTANT) return launch<Id, Weight, F32, Source::kConstant>(chunks, args.stream);
  return with_weight(args.source == TWINCHECK_GATE ? args.hidden.dtype : args.shared.dtype, [&](auto value) {
    using Value = typename decltype(value)::type;
    if (args.source == TWINCHECK_WEIGHTS) return launch<Id, Weight, Value, Source::kWeights>(chunks, args.stream);
    if (args.source == TWINCHECK_LOGITS) return launch<Id, Weight, Value, Source::kLogits>(chunks, args.stream);
    return launch<Id, Weight, Value, Source::kGate>(chunks, args.stream);
  });
}

}  // namespace

Result append(const AppendArgs& args) {
  if (const Result refused = validate(args); refused.status != Status::kOk) return refused;
  const Chunks chunks(fused_task(args), kTuning);
  if (chunks.count() == 0) return {Status::kOk, ""};
  return on_device_of(args.out_ids.data, [&] {
    return with_id(args.out_ids.dtype, [&](auto id) {
      return with_weight(args.out_weights.dtype, [&](auto weight) {
        return launch_source<typename decltype(id)::type, typename decltype(weight)::type>(args, chunks);
      });
    });
  });
}

}  // namespace twincheck::optimized
