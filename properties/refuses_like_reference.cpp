// What the reference refuses is refused, with the table's status, and nothing is touched.
#include "properties/list.h"

namespace twincheck::law {

Law refuses_like_reference() {
  return {
      .name = "refuses_like_reference",
      .line = __LINE__,
      .sentence = "exactly what the reference refuses is refused, with its status, and nothing is touched",
      .domain = {.validity = Validity::kInvalid, .short_structs = true},
      .holds = [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) { return check(c, candidate, bench); },
  };
}

}  // namespace twincheck::law
