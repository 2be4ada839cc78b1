// The ends of a sigmoid's interval where double can tell them: docs/oracle.md has the proof. Constant expressions but for
// the exponential, so that they compile for a GPU as they are.
#pragma once

#include <algorithm>
#include <cstdint>

#include "reference/rounding.h"

namespace twincheck::reference {

// v = y + side * (|y| * r(x) + a): the ends of the interval, and y itself.
using Side = int;
constexpr Side kLow = -1, kMiddle = 0, kHigh = 1;

inline constexpr double kUnit = 0x1p-24;  // of f32

constexpr double absolute_tolerance(double scale) { return 0x1p-126 * std::max(1.0, scale); }

// An end, rounded; what `bits` are where double does not know is not said.
struct End {
  bool known;
  uint32_t bits;
};

// The end at x; y = scale / (1 + exp(-x)) in double, by an exp that is within 2 ulp; scale > 0.
template <Side side, Format format>
constexpr End double_end(double x, double y, double scale) {
  constexpr Format f = format;
  constexpr double kError = 0x1p-49;       // relative to y + a; docs/oracle.md proves 12 * 2^-53
  constexpr double kUnderflow = 0x1p-800;  // where exp overflows or the quotient is subnormal
  const double r = 0x1p-21 + std::min(150.0, std::max(0.0, -x)) * kUnit;
  const double a = side == kMiddle ? 0 : absolute_tolerance(scale);
  const double v = y + side * (y * r + a);
  const double error = (y + a) * kError + kUnderflow;
  const uint32_t below = round(f, std::max(0.0, v - error));
  const uint32_t above = round(f, std::max(0.0, v + error));
  return {below == above, below};
}

}  // namespace twincheck::reference
