#include "harness/cli/view.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "harness/case/values.h"
#include "reference/oracle.h"

namespace twincheck {
namespace {

constexpr int64_t kMostElements = 400;

// The number that bits of a weight dtype stand for.
double value_of(Dtype dtype, uint32_t bits) {
  if (dtype == Dtype::kF32) return std::bit_cast<float>(bits);
  if (dtype == Dtype::kBf16) return std::bit_cast<float>(bits << 16);
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const auto fraction = static_cast<double>(bits & 1023);
  double value = 0;
  if (exponent == 31) {
    value = fraction == 0 ? INFINITY : NAN;
  } else {
    value = exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

int bytes_of(Dtype dtype) { return dtype == Dtype::kI64 ? 8 : dtype == Dtype::kI32 || dtype == Dtype::kF32 ? 4 : 2; }

std::string bits_text(Dtype dtype, uint32_t bits) { return fmt::format("0x{:0{}x}", bits, bytes_of(dtype) * 2); }

// Bits and value, with as many digits as tell it from its neighbours.
std::string number_text(Dtype dtype, uint32_t bits) {
  return fmt::format("{} ({})", bits_text(dtype, bits), static_cast<float>(value_of(dtype, bits)));
}

std::string weight_text(const reference::Weight& w, Dtype dtype) {
  switch (w.kind) {
    case reference::Weight::Kind::kNan:
      return "any NaN";
    case reference::Weight::Kind::kBits:
      return number_text(dtype, w.lo);
    default:
      break;
  }
  std::string text = w.lo == w.hi ? number_text(dtype, w.lo)
                                  : fmt::format("[{:.9g}, {:.9g}]", value_of(dtype, w.lo), value_of(dtype, w.hi));
  if (w.kind == reference::Weight::Kind::kRangeOrNan) text += " or NaN";
  return text;
}

// A table of cells, columns aligned.
std::string table(const std::vector<std::vector<std::string>>& rows, std::string_view title) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (widths.size() <= i) widths.push_back(0);
      widths[i] = std::max(widths[i], row[i].size());
    }
  std::string text = fmt::format("  {}\n", title);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    text += fmt::format("    token {:<3}", r);
    for (std::size_t i = 0; i < rows[r].size(); ++i) text += fmt::format("  {:<{}}", rows[r][i], widths[i]);
    while (text.back() == ' ') text.pop_back();
    text += '\n';
  }
  return text;
}

// The arguments of a case in memory of this process: tight, everything apart.
struct Laid {
  AppendArgs args{};
  std::array<std::vector<std::byte>, kOperands> memory;

  explicit Laid(const Case& c) {
    args.size = sizeof args;
    args.source = c.source;
    args.num_shared = c.shared;
    args.base_id = c.base_id;
    args.remap_local_routed = c.remap;
    std::memcpy(&args.scale, &c.scale_bits, sizeof args.scale);
    for (int o = 0; o < kOperands; ++o) {
      Matrix m = implied_matrix_of(c, static_cast<Operand>(o));
      m.row_stride = m.cols;
      const auto element = static_cast<std::size_t>(m.dtype == 0 ? 0 : bytes_of(static_cast<Dtype>(m.dtype)));
      auto& bytes = memory[static_cast<std::size_t>(o)];
      bytes.resize(static_cast<std::size_t>(m.rows * m.cols) * element + 16);
      m.data = bytes.data();
      if (o < kInputs && m.rows * m.cols > 0) fill(c, static_cast<Operand>(o), 0, m.rows, m.data);
      args.*kMatrices[static_cast<std::size_t>(o)] = m;
    }
  }
};

}  // namespace

std::string description(const Case& c) {
  std::string text =
      fmt::format("{} tokens, top_k {}, {} shared from {}", c.tokens, c.top_k, c.shared, word(kSourceNames, c.source));
  if (c.source == TWINCHECK_GATE) text += fmt::format(" (hidden {})", c.hidden);
  text += fmt::format("; ids {}, weights {}", name(c.ids_dtype), name(c.weights_dtype));
  if (c.source != TWINCHECK_CONSTANT) text += fmt::format(", source {}", name(c.shared_dtype));
  text += fmt::format("; scale {:g}, base id {}", std::bit_cast<float>(c.scale_bits), c.base_id);
  if (c.remap != 0) text += fmt::format(", remap {}", c.remap);
  if (c.in_place != InPlace::kNone)
    text += c.in_place == InPlace::kBoth  ? ", in place"
            : c.in_place == InPlace::kIds ? ", ids in place"
                                          : ", weights in place";
  return text;
}

