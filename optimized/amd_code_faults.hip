// Kernels that break one rule of amd_code.h each, and one that breaks none: so that the tests see the rules bite.
#include <hip/hip_runtime.h>

#include <cstdint>

struct Quad {
  float x, y, z, w;
};

// 16 bytes in and out, an element in and out, and in between what the kernel is about.
#define KERNEL(name, expression)                                                  \
  extern "C" __global__ void name(const Quad* in, Quad* out, float* one, int n) { \
    const uint32_t i = threadIdx.x;                                               \
    out[i] = in[i];                                                               \
    const float a = one[i], b = one[i + n];                                       \
    one[i] = (expression) + b;                                                    \
  }

KERNEL(right, a* b + a / b)
KERNEL(fused, __builtin_fmaf(a, b, a))
KERNEL(reciprocal, __builtin_amdgcn_rcpf(a))
KERNEL(exponential, __builtin_amdgcn_exp2f(a))
KERNEL(flushing, (__builtin_amdgcn_s_setreg(/*bits 4 and 5 of MODE=*/1 | 4 << 6 | 1 << 11, 0), a* b))
KERNEL(half, static_cast<float>(static_cast<_Float16>(a)))
KERNEL(division_32, static_cast<float>(static_cast<uint32_t>(a) / static_cast<uint32_t>(n)))
KERNEL(division_64, static_cast<float>(static_cast<uint64_t>(a) / (static_cast<uint64_t>(n) << 20 | i)))

extern "C" __global__ void narrow(const float* in, float* out) { out[threadIdx.x] = in[threadIdx.x]; }

extern "C" __global__ void scratch(const Quad* in, Quad* out, float* one, int n) {
  volatile float kept[16];
  for (int i = 0; i < 16; ++i) kept[i] = one[i];
  out[threadIdx.x] = in[threadIdx.x];
  one[threadIdx.x] = kept[n & 15];
}

extern "C" __global__ void registers(const Quad* in, Quad* out, float* one, int n) {
  float kept[96];
#pragma unroll
  for (int i = 0; i < 96; ++i) kept[i] = one[threadIdx.x * 96 + i];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 96; ++i) one[threadIdx.x + 1024 * (i * n)] = kept[i] * kept[95 - i];
  out[threadIdx.x] = in[threadIdx.x];
}

__device__ __attribute__((noinline)) float called(float x, int n) {
  for (int i = 0; i < n; ++i) x = x * x + 1;
  return x;
}
extern "C" __global__ void call(const Quad* in, Quad* out, float* one, int n) {
  out[threadIdx.x] = in[threadIdx.x];
  one[threadIdx.x] = called(one[threadIdx.x], n);
}
