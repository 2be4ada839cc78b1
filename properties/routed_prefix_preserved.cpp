// The routed experts stay what and where they are: ids as the remap defines them, weights bit for bit.
#include "properties/definition.h"
#include "properties/list.h"

namespace twincheck {
namespace relate {

bool prefix_is_routed(Session& session, const Case& c, const Outputs& out) {
  const std::vector<uint64_t>& weights = c.literal[static_cast<std::size_t>(Operand::kTopkWeights)];
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t k = 0; k < c.top_k; ++k) {
      const Slots at{c, out, t, k};
      const auto i = static_cast<std::size_t>(t * out.columns + k);
      const int64_t e = id_at(c, t, k);
      const bool moves = c.remap > 0 && e >= 0;
      if (!is_free_id(c, t, k)) {
        const int64_t id = moves ? e + e / c.remap * c.shared : e;
        if (out.ids[i] != id) return session.fail_id(at, id, moves ? "the remapped id" : "the routed id");
      }
      const auto bits = static_cast<uint32_t>(weights[static_cast<uint64_t>(t * c.top_k + k) % weights.size()]);
      if (out.weights[i] != bits) return session.fail_weight(at, show(bits, c.weights_dtype), "the routed weight");
    }
  return true;
}

}  // namespace relate

namespace law {

Law routed_prefix_preserved() {
  return {
      .name = "routed_prefix_preserved",
      .line = __LINE__,
      .sentence = "the first K slots hold the routed ids, as the remap defines them, and the routed weights bit for bit",
      .domain = {.validity = Validity::kValid},
      .holds =
          [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) {
            relate::Session session("routed_prefix_preserved", candidate, bench);
            Outputs out;
            if (!session.given(c, out)) return session.report();
            const auto literal = relate::literalize(c);
            if (!literal)
              session.too_large();
            else
              relate::prefix_is_routed(session, *literal, out);
            return session.report();
          },
  };
}

}  // namespace law
}  // namespace twincheck
