#include "fuzz/record.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace twincheck::fuzz {
namespace {

using Bits = std::vector<uint64_t>;

int64_t small(int64_t value, int64_t limit) { return static_cast<int64_t>(static_cast<uint64_t>(value) % (limit + 1)); }

Dtype float_dtype(Dtype d) { return d == Dtype::kBf16 || d == Dtype::kF16 ? d : Dtype::kF32; }

uint64_t mask_of(Dtype d) {
  return d == Dtype::kI64 ? ~uint64_t{0} : d == Dtype::kBf16 || d == Dtype::kF16 ? 0xffff : 0xffffffff;
}

// As many elements as asked for, of what the case has; numbers that tell their places apart where it has none.
Bits elements(const Bits& given, int64_t rows, int64_t cols, Dtype d) {
  Bits bits(static_cast<std::size_t>(rows * cols));
  for (std::size_t i = 0; i < bits.size(); ++i)
    bits[i] = (given.empty() ? 0x9e3779b97f4a7c15 * (i + 1) : given[i % given.size()]) & mask_of(d);
  return bits;
}

int64_t signed_id(uint64_t bits, Dtype d) {
  return d == Dtype::kI32 ? static_cast<int32_t>(static_cast<uint32_t>(bits)) : static_cast<int64_t>(bits);
}

void put_ids(std::string& line, const char* field, const auto& ids, Dtype d) {
  fmt::format_to(std::back_inserter(line), ",\"{}\":[", field);
  const char* comma = "";
  for (const auto id : ids) {
    fmt::format_to(std::back_inserter(line), "{}{}", comma, signed_id(static_cast<uint64_t>(id), d));
    comma = ",";
  }
  line += ']';
}

void put_weights(std::string& line, const char* field, const auto& weights, Dtype d) {
  fmt::format_to(std::back_inserter(line), ",\"{}\":[", field);
  const char* comma = "";
  for (const auto bits : weights) {
    fmt::format_to(std::back_inserter(line), "{}\"{:0{}x}\"", comma, bits, d == Dtype::kF32 ? 8 : 4);
    comma = ",";
  }
  line += ']';
}

}  // namespace

Recorded record_of(const Case& from) {
  Recorded record;
  Case& c = record.input;
  c.source = static_cast<int32_t>(small(from.source, 3));
  c.tokens = small(from.tokens, 4);
  c.top_k = small(from.top_k, 9);
  c.shared = small(from.shared, 4);
  c.base_id = from.base_id;
  c.scale_bits = from.scale_bits;
  c.ids_dtype = from.ids_dtype == Dtype::kI64 ? Dtype::kI64 : Dtype::kI32;
  c.weights_dtype = float_dtype(from.weights_dtype);
  if (c.source != TWINCHECK_CONSTANT) c.shared_dtype = float_dtype(from.shared_dtype);
  const auto fill = [&](Operand o, int64_t rows, int64_t cols, Dtype d) {
    const auto i = static_cast<std::size_t>(o);
    c.literal[i] = elements(from.literal[i], rows, cols, d);
  };
  fill(Operand::kTopkIds, c.tokens, c.top_k, c.ids_dtype);
  fill(Operand::kTopkWeights, c.tokens, c.top_k, c.weights_dtype);
  if (c.source == TWINCHECK_WEIGHTS || c.source == TWINCHECK_LOGITS) {
    c.broadcast = from.broadcast && c.shared != 1;
    fill(Operand::kShared, c.tokens, c.broadcast ? 1 : c.shared, c.shared_dtype);
  }
  if (c.source == TWINCHECK_GATE) {
    c.hidden = small(from.hidden, 9);
    fill(Operand::kHidden, c.tokens, c.hidden, c.shared_dtype);
    fill(Operand::kGate, 1, c.hidden, c.shared_dtype);
  }
  for (const uint64_t id : elements({}, c.tokens, c.top_k + c.shared, c.ids_dtype))
    record.out_ids.push_back(signed_id(id, c.ids_dtype));
  for (const uint64_t bits : elements({}, c.tokens, c.top_k + c.shared, c.weights_dtype))
    record.out_weights.push_back(static_cast<uint32_t>(bits));
  return record;
}

std::string line_of(const Recorded& record) {
  const Case& c = record.input;
  const auto literal = [&](Operand o) -> const Bits& { return c.literal[static_cast<std::size_t>(o)]; };
  std::string line = fmt::format(
      R"({{"mode":"{}","tokens":{},"top_k":{},"shared":{},"experts":{},"ids_dtype":"{}","weights_dtype":"{}","scale":"{:08x}")",
      kSourceNames[static_cast<std::size_t>(c.source)], c.tokens, c.top_k, c.shared, c.base_id, name(c.ids_dtype),
      name(c.weights_dtype), c.scale_bits);
  put_ids(line, "ids", literal(Operand::kTopkIds), c.ids_dtype);
  put_weights(line, "weights", literal(Operand::kTopkWeights), c.weights_dtype);
  if (c.source != TWINCHECK_CONSTANT)
    fmt::format_to(std::back_inserter(line), R"(,"shared_dtype":"{}")", name(c.shared_dtype));
  if (c.source == TWINCHECK_WEIGHTS || c.source == TWINCHECK_LOGITS) {
    fmt::format_to(std::back_inserter(line), R"(,"shared_cols":{})", c.broadcast ? 1 : c.shared);
    put_weights(line, "shared_values", literal(Operand::kShared), c.shared_dtype);
  }
  if (c.source == TWINCHECK_GATE) {
    fmt::format_to(std::back_inserter(line), R"(,"hidden":{})", c.hidden);
    put_weights(line, "hidden_values", literal(Operand::kHidden), c.shared_dtype);
    put_weights(line, "gate_values", literal(Operand::kGate), c.shared_dtype);
  }
  put_ids(line, "out_ids", record.out_ids, c.ids_dtype);
  put_weights(line, "out_weights", record.out_weights, c.weights_dtype);
  line += '}';
  return line;
}

}  // namespace twincheck::fuzz
