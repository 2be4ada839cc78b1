#include "harness/case/shrink.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <unordered_set>

#include "harness/case/values.h"

namespace twincheck {
namespace {

constexpr std::size_t kLiteralElements = std::size_t{1} << 21;  // at most so many to look for rows and columns
constexpr std::size_t kSimplifiedElements = 256;                // at most so many to simplify one by one

constexpr std::array<Operand, kInputs> kInputOperands{Operand::kTopkIds, Operand::kTopkWeights, Operand::kShared,
                                                      Operand::kHidden, Operand::kGate};

std::vector<uint64_t>& literal_of(Case& c, Operand o) { return c.literal[static_cast<std::size_t>(o)]; }

// How many elements of an operand come from the case's data; 0 for those too many to write down.
std::size_t data_elements(const Case& c, Operand o) {
  const Matrix m = implied_matrix_of(c, o);
  if (m.rows <= 0 || m.cols <= 0 || c.of(o).pointer == Pointer::kInto) return 0;
  const auto limit = static_cast<int64_t>(kLiteralElements);
  return m.rows > limit || m.cols > limit || m.rows > limit / m.cols ? 0 : static_cast<std::size_t>(m.rows * m.cols);
}

std::size_t data_elements(const Case& c) {
  std::size_t count = 0;
  for (const Operand o : kInputOperands) count += data_elements(c, o);
  return count;
}

uint64_t load(const std::byte* at, std::size_t width) {
  uint64_t bits = 0;
  std::memcpy(&bits, at, width);  // little-endian, as all that is supported is
  return bits;
}

// The same case with its data written down.
Case with_literals(const Case& c) {
  Case result = c;
  std::vector<uint64_t> buffer;
  for (const Operand o : kInputOperands) {
    const Matrix m = implied_matrix_of(c, o);
    const auto width = static_cast<std::size_t>(dtype_bytes(m.dtype));
    const std::size_t count = data_elements(c, o);
    if (count == 0 || width == 0) continue;
    buffer.assign(count * width / sizeof(uint64_t) + 1, 0);
    fill(c, o, 0, m.rows, buffer.data());
    std::vector<uint64_t>& literal = literal_of(result, o);
    literal.resize(count);
    for (std::size_t i = 0; i < count; ++i)
      literal[i] = load(reinterpret_cast<const std::byte*>(buffer.data()) + i * width, width);
  }
  return result;
}

// Drops columns [first, last) of every row of `cols`.
void drop_columns(std::vector<uint64_t>& literal, int64_t cols, int64_t first, int64_t last) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < literal.size(); ++i) {
    const auto column = static_cast<int64_t>(i % static_cast<std::size_t>(cols));
    if (column < first || column >= last) literal[kept++] = literal[i];
  }
  literal.resize(kept);
}

enum class Axis { kTokens, kTopK, kShared, kHidden };

int64_t& size_of(Case& c, Axis axis) {
  switch (axis) {
    case Axis::kTokens:
      return c.tokens;
    case Axis::kTopK:
      return c.top_k;
    case Axis::kShared:
      return c.shared;
    default:
      return c.hidden;
  }
}

// The case without slots [first, last) of one axis, data and all.
Case without(Case c, Axis axis, int64_t first, int64_t last) {
  for (const Operand o : kInputOperands) {
    const bool per_token = axis == Axis::kTokens && o != Operand::kGate;
    const bool per_slot = (axis == Axis::kTopK && (o == Operand::kTopkIds || o == Operand::kTopkWeights)) ||
                          (axis == Axis::kShared && o == Operand::kShared && !c.broadcast) ||
                          (axis == Axis::kHidden && (o == Operand::kHidden || o == Operand::kGate));
    std::vector<uint64_t>& literal = literal_of(c, o);
    if (literal.empty() || literal.size() != data_elements(c, o)) continue;
    const int64_t cols = implied_matrix_of(c, o).cols;
    if (per_slot) drop_columns(literal, cols, first, last);
    if (per_token) literal.erase(literal.begin() + first * cols, literal.begin() + last * cols);
  }
  size_of(c, axis) -= last - first;
  return c;
}

class Shrinker {
 public:
  Shrinker(const Case& start, const std::function<bool(const Case&)>& still_fails,
           std::chrono::steady_clock::time_point deadline)
      : best_(start), still_fails_(still_fails), deadline_(deadline) {}

