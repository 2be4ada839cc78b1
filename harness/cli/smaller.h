// The smallest case that still breaks the same law, tried in isolated workers.
#pragma once

#include "harness/candidate/worker.h"

namespace twincheck {

struct Smaller {
  Item item;
  Report report;       // of the smaller case
  uint64_t tried = 0;  // cases judged
};

// `report` is what item came to: a bad verdict. A smaller case breaks the same promise with the same verdict. Takes about
// `seconds`, and one case's timeout more at most.
Smaller smaller_case(const Item& item, const Report& report, const MakeJudge& make_judge, const Limits& limits,
                     double seconds);

}  // namespace twincheck
