#include "harness/judge/recorded.h"

#include <fmt/format.h>

#include <charconv>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

namespace twincheck {
namespace {

using nlohmann::json;

[[noreturn]] void fail(const char* field, const json* found, const std::string& expected) {
  std::string what = "nothing";
  if (found != nullptr && found->is_structured()) {
    what = found->is_array() ? "an array" : "an object";  // a dump goes as deep as they are nested
  } else if (found != nullptr) {
    what = found->dump(-1, ' ', true, json::error_handler_t::replace);
    if (what.size() > 40) what = what.substr(0, 40) + "...";
  }
  throw RecordError(fmt::format("field {}: found {}, expected {}", field, what, expected));
}

const json& need(const json& record, const char* field, const char* expected) {
  const auto it = record.find(field);
  if (it == record.end()) fail(field, nullptr, expected);
  return *it;
}

bool is_int64(const json& v) {
  return v.is_number_integer() && !(v.is_number_unsigned() && v.get<uint64_t>() > uint64_t{INT64_MAX});
}

int64_t size(const json& record, const char* field) {
  const json& v = need(record, field, "an integer, 0 or more");
  // No record of 2^40 elements fits on a line.
  if (!v.is_number_integer() || v.get<int64_t>() < 0 || v.get<int64_t>() > (int64_t{1} << 40))
    fail(field, &v, "an integer from 0 to 2^40");
  return v.get<int64_t>();
}

Dtype dtype(const json& record, const char* field, std::initializer_list<Dtype> allowed) {
  std::string names;
  for (const Dtype d : allowed) names += fmt::format("{}{}", names.empty() ? "" : ", ", name(d));
  const json& v = need(record, field, names.c_str());
  if (v.is_string())
    for (const Dtype d : allowed)
      if (v.get_ref<const std::string&>() == name(d)) return d;
  fail(field, &v, "one of " + names);
}

uint32_t bits(const char* field, const json& v, unsigned digits) {
  uint32_t result = 0;
  if (v.is_string()) {
    const auto& s = v.get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), result, 16);
    if (s.size() == digits && error == std::errc() && end == s.data() + s.size()) return result;
  }
  fail(field, &v, fmt::format("{} hexadecimal digits", digits));
}

// The array of `field`, which must have rows * cols elements.
const json& elements(const json& record, const char* field, int64_t rows, int64_t cols) {
  const std::string expected = fmt::format("an array of {} x {} elements", rows, cols);
  const json& v = need(record, field, expected.c_str());
  if (!v.is_array()) fail(field, &v, expected);
  if (static_cast<__int128>(rows) * cols != static_cast<__int128>(v.size()))
    throw RecordError(fmt::format("field {}: found {} elements, expected {} x {}", field, v.size(), rows, cols));
  return v;
}

unsigned digits_of(Dtype d) { return d == Dtype::kF32 ? 8 : 4; }

template <typename T>
std::vector<T> weights(const json& record, const char* field, int64_t rows, int64_t cols, Dtype d) {
  std::vector<T> result;
  for (const json& v : elements(record, field, rows, cols)) result.push_back(bits(field, v, digits_of(d)));
  return result;
}

template <typename T>
std::vector<T> ids(const json& record, const char* field, int64_t rows, int64_t cols, Dtype d) {
  std::vector<T> result;
  for (const json& v : elements(record, field, rows, cols)) {
    const bool fits = is_int64(v) && (d == Dtype::kI64 || (v.get<int64_t>() >= INT32_MIN && v.get<int64_t>() <= INT32_MAX));
    if (!fits) fail(field, &v, fmt::format("an {}", name(d)));
    const int64_t id = v.get<int64_t>();
    result.push_back(d == Dtype::kI32 && sizeof(T) == 8 && std::is_unsigned_v<T> ? static_cast<T>(static_cast<uint32_t>(id))
                                                                                 : static_cast<T>(id));
  }
  return result;
}

// What the replaying candidate answers with: the record being checked by this thread.
thread_local const Recorded* replayed = nullptr;

