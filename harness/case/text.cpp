#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <bitset>
#include <charconv>
#include <iterator>
#include <limits>

#include "harness/case/case.h"
#include "harness/case/values.h"

namespace twincheck {
namespace {

constexpr std::array<std::string_view, 4> kInPlaceNames{"none", "ids", "weights", "both"};
constexpr std::array<std::string_view, 3> kPlaceNames{"middle", "end", "begin"};

enum Field : std::size_t {
  kSource,
  kTokens,
  kTopK,
  kShared,
  kHidden,
  kIdsDtype,
  kWeightsDtype,
  kSharedDtype,
  kBroadcast,
  kInPlace,
  kScale,
  kBaseId,
  kRemap,
  kArgsSize,
  kSeed,
  kIds,
  kWeights,
  kSharedValues,
  kFields
};
constexpr std::array<std::string_view, kFields> kFieldNames{
    "source",   "tokens", "top_k",   "shared", "hidden",    "ids_dtype", "weights_dtype", "shared_dtype", "broadcast",
    "in_place", "scale",  "base_id", "remap",  "args_size", "seed",      "ids",           "weights",      "shared_values"};
constexpr std::size_t kRequired = 4;  // source, tokens, top_k, shared

enum OperandField : std::size_t {
  kRowStride,
  kOffset,
  kPlace,
  kRows,
  kCols,
  kDtype,
  kPointer,
  kPointerOperand,
  kPointerBytes,
  kBits,
  kOperandFields
};
constexpr std::array<std::string_view, kOperandFields> kOperandFieldNames{
    "row_stride", "offset", "place", "rows", "cols", "dtype", "pointer", "pointer_operand", "pointer_bytes", "bits"};

template <std::size_t N, typename T>
std::string word_or_number(const std::array<std::string_view, N>& names, T value) {
  const auto number = static_cast<int64_t>(value);
  if (number >= 0 && number < static_cast<int64_t>(N)) return std::string(names[static_cast<std::size_t>(number)]);
  return fmt::format("{}", number);
}

void put_operand(std::string& line, const Case& c, Operand o) {
  const Layout& l = c.of(o);
  const Layout plain;
  const std::size_t index = static_cast<std::size_t>(o);
  const auto put = [&](OperandField field, const auto& value) {
    fmt::format_to(std::back_inserter(line), " {}.{}={}", kOperandNames[index], kOperandFieldNames[field], value);
  };
  if (l.row_stride) put(kRowStride, *l.row_stride);
  if (l.offset != plain.offset) put(kOffset, l.offset);
  if (l.place != plain.place) put(kPlace, word_or_number(kPlaceNames, l.place));
  if (l.rows) put(kRows, *l.rows);
  if (l.cols) put(kCols, *l.cols);
  if (l.dtype) put(kDtype, word_or_number(kDtypeNames, *l.dtype));
  if (l.pointer == Pointer::kNull) put(kPointer, "null");
  if (l.pointer == Pointer::kSkewed) put(kPointer, fmt::format("skewed{:+}", l.pointer_bytes));
  if (l.pointer == Pointer::kInto) {
    put(kPointer, fmt::format("{}{:+}", kOperandNames[static_cast<std::size_t>(l.pointer_operand)], l.pointer_bytes));
  } else if (l.pointer_operand != plain.pointer_operand) {
    put(kPointerOperand, kOperandNames[static_cast<std::size_t>(l.pointer_operand)]);
  }
  if ((l.pointer == Pointer::kOwn || l.pointer == Pointer::kNull) && l.pointer_bytes != 0)
    put(kPointerBytes, l.pointer_bytes);
  if (index < kInputs && !c.literal[index].empty()) put(kBits, fmt::format("[{:#x}]", fmt::join(c.literal[index], ",")));
}

// The number of insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

std::string list(std::span<const std::string_view> names) { return fmt::format("{}", fmt::join(names, ", ")); }

// " (did you mean X?)" where one of the names is near enough to be what was meant.
std::string suggestion(std::string_view found, std::span<const std::string_view> names) {
  constexpr std::size_t kLongest = 32;
  if (found.size() > kLongest) return "";
  std::size_t best = std::max<std::size_t>(2, found.size() / 3) + 1;
  std::string_view nearest;
  for (const std::string_view name : names) {
    const std::size_t d = distance(found, name);
    if (d < best && d < found.size()) {
      best = d;
      nearest = name;
    }
  }
  return nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest);
}

class Parser {
 public:
  explicit Parser(std::string_view line) : line_(line) {}

