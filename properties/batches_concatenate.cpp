// A batch in two parts gives its output in two parts. The whole comes first, so the second part finds the rows of a longer
// batch behind its own.
#include <numeric>

#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {

Law batches_concatenate() {
  return {
      .name = "batches_concatenate",
      .line = __LINE__,
      .sentence = "concatenating two batches concatenates their outputs",
      .domain = {.validity = Validity::kValid, .sparse = false},
      .holds =
          [](const Case& c, Choices& choices, const Candidate& candidate, Bench& bench) {
            relate::Session session("batches_concatenate", candidate, bench);
            Outputs of_whole, of_part;
            if (!session.given(c, of_part)) return session.report();
            const auto literal = relate::literalize(c);
            if (!literal || c.tokens > relate::kMaxElements / 2) {
              session.too_large();
              return session.report();
            }
            // The second batch: some of the tokens once more.
            std::vector<int64_t> rows(c.tokens > 0 ? static_cast<std::size_t>(choices.between(1, c.tokens)) : 0);
            std::iota(rows.begin(), rows.end(),
                      rows.empty() ? 0 : choices.between(0, c.tokens - static_cast<int64_t>(rows.size())));
            const Case more = relate::select_rows(*literal, rows);
            const Case whole = relate::concat(*literal, more);
            Outputs of_more;
            if (!session.related(whole, of_whole, "the two batches in one") ||
                !session.related(more, of_more, "the second batch alone"))
              return session.report();
            for (int64_t t = 0; t < whole.tokens; ++t) {
              const bool head = t < c.tokens;
              const relate::Slots alone =
                  head ? relate::Slots{*literal, of_part, t} : relate::Slots{more, of_more, t - c.tokens};
              if (!session.agree(alone, {whole, of_whole, t}, of_whole.columns,
                                 head ? "as in the first batch alone" : "as in the second batch alone"))
                break;
            }
            return session.report();
          },
  };
}

}  // namespace twincheck::law
