// A kernel without a host function: i32 ids, f32 weights, constant and weights, any stride. append.json says how to launch
// it.
//
//   nvcc -cubin -arch=sm_90 append.cu -o append.cubin
//   hipcc -x hip --cuda-device-only --no-gpu-bundle-output --offload-arch=gfx90a -c append.cu -o append.hsaco
#if defined(__HIP__)
#include <hip/hip_runtime.h>
#endif

#include <cstdint>

// One thread an output element. The weights move as bits.
extern "C" __global__ void append(const int32_t* topk_ids, int64_t ids_stride, const uint32_t* topk_weights,
                                  int64_t weights_stride, const uint32_t* shared, int64_t shared_stride,
                                  int32_t shared_columns, int64_t tokens, int32_t top_k, int32_t num_shared, int64_t base_id,
                                  float scale, int32_t* out_ids, int64_t out_ids_stride, uint32_t* out_weights,
                                  int64_t out_weights_stride) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, slots = int64_t{top_k} + num_shared;
  if (i >= tokens * slots) return;
  const int64_t token = i / slots, slot = i % slots, expert = slot - top_k;
  int32_t id = static_cast<int32_t>(base_id + expert);
  uint32_t weight = __float_as_uint(scale);
  if (slot < top_k) {
    id = topk_ids[token * ids_stride + slot];
    weight = topk_weights[token * weights_stride + slot];
  } else if (shared != nullptr) {
    weight = shared[token * shared_stride + (shared_columns == 1 ? 0 : expert)];
  }
  out_ids[token * out_ids_stride + slot] = id;
  out_weights[token * out_weights_stride + slot] = weight;
}
