// The reference's own arithmetic on the bits of f32, bf16 and f16: exact widening, one correct rounding, and order.
//
// A value's bits are in the low bits of a uint32_t; those above the format's width are zero.
#pragma once

#include <mpfr.h>

#include <algorithm>
#include <bit>
#include <cstdint>

#include "contract/words.h"

namespace twincheck::reference {

// A binary floating-point format of IEEE 754's shape. Its finite values are +-n * 2^e with n < 2^precision, e >= quantum.
struct Format {
  int precision;      // significant bits, the hidden one included
  int quantum;        // the smallest subnormal is 2^quantum
  uint32_t sign;      // the sign bit
  uint32_t infinity;  // the bits of +infinity: one more than those of the largest finite value
};
inline constexpr Format kF32{24, -149, 0x80000000u, 0x7f800000u};
inline constexpr Format kBf16{8, -133, 0x8000u, 0x7f80u};
inline constexpr Format kF16{11, -24, 0x8000u, 0x7c00u};

// Requires f32, bf16 or f16.
constexpr Format format_of(Dtype dtype) { return dtype == Dtype::kF32 ? kF32 : dtype == Dtype::kBf16 ? kBf16 : kF16; }

constexpr uint32_t magnitude(const Format& f, uint32_t bits) { return bits & (f.sign - 1); }
constexpr bool is_nan(const Format& f, uint32_t bits) { return magnitude(f, bits) > f.infinity; }
constexpr uint32_t quiet_nan(const Format& f) { return f.infinity | uint32_t{1} << (f.precision - 2); }

// The value, exactly; some NaN for a NaN.
constexpr double widen(const Format& f, uint32_t bits) {
  const uint32_t number = magnitude(f, bits);
  uint64_t result = 0;
  if (number >= f.infinity) {
    result = number == f.infinity ? 0x7ff0000000000000u : 0x7ff8000000000000u;
  } else {
    const uint32_t hidden = uint32_t{1} << (f.precision - 1);
    const int field = static_cast<int>(number >> (f.precision - 1));
    const uint32_t significand = (number & (hidden - 1)) | (field == 0 ? 0 : hidden);
    const int exponent = f.quantum + std::max(field, 1) - 1;
    const double unit = std::bit_cast<double>(static_cast<uint64_t>(exponent + 1023) << 52);  // 2^exponent
    result = std::bit_cast<uint64_t>(static_cast<double>(significand) * unit);
  }
  return std::bit_cast<double>(result | static_cast<uint64_t>((bits & f.sign) != 0) << 63);
}

constexpr uint64_t shift_to_nearest_even(uint64_t n, int shift) {
  const uint64_t odd = n >> shift & 1;
  return (n + (uint64_t{1} << (shift - 1)) - 1 + odd) >> shift;
}

// Round to nearest, ties to even, once. Beyond the largest finite value by half a unit or more: infinity. Zero keeps its
// sign; a NaN becomes quiet_nan.
constexpr uint32_t round(const Format& f, double value) {
  if (value != value) return quiet_nan(f);
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  const uint64_t number = bits & ~(uint64_t{1} << 63);
  const uint64_t normal = static_cast<uint64_t>(f.quantum + f.precision - 1 + 1023) << 52;  // f's smallest
  const int excess = 53 - f.precision;
  uint64_t result = 0;
  if (number >= normal) {
    // Exponent and fraction are one number, whose steps are those of f: a carry out of the fraction goes where it belongs.
    // The smallest normal number has the exponent field 1.
    result = shift_to_nearest_even(number, excess) - ((normal >> excess) - (uint64_t{1} << (f.precision - 1)));
  } else {
    const int field = static_cast<int>(number >> 52);
    const uint64_t hidden = static_cast<uint64_t>(field != 0) << 52;
    const uint64_t significand = (number & 0xfffffffffffffu) | hidden;  // |value| = significand * 2^(max(field, 1) - 1075)
    const int shift = f.quantum - (std::max(field, 1) - 1075);
    result = shift_to_nearest_even(significand, std::min(shift, 63));  // from 54 on the result is zero, and 63 gives it
  }
  result = std::min<uint64_t>(result, f.infinity);
  return static_cast<uint32_t>(result) | (bits == number ? 0 : f.sign);
}

// The same for an MPFR number of any precision (below 2^30 bits).
uint32_t round(const Format& f, mpfr_srcptr value);

// Numbers in their order: 0 for both zeros, n for the n-th representable value above zero, infinity included, and -n for its
// negative. Not for NaN.
constexpr int64_t ordinal(const Format& f, uint32_t bits) {
  const int64_t n = magnitude(f, bits);
  return (bits & f.sign) != 0 ? -n : n;
}
// Requires |n| <= f.infinity. Zero is +0.
constexpr uint32_t from_ordinal(const Format& f, int64_t n) {
  return n < 0 ? f.sign | static_cast<uint32_t>(-n) : static_cast<uint32_t>(n);
}
// The next number above or below; an infinity is its own neighbour. Not for NaN.
constexpr uint32_t next_up(const Format& f, uint32_t bits) {
  return from_ordinal(f, std::min<int64_t>(ordinal(f, bits) + 1, f.infinity));
}
constexpr uint32_t next_down(const Format& f, uint32_t bits) {
  return from_ordinal(f, std::max<int64_t>(ordinal(f, bits) - 1, -static_cast<int64_t>(f.infinity)));
}

}  // namespace twincheck::reference
