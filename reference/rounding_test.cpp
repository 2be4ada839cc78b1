#include "reference/rounding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "reference/real.h"

namespace twincheck::reference {
namespace {

constexpr Format kFormats[] = {kF32, kBf16, kF16};
const char* word(const Format& f) { return f.precision == 24 ? "f32" : f.precision == 8 ? "bf16" : "f16"; }

// The value of finite bits, from the three fields of IEEE 754 and MPFR's scaling.
void value_by_fields(const Format& f, uint32_t bits, Real& out) {
  const uint32_t field = (bits & (f.sign - 1)) >> (f.precision - 1);
  const uint32_t fraction = bits & ((1u << (f.precision - 1)) - 1);
  const int largest = static_cast<int>(f.infinity >> (f.precision - 1)) / 2;  // the exponent's bias
  mpfr_set_ui_2exp(out, fraction, 1 - f.precision, MPFR_RNDN);
  if (field != 0) mpfr_add_ui(out, out, 1, MPFR_RNDN);
  mpfr_mul_2si(out, out, std::max(static_cast<int>(field), 1) - largest, MPFR_RNDN);
  if ((bits & f.sign) != 0) mpfr_neg(out, out, MPFR_RNDN);
}

// Whether `bits` is the RNE of `exact` by MPFR's own emulation of a format's precision, exponent range and subnormals.
bool is_rounding_of(const Format& f, uint32_t bits, mpfr_srcptr exact) {
  const mpfr_exp_t old_min = mpfr_get_emin(), old_max = mpfr_get_emax();
  Real narrow(f.precision);
  mpfr_set_emin(f.quantum + 1);  // MPFR's significands lie in [1/2, 1)
  mpfr_set_emax(f.quantum + f.precision - 2 + static_cast<int>(f.infinity >> (f.precision - 1)));
  int inexact = mpfr_set(narrow, exact, MPFR_RNDN);
  inexact = mpfr_check_range(narrow, inexact, MPFR_RNDN);
  mpfr_subnormalize(narrow, inexact, MPFR_RNDN);
  mpfr_set_emin(old_min);
  mpfr_set_emax(old_max);
  const bool negative = (bits & f.sign) != 0;
  return mpfr_cmp_d(narrow, widen(f, bits)) == 0 && (mpfr_signbit(narrow) != 0) == negative;
}

bool is_rounding_of(const Format& f, uint32_t bits, double value) { return is_rounding_of(f, bits, Real(53, value)); }

TEST(Widening, IsExactForEveryNumberOf16Bits) {
  for (const Format& f : {kBf16, kF16}) {
    Real exact(64);
    int numbers = 0;
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
      const double wide = widen(f, bits);
      if (is_nan(f, bits)) {
        ASSERT_TRUE(std::isnan(wide)) << word(f) << " " << bits;
      } else if (magnitude(f, bits) == f.infinity) {
        ASSERT_EQ(wide, (bits & f.sign) != 0 ? -INFINITY : INFINITY);
      } else {
        value_by_fields(f, bits, exact);
        ASSERT_EQ(mpfr_cmp_d(exact, wide), 0) << word(f) << " " << bits;
        ASSERT_EQ(std::signbit(wide), (bits & f.sign) != 0);
        ++numbers;
      }
    }
    EXPECT_EQ(numbers, f.precision == 8 ? 0x10000 - 2 * 128 : 0x10000 - 2 * 1024);
  }
}

TEST(Widening, AgreesWithTheHardwareForF32) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 1'000'000; ++i) {
    const auto bits = static_cast<uint32_t>(random());
    const double wide = widen(kF32, bits), expected = std::bit_cast<float>(bits);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(wide));
    } else {
      ASSERT_EQ(std::bit_cast<uint64_t>(wide), std::bit_cast<uint64_t>(expected)) << bits;
    }
  }
}

TEST(Widening, OfHandWrittenValues) {
  EXPECT_EQ(widen(kF32, 0x00000001), 0x1p-149);
  EXPECT_EQ(widen(kF32, 0x807fffff), -0x0.fffffep-126);
  EXPECT_EQ(widen(kF32, 0x3f800000), 1.0);
  EXPECT_EQ(widen(kF32, 0x7f7fffff), 0x1.fffffep127);
  EXPECT_EQ(widen(kBf16, 0x0001), 0x1p-133);
  EXPECT_EQ(widen(kBf16, 0x0080), 0x1p-126);
  EXPECT_EQ(widen(kBf16, 0xc049), -3.140625);
  EXPECT_EQ(widen(kBf16, 0x7f7f), 0x1.fep127);
  EXPECT_EQ(widen(kF16, 0x0001), 0x1p-24);
  EXPECT_EQ(widen(kF16, 0x03ff), 0x0.ffcp-14);
  EXPECT_EQ(widen(kF16, 0x0400), 0x1p-14);
  EXPECT_EQ(widen(kF16, 0x7bff), 65504);
  EXPECT_EQ(widen(kF16, 0xc248), -3.140625);
}

