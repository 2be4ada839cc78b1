// Recorded outputs, for the verb and for the gate.
#pragma once

#include <cstdint>
#include <string>

#include "harness/cli/cases.h"
#include "harness/cli/session.h"

namespace twincheck {

struct GoldenOutcome {
  uint64_t records = 0, ids = 0, weights = 0, wrong = 0, skipped = 0;
  CaseList inputs;  // of every record
};

// Checks the reference against the shard's records of a file; tells of at most --max-failures, and records them. `number`:
// of the records before, of all files. Ends early where the run is interrupted. UsageError with line, field and what was
// expected where a line is malformed.
GoldenOutcome check_golden(const std::string& path, const Options& options, Console& console, uint64_t& number);

}  // namespace twincheck
