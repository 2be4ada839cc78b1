// The same inputs give the same bits: again, after other work, and on the CPU platform with blocks and threads in another
// order and with waves of another width.
#include <algorithm>

#include "properties/knob.h"
#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {

Law deterministic() {
  return {
      .name = "deterministic",
      .line = __LINE__,
      .sentence = "the same inputs give the same bits, in any order of blocks and threads and at any wave width",
      .domain = {.validity = Validity::kValid, .sparse = false},
      .holds =
          [](const Case& c, Choices& choices, const Candidate& candidate, Bench& bench) {
            relate::Session session("deterministic", candidate, bench);
            Outputs first, again;
            if (!session.given(c, first)) return session.report();
            const auto literal = relate::literalize(c);
            if (!literal) {
              session.too_large();
              return session.report();
            }
            const auto repeats = [&](const char* how) {
              if (!session.related(c, again, how)) return false;
              for (int64_t t = 0; t < c.tokens; ++t)
                if (!session.same_bits({*literal, first, t}, {*literal, again, t}, first.columns, how)) return false;
              return true;
            };
            const std::vector<int64_t> none;
            Outputs unused;
            if (!session.related(relate::select_rows(*literal, none), unused, "no token") || !repeats("the same case again"))
              return session.report();
            {
              const relate::Knob order(candidate, "order_seed", choices.between(1, INT32_MAX));
              if (order.turned() && !repeats("blocks and threads in another order")) return session.report();
            }
            for (const int64_t lanes : {32, 64}) {
              const relate::Knob wave(candidate, "wave", lanes);
              if (wave.turned() && !repeats(lanes == 32 ? "waves of 32 lanes" : "waves of 64 lanes"))
                return session.report();
            }
            return session.report();
          },
  };
}

}  // namespace twincheck::law
