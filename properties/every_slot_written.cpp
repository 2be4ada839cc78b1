// Every slot is written with what is its own. Judged twice over the same buffers, the second time with every input changed:
// a slot that nobody writes, or that is written with another slot's value, does not follow.
#include <fmt/format.h>

#include <cmath>

#include "properties/definition.h"
#include "properties/list.h"

namespace twincheck {
namespace relate {
namespace {

constexpr uint32_t kSign = 0x80000000;

uint32_t sign_of(Dtype dtype) { return dtype == Dtype::kF32 ? kSign : 0x8000; }

// Every input but hidden and gate changed so that every slot must change: ids by one, weights by their last bit, base_id by
// one, the shared weight in its sign.
Case with_all_changed(Case c) {
  for (uint64_t& id : c.literal[static_cast<std::size_t>(Operand::kTopkIds)]) id ^= 1;
  for (uint64_t& weight : c.literal[static_cast<std::size_t>(Operand::kTopkWeights)]) weight ^= 1;
  c.base_id += c.base_id > 0 ? -1 : 1;
  if (c.source != TWINCHECK_WEIGHTS) {
    c.scale_bits ^= kSign;
  } else {
    for (uint64_t& weight : c.literal[static_cast<std::size_t>(Operand::kShared)]) weight ^= sign_of(c.shared_dtype);
  }
  return c;
}

bool slots_follow(Session& session, const Case& before, const Outputs& first, const Case& after, const Outputs& second) {
  for (int64_t t = 0; t < after.tokens; ++t)
    for (int64_t slot = 0; slot < second.columns; ++slot) {
      const auto i = static_cast<std::size_t>(t * second.columns + slot);
      const Slots at{after, second, t, slot};
      if (second.ids[i] == first.ids[i] && !is_free_id(after, t, slot) && !is_free_id(before, t, slot))
        return session.fail(
            fmt::format("out_ids[token={}][slot={}] is still {} after every id changed", t, slot, first.ids[i]));
      if (slot < after.top_k) {
        if (second.weights[i] != (first.weights[i] ^ 1))
          return session.fail_weight(at, show(first.weights[i] ^ 1, after.weights_dtype),
                                     "the weight with its last bit changed");
        continue;
      }
      const bool exact = after.source == TWINCHECK_CONSTANT || after.source == TWINCHECK_WEIGHTS;
      if (is_nan(first.weights[i], after.weights_dtype) || (!exact && !session.strict())) continue;
      const uint32_t negated = first.weights[i] ^ sign_of(after.weights_dtype);
      const bool both_zero =
          !exact && number_of(negated, after.weights_dtype) == 0 && number_of(second.weights[i], after.weights_dtype) == 0;
      if (second.weights[i] != negated && !both_zero)
        return session.fail_weight(at, show(negated, after.weights_dtype), "the weight with its sign changed");
    }
  return true;
}

}  // namespace

bool weights_are_appended(Session& session, const Case& c, const Outputs& out) {
  const Dtype dtype = c.weights_dtype;
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t s = 0; s < c.shared; ++s) {
      const Slots at{c, out, t, c.top_k + s};
      const uint32_t got = out.weights[static_cast<std::size_t>(t * out.columns + c.top_k + s)];
      const SharedWeight right = shared_weight(c, t, s);
      if (right.copied) {
        if (got != right.bits) return session.fail_weight(at, show(right.bits, dtype), "the shared weight's bits");
        continue;
      }
      if (right.nan) {
        if (!is_nan(got, dtype)) return session.fail_weight(at, "NaN", "the shared weight");
        continue;
      }
      if (c.source == TWINCHECK_CONSTANT || c.source == TWINCHECK_WEIGHTS) {
        if (got != round_to(right.lo, dtype))
          return session.fail_weight(at, show(round_to(right.lo, dtype), dtype), "the shared weight");
        continue;
      }
      // Rounding is monotone: the rounding of a number in the interval lies between the roundings of its ends.
      const double lo = number_of(round_to(right.lo, dtype), dtype), hi = number_of(round_to(right.hi, dtype), dtype);
      const double v = number_of(got, dtype);
      if ((v >= lo && v <= hi) || (right.or_nan && std::isnan(v))) continue;
      return session.fail_weight(at, fmt::format("{:.9g} to {:.9g}", lo, hi), "the shared weight");
    }
  return true;
}

}  // namespace relate

namespace law {

Law every_slot_written() {
  return {
      .name = "every_slot_written",
      .line = __LINE__,
      .sentence = "each of the K + S slots of every token holds its own value, and another once its input is another",
      .domain = {.validity = Validity::kValid},
      .holds =
          [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) {
            relate::Session session("every_slot_written", candidate, bench);
            Outputs first, second;
            if (!session.given(c, first)) return session.report();
            const auto literal = relate::literalize(c);
            if (!literal) {
              session.too_large();
              return session.report();
            }
            const Case changed = relate::with_all_changed(*literal);
            if (relate::weights_are_appended(session, *literal, first) &&
                session.related(changed, second, "every id, weight and sign changed"))
              relate::slots_follow(session, *literal, first, changed, second);
            return session.report();
          },
  };
}

}  // namespace law
}  // namespace twincheck
