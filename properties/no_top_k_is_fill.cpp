// Without routed experts the operation fills: the shared slots hold what they hold behind any routed ones.
#include "properties/definition.h"
#include "properties/list.h"

namespace twincheck::law {

Law no_top_k_is_fill() {
  return {
      .name = "no_top_k_is_fill",
      .line = __LINE__,
      .sentence = "the shared slots hold what they hold when there are no routed experts",
      .domain = {.validity = Validity::kValid, .sparse = false},
      .holds =
          [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) {
            relate::Session session("no_top_k_is_fill", candidate, bench);
            Outputs with, without;
            if (!session.given(c, with)) return session.report();
            auto literal = relate::literalize(c);
            if (!literal) {
              session.too_large();
              return session.report();
            }
            Case fill = *literal;
            fill.top_k = 0;
            fill.literal[static_cast<std::size_t>(Operand::kTopkIds)].clear();
            fill.literal[static_cast<std::size_t>(Operand::kTopkWeights)].clear();
            relate::refit(fill);
            if (!session.related(fill, without, "no routed expert")) return session.report();
            for (int64_t t = 0; t < c.tokens; ++t)
              if (!session.agree({*literal, with, t, c.top_k}, {fill, without, t}, c.shared, "as behind the routed experts"))
                break;
            return session.report();
          },
  };
}

}  // namespace twincheck::law
