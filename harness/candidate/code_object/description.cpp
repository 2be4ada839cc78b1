#include "harness/candidate/code_object/description.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>

#include "harness/candidate/adapter.h"

namespace twincheck::code_object {
namespace {

using Json = nlohmann::json;

int64_t stride_of(const Matrix& m) { return m.rows > 1 && !is_empty(m) ? m.row_stride : m.cols; }

struct Field {
  std::string_view name;
  int64_t (*of)(const AppendArgs&);
};
constexpr std::array<Field, 5> kScalars{{{"num_shared", [](const AppendArgs& a) { return a.num_shared; }},
                                         {"base_id", [](const AppendArgs& a) { return a.base_id; }},
                                         {"remap_local_routed", [](const AppendArgs& a) { return a.remap_local_routed; }},
                                         {"source", [](const AppendArgs& a) { return int64_t{a.source}; }},
                                         {"tokens", [](const AppendArgs& a) { return a.topk_ids.rows; }}}};
constexpr std::string_view kFields =
    "MATRIX.data, MATRIX.rows, MATRIX.cols, MATRIX.row_stride (MATRIX: topk_ids, topk_weights, shared, hidden, gate, "
    "out_ids, "
    "out_weights), tokens, num_shared, base_id, remap_local_routed, source, scale, args; integers as NAME:i32 too";

[[noreturn]] void complain(std::string_view where, std::string_view found, std::string_view expected) {
  throw DescriptionError(fmt::format("{}: found {}, expected {}", where, found, expected));
}

// The name of a matrix's field, split; no matrix where it is none.
struct Split {
  Matrix AppendArgs::*matrix = nullptr;
  std::string_view field;
};
Split split(std::string_view name) {
  const std::size_t dot = name.find('.');
  if (dot == std::string_view::npos) return {};
  for (std::size_t i = 0; i < kOperands; ++i)
    if (kOperandNames[i] == name.substr(0, dot)) return {kMatrices[i], name.substr(dot + 1)};
  return {};
}

int64_t integer_of(const std::string& field, const AppendArgs& a) {
  if (const Split s = split(field); s.matrix != nullptr) {
    const Matrix& m = a.*s.matrix;
    if (s.field == "rows") return m.rows;
    if (s.field == "cols") return m.cols;
    return stride_of(m);
  }
  return std::find_if(kScalars.begin(), kScalars.end(), [&](const Field& f) { return f.name == field; })->of(a);
}

Argument named(const std::string& where, const std::string& text) {
  Argument argument;
  std::string_view name = text;
  bool narrow = false;
  if (name.size() > 4 && name.substr(name.size() - 4) == ":i32") {
    narrow = true;
    name.remove_suffix(4);
  }
  argument.field = name;
  if (narrow) argument.type = Argument::Type::kI32;
  const Split s = split(name);
  bool known = std::any_of(kScalars.begin(), kScalars.end(), [&](const Field& f) { return f.name == name; });
  if (s.matrix != nullptr) {
    known = s.field == "rows" || s.field == "cols" || s.field == "row_stride";
    if (s.field == "data" && !narrow) {
      argument.type = Argument::Type::kPointer;
      known = true;
    }
  } else if (!narrow && name == "scale") {
    argument.type = Argument::Type::kF32;
    known = true;
  } else if (!narrow && name == "args") {
    argument.type = Argument::Type::kStruct;
    known = true;
  }
  if (!known) complain(where, fmt::format("'{}'", text), kFields);
  return argument;
}

Argument argument_from(const std::string& where, const Json& j) {
  constexpr std::string_view kConstants = R"({"i32": N}, {"i64": N}, {"f32": X} or {"pointer": 0})";
  if (j.is_string()) return named(where, j.get<std::string>());
  if (!j.is_object() || j.size() != 1) complain(where, j.dump(), fmt::format("a name, or a constant: {}", kConstants));
  const std::string& type = j.begin().key();
  const Json& value = j.begin().value();
  Argument argument;
  if (type == "f32" && value.is_number()) {
    argument.type = Argument::Type::kF32;
    argument.constant = value.get<double>();
    return argument;
  }
  const bool fits_i64 = value.is_number_integer() && (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
  const int64_t number = fits_i64 ? value.get<int64_t>() : 0;
  argument.constant = number;
  if (type == "i64" && fits_i64) return argument;
  argument.type = Argument::Type::kI32;
  if (type == "i32" && fits_i64 && number >= INT32_MIN && number <= INT32_MAX) return argument;
  argument.type = Argument::Type::kPointer;
  if (type == "pointer" && fits_i64 && number == 0) return argument;
  complain(where, j.dump(), kConstants);
}

void only(const std::string& where, const Json& object, std::initializer_list<std::string_view> keys) {
  for (const auto& [key, value] : object.items())
    if (std::find(keys.begin(), keys.end(), key) == keys.end())
      complain(where + key, "a key that is not known", fmt::format("{}", fmt::join(keys, ", ")));
}

int64_t count(const std::string& where, const Json& j, int64_t least, int64_t most) {
  const bool fits = j.is_number_integer() && (!j.is_number_unsigned() || j.get<uint64_t>() <= INT64_MAX);
  if (!fits || j.get<int64_t>() < least || j.get<int64_t>() > most)
    complain(where, j.dump(), fmt::format("a whole number from {} to {}", least, most));
  return j.get<int64_t>();
}

std::vector<std::string> words_of(const std::string& where, const Json& j, std::span<const std::string_view> known) {
  std::vector<std::string> words;
  if (!j.is_array()) complain(where, j.dump(), fmt::format("a list of {}", fmt::join(known, ", ")));
  for (const Json& word : j) {
    if (!word.is_string() || std::find(known.begin(), known.end(), word.get<std::string>()) == known.end())
      complain(where, word.dump(), fmt::format("{}", fmt::join(known, ", ")));
    words.push_back(word.get<std::string>());
  }
  if (words.empty()) complain(where, "nothing", fmt::format("one at least of {}", fmt::join(known, ", ")));
  return words;
}

bool yes_or_no(const std::string& where, const Json& j) {
  if (!j.is_boolean()) complain(where, j.dump(), "true or false");
  return j.get<bool>();
}

void read_supports(const Json& j, Description& d) {
  constexpr std::array<std::string_view, 2> kIds{"i32", "i64"};
  constexpr std::array<std::string_view, 3> kWeights{"f32", "bf16", "f16"};
  constexpr std::array<std::string_view, 4> kInPlace{"none", "ids", "weights", "both"};
  if (!j.is_object()) complain("supports", j.dump(), "an object");
  only("supports.", j,
       {"source", "ids_dtype", "weights_dtype", "shared_dtype", "in_place", "remap", "strided", "broadcast"});
  if (j.contains("source")) d.sources = words_of("supports.source", j["source"], kSourceNames);
  if (j.contains("ids_dtype")) d.ids_dtypes = words_of("supports.ids_dtype", j["ids_dtype"], kIds);
  if (j.contains("weights_dtype")) d.weights_dtypes = words_of("supports.weights_dtype", j["weights_dtype"], kWeights);
  if (j.contains("shared_dtype")) d.shared_dtypes = words_of("supports.shared_dtype", j["shared_dtype"], kWeights);
  if (j.contains("in_place")) d.in_place = words_of("supports.in_place", j["in_place"], kInPlace);
  if (j.contains("remap")) d.remap = yes_or_no("supports.remap", j["remap"]);
  if (j.contains("strided")) d.strided = yes_or_no("supports.strided", j["strided"]);
  if (j.contains("broadcast")) d.broadcast = yes_or_no("supports.broadcast", j["broadcast"]);
}

bool listed(const std::vector<std::string>& list, std::string_view word) {
  return list.empty() || std::find(list.begin(), list.end(), word) != list.end();
}

uint64_t bytes_of(const Argument& argument) {
  switch (argument.type) {
    case Argument::Type::kI32:
    case Argument::Type::kF32:
      return 4;
    case Argument::Type::kI64:
    case Argument::Type::kPointer:
      return 8;
    case Argument::Type::kStruct:
      break;
  }
  return sizeof(AppendArgs);
}

template <typename T>
std::vector<std::byte> as_bytes(T value) {
  std::vector<std::byte> bytes(sizeof value);
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

}  // namespace

Description parse(std::string_view text) {
  Json j;
  try {
    j = Json::parse(text);
  } catch (const Json::parse_error& e) {
    const std::string_view words = e.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    const std::size_t bracket = words.find("] ");
    throw DescriptionError(std::string(bracket == std::string_view::npos ? words : words.substr(bracket + 2)));
  }
  Description d;
  if (!j.is_object()) complain("the file", j.dump(), "an object");
  only("", j, {"symbol", "arguments", "grid", "block", "shared_memory", "supports"});
  for (const char* key : {"symbol", "arguments", "grid", "block"})
    if (!j.contains(key)) complain(key, "nothing", "it to be there");
  if (!j["symbol"].is_string() || j["symbol"].get<std::string>().empty())
    complain("symbol", j["symbol"].dump(), "the kernel's name in the code object");
  d.symbol = j["symbol"].get<std::string>();
  if (!j["arguments"].is_array()) complain("arguments", j["arguments"].dump(), "a list");
  for (const Json& argument : j["arguments"])
    d.arguments.push_back(argument_from(fmt::format("arguments[{}]", d.arguments.size()), argument));

  const Json& grid = j["grid"];
  if (!grid.is_object()) complain("grid", grid.dump(), R"({"per": "element" | "row" | "fixed", "each": N})");
  only("grid.", grid, {"per", "each"});
  constexpr std::array<std::string_view, 3> kPer{"element", "row", "fixed"};
  const std::string per = grid.contains("per") && grid["per"].is_string() ? grid["per"].get<std::string>() : "";
  const auto* const found = std::find(kPer.begin(), kPer.end(), per);
  if (found == kPer.end())
    complain("grid.per", grid.contains("per") ? grid["per"].dump() : "nothing", "\"element\", \"row\" or \"fixed\"");
  d.per = static_cast<Per>(found - kPer.begin());
  if (!grid.contains("each")) complain("grid.each", "nothing", "elements or rows a block, or the number of blocks");
  d.each = count("grid.each", grid["each"], 1, INT32_MAX);

  const Json& block = j["block"];
  if (block.is_array()) {
    if (block.empty() || block.size() > 3) complain("block", block.dump(), "a number of threads, or a list of one to three");
    for (std::size_t i = 0; i < block.size(); ++i)
      d.block[i] = static_cast<uint32_t>(count(fmt::format("block[{}]", i), block[i], 1, 1024));
  } else {
    d.block[0] = static_cast<uint32_t>(count("block", block, 1, 1024));
  }
  if (uint64_t{d.block[0]} * d.block[1] * d.block[2] > 1024) complain("block", block.dump(), "at most 1024 threads");
  if (j.contains("shared_memory"))
    d.shared_memory = static_cast<uint32_t>(count("shared_memory", j["shared_memory"], 0, 1 << 20));
  if (j.contains("supports")) read_supports(j["supports"], d);
  return d;
}

void hold_against(const Description& d, const std::vector<uint64_t>& parameter_bytes) {
  if (d.arguments.size() != parameter_bytes.size())
    complain("arguments", fmt::to_string(d.arguments.size()),
             fmt::format("the {} parameters that {} takes", parameter_bytes.size(), d.symbol));
  for (std::size_t i = 0; i < parameter_bytes.size(); ++i)
    if (const uint64_t bytes = bytes_of(d.arguments[i]); bytes != parameter_bytes[i])
      complain(fmt::format("arguments[{}]", i), fmt::format("{} bytes", bytes),
               fmt::format("the {} that {} takes there", parameter_bytes[i], d.symbol));
}

std::string unsupported(const Description& d, const AppendArgs& a) {
  const auto dtype = [](const Matrix& m) { return word(kDtypeNames, m.dtype); };
  const std::string_view source = word(kSourceNames, a.source);
  if (!listed(d.sources, source)) return fmt::format("source {}", source);
  if (!listed(d.ids_dtypes, dtype(a.topk_ids))) return fmt::format("ids of {}", dtype(a.topk_ids));
  if (!listed(d.weights_dtypes, dtype(a.topk_weights))) return fmt::format("weights of {}", dtype(a.topk_weights));
  const Matrix& shared = a.source == TWINCHECK_GATE ? a.hidden : a.shared;
  if (a.source != TWINCHECK_CONSTANT && !listed(d.shared_dtypes, dtype(shared)))
    return fmt::format("shared or hidden of {}", dtype(shared));
  const bool ids = is_left_part(a.topk_ids, a.out_ids), weights = is_left_part(a.topk_weights, a.out_weights);
  if (const std::string_view place = ids       ? weights ? "both" : "ids"
                                     : weights ? "weights"
                                               : "none";
      !listed(d.in_place, place))
    return fmt::format("in place: {}", place);
  if (!d.remap && a.remap_local_routed != 0) return "a remap";
  if (!d.broadcast && a.shared.cols == 1 && a.num_shared != 1) return "one shared column for all";
  for (std::size_t i = 0; i < kOperands; ++i) {
    const Matrix& m = a.*kMatrices[i];
    const auto o = static_cast<Operand>(i);
    const bool follows = (o == Operand::kTopkIds && ids) || (o == Operand::kTopkWeights && weights);
    if (!d.strided && !follows && stride_of(m) != m.cols)
      return fmt::format("{} with row stride {}", kOperandNames[i], m.row_stride);
  }
  return {};
}

Parameters parameters(const Description& d, const AppendArgs& a) {
  Parameters p;
  for (const Argument& argument : d.arguments) {
    const bool constant = argument.field.empty();
    switch (argument.type) {
      case Argument::Type::kStruct:
        p.values.push_back(as_bytes(a));
        break;
      case Argument::Type::kF32:
        p.values.push_back(as_bytes(constant ? static_cast<float>(std::get<double>(argument.constant)) : a.scale));
        break;
      case Argument::Type::kPointer: {
        const Matrix* m = constant ? nullptr : &(a.*split(argument.field).matrix);
        p.values.push_back(as_bytes(m == nullptr || is_empty(*m) ? nullptr : m->data));
        break;
      }
      case Argument::Type::kI32:
      case Argument::Type::kI64: {
        const int64_t value = constant ? std::get<int64_t>(argument.constant) : integer_of(argument.field, a);
        if (argument.type == Argument::Type::kI64) {
          p.values.push_back(as_bytes(value));
        } else if (value < INT32_MIN || value > INT32_MAX) {
          p.trouble = fmt::format("{} is {}, which 32 bits do not hold", argument.field, value);
          return p;
        } else {
          p.values.push_back(as_bytes(static_cast<int32_t>(value)));
        }
        break;
      }
    }
  }
  return p;
}

std::optional<uint32_t> blocks(const Description& d, const AppendArgs& a) {
  const __int128 elements = static_cast<__int128>(a.out_ids.rows) * a.out_ids.cols;
  if (elements == 0) return 0;
  if (d.per == Per::kFixed) return static_cast<uint32_t>(d.each);
  const __int128 work = d.per == Per::kRow ? a.out_ids.rows : elements;
  const __int128 needed = (work + d.each - 1) / d.each;
  if (needed > INT32_MAX) return std::nullopt;
  return static_cast<uint32_t>(needed);
}

}  // namespace twincheck::code_object