  Case run() {
    skip_blanks();
    const std::size_t start = at_;
    while (at_ < line_.size() && !blank(line_[at_])) ++at_;
    const std::string_view verb = line_.substr(start, at_ - start);
    if (verb != "append") fail(start, quoted(verb), "\"append\"");
    for (skip_blanks(); at_ < line_.size(); skip_blanks()) field();
    for (std::size_t f = 0; f < kRequired; ++f) {
      if (!seen_[f])
        fail(line_.size(), "the end of the line", fmt::format("{}=..., which every case needs", kFieldNames[f]));
    }
    return std::move(case_);
  }

 private:
  static bool blank(char ch) { return ch == ' ' || ch == '\t' || ch == '\r'; }

  // What stands in a message: at most 40 characters of it, quoted, control characters as dots.
  static std::string quoted(std::string_view found) {
    if (found.empty()) return "nothing";
    constexpr std::size_t kLongest = 40;
    std::string shown(found.substr(0, kLongest));
    for (char& ch : shown) {
      if (static_cast<unsigned char>(ch) < 0x20 || ch == 0x7f) ch = '.';
    }
    return fmt::format("\"{}{}\"", shown, found.size() > kLongest ? "..." : "");
  }

  [[noreturn]] static void fail(std::size_t at, const std::string& found, const std::string& expected) {
    throw ParseError(at + 1, fmt::format("found {}, expected {}", found, expected));
  }

  void skip_blanks() {
    while (at_ < line_.size() && blank(line_[at_])) ++at_;
  }

  // Reads NAME=VALUE; a value in brackets may hold blanks.
  void field() {
    name_at_ = at_;
    while (at_ < line_.size() && !blank(line_[at_]) && line_[at_] != '=') ++at_;
    name_ = line_.substr(name_at_, at_ - name_at_);
    const bool assigned = at_ < line_.size() && line_[at_] == '=';
    if (assigned) ++at_;
    value_at_ = at_;
    if (at_ < line_.size() && line_[at_] == '[') {
      const std::size_t close = line_.find(']', at_);
      if (close == std::string_view::npos) fail(line_.size(), "the end of the line", fmt::format("\"]\" to end {}", name_));
      at_ = close + 1;
      if (at_ < line_.size() && !blank(line_[at_])) fail(at_, quoted(line_.substr(at_, 1)), "a blank after \"]\"");
    } else {
      while (at_ < line_.size() && !blank(line_[at_])) ++at_;
    }
    value_ = line_.substr(value_at_, at_ - value_at_);

    const std::size_t dot = name_.find('.');
    const bool of_operand = dot != std::string_view::npos;
    if (of_operand) {
      const std::size_t o = known(name_at_, name_.substr(0, dot), kOperandNames, "a matrix");
      const std::size_t f = known(name_at_ + dot + 1, name_.substr(dot + 1), kOperandFieldNames, "a field of a matrix");
      need_value(assigned);
      operand_field(static_cast<Operand>(o), static_cast<OperandField>(f));
    } else {
      const std::size_t f = known(name_at_, name_, kFieldNames, "a field");
      need_value(assigned);
      see(f);
      case_field(static_cast<Field>(f));
    }
  }

  void need_value(bool assigned) {
    if (!assigned) fail(name_at_, quoted(name_), fmt::format("\"{}=VALUE\"", name_));
  }

  void see(std::size_t key) {
    if (seen_[key]) fail(name_at_, fmt::format("{} a second time", quoted(name_)), "each field once");
    seen_[key] = true;
  }

