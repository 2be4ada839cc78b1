// A weight that has been rounded is a number of the output's dtype: passed in again, as it is or widened to f32, it comes
// out with the same bits.
#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {
namespace {

bool comes_back(relate::Session& session, const Case& c, const Case& again, const Outputs& first, const char* how) {
  Outputs second;
  if (!session.related(again, second, how)) return false;
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t s = 0; s < c.shared; ++s) {
      const auto i = static_cast<std::size_t>(t * first.columns + c.top_k + s);
      const uint32_t a = first.weights[i], b = second.weights[i];
      const bool copied = again.shared_dtype == again.weights_dtype;
      const bool any_nan = !copied && relate::is_nan(a, c.weights_dtype) && relate::is_nan(b, c.weights_dtype);
      if (a != b && !any_nan)
        return session.fail_weight({again, second, t, c.top_k + s}, relate::show(a, c.weights_dtype), how);
    }
  return true;
}

}  // namespace

Law rounding_idempotent() {
  return {
      .name = "rounding_idempotent",
      .line = __LINE__,
      .sentence = "a shared weight that has been rounded once is not changed by being rounded again",
      .domain = {.validity = Validity::kValid, .sparse = false, .source = Source::kWeights},
      .holds =
          [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) {
            relate::Session session("rounding_idempotent", candidate, bench);
            Outputs first;
            if (!session.given(c, first) || c.source != TWINCHECK_WEIGHTS) return session.report();
            const auto literal = relate::literalize(c);
            if (!literal) {
              session.too_large();
              return session.report();
            }
            Case rounded = *literal;
            rounded.shared_dtype = c.weights_dtype;
            rounded.broadcast = false;
            std::vector<uint64_t>& bits = rounded.literal[static_cast<std::size_t>(Operand::kShared)];
            bits.clear();
            for (int64_t t = 0; t < c.tokens; ++t)
              for (int64_t s = 0; s < c.shared; ++s)
                bits.push_back(first.weights[static_cast<std::size_t>(t * first.columns + c.top_k + s)]);
            relate::refit(rounded);
            if (!comes_back(session, c, rounded, first, "the rounded weights passed in again")) return session.report();
            if (c.weights_dtype != Dtype::kF32) {
              rounded.shared_dtype = Dtype::kF32;
              for (uint64_t& b : bits) b = relate::widen(static_cast<uint32_t>(b), c.weights_dtype);
              relate::refit(rounded);
              comes_back(session, c, rounded, first, "the rounded weights passed in again as f32");
            }
            return session.report();
          },
  };
}

}  // namespace twincheck::law