std::vector<MatrixRecord> matrix_records(const Case& c, const Outputs& outputs) {
  if (c.tokens <= 0 || c.top_k < 0 || c.shared < 0 || c.top_k > kMostElements || c.shared > kMostElements ||
      c.tokens > kMostElements || c.tokens * (c.top_k + c.shared) > kMostElements || c.hidden > (1 << 22))
    return {};
  const Laid laid(c);
  if (reference::refusal(laid.args) != Status::kOk) return {};
  reference::Expected expected;
  reference::append(laid.args, 0, c.tokens, expected);
  const auto columns = static_cast<std::size_t>(expected.columns);
  const bool have = outputs.rows == c.tokens && outputs.columns == expected.columns &&
                    outputs.ids.size() == expected.ids.size() && outputs.weights.size() == expected.weights.size();
  MatrixRecord ids{.name = "out_ids", .columns = columns, .cells = {}}, weights{"out_weights", columns, {}};
  for (std::size_t i = 0; i < expected.ids.size(); ++i) {
    const reference::Id& id = expected.ids[i];
    MatrixRecord::Cell& cell = ids.cells.emplace_back();
    cell.expected = id.any ? "any" : fmt::format("{}", id.value);
    MatrixRecord::Cell& weight = weights.cells.emplace_back();
    weight.expected = weight_text(expected.weights[i], c.weights_dtype);
    if (!have) continue;
    cell.got = fmt::format("{}", outputs.ids[i]);
    cell.wrong = !id.any && outputs.ids[i] != id.value;
    const uint32_t bits = outputs.weights[i];
    weight.got = number_text(c.weights_dtype, bits);
    weight.wrong = !reference::accepts(expected.weights[i], c.weights_dtype, bits);
  }
  if (ids.cells.empty()) return {};
  return {ids, weights};
}

std::string matrices(const Case& c, const Outputs& outputs, Style style) {
  std::string text;
  for (const MatrixRecord& m : matrix_records(c, outputs)) {
    std::vector<std::vector<std::string>> expected, got;
    bool have = false;
    for (std::size_t i = 0; i < m.cells.size(); ++i) {
      if (i % m.columns == 0) {
        expected.emplace_back();
        got.emplace_back();
      }
      expected.back().push_back(m.cells[i].expected);
      got.back().push_back(m.cells[i].wrong ? "!" + m.cells[i].got + "!" : m.cells[i].got);
      have = have || !m.cells[i].got.empty();
    }
    text += table(expected, m.name + " expected");
    if (have) text += table(got, m.name + " got, wrong ones between ! and !");
  }
  if (!style.color) return text;
  std::string colored;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::size_t end = text[at] == '!' ? text.find('!', at + 1) : std::string::npos;
    if (end != std::string::npos && text.substr(at, end - at).find('\n') == std::string::npos && text[end - 1] != ' ') {
      colored += style.bad(text.substr(at, end - at + 1));
      at = end;
    } else {
      colored += text[at];
    }
  }
  return colored;
}

std::string to_bytes(const Outputs& outputs) {
  std::string bytes;
  const auto put = [&bytes](const void* data, std::size_t size) { bytes.append(static_cast<const char*>(data), size); };
  const int64_t header[] = {outputs.status, outputs.rows, outputs.columns, static_cast<int64_t>(outputs.ids.size()),
                            static_cast<int64_t>(outputs.weights.size())};
  put(header, sizeof header);
  put(outputs.ids.data(), outputs.ids.size() * sizeof(int64_t));
  put(outputs.weights.data(), outputs.weights.size() * sizeof(uint32_t));
  return bytes;
}

Outputs outputs_from(std::string_view bytes) {
  Outputs outputs;
  int64_t header[5];
  if (bytes.size() < sizeof header) return outputs;
  std::memcpy(header, bytes.data(), sizeof header);
  bytes.remove_prefix(sizeof header);
  const auto ids = static_cast<uint64_t>(header[3]), weights = static_cast<uint64_t>(header[4]);
  if (ids > bytes.size() / sizeof(int64_t) || weights > (bytes.size() - ids * sizeof(int64_t)) / sizeof(uint32_t))
    return outputs;
  outputs.status = static_cast<int32_t>(header[0]);
  outputs.rows = header[1];
  outputs.columns = header[2];
  outputs.ids.resize(ids);
  outputs.weights.resize(weights);
  if (ids > 0) std::memcpy(outputs.ids.data(), bytes.data(), ids * sizeof(int64_t));
  if (weights > 0) std::memcpy(outputs.weights.data(), bytes.data() + ids * sizeof(int64_t), weights * sizeof(uint32_t));
  return outputs;
}

}  // namespace twincheck
