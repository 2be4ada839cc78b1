#include "harness/bench/shapes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace twincheck::bench {
namespace {

constexpr int64_t kMostNumbers = 100000;

int64_t parse_number(std::string_view text, std::string_view whole) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0)
    throw std::invalid_argument(fmt::format(
        "found '{}' in '{}', expected numbers, ranges as 1..64 and ranges by factors as 1..4096*2", text, whole));
  return value;
}

void lay_out(Case& c, LayoutClass layout) {
  for (int i = 0; i < kOperands; ++i) {
    const auto o = static_cast<Operand>(i);
    const Matrix m = implied_matrix_of(c, o);
    const int64_t vector = std::max<int64_t>(1, 16 / std::max<int64_t>(1, dtype_bytes(m.dtype)));
    if (is_empty(m)) continue;
    if (layout == LayoutClass::kOdd) c.of(o).offset = 1;
    if (o == Operand::kGate) continue;
    if (layout == LayoutClass::kStrided) c.of(o).row_stride = (m.cols / vector + 1) * vector;
    if (layout == LayoutClass::kUneven) c.of(o).row_stride = m.cols + ((m.cols + 1) % vector == 0 ? 2 : 1);
  }
  if (layout == LayoutClass::kInPlace) c.in_place = InPlace::kBoth;
}

LayoutClass layout_of(const Case& c) {
  if (c.in_place != InPlace::kNone) return LayoutClass::kInPlace;
  const Layout& out = c.of(Operand::kOutIds);
  if (out.offset != 0) return LayoutClass::kOdd;
  if (!out.row_stride) return LayoutClass::kTight;
  return *out.row_stride * dtype_bytes(static_cast<int32_t>(c.ids_dtype)) % 16 == 0 ? LayoutClass::kStrided
                                                                                    : LayoutClass::kUneven;
}

constexpr int64_t kSector = 32;

// The bytes of the sectors that hold an element of columns [first, cols) of the matrix, whose first element lies `offset`
// past a boundary. Where it is written, a sector that is written in part counts twice.
uint64_t sectors(const Matrix& m, int64_t offset, int64_t first, bool is_written) {
  if (is_empty(m) || first >= m.cols) return 0;
  const int64_t element = dtype_bytes(m.dtype);
  int64_t count = 0;
  int64_t open = -1, covered = kSector;  // the last sector so far, and how many of its bytes the rows cover
  const auto enter = [&](int64_t sector, int64_t bytes) {
    if (sector != open) {
      count += 1 + (is_written && covered < kSector ? 1 : 0);
      covered = 0;
    }
    open = sector;
    covered += bytes;
  };
  for (int64_t row = 0; row < m.rows; ++row) {
    const int64_t begin = (offset + row * m.row_stride + first) * element;
    const int64_t end = (offset + row * m.row_stride + m.cols) * element;
    const int64_t low = begin / kSector, high = (end - 1) / kSector;
    enter(low, std::min(end, (low + 1) * kSector) - begin);
    if (high == low) continue;
    count += high - low - 1;
    enter(high, end - high * kSector);
  }
  if (is_written && covered < kSector) ++count;
  return static_cast<uint64_t>(count * kSector);
}

}  // namespace

std::vector<int64_t> parse_numbers(std::string_view text) {
  std::vector<int64_t> numbers;
  for (std::string_view rest = text; !rest.empty() || numbers.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    std::string_view item = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    const std::size_t dots = item.find("..");
    if (dots == std::string_view::npos) {
      numbers.push_back(parse_number(item, text));
      continue;
    }
    const int64_t first = parse_number(item.substr(0, dots), text);
    item.remove_prefix(dots + 2);
    const std::size_t star = std::min(item.find('*'), item.size());
    const int64_t last = parse_number(item.substr(0, star), text);
    const int64_t factor = star == item.size() ? 1 : parse_number(item.substr(star + 1), text);
    if (first > last || (star != item.size() && (factor < 2 || first < 1)))
      throw std::invalid_argument(
          fmt::format("found a range without an end in '{}', expected as in 1..64 or 1..4096*2", text));
    for (int64_t n = first; n <= last; n = star == item.size() ? n + 1 : n * factor) {
      numbers.push_back(n);
      if (numbers.size() > kMostNumbers)
        throw std::invalid_argument(fmt::format("found more than {} numbers in '{}'", kMostNumbers, text));
      if (n > last / std::max<int64_t>(factor, 1) && factor > 1) break;
    }
  }
  return numbers;
}

std::vector<Case> shapes_of(const ShapeLists& lists, uint64_t seed) {
  std::vector<Case> cases;
  const std::vector<int64_t> no_hidden{0};
  const std::vector<Dtype> no_values{Dtype::kF32};
  for (const Source source : lists.sources)
    for (const LayoutClass layout : lists.layouts)
      for (const Dtype ids : lists.ids)
        for (const Dtype weights : lists.weights)
          for (const Dtype values : source == Source::kConstant ? no_values : lists.values)
            for (const int64_t hidden : source == Source::kGate ? lists.hidden : no_hidden)
              for (const int64_t shared : lists.shared)
                for (const int64_t top_k : lists.top_k)
                  for (const int64_t tokens : lists.tokens) {
                    Case c;
                    c.source = static_cast<int32_t>(source);
                    c.tokens = tokens;
                    c.top_k = top_k;
                    c.shared = shared;
                    c.hidden = hidden;
                    c.ids_dtype = ids;
                    c.weights_dtype = weights;
                    c.shared_dtype = values;
                    c.base_id = 256;
                    c.seed = seed;
                    if (source == Source::kLogits || source == Source::kGate) c.shared_values = ValueClass::kNearZero;
                    lay_out(c, layout);
                    cases.push_back(std::move(c));
                  }
  return cases;
}

std::string label_of(const Case& c) {
  const auto source = static_cast<Source>(c.source);
  std::string label =
      fmt::format("top_k={} shared={} {} {}, {}", c.top_k, c.shared, name(c.ids_dtype), name(c.weights_dtype), name(source));
  if (source != Source::kConstant) label += fmt::format(" {}", name(c.shared_dtype));
  if (source == Source::kGate) label += fmt::format(" hidden={}", c.hidden);
  return label + fmt::format(", {}", kLayoutClassNames[static_cast<int>(layout_of(c))]);
}

uint64_t bytes_to_move(const Case& c) {
  uint64_t bytes = 0;
  for (int i = 0; i < kOperands; ++i) {
    const auto o = static_cast<Operand>(i);
    if (is_in_place(c, o) || (i < kInputs && !is_used(c, o))) continue;
    const bool computed = o == Operand::kShared || o == Operand::kHidden || o == Operand::kGate;
    if (computed && c.shared == 0) continue;
    const bool keeps_routed = (o == Operand::kOutIds && is_in_place(c, Operand::kTopkIds)) ||
                              (o == Operand::kOutWeights && is_in_place(c, Operand::kTopkWeights));
    bytes += sectors(matrix_of(c, o), c.of(o).offset, keeps_routed ? c.top_k : 0, /*is_written=*/i >= kInputs);
  }
  return bytes;
}

}  // namespace twincheck::bench
