#include "reference/sigmoid.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <utility>

#include "reference/real.h"
#include "reference/rounding.h"

namespace twincheck::reference {
namespace {

using Kind = Weight::Kind;

constexpr Dtype kDtypes[] = {Dtype::kF32, Dtype::kBf16, Dtype::kF16};
constexpr mpfr_prec_t kPlenty = 1500;  // for the sum of numbers from 2^128 down to e^-500 * 2^-149, and 300 bits to spare

// A float64 is compared as bits, so that a NaN or the sign of a zero shows.
testing::AssertionResult same(const Weight& x, const Weight& y) {
  if (x.kind == y.kind && x.lo == y.lo && x.hi == y.hi) return testing::AssertionSuccess();
  return testing::AssertionFailure() << std::hex << static_cast<int>(x.kind) << " [" << x.lo << ", " << x.hi << "] and "
                                     << static_cast<int>(y.kind) << " [" << y.lo << ", " << y.hi << "]";
}

// Logits of every kind that matters: where a sigmoid bends, where it is flat, its subnormals, and any bits at all.
double draw_logit(std::mt19937_64& random, Dtype dtype) {
  const Format f = format_of(dtype);
  const auto uniform = [&](double low, double high) { return std::uniform_real_distribution<double>(low, high)(random); };
  double x = 0;
  switch (random() % 6) {
    case 0:
      x = std::normal_distribution<double>()(random);
      break;
    case 1:
      x = uniform(-110, 110);
      break;
    case 2:
      x = uniform(-160, -80);
      break;
    case 3:
      x = uniform(-1, 1) * std::ldexp(1.0, -static_cast<int>(random() % 40));
      break;
    case 4:
      x = uniform(0, 20);
      break;
    default:
      do {
        x = widen(f, static_cast<uint32_t>(random()) & (2 * f.sign - 1));
      } while (std::isnan(x));
  }
  return widen(f, round(f, x));
}

float draw_scale(std::mt19937_64& random) {
  static constexpr float kScales[] = {1,      1,      1,     0.5f,   0.25f, 0.125f, -1,        2.5f,
                                      1.125f, 1.375f, -1.1f, 1e-30f, 1e10f, 3e38f,  0x1p-149f, -0x1.8p-140f};
  if (random() % 3 != 0) return kScales[random() % std::size(kScales)];
  float scale = 0;
  do {
    scale = std::bit_cast<float>(static_cast<uint32_t>(random()));
  } while (!std::isfinite(scale) || scale == 0);
  return scale;
}

// |y| and the tolerance at x, in the words of the definition: 1/(1 + e^-x), times |scale|; the tolerance of the header.
void define(mpfr_srcptr x, double scale, Real& y, Real& tolerance) {
  mpfr_neg(y, x, MPFR_RNDN);
  mpfr_exp(y, y, MPFR_RNDN);
  mpfr_add_ui(y, y, 1, MPFR_RNDN);
  mpfr_ui_div(y, 1, y, MPFR_RNDN);
  mpfr_mul_d(y, y, scale, MPFR_RNDN);
  Real relative(kPlenty);
  mpfr_neg(relative, x, MPFR_RNDN);
  if (mpfr_cmp_si(relative, 0) < 0) mpfr_set_ui(relative, 0, MPFR_RNDN);
  if (mpfr_cmp_ui(relative, 150) > 0) mpfr_set_ui(relative, 150, MPFR_RNDN);
  mpfr_mul_d(relative, relative, 0x1p-24, MPFR_RNDN);
  mpfr_add_d(relative, relative, 0x1p-21, MPFR_RNDN);
  mpfr_mul(tolerance, y, relative, MPFR_RNDN);
  mpfr_add_d(tolerance, tolerance, 0x1p-126 * std::max(1.0, scale), MPFR_RNDN);
}

// Whether `bits` is the rounding of some number in [low, high], 0 <= low, by the definition of rounding to nearest: the
// numbers that round to `bits` reach to half the way to its neighbours, the half way itself included where `bits` is even.
bool rounds_from(const Format& f, uint32_t bits, const Real& low, const Real& high) {
  const auto value = [&](uint32_t b) {  // infinity stands where the next finite value would be
    const int top = f.quantum + f.precision - 2 + static_cast<int>(f.infinity >> (f.precision - 1));
    return b == f.infinity ? std::ldexp(1.0, top) : widen(f, b);
  };
  const bool even = (bits & 1) == 0;
  if (bits != f.infinity) {
    const int order = mpfr_cmp_d(low, (value(bits) + value(bits + 1)) / 2);
    if (order > 0 || (order == 0 && !even)) return false;
  }
  if (bits != 0) {
    const int order = mpfr_cmp_d(high, (value(bits) + value(bits - 1)) / 2);
    if (order < 0 || (order == 0 && !even)) return false;
  }
  return true;
}

testing::AssertionResult is_the_interval(const Weight& w, const Format& f, float scale, const Real& low, const Real& high) {
  const bool negative = std::signbit(scale);
  const uint32_t least = magnitude(f, negative ? w.hi : w.lo), most = magnitude(f, negative ? w.lo : w.hi);
  const uint32_t sign = negative ? f.sign : 0;
  if (w.kind != Kind::kRange || (w.lo & f.sign) != sign || (w.hi & f.sign) != sign)
    return testing::AssertionFailure() << "not a range of scale's sign";
  if (!rounds_from(f, least, low, high)) return testing::AssertionFailure() << "the least is no rounding of a right number";
  if (!rounds_from(f, most, low, high)) return testing::AssertionFailure() << "the most is no rounding of a right number";
  if (least != 0 && rounds_from(f, least - 1, low, high)) return testing::AssertionFailure() << "one less is right as well";
  if (most != f.infinity && rounds_from(f, most + 1, low, high))
    return testing::AssertionFailure() << "one more is right as well";
  return testing::AssertionSuccess();
}

// The whole double path stands on this: the proof allows the C library's exp 2 ulp; here it keeps within 1.
TEST(Exp, OfTheCLibraryIsWithinOneUlp) {
  std::mt19937_64 random(1);
  Real exact(120), error(120);
  double worst = 0;
  for (int i = 0; i < 60'000; ++i) {
    double x = 0;
    if (i % 3 == 0) {
      x = std::uniform_real_distribution<double>(-708, 709)(random);
    } else if (i % 3 == 1) {
      x = widen(kF32, round(kF32, std::uniform_real_distribution<double>(-110, 110)(random)));
    } else {
      x = std::uniform_real_distribution<double>(-1, 1)(random) * std::ldexp(1.0, -static_cast<int>(random() % 60));
    }
    mpfr_set_d(exact, x, MPFR_RNDN);
    mpfr_exp(exact, exact, MPFR_RNDN);
    mpfr_d_sub(error, std::exp(x), exact, MPFR_RNDN);
    const int exponent = static_cast<int>(mpfr_get_exp(exact));
    worst = std::max(worst, std::fabs(std::ldexp(mpfr_get_d(error, MPFR_RNDN), 53 - exponent)));
  }
  EXPECT_LE(worst, 1.0);
  EXPECT_EQ(std::exp(-INFINITY), 0);
  EXPECT_EQ(std::exp(INFINITY), INFINITY);
  EXPECT_EQ(std::exp(0.0), 1);
}

TEST(SigmoidInterval, OfHandWrittenLogits) {
  // One half, four ulps of a number in [1/2, 1) above it, eight of the finer ones below.
  EXPECT_TRUE(same(sigmoid_interval(0, 1, Dtype::kF32), {Kind::kRange, 0x3f000000 - 8, 0x3f000000 + 4}));
  EXPECT_TRUE(same(sigmoid_interval(-0.0, 1, Dtype::kF32), {Kind::kRange, 0x3f000000 - 8, 0x3f000000 + 4}));
  EXPECT_TRUE(same(sigmoid_interval(0, -2, Dtype::kF32), {Kind::kRange, 0xbf800000 + 4, 0xbf800000 - 8}));
  EXPECT_TRUE(same(sigmoid_interval(0, 1, Dtype::kBf16), {Kind::kRange, 0x3f00, 0x3f00}));
  EXPECT_TRUE(same(sigmoid_interval(0, 1, Dtype::kF16), {Kind::kRange, 0x3800, 0x3800}));
  EXPECT_TRUE(same(sigmoid_interval(INFINITY, 1, Dtype::kF32), {Kind::kRange, 0x3f800000 - 8, 0x3f800000 + 4}));
  EXPECT_TRUE(same(sigmoid_interval(1e30, 1, Dtype::kF32), {Kind::kRange, 0x3f800000 - 8, 0x3f800000 + 4}));
  // A sigmoid of zero may come out as anything up to the smallest normal number.
  EXPECT_TRUE(same(sigmoid_interval(-INFINITY, 1, Dtype::kF32), {Kind::kRange, 0, 0x00800000}));
  EXPECT_TRUE(same(sigmoid_interval(-3e38, 1, Dtype::kF32), {Kind::kRange, 0, 0x00800000}));
  EXPECT_TRUE(same(sigmoid_interval(-INFINITY, -4, Dtype::kF32), {Kind::kRange, 0x81800000, 0x80000000}));
  EXPECT_TRUE(same(sigmoid_interval(-INFINITY, 1, Dtype::kF16), {Kind::kRange, 0, 0}));
  // The largest scales leave bf16 and f16, and in f32 four ulps above the largest number is infinity.
  EXPECT_TRUE(same(sigmoid_interval(INFINITY, 0x1.fffffep127f, Dtype::kF32), {Kind::kRange, 0x7f7ffff7, 0x7f800000}));
  EXPECT_TRUE(same(sigmoid_interval(5, 70000, Dtype::kF16), {Kind::kRange, 0x7c00, 0x7c00}));
  EXPECT_TRUE(same(sigmoid_interval(5, -70000, Dtype::kF16), {Kind::kRange, 0xfc00, 0xfc00}));
}

TEST(SigmoidInterval, OfAScaleOfZeroIsZeroAndOfANanIsNanWhateverTheScale) {
  for (const Dtype out : kDtypes) {
    for (const float scale : {0.0f, -0.0f}) {
      for (const double x : {0.0, -1000.0, 3.0, double{INFINITY}, -double{INFINITY}}) {
        EXPECT_TRUE(same(sigmoid_interval(x, scale, out), {Kind::kRange, 0, 0}));
        EXPECT_EQ(magnitude(format_of(out), sigmoid_correctly_rounded(x, scale, out)), 0u);
      }
    }
    for (const float scale : {0.0f, 1.0f, -3.0f}) {
      EXPECT_EQ(sigmoid_interval(NAN, scale, out).kind, Kind::kNan);
      EXPECT_EQ(exact::sigmoid_interval(NAN, scale, out).kind, Kind::kNan);
      EXPECT_TRUE(is_nan(format_of(out), sigmoid_correctly_rounded(NAN, scale, out)));
    }
  }
}

TEST(SigmoidInterval, IsWhatTheDefinitionSays) {
  std::mt19937_64 random(2);
  Real x(53), y(kPlenty), tolerance(kPlenty), low(kPlenty), high(kPlenty);
  for (const Dtype in : kDtypes)
    for (const Dtype out : kDtypes)
      for (int i = 0; i < 700; ++i) {
        const double logit = draw_logit(random, in);
        const float scale = draw_scale(random);
        mpfr_set_d(x, std::max(-500.0, logit), MPFR_RNDN);  // e^-500 is nothing beside a tolerance of 2^-126
        if (logit == -INFINITY) mpfr_set_d(x, logit, MPFR_RNDN);
        define(x, std::fabs(scale), y, tolerance);
        mpfr_sub(low, y, tolerance, MPFR_RNDN);
        if (mpfr_cmp_si(low, 0) < 0) mpfr_set_zero(low, 1);
        mpfr_add(high, y, tolerance, MPFR_RNDN);
        const Format f = format_of(out);
        ASSERT_TRUE(is_the_interval(sigmoid_interval(logit, scale, out), f, scale, low, high)) << logit << " " << scale;
        const uint32_t nearest = sigmoid_correctly_rounded(logit, scale, out);
        ASSERT_EQ(nearest, round(f, y) | (std::signbit(scale) ? f.sign : 0)) << logit << " " << scale;
      }
}

TEST(SigmoidInterval, InDoubleIsThatOfMpfr) {
  std::mt19937_64 random(3);
  const uint64_t before = mpfr_fallbacks();
  int count = 0;
  for (const Dtype in : kDtypes)
    for (const Dtype out : kDtypes)
      for (int i = 0; i < 1500; ++i, ++count) {
        const double logit = draw_logit(random, in);
        const float scale = draw_scale(random);
        ASSERT_TRUE(same(sigmoid_interval(logit, scale, out), exact::sigmoid_interval(logit, scale, out)))
            << logit << " " << scale << " " << name(out);
        ASSERT_EQ(sigmoid_correctly_rounded(logit, scale, out), exact::sigmoid_correctly_rounded(logit, scale, out))
            << logit << " " << scale << " " << name(out);
      }
  // Saturated logits at scales such as 1.125 end at a tie, where double never can tell: some, and not most.
  EXPECT_GT(mpfr_fallbacks(), before);
  EXPECT_LT(mpfr_fallbacks() - before, static_cast<uint64_t>(count / 10));
}

TEST(SigmoidInterval, InDoubleIsThatOfMpfrForEvery16BitLogit) {
  for (const Dtype in : {Dtype::kBf16, Dtype::kF16}) {
    const Format f = format_of(in);
    const uint64_t before = mpfr_fallbacks();
    for (uint32_t bits = 0; bits < 0x10000; bits += bits % 2048 < 32 ? 1 : 29) {
      const double x = widen(f, bits);
      ASSERT_TRUE(same(sigmoid_interval(x, 1, Dtype::kF32), exact::sigmoid_interval(x, 1, Dtype::kF32))) << name(in) << bits;
    }
    EXPECT_LT(mpfr_fallbacks() - before, 10u);
  }
}

// For a scale of 9/8 the upper end of a saturated sigmoid, 9/8 * (1 + 2^-21) + 9/8 * 2^-126 less 9/8 * e^-x, lies at a tie
// of two f32 but for its last terms.
TEST(SigmoidInterval, IsDecidedAtATie) {
  const uint32_t scale = 0x3f900000;  // 9/8 * 2^-21 is 4.5 ulp
  const auto most = [](double x) { return sigmoid_interval(x, 1.125f, Dtype::kF32).hi; };
  EXPECT_EQ(most(40), scale + 4);
  EXPECT_EQ(most(87), scale + 4) << "9/8 * e^-87 is more than 9/8 * 2^-126";
  EXPECT_EQ(most(88), scale + 5);
  EXPECT_EQ(most(600), scale + 5);
  EXPECT_EQ(most(3e38), scale + 5);
  EXPECT_EQ(most(INFINITY), scale + 5);
  EXPECT_EQ(sigmoid_interval(3e38, 1.125f, Dtype::kF32).lo, scale - 5);
  // 2^-103 * 9/8 * (1 + 2^-21) + 2^-126 is 9/8 * 2^-103 and 4.5 + 1 ulp, exactly: a tie, at infinity alone.
  const uint32_t small = (127 - 103) << 23 | 0x100000;
  EXPECT_EQ(sigmoid_interval(INFINITY, 0x1.2p-103f, Dtype::kF32).hi, small + 6) << "the even one";
  EXPECT_EQ(sigmoid_interval(3e38, 0x1.2p-103f, Dtype::kF32).hi, small + 5) << "a hair below the tie";
  EXPECT_EQ(sigmoid_interval(513, 0x1.2p-103f, Dtype::kF32).hi, small + 5);
}

TEST(SigmoidInterval, GrowsWithTheLogit) {
  std::mt19937_64 random(4);
  for (int i = 0; i < 100'000; ++i) {
    const double x = draw_logit(random, Dtype::kF32);
    const uint32_t bits = round(kF32, x);
    const double above = widen(kF32, next_up(kF32, bits));
    const Weight low = sigmoid_interval(x, 1, Dtype::kF32), high = sigmoid_interval(above, 1, Dtype::kF32);
    ASSERT_LE(low.lo, high.lo) << x;
    ASSERT_LE(low.hi, high.hi) << x;
    const uint32_t nearest = sigmoid_correctly_rounded(x, 1, Dtype::kF32);
    ASSERT_LE(nearest, sigmoid_correctly_rounded(above, 1, Dtype::kF32)) << x;
    ASSERT_TRUE(accepts(low, Dtype::kF32, nearest)) << x;
  }
}

TEST(SigmoidInterval, HasRoomForAFastExp2AndNoMore) {
  // A sigmoid by exp2(x * log2 e), the argument rounded to f32 once: right at every logit.
  std::mt19937_64 random(5);
  for (int i = 0; i < 200'000; ++i) {
    const auto x = static_cast<float>(std::uniform_real_distribution<double>(-110, 110)(random));
    const auto argument = static_cast<float>(-x * 0x1.71547652b82fep+0);
    const auto e = static_cast<float>(std::exp2(static_cast<double>(argument)));
    const float fast = 1.0f / (1.0f + e);
    ASSERT_TRUE(accepts(sigmoid_interval(x, 1, Dtype::kF32), Dtype::kF32, std::bit_cast<uint32_t>(fast))) << x;
  }
  // A logit narrowed to bf16 first, or a sigmoid narrowed to bf16, is wrong.
  EXPECT_FALSE(accepts(sigmoid_interval(1.003f, 1, Dtype::kF32), Dtype::kF32, sigmoid_correctly_rounded(1, 1, Dtype::kF32)));
  EXPECT_FALSE(
      accepts(sigmoid_interval(1, 1, Dtype::kF32), Dtype::kF32, sigmoid_correctly_rounded(1, 1, Dtype::kBf16) << 16));
}

Weight gate(std::vector<double> hidden, std::vector<double> weights, float scale = 1, Dtype out = Dtype::kF32) {
  const Weight w = gate_interval(hidden, weights, scale, out);
  EXPECT_TRUE(same(w, exact::gate_interval(hidden, weights, scale, out)));
  return w;
}

TEST(GateInterval, OfHandWrittenRows) {
  // One product of 0: x is 0 exactly.
  EXPECT_TRUE(same(gate({0}, {5}), {Kind::kRange, 0x3f000000 - 8, 0x3f000000 + 4}));
  // 1 * 2 - 2 * 1, each of H + 1 = 3 roundings: x in [-12, 12] * 2^-24 / (1 - 3 * 2^-24), y in 1/2 -+ 3 * 2^-24 and a
  // little.
  EXPECT_TRUE(same(gate({1, 2}, {2, -1}), {Kind::kRange, 0x3f000000 - 8 - 6, 0x3f000000 + 4 + 3}));
  EXPECT_TRUE(same(gate({1, 2}, {2, -1}, -1), {Kind::kRange, 0xbf000000 + 4 + 3, 0xbf000000 - 8 - 6}));
  EXPECT_TRUE(same(gate({1, 2}, {2, -1}, 0), {Kind::kRange, 0, 0}));
  EXPECT_TRUE(same(gate({1, 2}, {2, -1}, 1, Dtype::kF16), {Kind::kRange, 0x3800, 0x3800}));
}

TEST(GateInterval, OfANanIsNanAndOfAnInfinityAnyNumberUpToScale) {
  const Weight any{Kind::kRangeOrNan, 0, 0x3f800004};
  EXPECT_EQ(gate({NAN, 1}, {1, 1}).kind, Kind::kNan);
  EXPECT_EQ(gate({1, 1}, {1, NAN}).kind, Kind::kNan);
  EXPECT_EQ(gate({INFINITY, 1}, {0, NAN}).kind, Kind::kNan);
  EXPECT_EQ(gate({NAN, 1}, {0, 1}, 0).kind, Kind::kNan);
  EXPECT_TRUE(same(gate({INFINITY, 1}, {0, 1}), any));
  EXPECT_TRUE(same(gate({INFINITY, 1}, {1, 1}), any));
  EXPECT_TRUE(same(gate({1, 1}, {1, -INFINITY}), any));
  EXPECT_TRUE(same(gate({1, INFINITY}, {1, -INFINITY}, -3), {Kind::kRangeOrNan, 0xc0400006, 0x80000000}));
  EXPECT_TRUE(same(gate({INFINITY}, {1}, 0), {Kind::kRangeOrNan, 0, 0}));
  EXPECT_TRUE(same(gate({INFINITY}, {1}, 0x1.fffffep127f), {Kind::kRangeOrNan, 0, 0x7f800000}));
}

TEST(GateInterval, PromisesANumberUpToTheLastSumThatFitsInF32) {
  const double largest = 0xffffff;  // the largest f32 is this times 2^104
  // H = 1: (1 + gamma(2)) * sum is the largest f32 exactly where sum = (2^24 - 1) * (2^24 - 2) * 2^80.
  const Weight last = gate({largest * 0x1p40}, {0xfffffe * 0x1p40});
  EXPECT_TRUE(same(last, {Kind::kRange, 0x3f800000 - 8, 0x3f800000 + 4}));
  EXPECT_EQ(gate({largest * 0x1p40}, {0xffffff * 0x1p40}).kind, Kind::kRangeOrNan);
  EXPECT_EQ(gate({-largest * 0x1p40}, {0xffffff * 0x1p40}).kind, Kind::kRangeOrNan);
  // The same sum in two parts of three roundings is too much; and one part too small for double to see makes it too much.
  EXPECT_EQ(gate({largest * 0x1p40, 0}, {0xfffffe * 0x1p40, 0}).kind, Kind::kRangeOrNan);
  EXPECT_EQ(gate({largest * 0x1p40, 0}, {0xfffffd * 0x1p40, 0}).kind, Kind::kRange);
  EXPECT_EQ(gate({largest * 0x1p40, 0x1p-149}, {0xfffffd * 0x1p40, 0x1p-149}).kind, Kind::kRangeOrNan);
  // Cancellation does not help: it is the sum of the magnitudes that counts.
  EXPECT_EQ(gate({0x1p127, -0x1p127}, {1, 1}).kind, Kind::kRangeOrNan);
  EXPECT_EQ(gate({0x1p126, -0x1p126}, {1, 1}).kind, Kind::kRange);
}

// Beside 2^127, a thousand terms of 0.6 units in the last place of double count as 1 each where they are added one by one:
// double has the sum above the limit, and it is 40 such units below.
TEST(GateInterval, DecidesALimitThatDoublePasses) {
  const int terms = 1000, n = terms + 2 + 1;
  std::vector<double> hidden(terms + 2, 0x1.333334p74), weights(terms + 2, 1.0);
  hidden[0] = 0xffffff * 0x1p40;
  weights[0] = (0x1000000 - n - 1) * 0x1p40;
  hidden[1] = (0xffffff - 20) * 0x1p80;  // the limit is (2^24 - 1) * (2^24 - n) * 2^80
  EXPECT_EQ(gate(hidden, weights).kind, Kind::kRange);
  hidden[1] += 0x1p81;
  EXPECT_EQ(gate(hidden, weights).kind, Kind::kRangeOrNan);
}

TEST(GateInterval, CountsSubnormalInputsInFull) {
  // 2^-149 * 2^127 a thousand times over is far from 0 only with the subnormals in it.
  const std::vector<double> hidden(4, 0x1.8p-130), weights(4, 0x1p127);
  const Weight w = gate(hidden, weights);
  const uint32_t nearest = sigmoid_correctly_rounded(4 * 0x1.8p-3, 1, Dtype::kF32);
  EXPECT_TRUE(accepts(w, Dtype::kF32, nearest));
  EXPECT_FALSE(accepts(w, Dtype::kF32, 0x3f000000)) << "flushed";
}

TEST(GateInterval, AnEndOfXThatIsZeroExactlyIsDecided) {
  // dot = 3, sum = 2^24 - 3, H + 1 = 3: the lower end of x is 3 - 3 / (2^24 - 3) * (2^24 - 3) = 0. At a scale of 2^-103 *
  // 9/4 y = 9/8 * 2^-103, and the definition at x = 0 decides.
  const std::vector<double> hidden{0x1p23, 0x1p23 - 3}, weights{1, -1};
  const Weight w = gate(hidden, weights, 0x1.2p-102f), at_zero = sigmoid_interval(0, 0x1.2p-102f, Dtype::kF32);
  EXPECT_EQ(w.lo, at_zero.lo);
  EXPECT_GT(w.hi, at_zero.hi);
  // dot = -3: now the upper end, a tie to even.
  const Weight v = gate({-0x1p23, 0x1p23 - 3}, {1, 1}, 0x1.2p-102f);
  EXPECT_EQ(v.hi, at_zero.hi);
  EXPECT_LT(v.lo, at_zero.lo);
  EXPECT_EQ(at_zero.hi, ((127u - 103) << 23 | 0x100000) + 6);
}

TEST(GateInterval, PromisesNothingFromAHiddenSizeOfFourMillionOn) {
  std::vector<double> ones(static_cast<std::size_t>(kUnpromisedHidden), 1.0);
  for (const Dtype out : kDtypes) {
    const Weight w = gate_interval(ones, ones, 1, out);
    const Format f = format_of(out);
    EXPECT_TRUE(same(w, {Kind::kRangeOrNan, f.sign | f.infinity, f.infinity}));
    EXPECT_TRUE(same(w, unpromised(out)));
    EXPECT_TRUE(same(w, exact::gate_interval(ones, ones, 1, out)));
    EXPECT_TRUE(accepts(w, out, quiet_nan(f)));
  }
  ones.pop_back();
  EXPECT_TRUE(same(gate_interval(ones, ones, 1, Dtype::kF32), {Kind::kRange, 0x3f800000 - 8, 0x3f800000 + 4}));
}

struct Row {
  std::vector<double> hidden, gate;
};

Row draw_row(std::mt19937_64& random, Dtype dtype) {
  const Format f = format_of(dtype);
  const std::size_t H = 1 + random() % (random() % 8 == 0 ? 300 : 24);
  Row row{std::vector<double>(H), std::vector<double>(H)};
  const uint64_t kind = random() % 5;
  std::normal_distribution<double> normal;
  for (std::size_t i = 0; i < H; ++i) {
    double h = normal(random), g = normal(random);
    if (kind == 1) h *= 1e3;
    if (kind == 2 && i % 2 == 1) h = -row.hidden[i - 1], g = row.gate[i - 1] * (1 + 0x1p-7);  // cancels, almost
    if (kind == 3)
      h *= std::ldexp(1.0, static_cast<int>(random() % 250) - 125),
          g *= std::ldexp(1.0, static_cast<int>(random() % 20) - 10);
    if (kind == 4) h *= 0.1;
    row.hidden[i] = widen(f, round(f, h));
    row.gate[i] = widen(f, round(f, g));
    if (std::isinf(row.hidden[i])) row.hidden[i] = 1;
    if (std::isinf(row.gate[i])) row.gate[i] = 1;
  }
  return row;
}

TEST(GateInterval, InDoubleIsThatOfMpfr) {
  std::mt19937_64 random(6);
  int ranges = 0;
  for (const Dtype in : kDtypes)
    for (const Dtype out : kDtypes)
      for (int i = 0; i < 700; ++i) {
        const Row row = draw_row(random, in);
        const float scale = draw_scale(random);
        const Weight w = gate_interval(row.hidden, row.gate, scale, out);
        ASSERT_TRUE(same(w, exact::gate_interval(row.hidden, row.gate, scale, out)))
            << name(in) << " " << name(out) << " " << i;
        ranges += w.kind == Kind::kRange;
      }
  EXPECT_GT(ranges, 9 * 700 / 2);
}

TEST(GateInterval, IsWhatTheDefinitionSays) {
  std::mt19937_64 random(7);
  Real x(kPlenty), dot(kPlenty), sum(kPlenty), y(kPlenty), tolerance(kPlenty), low(kPlenty), high(kPlenty);
  for (const Dtype in : kDtypes)
    for (const Dtype out : kDtypes)
      for (int i = 0; i < 250; ++i) {
        const Row row = draw_row(random, in);
        const float scale = draw_scale(random);
        mpfr_set_zero(dot, 1), mpfr_set_zero(sum, 1);
        for (std::size_t k = 0; k < row.hidden.size(); ++k) {
          mpfr_set_d(x, row.hidden[k], MPFR_RNDN);
          mpfr_mul_d(x, x, row.gate[k], MPFR_RNDN);
          mpfr_add(dot, dot, x, MPFR_RNDN);
          mpfr_abs(x, x, MPFR_RNDN);
          mpfr_add(sum, sum, x, MPFR_RNDN);
        }
        Real gamma(kPlenty), u(kPlenty, 0x1p-24);
        mpfr_mul_ui(gamma, u, row.hidden.size() + 1, MPFR_RNDN);
        mpfr_ui_sub(u, 1, gamma, MPFR_RNDN);
        mpfr_div(gamma, gamma, u, MPFR_RNDN);
        mpfr_mul(gamma, gamma, sum, MPFR_RNDN);  // the slack of x
        mpfr_add(sum, sum, gamma, MPFR_RNDN);
        const Weight w = gate_interval(row.hidden, row.gate, scale, out);
        if (mpfr_cmp_d(sum, 0x1.fffffep127) > 0) {
          ASSERT_EQ(w.kind, Kind::kRangeOrNan);
          continue;
        }
        mpfr_sub(x, dot, gamma, MPFR_RNDN);
        if (mpfr_cmp_si(x, -500) < 0) mpfr_set_si(x, -500, MPFR_RNDN);
        define(x, std::fabs(scale), y, tolerance);
        mpfr_sub(low, y, tolerance, MPFR_RNDN);
        if (mpfr_cmp_si(low, 0) < 0) mpfr_set_zero(low, 1);
        mpfr_add(x, dot, gamma, MPFR_RNDN);
        if (mpfr_cmp_si(x, -500) < 0) mpfr_set_si(x, -500, MPFR_RNDN);
        if (mpfr_cmp_si(x, 900) > 0) mpfr_set_si(x, 900, MPFR_RNDN);
        define(x, std::fabs(scale), y, tolerance);
        mpfr_add(high, y, tolerance, MPFR_RNDN);
        ASSERT_TRUE(is_the_interval(w, format_of(out), scale, low, high)) << name(in) << " " << name(out) << " " << i;
      }
}

// Sums in f32, forwards, backwards, in pairs and with fused multiply-adds, then a sigmoid in f32: never a false alarm.
TEST(GateInterval, HoldsSumsInF32InAnyOrder) {
  std::mt19937_64 random(8);
  for (int i = 0; i < 20'000; ++i) {
    const Row row = draw_row(random, kDtypes[random() % 3]);
    const Weight w = gate_interval(row.hidden, row.gate, 1, Dtype::kF32);
    const std::size_t H = row.hidden.size();
    std::vector<float> terms(H);
    float fused = 0, backwards = 0;
    for (std::size_t k = 0; k < H; ++k) {
      const auto h = static_cast<float>(row.hidden[k]), g = static_cast<float>(row.gate[k]);
      terms[k] = h * g;
      fused = std::fma(h, g, fused);
    }
    for (std::size_t k = H; k-- > 0;) backwards += terms[k];
    for (std::size_t width = 1; width < H; width *= 2)
      for (std::size_t k = 0; k + width < H; k += 2 * width) terms[k] += terms[k + width];
    for (const float x : {fused, backwards, terms[0]}) {
      const float y = 1 / (1 + static_cast<float>(std::exp(-static_cast<double>(x))));
      ASSERT_TRUE(accepts(w, Dtype::kF32, std::bit_cast<uint32_t>(y))) << i << ": " << x;
    }
  }
}

TEST(Fallbacks, AreRareForLogits) {
  const uint64_t before = mpfr_fallbacks();
  uint32_t bits = 0;
  for (int i = 0; i < 2'000'000; ++i) {
    bits += 0x9e3779b9u;
    sigmoid_interval(widen(kF32, bits), 1, Dtype::kF32);
  }
  EXPECT_LT(mpfr_fallbacks() - before, 20u);
}

}  // namespace
}  // namespace twincheck::reference
