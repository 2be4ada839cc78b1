// Widening ids, weights or shared values is exact, so it makes no difference whether it is done before or after appending.
#include <cmath>

#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {
namespace {

using relate::is_nan;
using relate::number_of;
using relate::round_to;

void widen_all(std::vector<uint64_t>& bits, Dtype from) {
  for (uint64_t& b : bits) b = relate::widen(static_cast<uint32_t>(b), from);
}

// May a call in the narrow dtype have given `narrow` where one in f32 gave `wide`? Exact sources round the same number. A
// computed one rounds some v, of which `wide` may itself be a rounding.
bool is_rounding_of(uint32_t narrow, Dtype dtype, uint32_t wide, bool computed) {
  const double w = number_of(wide, Dtype::kF32);
  if (std::isnan(w) || is_nan(narrow, dtype)) return std::isnan(w) && is_nan(narrow, dtype);
  const uint32_t rounded = round_to(w, dtype);
  if (narrow == rounded || !computed) return narrow == rounded;
  const double half = std::fabs(w) * 0x1p-24 + 0x1p-150;
  return narrow == round_to(w - half, dtype) || narrow == round_to(w + half, dtype);
}

}  // namespace

Law widening_commutes() {
  return {
      .name = "widening_commutes",
      .line = __LINE__,
      .sentence = "widening ids, weights or shared values, then appending, equals appending, then widening",
      .domain = {.validity = Validity::kValid, .sparse = false},
      .holds =
          [](const Case& c, Choices& choices, const Candidate& candidate, Bench& bench) {
            relate::Session session("widening_commutes", candidate, bench);
            if (!session.given(c)) return session.report();
            // What there is to widen, all of it or one thing alone.
            Case narrow_case = c;
            const bool reads_shared = c.source != TWINCHECK_CONSTANT;
            const bool nothing = c.ids_dtype == Dtype::kI64 && c.weights_dtype == Dtype::kF32 &&
                                 (!reads_shared || c.shared_dtype == Dtype::kF32);
            if (nothing)
              (reads_shared ? narrow_case.shared_dtype : narrow_case.weights_dtype) =
                  choices.chance(1, 2) ? Dtype::kF16 : Dtype::kBf16;
            relate::refit(narrow_case);
            const auto narrow = relate::literalize(narrow_case);
            if (!narrow) {
              session.too_large();
              return session.report();
            }
            const uint64_t only = choices.below(4);
            const bool ids = narrow->ids_dtype == Dtype::kI32 && (only == 0 || only == 1);
            const bool weights = narrow->weights_dtype != Dtype::kF32 && (only == 0 || only == 2);
            const bool shared = reads_shared && narrow->shared_dtype != Dtype::kF32 && (only == 0 || only == 3);
            Case wide = *narrow;
            if (ids) {
              wide.ids_dtype = Dtype::kI64;
              for (uint64_t& id : wide.literal[static_cast<std::size_t>(Operand::kTopkIds)])
                id = static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(id)));
            }
            if (weights) {
              wide.weights_dtype = Dtype::kF32;
              widen_all(wide.literal[static_cast<std::size_t>(Operand::kTopkWeights)], narrow->weights_dtype);
            }
            if (shared) {
              wide.shared_dtype = Dtype::kF32;
              for (const Operand o : {Operand::kShared, Operand::kHidden, Operand::kGate})
                widen_all(wide.literal[static_cast<std::size_t>(o)], narrow->shared_dtype);
            }
            relate::refit(wide);
            Outputs of_narrow, of_wide;
            if (!session.related(*narrow, of_narrow, "the narrow form") ||
                !session.related(wide, of_wide, "the widened form"))
              return session.report();
            const bool computed = c.source == TWINCHECK_LOGITS || c.source == TWINCHECK_GATE;
            // A sum in another order is as right, and the order may depend on the dtype.
            const bool free = computed && (!session.strict() || (c.source == TWINCHECK_GATE && shared));
            for (int64_t t = 0; t < c.tokens; ++t)
              for (int64_t slot = 0; slot < of_wide.columns; ++slot) {
                const auto i = static_cast<std::size_t>(t * of_wide.columns + slot);
                const relate::Slots at{wide, of_wide, t, slot};
                if (of_wide.ids[i] != of_narrow.ids[i] && !relate::is_free_id(*narrow, t, slot)) {
                  session.fail_id(at, of_narrow.ids[i], "the narrow form's id");
                  return session.report();
                }
                const uint32_t w = of_wide.weights[i], n = of_narrow.weights[i];
                const bool appended = slot >= c.top_k;
                if (appended && free) continue;
                const bool same_dtype = wide.weights_dtype == narrow->weights_dtype;
                const bool any_nan = appended && is_nan(w, wide.weights_dtype) && is_nan(n, narrow->weights_dtype);
                const bool right = !appended    ? w == (weights ? relate::widen(n, narrow->weights_dtype) : n)
                                   : same_dtype ? w == n || any_nan
                                                : is_rounding_of(n, narrow->weights_dtype, w, computed);
                if (!right) {
                  session.fail_weight(at, relate::show(n, narrow->weights_dtype), "the narrow form's weight");
                  return session.report();
                }
              }
            return session.report();
          },
  };
}

}  // namespace twincheck::law
