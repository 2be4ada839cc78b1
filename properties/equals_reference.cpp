// The candidate and the reference are twins: every output lies in the reference's interval, nothing else changes, the same
// inputs give the same bits again, and exactly what the reference refuses is refused.
#include "properties/list.h"

namespace twincheck::law {

Law equals_reference() {
  return {
      .name = "equals_reference",
      .line = __LINE__,
      .sentence = "every output is what the reference says, and every refusal too; nothing else is touched",
      .domain = {.validity = Validity::kBoth, .short_structs = true},
      .holds = [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) { return check(c, candidate, bench); },
  };
}

}  // namespace twincheck::law