int32_t replay(const twincheck_append_args* args) {
  const auto copy = [](const twincheck_matrix& m, auto element) {
    using T = typename decltype(element)::type;
    for (int64_t i = 0; i < m.rows * m.cols; ++i) {
      const auto k = static_cast<std::size_t>(i);
      T value;
      if constexpr (sizeof(T) == 8) {
        value = static_cast<T>(replayed->out_ids[k]);
      } else {
        value = static_cast<T>(m.dtype == TWINCHECK_I32 ? static_cast<uint32_t>(replayed->out_ids[k])
                                                        : replayed->out_weights[k]);
      }
      const int64_t at = i / m.cols * (m.rows > 1 ? m.row_stride : 0) + i % m.cols;
      std::memcpy(static_cast<char*>(m.data) + static_cast<std::size_t>(at) * sizeof(T), &value, sizeof(T));
    }
  };
  struct Wide {
    using type = uint64_t;
  };
  struct Word {
    using type = uint32_t;
  };
  struct Half {
    using type = uint16_t;
  };
  args->out_ids.dtype == TWINCHECK_I64 ? copy(args->out_ids, Wide{}) : copy(args->out_ids, Word{});
  args->out_weights.dtype == TWINCHECK_F32 ? copy(args->out_weights, Word{}) : copy(args->out_weights, Half{});
  return TWINCHECK_OK;
}

}  // namespace

Recorded parse_record(std::string_view line) {
  json record;
  try {
    record = json::parse(line);
  } catch (const json::parse_error& e) {
    throw RecordError(fmt::format("byte {}: not JSON, expected one object a line", e.byte));
  } catch (const json::out_of_range&) {
    throw RecordError("a number past the largest double, expected integers of 64 bits");
  }
  if (!record.is_object()) throw RecordError("not a JSON object, expected one object a line");

  Recorded result;
  Case& c = result.input;
  const json& mode = need(record, "mode", "constant, weights, logits or gate");
  c.source = -1;
  for (std::size_t i = 0; i < kSourceNames.size(); ++i)
    if (mode.is_string() && mode.get_ref<const std::string&>() == kSourceNames[i]) c.source = static_cast<int32_t>(i);
  if (c.source < 0) fail("mode", &mode, "one of constant, weights, logits, gate");
  c.tokens = size(record, "tokens");
  c.top_k = size(record, "top_k");
  c.shared = size(record, "shared");
  const char* base_id = "the base id, an integer of 64 bits";
  const json& base = need(record, "experts", base_id);
  if (!is_int64(base)) fail("experts", &base, base_id);
  c.base_id = base.get<int64_t>();
  c.ids_dtype = dtype(record, "ids_dtype", {Dtype::kI32, Dtype::kI64});
  c.weights_dtype = dtype(record, "weights_dtype", {Dtype::kF32, Dtype::kBf16, Dtype::kF16});
  c.scale_bits = bits("scale", need(record, "scale", "8 hexadecimal digits"), 8);
  if (const auto it = record.find("origin"); it != record.end()) {
    if (!it->is_string()) fail("origin", &*it, "a string");
    result.origin = it->get<std::string>();
  }
  const auto source = static_cast<Source>(c.source);
  if (source != Source::kConstant) c.shared_dtype = dtype(record, "shared_dtype", {Dtype::kF32, Dtype::kBf16, Dtype::kF16});
  const auto literal = [&](Operand o) -> std::vector<uint64_t>& { return c.literal[static_cast<std::size_t>(o)]; };
  literal(Operand::kTopkIds) = ids<uint64_t>(record, "ids", c.tokens, c.top_k, c.ids_dtype);
  literal(Operand::kTopkWeights) = weights<uint64_t>(record, "weights", c.tokens, c.top_k, c.weights_dtype);
  if (source == Source::kWeights || source == Source::kLogits) {
    const int64_t cols = size(record, "shared_cols");
    if (cols != c.shared && cols != 1) fail("shared_cols", &record["shared_cols"], fmt::format("1 or {}", c.shared));
    c.broadcast = cols != c.shared;
    literal(Operand::kShared) = weights<uint64_t>(record, "shared_values", c.tokens, cols, c.shared_dtype);
  }
  if (source == Source::kGate) {
    c.hidden = size(record, "hidden");
    literal(Operand::kHidden) = weights<uint64_t>(record, "hidden_values", c.tokens, c.hidden, c.shared_dtype);
    literal(Operand::kGate) = weights<uint64_t>(record, "gate_values", 1, c.hidden, c.shared_dtype);
  }
  result.out_ids = ids<int64_t>(record, "out_ids", c.tokens, c.top_k + c.shared, c.ids_dtype);
  result.out_weights = weights<uint32_t>(record, "out_weights", c.tokens, c.top_k + c.shared, c.weights_dtype);
  return result;
}

Report check_recorded(const Recorded& record, Bench& bench) {
  Candidate candidate;
  candidate.name = record.origin;
  candidate.append = replay;
  replayed = &record;
  Report report = check(record.input, candidate, bench);
  replayed = nullptr;
  return report;
}

}  // namespace twincheck
