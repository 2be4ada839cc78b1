// The baseline that fusion replaced: fill, cast, and two concatenations, each a launch of its own.
#include <hip/hip_runtime.h>

#include <cstddef>

#include "optimized/append.h"
#include "optimized/append_kernel.h"
#include "optimized/launch.h"
#include "optimized/plan.h"
#include "optimized/tuning.h"

namespace twincheck::optimized {
namespace {

// base_id + s for each token.
template <class Id>
__global__ void __launch_bounds__(kMaxBlock) fill_kernel(Arguments a) {
  write_elements(a, blockIdx.x, Output<IdRules<Id>>(IdRules<Id>{a}), Output<void>());
}

// The shared experts' weights in the output's dtype.
template <class Weight, class Value, Source kSource>
__global__ void __launch_bounds__(kMaxBlock, kSource == Source::kGate ? kGateOccupancy : 1) cast_kernel(Arguments a) {
  if constexpr (kSource == Source::kGate) {
    write_gate<Value, Weight>(a.gate, blockIdx.x, a.num_shared, a.scale);
  } else {
    using Rules = WeightRules<Weight, Value, kSource>;
    write_elements(a, blockIdx.x, Output<void>(), Output<Rules>(Rules{a}));
  }
}

// The shared columns of a concatenation are read as they are; ids are mapped on the way.
template <class Id>
struct ConcatIdRules : IdRules<Id> {
  using typename IdRules<Id>::Raw;
  __device__ Raw load_shared(uint32_t row, uint32_t s) const {
    return static_cast<const Raw*>(this->a.shared)[row * this->a.shared_stride + s];
  }
};

template <class Id>
__global__ void __launch_bounds__(kMaxBlock) concat_ids_kernel(Arguments a) {
  write_elements(a, blockIdx.x, Output<ConcatIdRules<Id>>(ConcatIdRules<Id>{{a}}), Output<void>());
}

template <class Weight>
__global__ void __launch_bounds__(kMaxBlock) concat_weights_kernel(Arguments a) {
  using Rules = WeightRules<Weight, Weight, Source::kWeights>;
  write_elements(a, blockIdx.x, Output<void>(), Output<Rules>(Rules{a}));
}

Matrix tight(void* data, int64_t rows, int64_t cols, int32_t dtype) { return {data, rows, cols, cols, dtype, 0}; }

// The two scratch matrices [T, S], one allocation.
struct Scratch {
  Matrix ids, weights;
};

template <class Id>
TWINCHECK_LAUNCHES Result fill(const AppendArgs& args, const Scratch& scratch) {
  Task task;
  task.out_ids = &scratch.ids;
  task.num_shared = args.num_shared;
  task.base_id = args.base_id;
  return for_each_chunk(Chunks(task, kTuning),
                        [&](const Plan& plan) { return TWINCHECK_LAUNCH(fill_kernel<Id>, plan, args.stream); });
}

template <class Weight, class Value, Source kSource>
TWINCHECK_LAUNCHES Result cast(const AppendArgs& args, const Scratch& scratch) {
  Task task = fused_task(args);
  task.ids = task.weights = task.out_ids = nullptr;
  task.out_weights = &scratch.weights;
  task.routed = 0;
  return for_each_chunk(Chunks(task, kTuning), [&](Plan plan) -> Result {
    if constexpr (kSource == Source::kGate) plan.grid = plan.arguments.gate.blocks;
    if (plan.grid == 0) return {Status::kOk, ""};
    return TWINCHECK_LAUNCH((cast_kernel<Weight, Value, kSource>), plan, args.stream);
  });
}

template <class Weight>
Result cast_from_source(const AppendArgs& args, const Scratch& scratch) {
  if (args.source == TWINCHECK_CONSTANT) return cast<Weight, F32, Source::kConstant>(args, scratch);
  return with_weight(args.source == TWINCHECK_GATE ? args.hidden.dtype : args.shared.dtype, [&](auto value) {
    using Value = typename decltype(value)::type;
    if (args.source == TWINCHECK_WEIGHTS) return cast<Weight, Value, Source::kWeights>(args, scratch);
    if (args.source == TWINCHECK_LOGITS) return cast<Weight, Value, Source::kLogits>(args, scratch);
    return cast<Weight, Value, Source::kGate>(args, scratch);
  });
}

template <class Id>
TWINCHECK_LAUNCHES Result concat_ids(const AppendArgs& args, const Scratch& scratch) {
  Task task = fused_task(args);
  task.weights = task.out_weights = nullptr;
  task.shared = &scratch.ids;
  task.gate = nullptr;
  return for_each_chunk(Chunks(task, kTuning),
                        [&](const Plan& plan) { return TWINCHECK_LAUNCH(concat_ids_kernel<Id>, plan, args.stream); });
}

template <class Weight>
TWINCHECK_LAUNCHES Result concat_weights(const AppendArgs& args, const Scratch& scratch) {
  Task task = fused_task(args);
  task.ids = task.out_ids = nullptr;
  task.shared = &scratch.weights;
  task.gate = nullptr;
  return for_each_chunk(Chunks(task, kTuning), [&](const Plan& plan) {
    return TWINCHECK_LAUNCH(concat_weights_kernel<Weight>, plan, args.stream);
  });
}

template <class Id, class Weight>
Result launch_all(const AppendArgs& args, const Scratch& scratch) {
  if (args.num_shared > 0) {
    if (const Result r = fill<Id>(args, scratch); r.status != Status::kOk) return r;
    if (const Result r = cast_from_source<Weight>(args, scratch); r.status != Status::kOk) return r;
  }
  if (const Result r = concat_ids<Id>(args, scratch); r.status != Status::kOk) return r;
  return concat_weights<Weight>(args, scratch);
}

template <class Id, class Weight>
Result allocate_and_launch(const AppendArgs& args) {
  const int64_t rows = args.out_ids.rows, cols = args.num_shared;
  if (cols == 0) return launch_all<Id, Weight>(args, {});
  const auto elements = static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols);
  const std::size_t ids_bytes = (elements * sizeof(Id) + 255) / 256 * 256;
  const auto stream = static_cast<hipStream_t>(args.stream);
  void* memory = nullptr;
  const hipError_t error = hipMallocAsync(&memory, ids_bytes + elements * sizeof(typename Weight::Bits), stream);
  if (error != hipSuccess) return result_of(error, "hipMallocAsync");
  const Scratch scratch{tight(memory, rows, cols, args.out_ids.dtype),
                        tight(static_cast<unsigned char*>(memory) + ids_bytes, rows, cols, args.out_weights.dtype)};
  const Result done = launch_all<Id, Weight>(args, scratch);
  const hipError_t freed = hipFreeAsync(memory, stream);
  return done.status != Status::kOk ? done : result_of(freed, "hipFreeAsync");
}

}  // namespace

Result append_unfused(const AppendArgs& args) {
  if (const Result refused = validate(args); refused.status != Status::kOk) return refused;
  if (args.out_ids.rows == 0 || args.out_ids.cols == 0) return {Status::kOk, ""};
  return on_device_of(args.out_ids.data, [&] {
    return with_id(args.out_ids.dtype, [&](auto id) {
      return with_weight(args.out_weights.dtype, [&](auto weight) {
        return allocate_and_launch<typename decltype(id)::type, typename decltype(weight)::type>(args);
      });
    });
  });
}

}  // namespace twincheck::optimized
