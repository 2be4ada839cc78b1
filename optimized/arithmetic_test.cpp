#include "optimized/arithmetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>

namespace twincheck::optimized {
namespace {

struct Format {
  int mantissa_bits, min_exponent;  // the exponent of the smallest normal
  double largest;
};
constexpr Format kBf16Format{7, -126, 0x1.fep+127};
constexpr Format kF16Format{10, -14, 65504.0};

// The value of a 16-bit pattern from the format's definition; NaN and infinities aside.
double value_of(uint32_t bits, const Format& f) {
  const uint32_t exponent = (bits & 0x7fffU) >> f.mantissa_bits;
  const uint32_t mantissa = bits & ((1U << f.mantissa_bits) - 1);
  const int power = exponent == 0 ? f.min_exponent : static_cast<int>(exponent) + f.min_exponent - 1;
  const double significand = (exponent == 0 ? 0.0 : 1.0) + std::ldexp(mantissa, -f.mantissa_bits);
  const double magnitude = std::ldexp(significand, power);
  return (bits & 0x8000U) != 0 ? -magnitude : magnitude;
}

uint32_t infinity_of(const Format& f) { return 0x7fffU & ~((1U << f.mantissa_bits) - 1); }

// The pattern nearest to x, ties to even: a division by the unit in the last place, exact in double.
uint32_t nearest(float x, const Format& f) {
  const uint32_t sign = std::signbit(x) ? 0x8000U : 0;
  const double magnitude = std::fabs(static_cast<double>(x));
  if (magnitude == 0) return sign;
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  const double unit = std::ldexp(1.0, std::max(exponent - 1, f.min_exponent) - f.mantissa_bits);
  const double rounded = std::nearbyint(magnitude / unit) * unit;
  if (rounded > f.largest) return sign | infinity_of(f);
  if (rounded == 0) return sign;
  std::frexp(rounded, &exponent);
  const int power = std::max(exponent - 1, f.min_exponent);
  const auto units = static_cast<uint32_t>(std::ldexp(rounded, f.mantissa_bits - power));
  // Units of a normal number hold its leading bit, which counts one more in the exponent field.
  return sign | (units + (static_cast<uint32_t>(power - f.min_exponent) << f.mantissa_bits));
}

template <class Type>
void widening_is_exact(const Format& f) {
  for (uint32_t bits = 0; bits < 0x10000U; ++bits) {
    const uint32_t wide = Type::widen(static_cast<uint16_t>(bits));
    const uint32_t rest = bits & 0x7fffU;
    if (rest > infinity_of(f)) {
      ASSERT_GT(wide & 0x7fffffffU, 0x7f800000U) << bits;
    } else if (rest == infinity_of(f)) {
      ASSERT_EQ(wide, (bits & 0x8000U) << 16 | 0x7f800000U) << bits;
    } else {
      ASSERT_EQ(wide, bits_of(static_cast<float>(value_of(bits, f)))) << bits;
    }
  }
}

template <class Type>
void rounding_is_to_nearest(const Format& f) {
  const auto check = [&f](uint32_t bits) {
    const float x = float_of(bits);
    if (std::isnan(x)) {
      ASSERT_GT(Type::round(bits) & 0x7fffU, infinity_of(f)) << std::hex << bits;
    } else if (std::isinf(x)) {
      ASSERT_EQ(Type::round(bits), (bits >> 16 & 0x8000U) | infinity_of(f)) << std::hex << bits;
    } else {
      ASSERT_EQ(Type::round(bits), nearest(x, f)) << std::hex << bits;
    }
  };
  // Each number of the format, the midpoint above it, and their neighbours.
  for (uint32_t bits = 0; bits < 0x10000U; ++bits) {
    if ((bits & 0x7fffU) >= infinity_of(f)) continue;
    const auto here = static_cast<float>(value_of(bits, f));
    const auto half = static_cast<float>((value_of(bits, f) + value_of(bits + 1, f)) / 2);
    for (const float x : {here, half}) {
      if (std::isnan(x)) continue;
      for (int32_t step = -2; step <= 2; ++step) check(bits_of(x) + static_cast<uint32_t>(step));
    }
  }
  std::mt19937 random(1);
  for (int i = 0; i < 4000000; ++i) check(static_cast<uint32_t>(random()));
  for (uint32_t bits = 0x7f7ffff0U; bits != 0x7f800010U; ++bits) check(bits);
  for (uint32_t bits = 0; bits < 1000; ++bits) check(bits);
}

TEST(Widening, OfEveryBf16IsExact) { widening_is_exact<Bf16>(kBf16Format); }
TEST(Widening, OfEveryF16IsExact) { widening_is_exact<F16>(kF16Format); }
TEST(Rounding, ToBf16IsToNearestEven) { rounding_is_to_nearest<Bf16>(kBf16Format); }
TEST(Rounding, ToF16IsToNearestEven) { rounding_is_to_nearest<F16>(kF16Format); }

int64_t order_of(float x) {
  const uint32_t bits = bits_of(x);
  const int64_t magnitude = bits & 0x7fffffffU;
  return (bits >> 31) != 0 ? -magnitude : magnitude;
}

// Units in the last place between sigmoid(x) and the correctly rounded value.
int64_t sigmoid_error(float x) {
  const long double e = std::exp(-std::fabs(static_cast<long double>(x)));
  const long double exact = std::signbit(x) ? e / (1 + e) : 1 / (1 + e);
  return std::llabs(order_of(sigmoid(x)) - order_of(static_cast<float>(exact)));
}

TEST(Sigmoid, IsWithinTwoUnitsForEvery16BitLogit) {
  int64_t worst = 0;
  for (uint32_t bits = 0; bits < 0x10000U; ++bits) {
    for (const uint32_t wide : {Bf16::widen(static_cast<uint16_t>(bits)), F16::widen(static_cast<uint16_t>(bits))}) {
      const float x = float_of(wide);
      if (std::isnan(x)) continue;
      worst = std::max(worst, sigmoid_error(x));
      ASSERT_LE(worst, 2) << x;
    }
  }
}

TEST(Sigmoid, IsWithinTwoUnitsForAMillionF32Logits) {
  std::mt19937 random(2);
  std::uniform_real_distribution<float> spread(-110.0F, 110.0F);
  for (int i = 0; i < 500000; ++i) {
    const float x = spread(random);
    ASSERT_LE(sigmoid_error(x), 2) << x;
    const float any = float_of(static_cast<uint32_t>(random()));
    if (std::isnan(any)) continue;
    ASSERT_LE(sigmoid_error(any), 2) << any;
  }
}

TEST(Sigmoid, IsANumberAtBothEnds) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(sigmoid(inf), 1.0F);
  EXPECT_EQ(sigmoid(-inf), 0.0F);
  EXPECT_EQ(sigmoid(0.0F), 0.5F);
  EXPECT_EQ(sigmoid(-0.0F), 0.5F);
  EXPECT_EQ(sigmoid(std::numeric_limits<float>::max()), 1.0F);
  EXPECT_EQ(sigmoid(-std::numeric_limits<float>::max()), 0.0F);
  EXPECT_EQ(bits_of(sigmoid(-103.0F)), 1U) << "a subnormal";
  EXPECT_EQ(bits_of(sigmoid(-104.0F)), 0U);
}

TEST(Gated, IsNanForANanWhateverTheScale) {
  for (const uint32_t bits : {0x7fc00000U, 0x7f800001U, 0xffffffffU, 0xff800001U}) {
    for (const float scale : {0.0F, 1.0F, -1e30F}) EXPECT_TRUE(std::isnan(gated(float_of(bits), scale))) << bits;
  }
  EXPECT_EQ(gated(-std::numeric_limits<float>::infinity(), 1e30F), 0.0F);
}

TEST(Quotient, EqualsTheDivision) {
  std::mt19937_64 random(3);
  const auto check = [](uint32_t n, uint32_t d) { ASSERT_EQ(quotient(n, make_divisor(d)), n / d) << n << " / " << d; };
  for (uint32_t d = 1; d < 3000; ++d) {
    for (const uint32_t near : {0U, d, 7 * d, 0x7fffffffU / d * d, 0x7fffffffU}) {
      for (int32_t step = -1; step <= 1; ++step) {
        const int64_t n = int64_t{near} + step;
        if (n >= 0 && n <= 0x7fffffff) check(static_cast<uint32_t>(n), d);
      }
    }
  }
  for (int i = 0; i < 2000000; ++i) {
    const auto d = static_cast<uint32_t>(random() >> (33 + random() % 31));
    const auto n = static_cast<uint32_t>(random() >> (33 + random() % 31));
    if (d == 0) continue;
    check(n, d);
    check(n / d * d, d);
    if (n >= d) check(n / d * d - 1, d);
  }
}

TEST(WideQuotient, EqualsTheDivision) {
  std::mt19937_64 random(4);
  const auto check = [](uint64_t n, uint64_t d) { ASSERT_EQ(quotient(n, make_wide_divisor(d)), n / d) << n << " / " << d; };
  constexpr uint64_t kLargest = 0x7fffffffffffffffU;
  for (const uint64_t d :
       {uint64_t{1}, uint64_t{2}, uint64_t{3}, kLargest, kLargest - 1, uint64_t{1} << 62, (uint64_t{1} << 62) + 1}) {
    for (const uint64_t n : {uint64_t{0}, uint64_t{1}, d - 1, d, kLargest - 1, kLargest}) check(n, d);
  }
  for (int i = 0; i < 2000000; ++i) {
    const uint64_t d = random() >> (1 + random() % 63);
    const uint64_t n = random() >> (1 + random() % 63);
    if (d == 0) continue;
    check(n, d);
    check(n / d * d, d);
    if (n >= d) check(n / d * d - 1, d);
  }
}

TEST(HighProduct, EqualsThatOf128Bits) {
  __extension__ using Wide = unsigned __int128;
  std::mt19937_64 random(5);
  for (int i = 0; i < 1000000; ++i) {
    const uint64_t a = random() >> (random() % 64), b = random() >> (random() % 64);
    ASSERT_EQ(high_product(a, b), static_cast<uint64_t>(Wide{a} * b >> 64)) << a << " * " << b;
  }
  EXPECT_EQ(high_product(~uint64_t{0}, ~uint64_t{0}), ~uint64_t{0} - 1);
}

}  // namespace
}  // namespace twincheck::optimized
