#include "reference/rounding.h"

#include "reference/real.h"

namespace twincheck::reference {

uint32_t round(const Format& f, mpfr_srcptr value) {
  if (mpfr_nan_p(value)) return quiet_nan(f);
  const uint32_t sign = mpfr_signbit(value) ? f.sign : 0;
  if (mpfr_inf_p(value)) return sign | f.infinity;
  if (mpfr_zero_p(value)) return sign;
  const mpfr_exp_t exponent = mpfr_get_exp(value);   // 2^(exponent - 1) <= |value| < 2^exponent
  if (exponent > 1 << 10) return sign | f.infinity;  // far above every format
  if (exponent < -(1 << 10)) return sign;            // far below
  const int quantum = std::max(static_cast<int>(exponent) - f.precision, f.quantum);
  Real scaled(mpfr_get_prec(value)), n(32);
  mpfr_mul_2si(scaled, value, -quantum, MPFR_RNDN);  // exact
  mpfr_abs(scaled, scaled, MPFR_RNDN);
  mpfr_roundeven(n, scaled);  // at most 2^precision, and at least half of that unless `quantum` is the subnormals'
  // The hidden bit in n adds one to the exponent field; 2^precision, a carry out of the significand, comes out right as
  // well.
  const uint64_t field = static_cast<uint64_t>(quantum - f.quantum) << (f.precision - 1);
  return sign | static_cast<uint32_t>(std::min<uint64_t>(field + mpfr_get_ui(n, MPFR_RNDN), f.infinity));
}

}  // namespace twincheck::reference
