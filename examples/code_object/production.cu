// The project's own kernel as a code object. Its host wrapper lays a call out over a grid (optimized/plan.h); without one
// the layout is made here, in each thread: of one element of each output, a task of one row of its own. For i32 ids, f32
// weights and bf16 logits. From the project's folder:
//
//   nvcc -cubin -arch=sm_90 -std=c++17 -fmad=false -I. -Ioptimized/platform/cuda examples/code_object/production.cu
//   hipcc -x hip --cuda-device-only --no-gpu-bundle-output --offload-arch=gfx90a -std=c++17 -ffp-contract=off
//         -fhip-fp32-correctly-rounded-divide-sqrt -I. -c examples/code_object/production.cu -o production.hsaco
#include <hip/hip_runtime.h>

#include "optimized/append_kernel.h"

using namespace twincheck;
using namespace twincheck::optimized;

namespace {

__device__ Side row_of(const Matrix& in, const Matrix& out, int64_t row) {
  const bool in_place = in.data == out.data;
  Side side{};
  side.in = static_cast<const uint32_t*>(in.data) + row * in.row_stride;
  side.out = static_cast<uint32_t*>(out.data) + row * out.row_stride;
  side.copies = in.cols > 0 && !in_place;
  return side;
}

}  // namespace

extern "C" __global__ void append(twincheck_append_args args) {
  const int64_t columns = args.out_ids.cols;
  const int64_t element = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (element >= args.out_ids.rows * columns) return;
  const int64_t row = element / columns;
  const auto column = static_cast<uint32_t>(element % columns);

  Arguments a{};
  a.ids = row_of(args.topk_ids, args.out_ids, row);
  a.weights = row_of(args.topk_weights, args.out_weights, row);
  a.shared = static_cast<const uint16_t*>(args.shared.data) + row * args.shared.row_stride;
  a.shared_step = args.shared.cols == 1 ? 0 : 1;
  a.columns.value = a.count = static_cast<uint32_t>(columns);
  a.routed = static_cast<uint32_t>(args.topk_ids.cols);
  a.first_id = args.base_id;
  a.num_shared = args.num_shared;
  a.scale = args.scale;

  Places at{column, a.count, {}, {}};  // of a thread's elements the second lies behind the row's end
  for (uint32_t& c : at.column) c = column;
  using Ids = IdRules<int32_t>;
  using Weights = WeightRules<F32, Bf16, Source::kLogits>;
  Output<Ids> ids(Ids{a});
  Output<Weights> weights(Weights{a});
  ids.load(a, at), weights.load(a, at);
  ids.store(a, at), weights.store(a, at);
}
