// The project's own kernel as a code object. Its host wrapper lays a call out over a grid (optimized/plan.h); without one
// the layout is made here, in each thread: an element of either output, of 2^31 at most, for i32 ids, f32 weights and bf16
// logits. From the project's folder:
//
//   nvcc -cubin -arch=sm_90 -std=c++17 -fmad=false -I. -Ioptimized/platform/cuda examples/code_object/production.cu
//   hipcc -x hip --cuda-device-only --no-gpu-bundle-output --offload-arch=gfx90a -std=c++17 -ffp-contract=off
//         -fhip-fp32-correctly-rounded-divide-sqrt -I. -c examples/code_object/production.cu -o production.hsaco
#include <hip/hip_runtime.h>

#include "optimized/append_kernel.h"

using namespace twincheck;
using namespace twincheck::optimized;

namespace {

__device__ Divisor divisor_of(uint32_t d) {
  if (d == 1) return {1, 0, 0};
  uint32_t bits = 0;
  while (bits < 32 && (uint64_t{1} << bits) < d) ++bits;
  return {d, static_cast<uint32_t>(((uint64_t{1} << (31 + bits)) + d - 1) / d), bits - 1};
}

__device__ Side side_of(const Matrix& in, const Matrix& out, int64_t shared) {
  const bool in_place = in.rows > 0 && in.cols > 0 && in.data == out.data;
  Side side{};
  side.in = in.data;
  side.out = out.data;
  side.in_stride = in.rows > 1 ? in.row_stride : 0;
  side.out_stride = out.rows > 1 ? out.row_stride : 0;
  side.rows = side.chunk_rows = out.rows;
  side.first_column = in_place ? in.cols : 0;
  side.columns = side.chunk_columns = in_place ? shared : out.cols;
  side.routed = in.cols;
  if (side.columns == 0) return side;
  side.divisor = divisor_of(static_cast<uint32_t>(side.columns));
  side.mapping = Mapping::kScalar;
  side.units = static_cast<uint32_t>(side.rows * side.columns);
  return side;
}

}  // namespace

extern "C" __global__ void append(twincheck_append_args args) {
  Arguments a{};
  a.ids = side_of(args.topk_ids, args.out_ids, args.num_shared);
  a.weights = side_of(args.topk_weights, args.out_weights, args.num_shared);
  a.shared = args.shared.data;
  a.shared_stride = args.shared.rows > 1 ? args.shared.row_stride : 0;
  a.shared_step = args.shared.cols == 1 ? 0 : 1;
  a.num_shared = args.num_shared;
  a.base_id = args.base_id;
  a.scale = args.scale;
  const uint32_t unit = blockIdx.x * blockDim.x + threadIdx.x;
  write_side(a.ids, unit, IdRules<int32_t>{a});
  write_side(a.weights, unit, WeightRules<F32, Bf16, Source::kLogits>{a});
}