  static std::size_t known(std::size_t at, std::string_view found, std::span<const std::string_view> names,
                           const char* kind) {
    const auto it = std::find(names.begin(), names.end(), found);
    if (it != names.end()) return static_cast<std::size_t>(it - names.begin());
    fail(at, quoted(found), fmt::format("{}: {}{}", kind, list(names), suggestion(found, names)));
  }

  // Sign and magnitude of a decimal or hexadecimal integer; false where the text is not one or its magnitude leaves 64 bits.
  static bool read_integer(std::string_view s, bool& negative, uint64_t& magnitude) {
    negative = !s.empty() && s.front() == '-';
    if (negative) s.remove_prefix(1);
    const bool hex = s.size() > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
    if (hex) s.remove_prefix(2);
    const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), magnitude, hex ? 16 : 10);
    return error == std::errc() && end == s.data() + s.size() && !s.empty();
  }

  static bool read_signed(std::string_view s, int64_t lo, int64_t hi, int64_t& value) {
    bool negative = false;
    uint64_t magnitude = 0;
    if (!read_integer(s, negative, magnitude)) return false;
    constexpr uint64_t kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (magnitude > kMost + (negative ? 1 : 0)) return false;
    value = static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
    return lo <= value && value <= hi;
  }

  int64_t integer(int64_t lo = std::numeric_limits<int64_t>::min(), int64_t hi = std::numeric_limits<int64_t>::max()) const {
    int64_t value = 0;
    if (!read_signed(value_, lo, hi, value)) fail(value_at_, quoted(value_), fmt::format("an integer in [{}, {}]", lo, hi));
    return value;
  }
  uint32_t unsigned32() const { return static_cast<uint32_t>(integer(0, std::numeric_limits<uint32_t>::max())); }

  uint64_t unsigned64() const {
    bool negative = false;
    uint64_t value = 0;
    if (!read_integer(value_, negative, value) || negative) fail(value_at_, quoted(value_), "an integer in [0, 2^64)");
    return value;
  }

  std::size_t one_of(std::span<const std::string_view> names) const {
    const auto it = std::find(names.begin(), names.end(), value_);
    if (it != names.end()) return static_cast<std::size_t>(it - names.begin());
    fail(value_at_, quoted(value_), fmt::format("one of {}{}", list(names), suggestion(value_, names)));
  }

  int32_t word_or_int32(std::span<const std::string_view> names) const {
    const auto it = std::find(names.begin(), names.end(), value_);
    if (it != names.end()) return static_cast<int32_t>(it - names.begin());
    int64_t value = 0;
    if (!read_signed(value_, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max(), value)) {
      fail(value_at_, quoted(value_),
           fmt::format("one of {}, or a 32-bit integer{}", list(names), suggestion(value_, names)));
    }
    return static_cast<int32_t>(value);
  }

  uint32_t scale() const {
    bool negative = false;
    uint64_t bits = 0;
    if (value_.substr(0, 2) == "0x" && read_integer(value_, negative, bits) && bits <= 0xffffffff) {
      return static_cast<uint32_t>(bits);
    }
    float number = 0;
    const auto [end, error] = std::from_chars(value_.data(), value_.data() + value_.size(), number);
    if (error != std::errc() || end != value_.data() + value_.size()) {
      fail(value_at_, quoted(value_), "a number that f32 can hold, or its bits such as 0x3f000000");
    }
    return std::bit_cast<uint32_t>(number);
  }

  void case_field(Field field) {
    switch (field) {
      case kSource:
        case_.source = word_or_int32(kSourceNames);
        break;
      case kTokens:
        case_.tokens = integer();
        break;
      case kTopK:
        case_.top_k = integer();
        break;
      case kShared:
        case_.shared = integer();
        break;
      case kHidden:
        case_.hidden = integer();
        break;
      case kIdsDtype:
        case_.ids_dtype = static_cast<Dtype>(one_of(kDtypeNames));
        break;
      case kWeightsDtype:
        case_.weights_dtype = static_cast<Dtype>(one_of(kDtypeNames));
        break;
      case kSharedDtype:
        case_.shared_dtype = static_cast<Dtype>(one_of(kDtypeNames));
        break;
      case kBroadcast:
        case_.broadcast = integer(0, 1) != 0;
        break;
      case kInPlace:
        case_.in_place = static_cast<InPlace>(one_of(kInPlaceNames));
        break;
      case kScale:
        case_.scale_bits = scale();
        break;
      case kBaseId:
        case_.base_id = integer();
        break;
      case kRemap:
        case_.remap = integer();
        break;
      case kArgsSize:
        case_.args_size = unsigned32();
        break;
      case kSeed:
        case_.seed = unsigned64();
        break;
      case kIds:
        case_.ids = static_cast<IdClass>(one_of(kIdClassNames));
        break;
      case kWeights:
        case_.weights = static_cast<ValueClass>(one_of(kValueClassNames));
        break;
      case kSharedValues:
        case_.shared_values = static_cast<ValueClass>(one_of(kValueClassNames));
        break;
      case kFields:
        break;
    }
  }

  static std::size_t key(Operand o, OperandField field) {
    return kFields + static_cast<std::size_t>(o) * kOperandFields + field;
  }

  void operand_field(Operand o, OperandField field) {
    see(key(o, field));
    Layout& l = case_.of(o);
    switch (field) {
      case kRowStride:
        l.row_stride = integer();
        break;
      case kOffset:
        l.offset = unsigned32();
        break;
      case kPlace:
        l.place = static_cast<Place>(one_of(kPlaceNames));
        break;
      case kRows:
        l.rows = integer();
        break;
      case kCols:
        l.cols = integer();
        break;
      case kDtype:
        l.dtype = word_or_int32(kDtypeNames);
        break;
      case kPointer:
        pointer(o, l);
        break;
      case kPointerOperand:
        l.pointer_operand = static_cast<Operand>(one_of(kOperandNames));
        break;
      case kPointerBytes:
        l.pointer_bytes = integer();
        break;
      case kBits:
        bits(o);
        break;
      case kOperandFields:
        break;
    }
  }

  // own, null, skewed+N, OPERAND+N.
  void pointer(Operand o, Layout& l) {
    if (value_ == "own" || value_ == "null") {
      l.pointer = value_ == "own" ? Pointer::kOwn : Pointer::kNull;
      return;
    }
    const std::size_t sign = value_.find_first_of("+-");
    const std::string_view whose = value_.substr(0, sign);
    const auto it = std::find(kOperandNames.begin(), kOperandNames.end(), whose);
    const bool skewed = whose == "skewed";
    if (!skewed && it == kOperandNames.end()) {
      fail(value_at_, quoted(value_),
           fmt::format("own, null, skewed+BYTES or MATRIX+BYTES, MATRIX one of {}{}", list(kOperandNames),
                       suggestion(whose, kOperandNames)));
    }
    const std::size_t number = sign == std::string_view::npos ? value_.size() : sign + (value_[sign] == '+' ? 1 : 0);
    const std::string_view bytes = value_.substr(number);
    const bool two_signs = number < value_.size() && value_[sign] == '+' && bytes.front() == '-';
    if (two_signs ||
        !read_signed(bytes, std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(), l.pointer_bytes)) {
      fail(value_at_ + whose.size(), quoted(value_.substr(whose.size())), "a sign and a number of bytes, such as +4");
    }
    see(key(o, kPointerBytes));
    l.pointer = skewed ? Pointer::kSkewed : Pointer::kInto;
    if (skewed) return;
    see(key(o, kPointerOperand));
    l.pointer_operand = static_cast<Operand>(it - kOperandNames.begin());
  }

  // [ELEMENT,ELEMENT,...]; a negative element stands for its two's complement.
  void bits(Operand o) {
    if (static_cast<int>(o) >= kInputs) {
      fail(name_at_, quoted(name_), "bits of an input: topk_ids, topk_weights, shared, hidden or gate");
    }
    if (value_.empty() || value_.front() != '[') fail(value_at_, quoted(value_), "a list such as [0x1,0x2]");
    std::vector<uint64_t>& elements = case_.literal[static_cast<std::size_t>(o)];
    const std::string_view inside = value_.substr(1, value_.size() - 2);
    if (std::all_of(inside.begin(), inside.end(), blank)) return;
    for (std::size_t start = 0; start <= inside.size();) {
      const std::size_t comma = std::min(inside.find(',', start), inside.size());
      std::string_view element = inside.substr(start, comma - start);
      std::size_t at = value_at_ + 1 + start;
      for (; !element.empty() && blank(element.front()); ++at) element.remove_prefix(1);
      while (!element.empty() && blank(element.back())) element.remove_suffix(1);
      bool negative = false;
      uint64_t magnitude = 0;
      if (!read_integer(element, negative, magnitude) || (negative && magnitude > uint64_t{1} << 63)) {
        fail(at, quoted(element), "an element's bits, such as 0x3f80, or an integer of 64 bits");
      }
      elements.push_back(negative ? 0 - magnitude : magnitude);
      start = comma + 1;
    }
  }

  std::string_view line_;
  std::size_t at_ = 0;
  std::string_view name_, value_;
  std::size_t name_at_ = 0, value_at_ = 0;
  std::bitset<kFields + kOperands * kOperandFields> seen_;
  Case case_;
};

