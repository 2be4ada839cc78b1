// Without shared experts the operation copies: ids and weights come out as they went in, whatever source and remap say.
#include "properties/definition.h"
#include "properties/list.h"

namespace twincheck::law {

Law no_shared_is_identity() {
  return {
      .name = "no_shared_is_identity",
      .line = __LINE__,
      .sentence = "appending no shared expert gives back the very ids and weights",
      .domain = {.validity = Validity::kValid, .sparse = false},
      .holds =
          [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) {
            relate::Session session("no_shared_is_identity", candidate, bench);
            if (!session.given(c)) return session.report();
            Case none = c;
            none.shared = 0;
            relate::refit(none);
            const auto literal = relate::literalize(none);
            if (!literal) {
              session.too_large();
              return session.report();
            }
            Outputs out;
            if (session.related(*literal, out, "no shared expert")) relate::prefix_is_routed(session, *literal, out);
            return session.report();
          },
  };
}

}  // namespace twincheck::law
