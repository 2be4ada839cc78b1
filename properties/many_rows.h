// Calls of so many rows that their data is made, and their results are looked at, in pieces.
#pragma once

#include "harness/candidate/candidate.h"
#include "harness/case/case.h"
#include "harness/judge/check.h"

namespace twincheck::relate {

// Judges one call of the case, tight, on the bench's device: every row against the reference, and the guards. kTooLarge
// where the device has not the memory. The case is no literal one.
Report check_many_rows(const Case& c, const Candidate& candidate, Bench& bench);

}  // namespace twincheck::relate
