#include "reference/sigmoid.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstddef>

#include "reference/double_sigmoid.h"
#include "reference/real.h"
#include "reference/rounding.h"

namespace twincheck::reference {
namespace {

thread_local uint64_t fallbacks = 0;

constexpr double kLargestF32 = 0x1.fffffep127;

// Magnitudes of the ends to the interval that they bound.
Weight interval(Weight::Kind kind, const Format& f, float scale, uint32_t low, uint32_t high) {
  if (std::signbit(scale)) return {kind, f.sign | high, f.sign | low};
  return {kind, low, high};
}

Weight any_nan(const Format& f) { return {Weight::Kind::kNan, quiet_nan(f), quiet_nan(f)}; }

Weight zero() { return {Weight::Kind::kRange, 0, 0}; }

// Where the dot product need not be a number.
Weight any_sigmoid_or_nan(const Format& f, float scale) {
  const double most = std::fabs(static_cast<double>(scale)) * (1 + 0x1p-21);  // 46 bits: exact
  return interval(Weight::Kind::kRangeOrNan, f, scale, 0, round(f, most));
}

double sigmoid_times(double scale, double x) { return scale / (1 + std::exp(-x)); }

// The end where x is only known to lie in [x_low, x_high]: it grows with x.
template <Side side, Format f>
End double_end_between(double x_low, double x_high, double scale) {
  const End low = double_end<side, f>(x_low, sigmoid_times(scale, x_low), scale);
  const End high = double_end<side, f>(x_high, sigmoid_times(scale, x_high), scale);
  return {low.known && high.known && low.bits == high.bits, low.bits};
}

}  // namespace

namespace exact {
namespace {

mpfr_rnd_t opposite(mpfr_rnd_t direction) { return direction == MPFR_RNDU ? MPFR_RNDD : MPFR_RNDU; }

// The end at x = numerator / denominator, every step rounded so that the result lies in `direction` of the exact one.
uint32_t directed_end(Side side, const Real& numerator, unsigned long denominator, double scale, const Format& f,
                      mpfr_prec_t precision, mpfr_rnd_t direction) {
  Real x(precision), y(precision), tolerance(precision);
  mpfr_div_ui(x, numerator, denominator, direction);  // every end grows with x
  if (!mpfr_inf_p(x)) {
    // Between the end at 512 and that at any greater number lies no point where the rounding changes; -512 likewise.
    if (mpfr_cmp_si(x, 512) > 0) mpfr_set_si(x, 512, MPFR_RNDN);
    if (mpfr_cmp_si(x, -512) < 0) mpfr_set_si(x, -512, MPFR_RNDN);
  }
  mpfr_neg(y, x, MPFR_RNDN);
  mpfr_exp(y, y, opposite(direction));
  mpfr_add_ui(y, y, 1, opposite(direction));
  mpfr_d_div(y, scale, y, direction);
  if (side == kMiddle) return round(f, y);

  const mpfr_rnd_t outward = side == kHigh ? direction : opposite(direction);
  mpfr_neg(tolerance, x, MPFR_RNDN);
  if (mpfr_cmp_si(tolerance, 0) < 0) mpfr_set_si(tolerance, 0, MPFR_RNDN);
  if (mpfr_cmp_si(tolerance, 150) > 0) mpfr_set_si(tolerance, 150, MPFR_RNDN);
  mpfr_mul_d(tolerance, tolerance, kUnit, outward);
  mpfr_add_d(tolerance, tolerance, 0x1p-21, outward);
  // y * (1 + side * r), and not y + side * (y * r): there y would have to be rounded both ways.
  if (side == kLow) mpfr_neg(tolerance, tolerance, MPFR_RNDN);
  mpfr_add_ui(tolerance, tolerance, 1, direction);
  mpfr_mul(y, y, tolerance, direction);
  mpfr_add_d(y, y, side * absolute_tolerance(scale), direction);
  if (mpfr_cmp_si(y, 0) < 0) mpfr_set_zero(y, 1);
  return round(f, y);
}

// Terminates: the end is transcendental unless x is zero or infinite, so it is no point where the rounding changes; and in
// those cases 512 bits hold it exactly.
uint32_t mpfr_end(Side side, const Real& numerator, unsigned long denominator, double scale, const Format& f) {
  for (mpfr_prec_t precision = 128;; precision *= 4) {
    const uint32_t low = directed_end(side, numerator, denominator, scale, f, precision, MPFR_RNDD);
    const uint32_t high = directed_end(side, numerator, denominator, scale, f, precision, MPFR_RNDU);
    if (low == high) return low;
  }
}

uint32_t mpfr_end(Side side, double x, double scale, const Format& f) { return mpfr_end(side, Real(53, x), 1, scale, f); }

}  // namespace

Weight sigmoid_interval(double logit, float scale, Dtype out) {
  const Format f = format_of(out);
  if (std::isnan(logit)) return any_nan(f);
  if (scale == 0) return zero();
  const double size = std::fabs(scale);
  return interval(Weight::Kind::kRange, f, scale, mpfr_end(kLow, logit, size, f), mpfr_end(kHigh, logit, size, f));
}

uint32_t sigmoid_correctly_rounded(double logit, float scale, Dtype out) {
  const Format f = format_of(out);
  if (std::isnan(logit)) return quiet_nan(f);
  const uint32_t sign = std::signbit(scale) ? f.sign : 0;
  return scale == 0 ? sign : sign | mpfr_end(kMiddle, logit, std::fabs(scale), f);
}

Weight gate_interval(std::span<const double> hidden, std::span<const double> gate, float scale, Dtype out) {
  const Format f = format_of(out);
  const std::size_t size = hidden.size();
  if (size >= kUnpromisedHidden) return unpromised(out);
  bool finite = true;
  for (std::size_t i = 0; i < size; ++i) {
    if (std::isnan(hidden[i]) || std::isnan(gate[i])) return any_nan(f);
    finite = finite && std::isfinite(hidden[i]) && std::isfinite(gate[i]);
  }
  if (!finite) return any_sigmoid_or_nan(f, scale);

  // Products are multiples of 2^-298 below 2^256, of 48 bits: exact in double. Fewer than 2^22 of them: 576 bits hold any
  // sum.
  Real dot(640, 0.0), sum(640, 0.0);
  for (std::size_t i = 0; i < size; ++i) {
    const double product = hidden[i] * gate[i];
    mpfr_add_d(dot, dot, product, MPFR_RNDN);
    mpfr_add_d(sum, sum, std::fabs(product), MPFR_RNDN);
  }
  const auto n = static_cast<unsigned long>(size + 1);
  const unsigned long rest = (1ul << 24) - n;  // 1 + gamma(n) = 2^24 / rest, gamma(n) = n / rest
  if (mpfr_cmp_d(sum, kLargestF32 * (static_cast<double>(rest) * kUnit)) > 0) return any_sigmoid_or_nan(f, scale);
  if (scale == 0) return zero();

  // The ends of x over the common denominator, 24 bits longer: exact.
  Real middle(704), slack(704), low(704), high(704);
  mpfr_mul_ui(middle, dot, rest, MPFR_RNDN);
  mpfr_mul_ui(slack, sum, n, MPFR_RNDN);
  mpfr_sub(low, middle, slack, MPFR_RNDN);
  mpfr_add(high, middle, slack, MPFR_RNDN);
  const double weight = std::fabs(scale);
  return interval(Weight::Kind::kRange, f, scale, mpfr_end(kLow, low, rest, weight, f),
                  mpfr_end(kHigh, high, rest, weight, f));
}

}  // namespace exact

namespace {

template <Side side, Format f>
uint32_t end_at(double logit, double y, double scale) {
  if (const End end = double_end<side, f>(logit, y, scale); end.known) return end.bits;
  ++fallbacks;
  return exact::mpfr_end(side, logit, scale, f);
}

template <Format f>
Weight sigmoid_interval(double logit, float scale) {
  if (std::isnan(logit)) return any_nan(f);
  if (scale == 0) return zero();
  const double size = std::fabs(scale), y = sigmoid_times(size, logit);
  return interval(Weight::Kind::kRange, f, scale, end_at<kLow, f>(logit, y, size), end_at<kHigh, f>(logit, y, size));
}

template <Format f>
uint32_t sigmoid_correctly_rounded(double logit, float scale) {
  if (std::isnan(logit)) return quiet_nan(f);
  const uint32_t sign = std::signbit(scale) ? f.sign : 0;
  const double size = std::fabs(scale);
  return size == 0 ? sign : sign | end_at<kMiddle, f>(logit, sigmoid_times(size, logit), size);
}

template <Format f>
Weight gate_interval(std::span<const double> hidden, std::span<const double> gate, float scale, Dtype out) {
  if (hidden.size() >= kUnpromisedHidden) return unpromised(out);
  const auto size = static_cast<Eigen::Index>(hidden.size());
  const Eigen::Map<const Eigen::VectorXd> h(hidden.data(), size), g(gate.data(), size);
  const double dot = h.dot(g);
  const double sum = h.cwiseAbs().dot(g.cwiseAbs());
  // Finite products stay far inside double's range, so only an element can have made the sum anything else.
  if (!std::isfinite(sum)) return h.hasNaN() || g.hasNaN() ? any_nan(f) : any_sigmoid_or_nan(f, scale);

  const double n = static_cast<double>(size + 1);
  const double error = n * 0x1p-52 * sum;              // of dot, of sum and of the ends of x; docs/oracle.md has the proof
  const double limit = kLargestF32 * (1 - n * kUnit);  // (1 + gamma(n)) * sum <= kLargestF32, exactly
  if (sum - error > limit) return any_sigmoid_or_nan(f, scale);
  if (sum + error <= limit) {
    if (scale == 0) return zero();
    const double slack = n * kUnit / (1 - n * kUnit) * sum;
    const double x_low = dot - slack, x_high = dot + slack;
    const double weight = std::fabs(scale);
    const End low = double_end_between<kLow, f>(x_low - error, x_low + error, weight);
    const End high = double_end_between<kHigh, f>(x_high - error, x_high + error, weight);
    if (low.known && high.known) return interval(Weight::Kind::kRange, f, scale, low.bits, high.bits);
  }
  ++fallbacks;
  return exact::gate_interval(hidden, gate, scale, out);
}

}  // namespace

Weight unpromised(Dtype out) {
  const Format f = format_of(out);
  return {Weight::Kind::kRangeOrNan, f.sign | f.infinity, f.infinity};
}

Weight sigmoid_interval(double logit, float scale, Dtype out) {
  if (out == Dtype::kF32) return sigmoid_interval<kF32>(logit, scale);
  if (out == Dtype::kBf16) return sigmoid_interval<kBf16>(logit, scale);
  return sigmoid_interval<kF16>(logit, scale);
}

uint32_t sigmoid_correctly_rounded(double logit, float scale, Dtype out) {
  if (out == Dtype::kF32) return sigmoid_correctly_rounded<kF32>(logit, scale);
  if (out == Dtype::kBf16) return sigmoid_correctly_rounded<kBf16>(logit, scale);
  return sigmoid_correctly_rounded<kF16>(logit, scale);
}

Weight gate_interval(std::span<const double> hidden, std::span<const double> gate, float scale, Dtype out) {
  if (out == Dtype::kF32) return gate_interval<kF32>(hidden, gate, scale, out);
  if (out == Dtype::kBf16) return gate_interval<kBf16>(hidden, gate, scale, out);
  return gate_interval<kF16>(hidden, gate, scale, out);
}

uint64_t mpfr_fallbacks() { return fallbacks; }

}  // namespace twincheck::reference
