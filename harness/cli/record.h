// From what verbs know to what --report writes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/cli/golden.h"
#include "harness/cli/mutants.h"
#include "harness/cli/session.h"
#include "harness/cli/sweeps.h"
#include "harness/report/run_report.h"

namespace twincheck {

// Every law, with the line that defines it.
std::vector<LawRecord> law_records();

std::vector<PlatformRecord> platform_records(const std::vector<Platform>& platforms);

// A candidate and what its cases came to; `generated`: those of them that the generators made. Its verdict is for the caller
// to say. Of a candidate in host memory the laws about devices are left out where they had no cases.
CandidateRecord candidate_record(const Participant& participant, const Tally& tally, const Tally& generated);

// `context` is what the failure's message was written with.
FailureRecord failure_record(std::string_view stage, const Item& item, const Report& report, const Context& context);

SweepRecord sweep_record(const Sweep& sweep, const Participant& participant, const SweepOutcome& outcome);
MatrixOfKills kills_record(const KillMatrix& matrix);
GoldenRecord golden_record(const std::string& path, const GoldenOutcome& outcome);

}  // namespace twincheck
