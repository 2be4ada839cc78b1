// HIP's device names over clang's own builtins, exactly those that the kernel uses: so that a clang that is newer than the
// ROCm installed here can build code objects for GPUs that this ROCm does not know. Device code only: the host's half of
// the sources is parsed against ROCm's declarations, and nothing can be linked with it.
#pragma once

#include <hip/hip_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#define __global__ __attribute__((global))
#define __device__ __attribute__((device))
#define __host__ __attribute__((host))
#define __shared__ __attribute__((shared))
// As ROCm has it: threads a block, and waves a SIMD.
#define __launch_bounds__(threads, waves) \
  __attribute__((amdgpu_flat_work_group_size(1, threads), amdgpu_waves_per_eu(waves)))

// What clang calls for a kernel<<<...>>>, which device code never does.
extern "C" hipError_t __hipPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared_bytes, hipStream_t stream);
#define hipLaunchKernelGGL(kernel, grid, block, shared_bytes, stream, ...) \
  kernel<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__)

namespace twincheck::amdgcn {

// An index or size that is read from the hardware, or from the launch's hidden arguments, where it is used.
#define TWINCHECK_INDEX(name, builtin)                                                  \
  struct name##Type {                                                                   \
    struct X {                                                                          \
      __device__ operator uint32_t() const { return __builtin_amdgcn_##builtin##_x(); } \
    };                                                                                  \
    struct Y {                                                                          \
      __device__ operator uint32_t() const { return __builtin_amdgcn_##builtin##_y(); } \
    };                                                                                  \
    struct Z {                                                                          \
      __device__ operator uint32_t() const { return __builtin_amdgcn_##builtin##_z(); } \
    };                                                                                  \
    X x;                                                                                \
    Y y;                                                                                \
    Z z;                                                                                \
  };                                                                                    \
  static constexpr __device__ name##Type name;

TWINCHECK_INDEX(threadIdx, workitem_id)
TWINCHECK_INDEX(blockIdx, workgroup_id)
TWINCHECK_INDEX(blockDim, workgroup_size)
#undef TWINCHECK_INDEX

}  // namespace twincheck::amdgcn

using twincheck::amdgcn::blockDim;
using twincheck::amdgcn::blockIdx;
using twincheck::amdgcn::threadIdx;

__device__ inline void __syncthreads() {
  __builtin_amdgcn_fence(__ATOMIC_RELEASE, "workgroup");
  __builtin_amdgcn_s_barrier();
  __builtin_amdgcn_fence(__ATOMIC_ACQUIRE, "workgroup");
}

// The device's, which the compiler turns into moves.
extern "C" __device__ inline void* memcpy(void* to, const void* from, std::size_t bytes) {
  return __builtin_memcpy(to, from, bytes);
}
namespace std {
using ::memcpy;
}