  Case run() {
    sizes_cheapest_first();
    for (const Place place : {Place::kEnd, Place::kBegin}) beside_a_page(place);
    constexpr std::size_t kFew = 256;
    if (data_elements(best_) > kFew) cut_out();
    until_nothing_gives([&] {
      fields();
      sizes();
      data();
      cut_out();
    });
    return std::move(best_);
  }

 private:
  bool attempt(const Case& candidate) {
    if (candidate == best_ || std::chrono::steady_clock::now() >= deadline_) return false;
    const std::vector<uint8_t> bytes = encode(candidate);
    const std::string_view key(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!tried_.insert(std::hash<std::string_view>()(key)).second || !still_fails_(candidate)) return false;
    best_ = candidate;
    changed_ = true;
    return true;
  }

  // attempt() of the best case with a change made to it.
  template <typename Change>
  bool attempt_with(Change change) {
    Case candidate = best_;
    change(candidate);
    return attempt(candidate);
  }

  template <typename Field>
  bool set(Field Case::*field, const Field& value) {
    return best_.*field != value && attempt_with([&](Case& c) { c.*field = value; });
  }

  template <typename Pass>
  void until_nothing_gives(Pass pass) {
    do {
      changed_ = false;
      pass();
    } while (changed_);
  }

  // ---- numbers

  // Brings a number towards 0: the smallest few first, then doubling, then bisection between what failed and what did not.
  template <typename Get, typename Set>
  void number(Get get, Set set_value) {
    const auto try_value = [&](int64_t value) { return attempt_with([&](Case& c) { set_value(c, value); }); };
    const int64_t start = get(best_);
    if (start < 0) {
      for (const int64_t value : {int64_t{0}, int64_t{1}, int64_t{-1}}) {
        if (value > start && try_value(value)) return;
      }
      return;
    }
    int64_t passing = -1;
    for (int64_t value = 0; value < start; value += value < 4 ? 1 : value) {
      if (try_value(value)) break;
      passing = value;
      if (value > start / 2) break;
    }
    while (get(best_) - passing > 1) {
      const int64_t middle = passing + (get(best_) - passing) / 2;
      if (!try_value(middle)) passing = middle;
    }
  }

  template <typename Get>
  void number(Get get) {
    number(get, [&](Case& c, int64_t value) { get(c) = value; });
  }

  // Keeps the first slots of the data.
  void size(Axis axis) {
    const auto cut = [axis](Case& c, int64_t value) {
      const int64_t now = size_of(c, axis);
      if (now < 0) {
        size_of(c, axis) = value;
      } else {
        c = without(std::move(c), axis, value, now);
      }
    };
    number([axis](Case& c) -> int64_t& { return size_of(c, axis); }, cut);
  }

  void sizes() {
    for (const Axis axis : {Axis::kTokens, Axis::kTopK, Axis::kShared, Axis::kHidden}) size(axis);
  }

  // Few tokens first, as those tries cost least; then what makes each token cheap; then the tokens.
  void sizes_cheapest_first() {
    for (int64_t tokens = 0; tokens <= 4 && tokens < best_.tokens; ++tokens) {
      if (set(&Case::tokens, tokens)) break;
    }
    for (const Axis axis : {Axis::kHidden, Axis::kShared, Axis::kTopK, Axis::kTokens}) size(axis);
  }

  // An access outside a buffer may need many rows to reach a page that cannot be touched, and one where there is such a
  // page.
  void beside_a_page(Place place) {
    constexpr int64_t kMany = 4;
    const Case before = best_;
    if (best_.tokens <= kMany) return;
    const auto move = [place](Case& c) {
      for (int i = 0; i < kOperands; ++i)
        if (is_used(c, static_cast<Operand>(i))) c.layout[static_cast<std::size_t>(i)].place = place;
    };
    if (!attempt_with(move)) return;
    sizes_cheapest_first();
    if (best_.tokens >= before.tokens) best_ = before;
  }

  // ---- fields

  void fields() {
    layouts();
    source_and_dtypes();
    parameters();
    classes();
  }

  void layouts() {
    attempt_with([](Case& c) { c.layout = {}; });
    for (std::size_t i = 0; i < kOperands; ++i) {
      if (best_.layout[i] == Layout{}) continue;
      if (attempt_with([i](Case& c) { c.layout[i] = {}; })) continue;
      const auto drop = [&](auto Layout::*field) { attempt_with([&](Case& c) { c.layout[i].*field = Layout{}.*field; }); };
      drop(&Layout::row_stride);
      drop(&Layout::offset);
      drop(&Layout::place);
      drop(&Layout::rows);
      drop(&Layout::cols);
      drop(&Layout::dtype);
      attempt_with([i](Case& c) {
        c.layout[i].pointer = Pointer::kOwn;
        c.layout[i].pointer_operand = Operand::kTopkIds;
        c.layout[i].pointer_bytes = 0;
      });
      drop(&Layout::pointer_operand);
      layout_numbers(i);
    }
  }

