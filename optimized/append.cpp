#include "optimized/append.h"

#include <hip/hip_runtime.h>

#include "optimized/append_kernel.h"
#include "optimized/launch.h"
#include "optimized/plan.h"
#include "optimized/tuning.h"

namespace twincheck::optimized {
namespace {

template <class Id, class Weight, class Value, Source kSource>
TWINCHECK_LAUNCHES Result launch(const Plan& plan, void* stream) {
  return TWINCHECK_LAUNCH((append_kernel<Id, Weight, Value, kSource>), plan, stream);
}

template <class Id, class Weight>
Result launch_source(const AppendArgs& args, const Plan& plan) {
  if (args.source == TWINCHECK_CONSTANT) return launch<Id, Weight, F32, Source::kConstant>(plan, args.stream);
  return with_weight(args.source == TWINCHECK_GATE ? args.hidden.dtype : args.shared.dtype, [&](auto value) {
    using Value = typename decltype(value)::type;
    if (args.source == TWINCHECK_WEIGHTS) return launch<Id, Weight, Value, Source::kWeights>(plan, args.stream);
    if (args.source == TWINCHECK_LOGITS) return launch<Id, Weight, Value, Source::kLogits>(plan, args.stream);
    return launch<Id, Weight, Value, Source::kGate>(plan, args.stream);
  });
}

}  // namespace

Result append(const AppendArgs& args) {
  if (const Result refused = validate(args); refused.status != Status::kOk) return refused;
  const Plan plan = plan_append(args, kTuning);
  if (plan.grid_x == 0) return {Status::kOk, ""};
  return on_device_of(args.out_ids.data, [&] {
    return with_id(args.out_ids.dtype, [&](auto id) {
      return with_weight(args.out_weights.dtype, [&](auto weight) {
        return launch_source<typename decltype(id)::type, typename decltype(weight)::type>(args, plan);
      });
    });
  });
}

}  // namespace twincheck::optimized
