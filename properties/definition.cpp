#include "properties/definition.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace twincheck::relate {
namespace {

// sigmoid(x) * scale and how far a result may be from it, for x anywhere in [x_lo, x_hi].
SharedWeight sigmoid_of(double x_lo, double x_hi, double scale) {
  // Both ends grow with x. Evaluated in double: a few of its roundings may be missing.
  const auto end = [&](double x, int side) {
    const double y = std::fabs(scale) / (1 + std::exp(-x));
    const double bound =
        y * (0x1p-21 + std::min(150.0, std::max(0.0, -x)) * 0x1p-24) + 0x1p-126 * std::max(1.0, std::fabs(scale));
    return side < 0 ? std::max(0.0, y * (1 - 0x1p-48) - bound) : y * (1 + 0x1p-48) + bound;
  };
  const double lo = end(x_lo, -1), hi = end(x_hi, 1);
  return scale < 0 ? SharedWeight{-hi, -lo} : SharedWeight{lo, hi};
}

SharedWeight gate_weight(const Case& c, int64_t token, double scale) {
  const std::vector<uint64_t>& hidden = c.literal[static_cast<std::size_t>(Operand::kHidden)];
  const std::vector<uint64_t>& gate = c.literal[static_cast<std::size_t>(Operand::kGate)];
  bool nan = false, any = c.hidden >= int64_t{1} << 22;
  double x = 0, sum = 0;
  for (int64_t h = 0; h < c.hidden; ++h) {
    const auto i = static_cast<uint64_t>(token * c.hidden + h) % hidden.size();
    const double a = number_of(static_cast<uint32_t>(hidden[i]), c.shared_dtype);
    const double b = number_of(static_cast<uint32_t>(gate[static_cast<uint64_t>(h) % gate.size()]), c.shared_dtype);
    nan |= std::isnan(a) || std::isnan(b);
    any |= std::isinf(a) || std::isinf(b);
    x += a * b;
    sum += std::fabs(a * b);
  }
  if (nan && c.hidden < int64_t{1} << 22) return {.lo = NAN, .hi = NAN, .nan = true};
  const double n = static_cast<double>(c.hidden + 1) * 0x1p-24, gamma = n / (1 - n);
  // Also where double leaves open whether the sum leaves f32.
  if (any || sum * (1 + gamma) > 0.999 * std::numeric_limits<float>::max()) {
    const double all = scale * (1 + 0x1p-21);
    return {.lo = std::min(0.0, all), .hi = std::max(0.0, all), .or_nan = true};
  }
  const double off = sum * (gamma + static_cast<double>(c.hidden) * 0x1p-52);
  return sigmoid_of(x - off, x + off, scale);
}

}  // namespace

SharedWeight shared_weight(const Case& c, int64_t token, int64_t s) {
  const auto scale = static_cast<double>(std::bit_cast<float>(c.scale_bits));
  if (c.source == TWINCHECK_CONSTANT) return {scale, scale};
  if (c.source == TWINCHECK_GATE) return gate_weight(c, token, scale);
  const std::vector<uint64_t>& shared = c.literal[static_cast<std::size_t>(Operand::kShared)];
  const auto element = static_cast<uint64_t>(c.broadcast ? token : token * c.shared + s);
  const auto bits = static_cast<uint32_t>(shared[element % shared.size()]);
  const double x = number_of(bits, c.shared_dtype);
  if (c.source == TWINCHECK_WEIGHTS && c.shared_dtype == c.weights_dtype)
    return {.lo = x, .hi = x, .copied = true, .bits = bits};
  if (std::isnan(x)) return {.lo = x, .hi = x, .nan = true};
  return c.source == TWINCHECK_WEIGHTS ? SharedWeight{x, x} : sigmoid_of(x, x, scale);
}

}  // namespace twincheck::relate
