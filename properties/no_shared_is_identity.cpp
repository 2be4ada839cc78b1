// Without shared experts the operation copies: ids and weights come out as they went in, whatever source and remap say.
#include "properties/definition.h"
#include "properties/list.h"

namespace twincheck::law {

Law no_shared_is_identity() {
  return {
      .name = "no_shared_is_identity",
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
            if (!session.related(*literal, out, "no shared expert")) return session.report();
            const std::vector<uint64_t>& weights = literal->literal[static_cast<std::size_t>(Operand::kTopkWeights)];
            for (int64_t t = 0; t < c.tokens; ++t)
              for (int64_t k = 0; k < c.top_k; ++k) {
                const auto i = static_cast<std::size_t>(t * c.top_k + k);
                const int64_t id = relate::id_at(*literal, t, k);
                const auto bits = static_cast<uint32_t>(weights[i % weights.size()]);
                if (out.ids[i] != id) {
                  session.fail_id({*literal, out, t, k}, id, "the id that went in");
                  return session.report();
                }
                if (out.weights[i] != bits) {
                  session.fail_weight({*literal, out, t, k}, relate::show(bits, c.weights_dtype), "the weight that went in");
                  return session.report();
                }
              }
            return session.report();
          },
  };
}

}  // namespace twincheck::law