  void layout_numbers(std::size_t i) {
    const Matrix implied = implied_matrix_of(best_, static_cast<Operand>(i));
    for (const auto field : {&Layout::row_stride, &Layout::rows, &Layout::cols}) {
      if (!(best_.layout[i].*field)) continue;
      const int64_t own = field == &Layout::rows ? implied.rows : implied.cols;
      const int64_t now = *(best_.layout[i].*field);
      const auto magnitude = [](int64_t v) { return v < 0 ? ~static_cast<uint64_t>(v) : static_cast<uint64_t>(v); };
      for (const int64_t value :
           {int64_t{0}, int64_t{1}, int64_t{-1}, own - (own > 0 ? 1 : 0), own + (own < (int64_t{1} << 40) ? 1 : 0)}) {
        if (magnitude(value) >= magnitude(now)) continue;
        if (attempt_with([&](Case& c) { c.layout[i].*field = value; })) break;
      }
      if (*(best_.layout[i].*field) > 0) number([&](Case& c) -> int64_t& { return *(c.layout[i].*field); });
    }
    for (uint64_t offset = 1; offset < best_.layout[i].offset; offset = offset < 4 ? offset + 1 : 2 * offset) {
      if (attempt_with([&](Case& c) { c.layout[i].offset = static_cast<uint32_t>(offset); })) break;
    }
    if (best_.layout[i].pointer_bytes != 0) number([i](Case& c) -> int64_t& { return c.layout[i].pointer_bytes; });
  }

  void source_and_dtypes() {
    for (const int32_t source : {TWINCHECK_CONSTANT, TWINCHECK_WEIGHTS, TWINCHECK_LOGITS}) {
      if (best_.source == source) break;
      const bool done = attempt_with([source](Case& c) {
        c.source = source;
        if (source == TWINCHECK_WEIGHTS) c.scale_bits = 0x3f800000;
        drop_unused(c);
      });
      if (done) break;
    }
    attempt_with(drop_unused);
    set(&Case::ids_dtype, Dtype::kI32);
    for (const auto field : {&Case::weights_dtype, &Case::shared_dtype}) {
      for (const Dtype dtype : {Dtype::kF32, Dtype::kBf16}) {
        if (best_.*field == dtype || set(field, dtype)) break;
      }
    }
  }

  // What the source does not read at its default.
  static void drop_unused(Case& c) {
    if (c.source != TWINCHECK_GATE) c.hidden = 0;
    if (c.source == TWINCHECK_CONSTANT || c.source < 0 || c.source > TWINCHECK_GATE) {
      c.shared_dtype = Dtype::kF32;
      c.shared_values = ValueClass::kRouter;
    }
    if (c.source != TWINCHECK_WEIGHTS && c.source != TWINCHECK_LOGITS) c.broadcast = false;
    for (const Operand o : kInputOperands) {
      if (is_used(c, o)) continue;
      c.of(o) = {};
      literal_of(c, o).clear();
    }
  }

  void parameters() {
    set(&Case::broadcast, false);
    for (const InPlace half : {InPlace::kNone, InPlace::kIds, InPlace::kWeights}) {
      if (best_.in_place == half || set(&Case::in_place, half)) break;
    }
    for (const uint32_t scale : {0x3f800000u, 0x3f000000u, 0x00000000u, 0xbf800000u, 0x7f800000u}) {
      if (best_.scale_bits == scale || set(&Case::scale_bits, scale)) break;
    }
    attempt_with([](Case& c) { c.args_size.reset(); });
    number([](Case& c) -> int64_t& { return c.remap; });
    number([](Case& c) -> int64_t& { return c.base_id; });
  }

  // ---- data