TEST(Rounding, IsTheInverseOfWidening) {
  for (const Format& f : {kBf16, kF16}) {
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
      if (is_nan(f, bits)) {
        ASSERT_TRUE(is_nan(f, round(f, widen(f, bits))));
      } else {
        ASSERT_EQ(round(f, widen(f, bits)), bits) << word(f);
      }
    }
  }
}

TEST(Rounding, OfEvery16BitNumberIntoEachFormatAgreesWithMpfr) {
  for (const Format& from : {kBf16, kF16})
    for (const Format& to : kFormats)
      for (uint32_t bits = 0; bits < 0x10000; ++bits) {
        if (is_nan(from, bits)) continue;
        const double value = widen(from, bits);
        ASSERT_TRUE(is_rounding_of(to, round(to, value), value)) << word(from) << " to " << word(to) << ": " << bits;
      }
}

// Around every midpoint of two neighbours, the largest finite value and infinity included: below it, on it, above it, in
// double and 2^-200 of it apart in MPFR. Rounding through f32 on the way turns the neighbours into ties (double rounding).
TEST(Rounding, BreaksTiesToEvenAndNothingElseIsATie) {
  std::mt19937_64 random(2);
  for (const Format& f : kFormats) {
    const bool all = f.precision != 24;
    const uint32_t count = all ? f.infinity : 200'000;
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t low = all        ? i
                           : i < 1000 ? i
                           : i < 2000 ? f.infinity - 1 - (i - 1000)
                                      : static_cast<uint32_t>(random() % f.infinity);
      const double below = widen(f, low);
      const double above =
          low + 1 == f.infinity
              ? std::ldexp(1.0, f.quantum + f.precision + static_cast<int>(f.infinity >> (f.precision - 1)) - 2)
              : widen(f, low + 1);
      const double middle = (below + above) / 2;  // one bit more than the format's: exact
      const uint32_t even = (low & 1) == 0 ? low : low + 1;
      for (const uint32_t sign : {uint32_t{0}, f.sign}) {
        const double s = sign == 0 ? 1 : -1;
        ASSERT_EQ(round(f, s * middle), sign | even) << word(f) << " " << low;
        ASSERT_EQ(round(f, s * std::nextafter(middle, 0)), sign | low) << word(f) << " " << low;
        ASSERT_EQ(round(f, s * std::nextafter(middle, INFINITY)), sign | (low + 1)) << word(f) << " " << low;
      }
      if (i % 16 == 0) {
        Real value(400, middle);
        ASSERT_EQ(round(f, value), even);
        mpfr_mul_d(value, value, 1 - 0x1p-52, MPFR_RNDN);
        ASSERT_EQ(round(f, value), low);
        mpfr_set_d(value, middle, MPFR_RNDN);
        Real tiny(400, middle);
        mpfr_mul_2si(tiny, tiny, -200, MPFR_RNDN);
        mpfr_add(value, value, tiny, MPFR_RNDN);
        ASSERT_EQ(round(f, value), low + 1);
        mpfr_neg(value, value, MPFR_RNDN);
        ASSERT_EQ(round(f, value), f.sign | (low + 1));
      }
    }
  }
}

TEST(Rounding, HappensOnce) {
  // 1 + 2^-8 is the midpoint of two bf16 values; a step through f32 would lose the 2^-40 beside it.
  EXPECT_EQ(round(kBf16, 1 + 0x1p-8), 0x3f80u);
  EXPECT_EQ(round(kBf16, 1 + 0x1p-8 + 0x1p-40), 0x3f81u);
  EXPECT_EQ(round(kBf16, 1 + 3 * 0x1p-8), 0x3f82u);
  EXPECT_EQ(round(kBf16, 1 + 3 * 0x1p-8 - 0x1p-40), 0x3f81u);
  EXPECT_EQ(round(kF16, 1 + 0x1p-11 + 0x1p-40), 0x3c01u);
  EXPECT_EQ(round(kF16, 1 + 3 * 0x1p-11 - 0x1p-40), 0x3c01u);
  EXPECT_EQ(round(kF16, 0x1p-25), 0x0000u);  // half the smallest subnormal
  EXPECT_EQ(round(kF16, 0x1p-25 + 0x1p-60), 0x0001u);
  EXPECT_EQ(round(kF32, 0x1p-150), 0x00000000u);
  EXPECT_EQ(round(kF32, 0x1p-150 + 0x1p-202), 0x00000001u);
}

