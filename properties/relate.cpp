#include "properties/relate.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "harness/case/values.h"

namespace twincheck::relate {
namespace {

constexpr std::array<Operand, 4> kRowInputs{Operand::kTopkIds, Operand::kTopkWeights, Operand::kShared, Operand::kHidden};

std::size_t index(Operand o) { return static_cast<std::size_t>(o); }

struct Format {
  int significant;  // bits, the hidden one included
  int smallest;     // exponent of the smallest normal number
  uint32_t sign, infinity;
};
Format format_of(Dtype dtype) {
  if (dtype == Dtype::kBf16) return {8, -126, 0x8000, 0x7f80};
  if (dtype == Dtype::kF16) return {11, -14, 0x8000, 0x7c00};
  return {24, -126, 0x80000000, 0x7f800000};
}

void store_dense(const std::vector<std::byte>& bytes, int64_t width, std::vector<uint64_t>& out) {
  out.resize(bytes.size() / static_cast<std::size_t>(width));
  for (std::size_t i = 0; i < out.size(); ++i) {
    uint64_t element = 0;
    std::memcpy(&element, bytes.data() + i * static_cast<std::size_t>(width), static_cast<std::size_t>(width));
    out[i] = element;
  }
}

std::vector<std::byte>& scratch(std::size_t bytes) {
  thread_local std::vector<std::byte> memory;
  memory.resize(bytes);
  return memory;
}

}  // namespace

double number_of(uint32_t bits, Dtype dtype) {
  const Format f = format_of(dtype);
  const int fraction = f.significant - 1;
  const uint32_t exponent = (bits & f.infinity) >> fraction;
  const uint32_t rest = bits & ((1u << fraction) - 1);
  const double sign = (bits & f.sign) != 0 ? -1 : 1;
  if ((bits & f.infinity) == f.infinity) return rest != 0 ? NAN : sign * INFINITY;
  const double significand = exponent == 0 ? rest : rest + (1u << fraction);
  return sign * std::ldexp(significand, f.smallest - fraction + static_cast<int>(std::max(exponent, 1u)) - 1);
}

bool is_nan(uint32_t bits, Dtype dtype) {
  const Format f = format_of(dtype);
  return (bits & (f.sign - 1)) > f.infinity;
}

uint32_t round_to(double number, Dtype dtype) {
  const Format f = format_of(dtype);
  const int fraction = f.significant - 1;
  const uint32_t sign = std::signbit(number) ? f.sign : 0;
  const double magnitude = std::fabs(number);
  if (magnitude == 0) return sign;
  if (std::isinf(magnitude)) return sign | f.infinity;
  const int exponent = std::max(std::ilogb(magnitude), f.smallest);
  // In units of the last place the significand is below 2^significant; nearbyint rounds it to nearest even.
  const double units = std::nearbyint(std::ldexp(magnitude, fraction - exponent));
  const auto biased = static_cast<uint64_t>(exponent - f.smallest) << fraction;
  return sign | static_cast<uint32_t>(std::min<uint64_t>(biased + static_cast<uint64_t>(units), f.infinity));
}

uint32_t widen(uint32_t bits, Dtype dtype) {
  if (dtype == Dtype::kF32) return bits;
  if (dtype == Dtype::kBf16) return bits << 16;
  if (is_nan(bits, dtype)) return (bits & 0x8000) << 16 | 0x7f800000 | (bits & 0x3ff) << 13;
  return std::bit_cast<uint32_t>(static_cast<float>(number_of(bits, dtype)));
}

double unit_roundoff(Dtype dtype) { return std::ldexp(1.0, -format_of(dtype).significant); }
double smallest(Dtype dtype) { return std::ldexp(1.0, format_of(dtype).smallest - format_of(dtype).significant + 1); }
double smallest_normal(Dtype dtype) { return std::ldexp(1.0, format_of(dtype).smallest); }

std::string show(uint32_t bits, Dtype dtype) {
  const double v = number_of(bits, dtype);
  if (dtype == Dtype::kF32) return fmt::format("{:#010x} ({})", bits, static_cast<float>(v));
  return fmt::format("{:#06x} ({:.9g})", bits, v);
}

bool elements(const Case& c, Operand input, std::vector<uint64_t>& out) {
  out.clear();
  const Matrix m = implied_matrix_of(c, input);
  if (m.rows < 0 || m.cols < 0) return false;
  if (is_empty(m)) return true;
  const int64_t width = dtype_bytes(m.dtype);
  if (m.rows > kMaxElements / m.cols || width == 0) return false;
  const auto count = static_cast<std::size_t>(m.rows * m.cols);
  const Layout& l = c.of(input);
  std::vector<std::byte>& bytes = scratch(count * static_cast<std::size_t>(width));
  if (l.pointer == Pointer::kOwn) {
    fill(c, input, 0, m.rows, bytes.data());
    store_dense(bytes, width, out);
    return true;
  }
  if (l.pointer != Pointer::kInto || index(l.pointer_operand) >= kInputs) return false;
  const Matrix outer = implied_matrix_of(c, l.pointer_operand);
  std::vector<uint64_t> data;
  if (c.of(l.pointer_operand).pointer != Pointer::kOwn || dtype_bytes(outer.dtype) != width ||
      !elements(c, l.pointer_operand, data))
    return false;
  const int64_t outer_stride = outer.rows > 1 ? matrix_of(c, l.pointer_operand).row_stride : outer.cols;
  const int64_t stride = m.rows > 1 ? matrix_of(c, input).row_stride : 0;
  if (l.pointer_bytes < 0 || l.pointer_bytes % width != 0 || outer_stride <= 0) return false;
  if (stride < 0 || stride > int64_t{1} << 40) return false;
  out.reserve(count);
  for (int64_t r = 0; r < m.rows; ++r)
    for (int64_t k = 0; k < m.cols; ++k) {
      const int64_t at = l.pointer_bytes / width + r * stride + k;
      if (at / outer_stride >= outer.rows || at % outer_stride >= outer.cols) return false;
      out.push_back(data[static_cast<std::size_t>(at / outer_stride * outer.cols + at % outer_stride)]);
    }
  return true;
}

std::optional<Case> literalize(const Case& c) {
  std::optional<Case> literal{c};
  for (int i = 0; i < kInputs; ++i) {
    const auto o = static_cast<Operand>(i);
    std::vector<uint64_t>& bits = literal->literal[index(o)];
    if (!is_used(c, o))
      bits.clear();
    else if (!elements(c, o, bits))
      return std::nullopt;
    Layout& l = literal->of(o);
    if (l.pointer != Pointer::kOwn) l = {};
  }
  return literal;
}

int64_t id_at(const Case& c, int64_t token, int64_t k) {
  const std::vector<uint64_t>& bits = c.literal[index(Operand::kTopkIds)];
  const uint64_t id = bits[static_cast<uint64_t>(token * c.top_k + k) % bits.size()];
  return c.ids_dtype == Dtype::kI64 ? static_cast<int64_t>(id) : static_cast<int32_t>(id);
}

bool is_free_id(const Case& c, int64_t token, int64_t slot) {
  if (slot >= c.top_k || c.remap <= 0 || c.shared <= 0) return false;
  const int64_t id = id_at(c, token, slot);
  if (id < 0) return false;
  __extension__ using Wide = __int128;
  return static_cast<Wide>(id) + static_cast<Wide>(id / c.remap) * c.shared > largest_id(c.ids_dtype);
}

Case select_rows(const Case& c, std::span<const int64_t> rows) {
  Case out = c;
  out.tokens = static_cast<int64_t>(rows.size());
  for (const Operand o : kRowInputs) {
    const int64_t cols = implied_matrix_of(c, o).cols;
    const std::vector<uint64_t>& from = c.literal[index(o)];
    std::vector<uint64_t>& to = out.literal[index(o)];
    to.clear();
    if (cols <= 0 || from.empty()) continue;
    to.reserve(rows.size() * static_cast<std::size_t>(cols));
    for (const int64_t row : rows)
      for (int64_t k = 0; k < cols; ++k) to.push_back(from[static_cast<std::size_t>(row * cols + k) % from.size()]);
  }
  refit(out);
  return out;
}

Case concat(const Case& a, const Case& b) {
  Case out = a;
  out.tokens = a.tokens + b.tokens;
  for (const Operand o : kRowInputs) {
    std::vector<uint64_t>& to = out.literal[index(o)];
    const std::vector<uint64_t>& more = b.literal[index(o)];
    to.insert(to.end(), more.begin(), more.end());
  }
  refit(out);
  return out;
}

Case with_layout_tight(Case c) {
  c.layout = {};
  c.in_place = InPlace::kNone;
  return c;
}

Case with_layout_drawn(Choices& choices, Case c) {
  c = with_layout_tight(std::move(c));
  if (c.remap == 0) c.in_place = static_cast<InPlace>(choices.below(4));
  const int64_t far = c.tokens > 1 && c.tokens <= 16 && choices.chance(1, 64) ? (int64_t{1} << 31) / (c.tokens - 1) + 1 : 0;
  const uint64_t most = choices.chance(1, 2) ? 1 : 17;
  for (int i = 0; i < kOperands; ++i) {
    const auto o = static_cast<Operand>(i);
    if (!is_used(c, o) || is_in_place(c, o)) continue;
    const Matrix m = implied_matrix_of(c, o);
    Layout& l = c.of(o);
    static constexpr int64_t kMore[] = {0, 0, 1, 2, 3, 5, 8, 13};
    if (m.rows > 1 && m.cols > 0) {
      l.row_stride = far != 0 && choices.chance(1, 2)
                         ? m.cols + far
                         : (choices.chance(1, 4) ? (m.cols + 15) / 16 * 16 : m.cols + kMore[choices.below(8)]);
    }
    if (choices.chance(1, 8)) l.place = choices.chance(1, 2) ? Place::kBegin : Place::kEnd;
    if (l.place == Place::kMiddle) l.offset = static_cast<uint32_t>(choices.below(most));
  }
  return c;
}

void refit(Case& c) {
  if (c.source == TWINCHECK_GATE && c.hidden == 0 && c.tokens > 0 && c.shared > 0) c.hidden = 1;
  for (int i = 0; i < kOperands; ++i) {
    const auto o = static_cast<Operand>(i);
    Layout& l = c.of(o);
    const Layout was = l;
    l = {};
    if (!is_used(c, o)) continue;
    l.offset = was.offset;
    l.place = was.place;
    if (!was.row_stride) continue;
    const Matrix m = implied_matrix_of(c, o);
    // Sparse memory is by the row: what would span terabytes stays tight.
    constexpr int64_t kReach = int64_t{1} << 33;
    const bool fits = *was.row_stride >= m.cols && m.rows > 1 && *was.row_stride <= kReach / m.rows;
    if (fits && !is_in_place(c, o)) l.row_stride = was.row_stride;
  }
  if (c.remap > 0) c.in_place = InPlace::kNone;
}

namespace {

bool blindfolded = false;

bool is_about_values(const Report& r) {
  return r.verdict == Verdict::kFailed && (r.law == promise::kRoutedIds || r.law == promise::kAppendedIds ||
                                           r.law == promise::kRoutedWeights || r.law == promise::kAppendedWeights);
}

}  // namespace

Blindfold::Blindfold() { blindfolded = true; }
Blindfold::~Blindfold() { blindfolded = false; }

bool Session::judged(const Case& c, Outputs& out, std::string_view what) {
  Report r = check(c, candidate_, bench_, out);
  if (blindfolded && is_about_values(r)) r = {};
  r.ids_compared += report_.ids_compared;
  r.weights_compared += report_.weights_compared;
  report_ = std::move(r);
  if (report_.verdict != Verdict::kPassed && !what.empty())
    report_.detail =
        report_.detail.empty() ? fmt::format("with {}", what) : fmt::format("with {}: {}", what, report_.detail);
  return report_.verdict == Verdict::kPassed;
}

bool Session::given(const Case& c, Outputs& out) { return judged(c, out, {}); }

bool Session::given(const Case& c) {
  Outputs out;
  return given(c, out);
}

bool Session::related(const Case& c, Outputs& out, std::string_view what) {
  if (judged(c, out, what)) return true;
  if (report_.verdict != Verdict::kRefused) return false;
  return fail(fmt::format("{} must be valid, and is refused with {}", what, name(report_.expected_status)));
}

bool Session::refused(const Case& c, std::string_view what) {
  Outputs unused;
  if (judged(c, unused, what)) return fail(fmt::format("{} must be refused, and is not", what));
  return report_.verdict == Verdict::kRefused;
}

bool Session::agree(const Slots& expected, const Slots& got, int64_t columns, std::string_view why) {
  return compare(expected, got, columns, why, strict());
}

bool Session::same_bits(const Slots& expected, const Slots& got, int64_t columns, std::string_view why) {
  return compare(expected, got, columns, why, /*every_bit=*/true);
}

bool Session::compare(const Slots& expected, const Slots& got, int64_t columns, std::string_view why, bool every_bit) {
  const Case& c = got.c;
  const Dtype dtype = c.weights_dtype;
  const bool computed = c.source == TWINCHECK_LOGITS || c.source == TWINCHECK_GATE;
  const auto from = static_cast<std::size_t>(expected.token * expected.outputs.columns + expected.slot);
  const auto to = static_cast<std::size_t>(got.token * got.outputs.columns + got.slot);
  const auto n = static_cast<std::size_t>(columns);
  const auto at = [&](std::size_t i) { return Slots{c, got.outputs, got.token, got.slot + static_cast<int64_t>(i)}; };
  for (std::size_t i = 0; i < n; ++i) {
    const int64_t want = expected.outputs.ids[from + i];
    if (want == got.outputs.ids[to + i] || is_free_id(c, got.token, at(i).slot)) continue;
    return fail_id(at(i), want, why);
  }
  for (std::size_t i = 0; i < n; ++i) {
    const uint32_t want = expected.outputs.weights[from + i], have = got.outputs.weights[to + i];
    if (want == have) continue;
    const bool appended = at(i).slot >= c.top_k;
    if (!every_bit && appended && (computed || (is_nan(want, dtype) && is_nan(have, dtype)))) continue;
    return fail_weight(at(i), show(want, dtype), why);
  }
  return true;
}

bool Session::fail(std::string detail) {
  report_.law = law_;
  return end(Verdict::kFailed, std::move(detail));
}

bool Session::fail_at(bool is_weight, const Slots& at, std::string expected, std::string got, std::string_view why) {
  const int64_t shared = at.slot >= at.c.top_k ? at.slot - at.c.top_k : -1;
  (is_weight ? report_.weights_wrong : report_.ids_wrong) += 1;
  const std::string_view matrix = kOperandNames[index(is_weight ? Operand::kOutWeights : Operand::kOutIds)];
  std::string detail = fmt::format("{}: {}[token={}][slot={}{}] expected {} got {}", why, matrix, at.token, at.slot,
                                   shared >= 0 ? fmt::format(", shared {}", shared) : std::string(), expected, got);
  report_.mismatches.push_back({is_weight, at.token, at.slot, shared, std::move(expected), std::move(got)});
  return fail(std::move(detail));
}

bool Session::fail_id(const Slots& at, int64_t expected, std::string_view why) {
  const int64_t got = at.outputs.ids[static_cast<std::size_t>(at.token * at.outputs.columns + at.slot)];
  return fail_at(false, at, fmt::format("{}", expected), fmt::format("{}", got), why);
}

bool Session::fail_weight(const Slots& at, const std::string& expected, std::string_view why) {
  const uint32_t got = at.outputs.weights[static_cast<std::size_t>(at.token * at.outputs.columns + at.slot)];
  return fail_at(true, at, expected, show(got, at.c.weights_dtype), why);
}

bool Session::end(Verdict verdict, std::string detail) {
  report_.verdict = verdict;
  report_.detail = std::move(detail);
  return false;
}

}  // namespace twincheck::relate
