// An MPFR number that frees itself.
#pragma once

#include <mpfr.h>

namespace twincheck::reference {

class Real {
 public:
  explicit Real(mpfr_prec_t precision) { mpfr_init2(value_, precision); }
  Real(mpfr_prec_t precision, double value) : Real(precision) { mpfr_set_d(value_, value, MPFR_RNDN); }
  ~Real() { mpfr_clear(value_); }
  Real(const Real&) = delete;
  Real& operator=(const Real&) = delete;

  operator mpfr_ptr() { return value_; }
  operator mpfr_srcptr() const { return value_; }
  // MPFR's macros say `->` in versions before 4.2.
  mpfr_srcptr operator->() const { return value_; }

 private:
  mpfr_t value_;
};

}  // namespace twincheck::reference