  void classes() {
    attempt_with([](Case& c) {
      c.seed = 0;
      c.ids = IdClass::kDistinct;
      c.weights = c.shared_values = ValueClass::kRouter;
    });
    set(&Case::ids, IdClass::kDistinct);
    for (const auto field : {&Case::weights, &Case::shared_values}) {
      for (const ValueClass values : {ValueClass::kRouter, ValueClass::kZero}) {
        if (best_.*field == values || set(field, values)) break;
      }
    }
    for (uint64_t seed = 0; seed < 4; ++seed) {
      if (best_.seed <= seed || set(&Case::seed, seed)) break;
    }
  }

  // Makes the data literal where that lets single tokens or columns go.
  void cut_out() {
    const Case before = best_;
    if (data_elements(best_) == 0) return;
    const bool changed = changed_;
    const Case literal = with_literals(best_);
    if (literal != best_ && !attempt(literal)) return;
    bool smaller = false;
    for (const Axis axis : {Axis::kTokens, Axis::kHidden, Axis::kTopK, Axis::kShared}) smaller |= cut_out(axis);
    if (smaller) return;
    best_ = before;
    changed_ = changed;
  }

  bool cut_out(Axis axis) {
    const int64_t start = size_of(best_, axis);
    if (start > static_cast<int64_t>(kLiteralElements)) return false;
    // A few slots that matter among many leave some chunk of a sixteenth free; where none is, all of them matter.
    constexpr int kLevels = 4;
    int levels_in_vain = 0;
    for (int64_t chunk = (start + 1) / 2; chunk > 0 && (levels_in_vain < kLevels || start <= 1 << kLevels); chunk /= 2) {
      ++levels_in_vain;
      for (int64_t first = 0; first < size_of(best_, axis);) {
        const int64_t last = std::min(first + chunk, size_of(best_, axis));
        if (attempt(without(best_, axis, first, last))) {
          levels_in_vain = 0;
        } else {
          first = last;
        }
        if (std::chrono::steady_clock::now() >= deadline_) return size_of(best_, axis) < start;
      }
    }
    return size_of(best_, axis) < start;
  }

  // Whole inputs to the default, to zero or to one; then single elements.
  void data() {
    const Case plain;
    const bool default_data = best_.seed == 0 && best_.ids == plain.ids && best_.weights == plain.weights &&
                              best_.shared_values == plain.shared_values;
    constexpr std::size_t kFew = 64;
    if (!default_data && data_elements(best_) <= kFew) attempt(with_literals(best_));
    const auto whole = [&](Operand o, std::vector<uint64_t> bits) {
      return attempt_with([&](Case& c) { literal_of(c, o) = std::move(bits); });
    };
    for (const Operand o : kInputOperands) {
      std::vector<uint64_t>& literal = literal_of(best_, o);
      if (!is_used(best_, o)) continue;
      if (!literal.empty()) whole(o, {});
      if (!literal_of(best_, o).empty() && literal_of(best_, o).size() > 1) whole(o, {0}) || whole(o, {one(o)});
    }
    const std::size_t count = data_elements(best_);
    if (count == 0 || count > kSimplifiedElements) return;
    for (const Operand o : kInputOperands) {
      if (literal_of(best_, o).size() > 1) elements(o);
    }
  }

  // 1 in the dtype of an input: 1.0, or id 1.
  uint64_t one(Operand o) const {
    const Matrix m = implied_matrix_of(best_, o);
    if (o == Operand::kTopkIds) return 1;
    return m.dtype == TWINCHECK_BF16 ? 0x3f80 : m.dtype == TWINCHECK_F16 ? 0x3c00 : 0x3f800000;
  }

  void elements(Operand o) {
    for (std::size_t i = 0; i < literal_of(best_, o).size(); ++i) {
      for (const uint64_t bits : {uint64_t{0}, one(o)}) {
        if (literal_of(best_, o)[i] == bits) break;
        if (attempt_with([&](Case& c) { literal_of(c, o)[i] = bits; })) break;
      }
    }
    const std::vector<uint64_t>& literal = literal_of(best_, o);
    if (std::all_of(literal.begin(), literal.end(), [&](uint64_t bits) { return bits == literal.front(); })) {
      attempt_with([&](Case& c) { literal_of(c, o).resize(1); });
    }
  }

  Case best_;
  const std::function<bool(const Case&)>& still_fails_;
  std::chrono::steady_clock::time_point deadline_;
  std::unordered_set<std::size_t> tried_;
  bool changed_ = false;
};

}  // namespace

Case shrink(const Case& start, const std::function<bool(const Case&)>& still_fails,
            std::chrono::steady_clock::time_point deadline) {
  return Shrinker(start, still_fails, deadline).run();
}

}  // namespace twincheck
