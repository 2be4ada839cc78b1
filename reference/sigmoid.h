// The acceptable results of sigmoid(x) * scale: of a logit, or of the dot product of a gate.
//
// With y = sigmoid(x) * scale, a result is right if it is the rounding of some v with
//
//   |v - y| <= |y| * (2^-21 + min(150, max(0, -x)) * 2^-24) + 2^-126 * max(1, |scale|),   v zero or of scale's sign.
//
// Evaluated in double with a proved error; where the two ends of that error round to different values, by MPFR
// (docs/oracle.md has the proof). `scale` is finite; a scale of zero has no sign, so that zero is the only v.
// Requires the default rounding mode of the floating-point environment.
#pragma once

#include <cstdint>
#include <span>

#include "contract/words.h"
#include "reference/oracle.h"

namespace twincheck::reference {

// `logit` is an f32, bf16 or f16 widened exactly; `out` is f32, bf16 or f16. A NaN logit gives kNan, any other a kRange.
Weight sigmoid_interval(double logit, float scale, Dtype out);

// RNE(sigmoid(logit) * scale): what an error in ulp is counted from. A NaN for a NaN logit.
uint32_t sigmoid_correctly_rounded(double logit, float scale, Dtype out);

// From this hidden size on, nothing is promised of a gate's weight: any number, and any NaN.
inline constexpr int64_t kUnpromisedHidden = int64_t{1} << 22;
Weight unpromised(Dtype out);

// sigmoid(hidden . gate) * scale, the dot product summed in f32 in any order. The elements are f32, bf16 or f16 values
// widened exactly; the spans are of equal length H >= 1. kNan where an element is NaN; kRangeOrNan where one is infinite or
// the sum may leave f32; unpromised() where H >= kUnpromisedHidden.
Weight gate_interval(std::span<const double> hidden, std::span<const double> gate, float scale, Dtype out);

// How often double could not decide, on this thread, since it started.
uint64_t mpfr_fallbacks();

// The same three by MPFR alone: slow, and what the tests hold the above against.
namespace exact {
Weight sigmoid_interval(double logit, float scale, Dtype out);
uint32_t sigmoid_correctly_rounded(double logit, float scale, Dtype out);
Weight gate_interval(std::span<const double> hidden, std::span<const double> gate, float scale, Dtype out);
}  // namespace exact

}  // namespace twincheck::reference
