// Shrinking: from a case that fails to a small one that still does.
#pragma once

#include <chrono>
#include <functional>

#include "harness/case/case.h"

namespace twincheck {

// A case no larger or more involved than `start` for which `still_fails` is true. Requires still_fails(start).
//
// Greedy, field by field until nothing gives way: sizes (small ones are tried first, then bisected), layouts and overrides
// to the default, source, dtypes and parameters to the simplest, data made literal so that single rows and columns go and
// elements become zero. Every case that is tried is another one; where tokens are many, tries are of the cheapest sizes
// first. Stops at the deadline with what it has by then.
Case shrink(const Case& start, const std::function<bool(const Case&)>& still_fails,
            std::chrono::steady_clock::time_point deadline);

}  // namespace twincheck