std::string line_of(const Case& c, bool full) {
  const Case plain;
  std::string line = fmt::format("append source={} tokens={} top_k={} shared={}", word_or_number(kSourceNames, c.source),
                                 c.tokens, c.top_k, c.shared);
  const auto put = [&](Field field, const auto& value) {
    fmt::format_to(std::back_inserter(line), " {}={}", kFieldNames[field], value);
  };
  if (full || c.hidden != plain.hidden) put(kHidden, c.hidden);
  if (full || c.ids_dtype != plain.ids_dtype) put(kIdsDtype, word_or_number(kDtypeNames, c.ids_dtype));
  if (full || c.weights_dtype != plain.weights_dtype) put(kWeightsDtype, word_or_number(kDtypeNames, c.weights_dtype));
  if (full || c.shared_dtype != plain.shared_dtype) put(kSharedDtype, word_or_number(kDtypeNames, c.shared_dtype));
  if (full || c.broadcast) put(kBroadcast, c.broadcast ? 1 : 0);
  if (full || c.in_place != plain.in_place) put(kInPlace, word_or_number(kInPlaceNames, c.in_place));
  if (full || c.scale_bits != plain.scale_bits) put(kScale, fmt::format("0x{:08x}", c.scale_bits));
  if (full || c.base_id != plain.base_id) put(kBaseId, c.base_id);
  if (full || c.remap != plain.remap) put(kRemap, c.remap);
  if (c.args_size) put(kArgsSize, *c.args_size);
  if (full || c.seed != plain.seed) put(kSeed, fmt::format("{:#x}", c.seed));
  if (full || c.ids != plain.ids) put(kIds, word_or_number(kIdClassNames, c.ids));
  if (full || c.weights != plain.weights) put(kWeights, word_or_number(kValueClassNames, c.weights));
  if (full || c.shared_values != plain.shared_values) put(kSharedValues, word_or_number(kValueClassNames, c.shared_values));
  for (int o = 0; o < kOperands; ++o) put_operand(line, c, static_cast<Operand>(o));
  return line;
}

}  // namespace

std::string text(const Case& c) { return line_of(c, /*full=*/false); }

std::string full_text(const Case& c) { return line_of(c, /*full=*/true); }

bool is_field(std::string_view name) {
  const auto is_one_of = [](std::span<const std::string_view> names, std::string_view word) {
    return std::find(names.begin(), names.end(), word) != names.end();
  };
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos) return is_one_of(kFieldNames, name);
  return is_one_of(kOperandNames, name.substr(0, dot)) && is_one_of(kOperandFieldNames, name.substr(dot + 1));
}

Case parse(std::string_view line) { return Parser(line).run(); }

}  // namespace twincheck
