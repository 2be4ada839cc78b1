#include "harness/case/enumerate.h"

#include <bit>
#include <limits>

namespace twincheck {
namespace {

constexpr uint64_t kTokens = 5, kTopK = 10, kShared = 5, kLayouts = 16;
constexpr uint64_t kConstants = 2 * 3, kShareds = 2 * 3 * 3 * 2, kGates = 2 * 3 * 3;
constexpr uint64_t kSources = kConstants + 2 * kShareds + kGates;

constexpr Dtype kFloats[] = {Dtype::kF32, Dtype::kBf16, Dtype::kF16};

// Takes a digit of the given base off a number.
uint64_t digit(uint64_t& number, uint64_t base) {
  const uint64_t d = number % base;
  number /= base;
  return d;
}

void set_source(Case& c, uint64_t which) {
  if (which < kConstants) {
    c.source = TWINCHECK_CONSTANT;
  } else if (which < kConstants + 2 * kShareds) {
    which -= kConstants;
    c.source = which < kShareds ? TWINCHECK_WEIGHTS : TWINCHECK_LOGITS;
    which %= kShareds;
  } else {
    which -= kConstants + 2 * kShareds;
    c.source = TWINCHECK_GATE;
  }
  c.ids_dtype = digit(which, 2) == 0 ? Dtype::kI32 : Dtype::kI64;
  c.weights_dtype = kFloats[digit(which, 3)];
  if (c.source == TWINCHECK_CONSTANT) return;
  c.shared_dtype = kFloats[digit(which, 3)];
  c.broadcast = which != 0;
}

void stride_all(Case& c, int64_t (*stride)(int64_t cols, int64_t operand), bool inputs = true, bool outputs = true) {
  for (int i = 0; i < kOperands; ++i) {
    const Operand o = static_cast<Operand>(i);
    if (!is_used(c, o) || o == Operand::kGate || is_in_place(c, o) || !(i < kInputs ? inputs : outputs)) continue;
    const int64_t cols = implied_matrix_of(c, o).cols;
    const int64_t own = stride(cols, i);
    if (own != cols) c.of(o).row_stride = own;
  }
}

void offset_all(Case& c, uint32_t first, uint32_t step) {
  for (uint32_t i = 0; i < kOperands; ++i) {
    if (is_used(c, static_cast<Operand>(i))) c.layout[i].offset = (first + step * i) % 16;
  }
}

void place_all(Case& c, Place place) {
  for (int i = 0; i < kOperands; ++i) {
    if (is_used(c, static_cast<Operand>(i))) c.of(static_cast<Operand>(i)).place = place;
  }
}

void set_layout(Case& c, uint64_t layout, uint64_t cycle) {
  const auto padded = [](int64_t cols, int64_t) { return cols + 1; };
  const auto odd = [](int64_t cols, int64_t) { return (cols + 2) | 1; };
  const auto power = [](int64_t cols, int64_t) {
    return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(cols) + 1));
  };
  const auto own = [](int64_t cols, int64_t operand) { return cols + operand; };
  const auto far = [](int64_t cols, int64_t) { return cols + 64; };
  switch (layout) {
    case 0:
      break;
    case 1:
    case 2:
    case 3:
      c.in_place = static_cast<InPlace>(layout);
      break;
    case 4:
      stride_all(c, padded);
      offset_all(c, 1, 0);
      break;
    case 5:
      c.in_place = InPlace::kBoth;
      stride_all(c, odd);
      offset_all(c, 3, 0);
      break;
    case 6:
      stride_all(c, power);
      break;
    case 7:
      c.in_place = InPlace::kBoth;
      stride_all(c, power);
      offset_all(c, 8, 0);
      break;
    case 8:
      stride_all(c, own);
      offset_all(c, static_cast<uint32_t>(cycle % 16), 3);
      break;
    case 9:
      place_all(c, Place::kEnd);
      break;
    case 10:
      place_all(c, Place::kBegin);
      break;
    case 11:
      c.in_place = InPlace::kBoth;
      stride_all(c, padded);
      place_all(c, Place::kEnd);
      break;
    case 12:
      stride_all(c, odd, /*inputs=*/true, /*outputs=*/false);
      break;
    case 13:
      stride_all(c, odd, /*inputs=*/false, /*outputs=*/true);
      break;
    case 14:
      stride_all(c, far);
      offset_all(c, 15, 0);
      break;
    default: {
      Operand o = static_cast<Operand>(cycle % kOperands);
      if (!is_used(c, o) || o == Operand::kGate || implied_matrix_of(c, o).cols == 0) o = Operand::kOutIds;
      c.of(o).row_stride = c.tokens > 1 ? (int64_t{1} << 31) / (c.tokens - 1) + 5 : int64_t{-1};
    }
  }
}

void set_values(Case& c, uint64_t layout) {
  static constexpr float kScales[] = {1.0f, 0.5f, 1.0f / 3, 0.0f, -1.0f, 1e10f, -0.0f, 1e-30f, 1.0f / 8};
  static constexpr int64_t kHiddens[] = {1, 2, 3, 4, 5, 8, 13, 16, 33};
  static constexpr int64_t kRemaps[] = {0, 1, 0, 3, 0, 8, 0};
  static constexpr IdClass kIds[] = {IdClass::kDistinct, IdClass::kSentinels,   IdClass::kLimits,    IdClass::kDistinct,
                                     IdClass::kLarge,    IdClass::kSomePadding, IdClass::kDuplicates};
  const auto t = static_cast<uint64_t>(c.tokens), k = static_cast<uint64_t>(c.top_k), s = static_cast<uint64_t>(c.shared);
  const uint64_t cycle = t + 2 * k + 3 * s + 5 * layout;
  c.seed = 16 * (k + s) + layout;
  c.weights = ValueClass::kSpecials;
  if (c.source != TWINCHECK_CONSTANT) c.shared_values = ValueClass::kSpecials;
  if (c.source == TWINCHECK_GATE) {
    c.hidden = (t == 0 || s == 0) && layout % 4 == 0 ? 0 : kHiddens[cycle % 9];
    if ((k + s) % 2 == 1) c.shared_values = ValueClass::kNearZero;
  }
  if (c.source != TWINCHECK_WEIGHTS) c.scale_bits = std::bit_cast<uint32_t>(kScales[cycle % 9]);
  c.ids = kIds[cycle % 7];
  const int64_t last =
      c.ids_dtype == Dtype::kI64 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int32_t>::max();
  const int64_t bases[] = {64, 0, 65537, last - (c.shared > 0 ? c.shared - 1 : 0), last / 2 - 1};
  c.base_id = bases[cycle % 5];
  const bool in_place = (layout >= 1 && layout <= 3) || layout == 5 || layout == 7 || layout == 11;
  if (!in_place) c.remap = kRemaps[cycle / 5 % 7];
}

}  // namespace

uint64_t small_domain_size() { return kSources * kTokens * kTopK * kShared * kLayouts; }

Case small_domain_case(uint64_t index) {
  Case c;
  const uint64_t layout = digit(index, kLayouts);
  c.shared = static_cast<int64_t>(digit(index, kShared));
  c.top_k = static_cast<int64_t>(digit(index, kTopK));
  c.tokens = static_cast<int64_t>(digit(index, kTokens));
  set_source(c, index);
  set_values(c, layout);
  set_layout(c, layout, static_cast<uint64_t>(c.tokens + 2 * c.top_k + 3 * c.shared));
  return c;
}

}  // namespace twincheck
