// Tokens know nothing of each other: in another order they give the same rows in that order.
#include <algorithm>
#include <numeric>

#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {

Law rows_permute() {
  return {
      .name = "rows_permute",
      .line = __LINE__,
      .sentence = "permuting the tokens permutes the rows of the output",
      .domain = {.validity = Validity::kValid, .sparse = false},
      .holds =
          [](const Case& c, Choices& choices, const Candidate& candidate, Bench& bench) {
            relate::Session session("rows_permute", candidate, bench);
            Outputs first, second;
            if (!session.given(c, first) || c.tokens < 2) return session.report();
            const auto literal = relate::literalize(c);
            if (!literal) {
              session.too_large();
              return session.report();
            }
            std::vector<int64_t> order(static_cast<std::size_t>(c.tokens));
            std::iota(order.begin(), order.end(), 0);
            for (std::size_t i = order.size() - 1; i > 0; --i) std::swap(order[i], order[choices.below(i + 1)]);
            if (std::is_sorted(order.begin(), order.end())) std::rotate(order.begin(), order.begin() + 1, order.end());
            const Case permuted = relate::select_rows(*literal, order);
            if (!session.related(permuted, second, "the tokens permuted")) return session.report();
            for (int64_t t = 0; t < c.tokens; ++t)
              if (!session.agree({*literal, first, order[static_cast<std::size_t>(t)]}, {permuted, second, t}, first.columns,
                                 "a token at another place"))
                break;
            return session.report();
          },
  };
}

}  // namespace twincheck::law
