// The kernel's own arithmetic: the same bits from every compiler and device.
//
// Integer operations, and f32 additions, multiplications and divisions that round once, to nearest even; nothing is fused
// and subnormals count. Every build compiles it with contraction off, correctly rounded division and no flush to zero.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>
#include <cstring>

#include "optimized/plan.h"

// Before a loop of a few iterations, all known to the compiler, and before one whose unrolling would only cost registers. On
// the CPU either would only take the compiler's time.
//
// TWINCHECK_WIDE: before `bytes` at once. Where the address is no multiple of them a GPU faults, and a CPU, which need not,
// does as well.
//
// TWINCHECK_INLINE: of a function that fills its caller's arrays. clang otherwise optimizes it first, and joins stores in
// two branches into one whose address depends on the branch: such an array is scratch memory.
//
// TWINCHECK_PREFETCH: into the second-level cache, of an address whose memory is there. Where that has been measured to be
// of use: NVIDIA.
#if defined(__CUDACC__)
#define TWINCHECK_PREFETCH(p) asm volatile("prefetch.global.L2 [%0];" ::"l"(p))
#else
#define TWINCHECK_PREFETCH(p) static_cast<void>(p)
#endif

// TWINCHECK_LET_NEXT_BEGIN: the stream's next kernel may begin, if it waits for this one where it needs to.
// TWINCHECK_WAIT_FOR_STREAM: until what was asked of the stream before is done, its writes to be seen. Before it a kernel
// that is launched early (launch.h) touches no memory but its arguments.
#if defined(TWINCHECK_BEGINS_EARLY)
#define TWINCHECK_LET_NEXT_BEGIN() asm volatile("griddepcontrol.launch_dependents;" ::: "memory")
#define TWINCHECK_WAIT_FOR_STREAM() asm volatile("griddepcontrol.wait;" ::: "memory")
#else
#define TWINCHECK_LET_NEXT_BEGIN() static_cast<void>(0)
#define TWINCHECK_WAIT_FOR_STREAM() static_cast<void>(0)
#endif
#if defined(__HIP_PLATFORM_AMD__)
#define TWINCHECK_INLINE __attribute__((always_inline))
#else
#define TWINCHECK_INLINE
#endif
#if defined(__HIP_PLATFORM_TWINCHECK_CPU__)
#define TWINCHECK_UNROLL
#define TWINCHECK_ROLLED
#define TWINCHECK_WIDE(p, bytes) ::twincheck::optimized::trap_unless_wide(p, bytes)
namespace twincheck::optimized {
inline void trap_unless_wide(const void* p, uintptr_t bytes) {
  if (reinterpret_cast<uintptr_t>(p) % bytes != 0) __builtin_trap();
}
}  // namespace twincheck::optimized
#else
#define TWINCHECK_UNROLL _Pragma("unroll")
#define TWINCHECK_ROLLED _Pragma("unroll 1")
#define TWINCHECK_WIDE(p, bytes) static_cast<void>(0)
#endif

