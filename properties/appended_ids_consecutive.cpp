// The shared experts' ids follow the routed ones, consecutive from the base id, whatever the routed ids are.
#include "properties/definition.h"
#include "properties/list.h"

namespace twincheck {
namespace relate {

bool ids_are_appended(Session& session, const Case& c, const Outputs& out) {
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t s = 0; s < c.shared; ++s)
      if (out.ids[static_cast<std::size_t>(t * out.columns + c.top_k + s)] != c.base_id + s)
        return session.fail_id({c, out, t, c.top_k + s}, c.base_id + s, "base_id + s");
  return true;
}

}  // namespace relate

namespace law {

Law appended_ids_consecutive() {
  return {
      .name = "appended_ids_consecutive",
      .line = __LINE__,
      .sentence = "the last S slots of every token hold base_id, base_id + 1, ...",
      .domain = {.validity = Validity::kValid},
      .holds =
          [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) {
            relate::Session session("appended_ids_consecutive", candidate, bench);
            Outputs out;
            if (session.given(c, out)) relate::ids_are_appended(session, c, out);
            return session.report();
          },
  };
}

}  // namespace law
}  // namespace twincheck
