// Where the elements lie does not matter: strides, offsets, places, in-place and shared buffers give the tight layout's
// bits.
#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {

Law layout_invariant() {
  return {
      .name = "layout_invariant",
      .line = __LINE__,
      .sentence = "any strides, offsets and in-place form give the bits of the tight layout",
      .domain = {.validity = Validity::kValid},
      .holds =
          [](const Case& c, Choices& choices, const Candidate& candidate, Bench& bench) {
            relate::Session session("layout_invariant", candidate, bench);
            Outputs given, of_tight, of_drawn;
            if (!session.given(c, given)) return session.report();
            const auto literal = relate::literalize(c);
            if (!literal) {
              session.too_large();
              return session.report();
            }
            const Case tight = relate::with_layout_tight(*literal);
            const Case drawn = relate::with_layout_drawn(choices, *literal);
            if (!session.related(tight, of_tight, "the tight layout") || !session.related(drawn, of_drawn, "another layout"))
              return session.report();
            for (int64_t t = 0; t < c.tokens; ++t)
              if (!session.agree({tight, of_tight, t}, {*literal, given, t}, given.columns, "as in the tight layout") ||
                  !session.agree({tight, of_tight, t}, {drawn, of_drawn, t}, given.columns,
                                 "another layout, as in the tight one"))
                break;
            return session.report();
          },
  };
}

}  // namespace twincheck::law
