// Bit casts, integer intrinsics and single-rounding arithmetic of device code.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace twincheck::hip_cpu {
template <class To, class From>
To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}
}  // namespace twincheck::hip_cpu

inline unsigned __float_as_uint(float x) { return ::twincheck::hip_cpu::bits_as<unsigned>(x); }
inline int __float_as_int(float x) { return ::twincheck::hip_cpu::bits_as<int>(x); }
inline float __uint_as_float(unsigned x) { return ::twincheck::hip_cpu::bits_as<float>(x); }
inline float __int_as_float(int x) { return ::twincheck::hip_cpu::bits_as<float>(x); }
inline long long __double_as_longlong(double x) { return ::twincheck::hip_cpu::bits_as<long long>(x); }
inline double __longlong_as_double(long long x) { return ::twincheck::hip_cpu::bits_as<double>(x); }

// Leading zeros (all bits of 0), bits set, and the lowest set bit counted from 1 (0 for 0).
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x)); }
inline unsigned __popc(unsigned x) { return static_cast<unsigned>(__builtin_popcount(x)); }
inline unsigned __popcll(unsigned long long x) { return static_cast<unsigned>(__builtin_popcountll(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }

// The high half of the product.
inline int __mulhi(int a, int b) { return static_cast<int>((static_cast<long long>(a) * b) >> 32); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<unsigned long long>(a) * b) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  __extension__ using Wide = unsigned __int128;
  return static_cast<unsigned long long>((static_cast<Wide>(a) * b) >> 64);
}

// One rounding, to nearest even; never contracted (the project compiles with -ffp-contract=off).
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }

template <class T>
T __ldg(const T* address) {
  return *address;
}