namespace twincheck::optimized {

__host__ __device__ inline uint32_t bits_of(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}

__host__ __device__ inline float float_of(uint32_t bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// The weight dtypes. `Bits` is an element as it lies in memory; `widen` gives its f32 bits, exactly; `round` takes f32 bits
// to the nearest element, ties to even, overflow to infinity, a NaN to a quiet one.
struct F32 {
  using Bits = uint32_t;
  __host__ __device__ static uint32_t widen(Bits bits) { return bits; }
  __host__ __device__ static Bits round(uint32_t bits) { return bits; }
};

struct Bf16 {
  using Bits = uint16_t;
  __host__ __device__ static uint32_t widen(Bits bits) { return static_cast<uint32_t>(bits) << 16; }
  __host__ __device__ static Bits round(uint32_t bits) {
    const uint32_t top = bits >> 16;
    if ((bits & 0x7fffffffU) > 0x7f800000U) return static_cast<Bits>(top | 0x40U);
    return static_cast<Bits>((bits + 0x7fffU + (top & 1U)) >> 16);
  }
};

struct F16 {
  using Bits = uint16_t;
  __host__ __device__ static uint32_t widen(Bits bits) {
    // With f16's exponent in f32's place the number is 2^112 times too small, subnormals included: exact. What is then 2^16
    // or more was an infinity or a NaN.
    const uint32_t placed = (bits & 0x8000U) << 16 | (bits & 0x7fffU) << 13;
    const uint32_t scaled = bits_of(float_of(placed) * 0x1p+112F);
    return (scaled & 0x7fffffffU) >= 0x47800000U ? scaled | 0x7f800000U : scaled;
  }
  __host__ __device__ static Bits round(uint32_t bits) {
    const uint32_t sign = (bits >> 16) & 0x8000U;
    const uint32_t rest = bits & 0x7fffffffU;
    if (rest > 0x7f800000U) return static_cast<Bits>(sign | 0x7e00U | ((rest >> 13) & 0x01ffU));
    if (rest >= 0x477ff000U) return static_cast<Bits>(sign | 0x7c00U);
    // Below 2^-14 the unit is 2^-24, which is the unit of f32 in [1/2, 1): the addition rounds to it.
    if (rest < 0x38800000U) return static_cast<Bits>(sign | (bits_of(float_of(rest) + 0.5F) - 0x3f000000U));
    return static_cast<Bits>(sign | ((rest - 0x38000000U + 0x0fffU + ((rest >> 13) & 1U)) >> 13));
  }
};

// 2^n for n in [-126, 127].
__host__ __device__ inline float power_of_two(int32_t n) { return float_of(static_cast<uint32_t>(n + 127) << 23); }

// 1 / (1 + exp(-x)) within 2 units in the last place of the correctly rounded value, subnormal results included; 0 and 1 for
// the infinities. Not for NaN.
//
// With a = -|x| = n ln 2 + r, |r| <= 0.347, and p = exp(r): exp(a) = p 2^n, and the result is 1 / (1 + p 2^n) for x >= 0 and
// p / (1 + p 2^n) 2^n below, the power of two last, so that a subnormal result is rounded once.
__host__ __device__ inline float sigmoid(float x) {
  const uint32_t magnitude = bits_of(x) & 0x7fffffffU;
  // At -128 the result is 0 and at 128 it is 1, as beyond.
  const float a = -float_of(magnitude < 0x43000000U ? magnitude : 0x43000000U);

  // Adding 1.5 * 2^23 leaves the nearest integer in the low bits.
  const float shifted = a * 0x1.715476p+0F + 0x1.8p+23F;
  const float n = shifted - 0x1.8p+23F;
  const int32_t exponent = static_cast<int32_t>(bits_of(shifted) - 0x4b400000U);
  // ln 2 in two parts; the first has 15 bits and n has 8, so that their product and the difference are exact.
  const float r = (a - n * 0x1.62e4p-1F) - n * 0x1.7f7d1cp-20F;

  float tail = 1.0F / 5040.0F;
  tail = tail * r + 1.0F / 720.0F;
  tail = tail * r + 1.0F / 120.0F;
  tail = tail * r + 1.0F / 24.0F;
  tail = tail * r + 1.0F / 6.0F;
  tail = tail * r + 0.5F;
  const float p = 1.0F + (r + r * r * tail);

  const float denominator = 1.0F + p * power_of_two(exponent < -126 ? -126 : exponent);
  const bool negative = (bits_of(x) >> 31) != 0;
  const float ratio = (negative ? p : 1.0F) / denominator;
  if (!negative) return ratio;
  const int32_t first = exponent < -100 ? -100 : exponent;
  return ratio * power_of_two(first) * power_of_two(exponent - first);
}

// sigmoid(x) * scale; one and the same NaN where x is any NaN, whatever the scale: which operand's payload a sum or product
// of NaNs keeps differs by machine, and by how a compiler orders the operands. `scale` is finite.
__host__ __device__ inline float gated(float x, float scale) {
  return (bits_of(x) & 0x7fffffffU) > 0x7f800000U ? float_of(0x7fc00000U) : sigmoid(x) * scale;
}

// n / d for plan.h's divisors.
__host__ __device__ inline uint32_t quotient(uint32_t n, const Divisor& d) {
  return static_cast<uint32_t>((static_cast<uint64_t>(2 * n) * d.multiplier) >> 32) >> d.shift;
}

// The high half of a 128-bit product, in 32-bit pieces.
__host__ __device__ inline uint64_t high_product(uint64_t a, uint64_t b) {
  const uint64_t a0 = a & 0xffffffffU, a1 = a >> 32, b0 = b & 0xffffffffU, b1 = b >> 32;
  const uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
  return a1 * b1 + (middle >> 32) + ((a0 * b1 + (middle & 0xffffffffU)) >> 32);
}

__host__ __device__ inline uint64_t quotient(uint64_t n, const WideDivisor& d) {
  return d.multiplier == 0 ? n : high_product(n, d.multiplier) >> d.shift;
}

}  // namespace twincheck::optimized