TEST(Rounding, OverflowsToInfinityFromHalfAStepOn) {
  EXPECT_EQ(round(kF16, 65519.999), 0x7bffu);
  EXPECT_EQ(round(kF16, 65520), 0x7c00u);
  EXPECT_EQ(round(kF16, -65520), 0xfc00u);
  EXPECT_EQ(round(kF16, 1e300), 0x7c00u);
  EXPECT_EQ(round(kBf16, 0x1.fefffp127), 0x7f7fu);
  EXPECT_EQ(round(kBf16, 0x1.ffp127), 0x7f80u);
  EXPECT_EQ(round(kF32, 0x1.fffffefffp127), 0x7f7fffffu);
  EXPECT_EQ(round(kF32, 0x1.ffffffp127), 0x7f800000u);
  EXPECT_EQ(round(kF32, -INFINITY), 0xff800000u);
}

TEST(Rounding, KeepsTheSignOfZeroAndMakesNanQuiet) {
  for (const Format& f : kFormats) {
    EXPECT_EQ(round(f, 0.0), 0u);
    EXPECT_EQ(round(f, -0.0), f.sign);
    EXPECT_EQ(round(f, -1e-300), f.sign);
    EXPECT_EQ(round(f, -std::numeric_limits<double>::denorm_min()), f.sign);
    EXPECT_TRUE(is_nan(f, round(f, NAN)));
    EXPECT_TRUE(is_nan(f, quiet_nan(f)));
    Real special(60);
    mpfr_set_nan(special);
    EXPECT_TRUE(is_nan(f, round(f, special)));
    mpfr_set_inf(special, -1);
    EXPECT_EQ(round(f, special), f.sign | f.infinity);
    mpfr_set_zero(special, -1);
    EXPECT_EQ(round(f, special), f.sign);
    mpfr_set_si_2exp(special, -3, 1'000'000, MPFR_RNDN);
    EXPECT_EQ(round(f, special), f.sign | f.infinity);
    mpfr_set_si_2exp(special, 3, -1'000'000, MPFR_RNDN);
    EXPECT_EQ(round(f, special), 0u);
  }
}

TEST(Rounding, OfRandomDoublesAgreesWithTheHardwareAndMpfr) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 300'000; ++i) {
    uint64_t bits = random();
    if (i % 2 == 0) bits = (bits & 0x800fffffffffffff) | (1023 - 160 + random() % 320) << 52;  // where the formats live
    const double value = std::bit_cast<double>(bits);
    if (std::isnan(value)) continue;
    ASSERT_EQ(round(kF32, value), std::bit_cast<uint32_t>(static_cast<float>(value))) << value;
    if (i % 8 != 0) continue;
    for (const Format& f : kFormats) {
      ASSERT_TRUE(is_rounding_of(f, round(f, value), value)) << word(f) << " " << value;
      ASSERT_EQ(round(f, Real(53, value)), round(f, value)) << word(f) << " " << value;
    }
  }
}

TEST(Order, GoesThroughEveryNumberInStepsOfOne) {
  for (const Format& f : {kBf16, kF16}) {
    uint32_t bits = f.sign | f.infinity;
    double last = widen(f, bits);
    int64_t n = ordinal(f, bits);
    while (bits != f.infinity) {
      const uint32_t next = next_up(f, bits);
      ASSERT_LT(last, widen(f, next));
      ASSERT_EQ(ordinal(f, next), ++n);
      ASSERT_EQ(ordinal(f, next_down(f, next)), n - 1);
      ASSERT_EQ(from_ordinal(f, n), next);
      last = widen(f, bits = next);
    }
    EXPECT_EQ(n, f.infinity);
    EXPECT_EQ(next_up(f, f.infinity), f.infinity);
    EXPECT_EQ(next_down(f, f.sign | f.infinity), f.sign | f.infinity);
    EXPECT_EQ(ordinal(f, f.sign), ordinal(f, 0));
    EXPECT_EQ(next_up(f, f.sign), 1u);
    EXPECT_EQ(next_down(f, 0), f.sign | 1);
  }
}

}  // namespace
}  // namespace twincheck::reference
