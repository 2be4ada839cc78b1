#include "fuzz/mutate.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <string_view>
#include <utility>

#include "fuzz/fuzz.h"
#include "harness/case/values.h"
#include "properties/relate.h"

namespace twincheck::fuzz {
namespace {

constexpr int64_t kBoundaries[] = {0,  1,  2,  3,  4,  5,  6,   7,   8,   9,   15,  16, 17,
                                   31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257};
constexpr int64_t kLarge[] = {32767,
                              32768,
                              65535,
                              65536,
                              int64_t{1} << 20,
                              (int64_t{1} << 31) - 1,
                              int64_t{1} << 31,
                              (int64_t{1} << 31) + 1,
                              int64_t{1} << 32,
                              (int64_t{1} << 32) + 5,
                              int64_t{1} << 40,
                              (int64_t{1} << 62) - 1,
                              int64_t{1} << 62,
                              std::numeric_limits<int64_t>::max() - 1,
                              std::numeric_limits<int64_t>::max()};

template <typename T, std::size_t N>
T one_of(const T (&values)[N], Choices& choices) {
  return values[choices.below(N)];
}

int64_t large(Choices& choices) {
  const int64_t value = one_of(kLarge, choices);
  if (!choices.chance(1, 3)) return value;
  return choices.chance(1, 2) ? -value : ~value;
}

// Near what it is, or a boundary.
int64_t nudge(int64_t value, Choices& choices) {
  switch (choices.below(4)) {
    case 0:
      return value < std::numeric_limits<int64_t>::max() ? value + 1 : value;
    case 1:
      return value > 0 ? value - 1 : value;
    case 2:
      return one_of(kBoundaries, choices);
    default:
      return choices.between(0, choices.chance(1, 4) ? 40 : 8);
  }
}

void change_size(Case& c, Choices& choices) {
  int64_t* const sizes[] = {&c.tokens, &c.top_k, &c.shared, &c.hidden};
  int64_t& size = *one_of(sizes, choices);
  // A row of hidden is summed by more lanes from each power of two on.
  if (&size == &c.hidden && choices.chance(1, 3)) {
    size = (int64_t{64} << choices.below(7)) + choices.between(0, 9);
    return;
  }
  size = nudge(size, choices);
}

void change_dtype(Case& c, Choices& choices) {
  static constexpr Dtype kFloats[] = {Dtype::kF32, Dtype::kBf16, Dtype::kF16};
  switch (choices.below(3)) {
    case 0:
      c.ids_dtype = c.ids_dtype == Dtype::kI32 ? Dtype::kI64 : Dtype::kI32;
      break;
    case 1:
      c.weights_dtype = one_of(kFloats, choices);
      break;
    default:
      c.shared_dtype = one_of(kFloats, choices);
  }
}

void change_source(Case& c, Choices& choices) {
  c.source = static_cast<int32_t>(choices.below(4));
  if (c.source == TWINCHECK_GATE && c.hidden <= 0) c.hidden = choices.between(1, 40);
  if (c.source != TWINCHECK_GATE) c.hidden = 0;
  if (c.source == TWINCHECK_WEIGHTS) c.scale_bits = 0x3f800000;
  for (const Operand o : {Operand::kShared, Operand::kHidden, Operand::kGate})
    if (!is_used(c, o)) c.literal[static_cast<std::size_t>(o)].clear();
}

void change_parameter(Case& c, Choices& choices) {
  static constexpr uint32_t kScales[] = {0x3f800000, 0x3f000000, 0x40200000, 0xbf800000, 0,
                                         0x80000000, 1,          0x7f7fffff, 0x00800000};
  switch (choices.below(4)) {
    case 0:
      c.scale_bits =
          choices.chance(1, 4) ? static_cast<uint32_t>(choices.below(uint64_t{1} << 32)) : one_of(kScales, choices);
      break;
    case 1: {
      const int64_t last =
          (c.ids_dtype == Dtype::kI32 ? std::numeric_limits<int32_t>::max() : std::numeric_limits<int64_t>::max());
      const int64_t ids[] = {0, 1, 256, 65536, int64_t{1} << 31, last - (std::max<int64_t>(1, c.shared) - 1), last};
      c.base_id = one_of(ids, choices);
      break;
    }
    case 2:
      c.remap = choices.chance(1, 3) ? std::abs(large(choices) / 2) : nudge(std::max<int64_t>(c.remap, 0), choices);
      c.in_place = InPlace::kNone;
      break;
    default:
      c.args_size = choices.chance(1, 2) ? std::nullopt : std::optional<uint32_t>(sizeof(AppendArgs) + choices.below(64));
  }
}

void change_form(Case& c, Choices& choices) {
  if (choices.chance(1, 3)) {
    c.broadcast = !c.broadcast;
    return;
  }
  c.in_place = static_cast<InPlace>(choices.below(4));
  if (c.in_place != InPlace::kNone) c.remap = 0;
}

void change_layout(Case& c, Choices& choices) {
  const auto o = static_cast<Operand>(choices.below(kOperands));
  Layout& l = c.of(o);
  switch (choices.below(8)) {
    case 0:
    case 1:
    case 2: {
      const Matrix m = implied_matrix_of(c, o);
      l.row_stride = std::min<int64_t>(std::max<int64_t>(m.cols, 0), 1 << 20) + nudge(0, choices);
      break;
    }
    case 3:
      l.row_stride = implied_matrix_of(c, o).cols / 2 + (int64_t{1} << choices.between(30, 31)) + choices.between(0, 5);
      c.tokens = choices.between(2, 4);
      break;
    case 4:
    case 5:
      l.offset = static_cast<uint32_t>(choices.below(17));
      break;
    case 6:
      l.place = static_cast<Place>(choices.below(3));
      break;
    default:
      l = {};
  }
}

void change_data(Case& c, Choices& choices) {
  switch (choices.below(4)) {
    case 0:
      c.ids = static_cast<IdClass>(choices.below(kIdClasses));
      break;
    case 1:
      c.weights = static_cast<ValueClass>(choices.below(kValueClasses));
      break;
    case 2:
      c.shared_values = static_cast<ValueClass>(choices.below(kValueClasses));
      break;
    default:
      c.seed = choices.below(uint64_t{1} << 32);
  }
}

// The literal of one used input of a small case, made of its class where there was none; null for others.
std::vector<uint64_t>* literal(Case& c, Choices& choices, Operand& o) {
  o = static_cast<Operand>(choices.below(kInputs));
  if (!is_used(c, o)) return nullptr;
  const Matrix m = implied_matrix_of(c, o);
  if (m.rows <= 0 || m.cols <= 0 || m.rows > 256 || m.cols > 256 || m.rows * m.cols > 256) return nullptr;
  std::vector<uint64_t>& bits = c.literal[static_cast<std::size_t>(o)];
  const auto size = static_cast<std::size_t>(m.rows * m.cols);
  if (bits.size() != size) {
    std::vector<uint64_t> whole;
    if (!relate::elements(c, o, whole)) return nullptr;
    bits = std::move(whole);
  }
  return bits.size() == size ? &bits : nullptr;
}

uint64_t special(const Case& c, Operand o, Choices& choices) {
  if (o == Operand::kTopkIds) {
    if (choices.chance(1, 3)) return static_cast<uint64_t>(large(choices));
    return static_cast<uint64_t>(choices.between(-3, 300));
  }
  const Dtype dtype = o == Operand::kTopkWeights ? c.weights_dtype : c.shared_dtype;
  if (dtype != Dtype::kF32 && dtype != Dtype::kBf16 && dtype != Dtype::kF16) return choices.below(65536);
  if (choices.chance(1, 3)) return choices.below(dtype == Dtype::kF32 ? uint64_t{1} << 32 : 65536);
  return specials(dtype)[choices.below(kSpecials)];
}

void change_element(Case& c, Choices& choices) {
  Operand o{};
  std::vector<uint64_t>* bits = literal(c, choices, o);
  if (bits == nullptr) return change_data(c, choices);
  uint64_t& element = (*bits)[choices.below(bits->size())];
  switch (choices.below(4)) {
    case 0:
      element ^= uint64_t{1} << choices.below(o == Operand::kTopkIds ? 64 : 32);
      break;
    case 1:
      element = (*bits)[choices.below(bits->size())];
      break;
    default:
      element = special(c, o, choices);
  }
}

// A field that makes the struct another than the sizes imply.
void break_rule(Case& c, Choices& choices) {
  const auto o = static_cast<Operand>(choices.below(kOperands));
  Layout& l = c.of(o);
  const Matrix m = matrix_of(c, o);
  const auto other = [&](int64_t value) {
    if (choices.chance(1, 2)) return large(choices);
    return value > -1000 && value < 1000 && choices.chance(1, 2) ? value + 1 : value > -1000 ? value - 1 : value;
  };
  switch (choices.below(12)) {
    case 0:
      c.args_size = choices.chance(1, 2) ? sizeof(AppendArgs) - 1 - choices.below(8) : choices.below(sizeof(AppendArgs));
      break;
    case 1:
      c.source = choices.chance(1, 2) ? 4 : static_cast<int32_t>(large(choices));
      break;
    case 2: {
      int64_t* const sizes[] = {&c.tokens, &c.top_k, &c.shared, &c.hidden};
      *one_of(sizes, choices) = large(choices);
      break;
    }
    case 3:
      l.rows = other(m.rows);
      break;
    case 4:
      l.cols = other(m.cols);
      break;
    case 5:
      l.dtype = static_cast<int32_t>(choices.chance(1, 8) ? large(choices) : choices.between(-1, 6));
      break;
    case 6:
      l.row_stride = other(m.cols);
      break;
    case 7:
      c.scale_bits = choices.chance(1, 2) ? 0x7f800000 : 0x7fc00000;
      break;
    case 8:
      (choices.chance(1, 2) ? c.base_id : c.remap) = large(choices);
      break;
    case 9:
      l.pointer = Pointer::kNull;
      break;
    case 10:
      l.pointer = Pointer::kSkewed;
      l.pointer_bytes = choices.chance(1, 8) ? large(choices) : choices.between(-9, 9);
      break;
    default:
      l.pointer = Pointer::kInto;
      l.pointer_operand = static_cast<Operand>(choices.below(kOperands));
      l.pointer_bytes = choices.chance(1, 8) ? large(choices) : choices.between(-40, 40);
  }
}

// One of the fields that make the struct another, back to what the sizes imply.
void mend(Case& c, Choices& choices) {
  Layout& l = c.layout[choices.below(kOperands)];
  switch (choices.below(4)) {
    case 0:
      l = {};
      break;
    case 1:
      c.args_size.reset();
      break;
    case 2:
      l.pointer = Pointer::kOwn;
      l.pointer_operand = Operand::kTopkIds;
      l.pointer_bytes = 0;
      break;
    default:
      for (Layout& any : c.layout) any = {};
  }
}

void change_once(Case& c, Choices& choices, bool breaks) {
  if (breaks && choices.chance(1, 3)) {
    if (choices.chance(1, 3)) return mend(c, choices);
    return break_rule(c, choices);
  }
  switch (choices.below(12)) {
    case 0:
    case 1:
    case 2:
      return change_size(c, choices);
    case 3:
      return change_dtype(c, choices);
    case 4:
      return change_source(c, choices);
    case 5:
      return change_parameter(c, choices);
    case 6:
      return change_form(c, choices);
    case 7:
    case 8:
      return change_layout(c, choices);
    case 9:
      return change_data(c, choices);
    default:
      return change_element(c, choices);
  }
}

// Most inputs stay small: what takes many elements to see is seldom, and a large input takes the time of thirty small ones.
void shorten(Case& c, Choices& choices) {
  constexpr int64_t kOrdinary = 8192, kElements = 40, kProducts = 256;
  const auto is_ordinary = [](int64_t size) { return size >= 0 && size <= kOrdinary; };
  if (!is_ordinary(c.tokens) || !is_ordinary(c.top_k) || !is_ordinary(c.shared) || !is_ordinary(c.hidden)) return;
  if (choices.chance(1, 32)) return;
  if (c.top_k + c.shared > kElements) {
    c.top_k %= 20;
    c.shared %= 10;
  }
  if (c.hidden > kProducts) c.hidden %= kProducts;
  const int64_t columns = std::max<int64_t>(1, c.top_k + c.shared);
  c.tokens = std::min({c.tokens, std::max<int64_t>(1, kElements / columns),
                       std::max<int64_t>(1, kProducts / std::max<int64_t>(1, c.hidden))});
}

}  // namespace

void mutate(Case& c, Choices& choices, bool breaks) {
  if (!breaks) c = valid_case(std::move(c));
  do change_once(c, choices, breaks);
  while (choices.chance(1, 3));
  shorten(c, choices);
}

void cross(Case& c, const Case& other, Choices& choices, bool breaks) {
  const auto takes = [&] { return choices.chance(1, 2); };
  const auto take = [&](auto... fields) {
    if (takes()) ((c.*fields = other.*fields), ...);
  };
  take(&Case::source, &Case::hidden, &Case::scale_bits);
  take(&Case::tokens);
  take(&Case::top_k);
  take(&Case::shared);
  take(&Case::ids_dtype);
  take(&Case::weights_dtype);
  take(&Case::shared_dtype);
  take(&Case::broadcast);
  take(&Case::in_place, &Case::remap);
  take(&Case::base_id);
  take(&Case::ids);
  take(&Case::weights);
  take(&Case::shared_values);
  take(&Case::seed);
  for (std::size_t i = 0; i < kOperands; ++i)
    if (takes()) c.layout[i] = other.layout[i];
  for (std::size_t i = 0; i < kInputs; ++i) {
    if (other.literal[i].empty() || !takes()) continue;
    // The rows of one up to some row, then the other's.
    const std::size_t at = choices.below(std::min(c.literal[i].size(), other.literal[i].size()) + 1);
    c.literal[i].resize(at);
    c.literal[i].insert(c.literal[i].end(), other.literal[i].begin() + static_cast<std::ptrdiff_t>(at),
                        other.literal[i].end());
  }
  if (!breaks) c = valid_case(std::move(c));
  shorten(c, choices);
}

void mutate_number(std::string& text, Choices& choices) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::vector<std::pair<std::size_t, std::size_t>> numbers;  // where, and how long
  for (std::size_t at = 0; (at = text.find_first_of("0123456789", at)) != std::string::npos;) {
    const std::size_t end = std::min(text.find_first_not_of(kDigits, at), text.size());
    numbers.emplace_back(at, end - at);
    at = end;
  }
  if (numbers.empty()) return;
  const auto [at, size] = numbers[choices.below(numbers.size())];
  std::string other;
  switch (choices.below(6)) {
    case 0:
      break;
    case 1:
      other = text.substr(at, size) + text.substr(at, size);
      break;
    case 2:
      other = text.substr(at, size - 1);
      break;
    case 3:
      other = fmt::format("{:0{}x}", choices.below(uint64_t{1} << 32), choices.chance(1, 2) ? 4 : 8);
      break;
    default:
      other = fmt::format("{}", choices.chance(1, 2) ? large(choices) : choices.between(-2, 9));
  }
  text.replace(at, size, other);
}

void mutate(Program& program, Choices& choices) {
  const auto drawn = [&] {
    return Step{static_cast<Op>(choices.below(kOps)), static_cast<uint8_t>(choices.below(kOperands)),
                static_cast<uint16_t>(choices.below(choices.chance(1, 4) ? 65536 : 24))};
  };
  std::vector<Step>& steps = program.steps;
  const std::size_t at = choices.below(steps.size() + 1);
  switch (choices.below(6)) {
    case 0:
    case 1:
      if (steps.size() < kMaxSteps) steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(at), drawn());
      break;
    case 2:
      if (at < steps.size()) steps[at] = drawn();
      break;
    case 3:
      if (at < steps.size()) steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(at));
      break;
    default:
      mutate(program.first, choices, /*breaks=*/false);
  }
}

}  // namespace twincheck::fuzz
