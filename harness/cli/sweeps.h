// Sweeps in isolated workers, for the verb and for the gate.
#pragma once

#include <string>

#include "harness/cli/session.h"
#include "harness/judge/sweep.h"

namespace twincheck {

struct SweepOutcome {
  SweepResult result;
  uint64_t pieces = 0;  // that were to be done
  double seconds = 0;
  bool failed = false, interrupted = false, unsupported = false;
};

// Runs this shard of a sweep against one candidate; prints progress, failures and one line of what came of it. LoadError
// where its memory is a device's and the oracle for that cannot be used.
SweepOutcome run_sweep(const Sweep& sweep, const Participant& participant, const Options& options, Console& console);

}  // namespace twincheck
