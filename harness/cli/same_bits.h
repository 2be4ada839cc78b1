// --same-bits-as: two candidates that claim one source, held to each other bit by bit where the reference leaves room.
#pragma once

#include <cstdint>

#include "harness/candidate/candidate.h"
#include "harness/case/case.h"
#include "harness/judge/check.h"
#include "harness/report/verdict.h"

namespace twincheck {

// Judges the case on both; where both pass their outputs must be equal, bounded weights and NaNs too, else the report is
// kFailed with the law same_bits and the first slots that differ. `twin` is in host memory; its buffers take at most
// max_bytes.
Report check_same_bits(const Case& c, const Candidate& candidate, Bench& bench, const Candidate& twin, uint64_t max_bytes);

}  // namespace twincheck
