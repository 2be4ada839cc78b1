#include "properties/steps.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "properties/relate.h"

namespace twincheck::session {
namespace {

constexpr int64_t kMostTokens = 600;
constexpr uint64_t kPaddingId = ~uint64_t{0};

std::vector<uint64_t>& literal_of(Case& c, Operand o) { return c.literal[static_cast<std::size_t>(o)]; }

uint64_t mask_of(const Case& c, Operand o) {
  const int bits = 8 * static_cast<int>(dtype_bytes(implied_matrix_of(c, o).dtype));
  return bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << std::max(bits, 0)) - 1;
}

void set_tokens(Case& c, int64_t tokens) {
  c.tokens = tokens;
  relate::refit(c);
}

void new_data(const Step& step, Case& now) {
  switch (step.which % 3) {
    case 0:
      for (std::vector<uint64_t>& bits : now.literal) bits.clear();
      now.seed += uint64_t{step.amount} + 1;
      break;
    case 1:
      for (int i = 0; i < kInputs; ++i)
        for (uint64_t& b : literal_of(now, static_cast<Operand>(i)))
          b = (b + step.amount * uint64_t{0x9e3779b9} + 1) & mask_of(now, static_cast<Operand>(i));
      now.seed += uint64_t{step.amount} + 1;
      break;
    default:
      // What the shared weights are made of alone, and its sign, so that no weight but 0 and NaN stays.
      for (const Operand o : {Operand::kShared, Operand::kHidden}) {
        std::vector<uint64_t> bits;
        if (!is_used(now, o) || !relate::elements(now, o, bits)) continue;
        const int sign = now.shared_dtype == Dtype::kF32 ? 31 : 15;
        for (uint64_t& b : bits) b ^= uint64_t{1} << sign;
        literal_of(now, o) = std::move(bits);
      }
  }
}

void reallocate(const Step& step, Case& now) {
  const auto o = static_cast<Operand>(step.which % kOperands);
  Layout& l = now.of(o);
  if (!is_used(now, o) || l.pointer != Pointer::kOwn) return;
  const int64_t amount = step.amount;
  if (amount % 4 == 0) l.place = static_cast<Place>(amount / 4 % 3);
  if (amount % 4 == 1)
    l.row_stride = l.row_stride ? std::nullopt : std::optional<int64_t>(implied_matrix_of(now, o).cols + amount / 4 % 97);
  if (amount % 4 >= 2) l.offset = static_cast<uint32_t>(amount / 4 % 17);
  relate::refit(now);
}

void parameters(const Step& step, Case& now) {
  const int64_t amount = step.amount;
  switch (step.which % 3) {
    case 0:
      now.base_id += now.base_id > amount ? -(amount + 1) : amount + 1;
      break;
    case 1:
      if (now.source != TWINCHECK_WEIGHTS) now.scale_bits = std::bit_cast<uint32_t>(static_cast<float>(amount) / 256 - 1);
      break;
    default:
      if (now.in_place == InPlace::kNone) now.remap = amount % 64;
  }
}

// Rows [first, end) become padding: every id -1.
void pad(Case& now, int64_t first, int64_t end) {
  std::vector<uint64_t> ids;
  if (!relate::elements(now, Operand::kTopkIds, ids)) return;
  for (int64_t i = first * now.top_k; i < end * now.top_k; ++i)
    if (static_cast<std::size_t>(i) < ids.size())
      ids[static_cast<std::size_t>(i)] = kPaddingId & mask_of(now, Operand::kTopkIds);
  literal_of(now, Operand::kTopkIds) = std::move(ids);
}

void padding(const Step& step, Case& now) {
  const int64_t from = step.amount % (now.tokens + 1);
  switch (step.which % 3) {
    case 0:
      pad(now, from, now.tokens);
      break;
    case 1:
      pad(now, from, std::min(now.tokens, from + 1));
      break;
    default:
      literal_of(now, Operand::kTopkIds).clear();
      now.ids = IdClass::kDistinct;
  }
}

}  // namespace

const char* words(Op op) {
  static constexpr const char* kWords[kOps] = {"the same again",        "other data",         "fewer tokens",
                                               "more tokens",           "a buffer elsewhere", "another parameter",
                                               "padding comes or goes", "through a graph",    "through a graph again",
                                               "after a runtime error", "after a refusal",    "the first case again"};
  return kWords[static_cast<std::size_t>(op)];
}

Case changed(const Step& step, const Case& first, Case now) {
  switch (step.op) {
    case Op::kNewData:
      new_data(step, now);
      break;
    case Op::kShrink:
      if (now.tokens > 0) set_tokens(now, now.tokens - (1 + step.amount % now.tokens));
      break;
    case Op::kGrow: {
      const int64_t more = now.tokens + 1 + step.amount % std::max<int64_t>(4, now.tokens);
      set_tokens(now, std::max(now.tokens, std::min(kMostTokens, more)));
      break;
    }
    case Op::kReallocate:
      reallocate(step, now);
      break;
    case Op::kParameters:
      parameters(step, now);
      break;
    case Op::kPadding:
      padding(step, now);
      break;
    case Op::kFirst:
      return first;
    default:
      break;
  }
  return now;
}

Case refused(const Step& step, Case now) {
  if (step.which % 3 == 0) now.base_id = -1;
  if (step.which % 3 == 1) now.of(Operand::kOutIds).cols = now.top_k + now.shared + 1;
  if (step.which % 3 == 2) now.of(Operand::kOutWeights).dtype = TWINCHECK_I32;
  return now;
}

std::optional<Case> replayed(const Case& captured, const Case& now) {
  const bool same_shape = captured.source == now.source && captured.top_k == now.top_k && captured.shared == now.shared &&
                          captured.hidden == now.hidden && captured.broadcast == now.broadcast &&
                          captured.ids_dtype == now.ids_dtype && captured.weights_dtype == now.weights_dtype &&
                          captured.shared_dtype == now.shared_dtype;
  const std::optional<Case> literal = relate::literalize(now);
  if (!same_shape || now.tokens > captured.tokens || !literal) return std::nullopt;
  std::vector<int64_t> rows;
  for (int64_t t = 0; t < captured.tokens; ++t) rows.push_back(now.tokens > 0 ? t % now.tokens : 0);
  Case out = captured;
  out.literal = relate::select_rows(*literal, rows).literal;
  out.ids = now.ids;
  pad(out, now.tokens, captured.tokens);
  return out;
}

}  // namespace twincheck::session
