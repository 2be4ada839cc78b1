// What a candidate's cases and sweeps come to: a run says it of itself, and a merge of what its parts found together.
#pragma once

#include <string>
#include <string_view>

#include "harness/report/run_report.h"

namespace twincheck {

// Sets verdict and sentence of a candidate of the run from its cases or, where it has none, from its sweeps. A candidate
// without either is nothing_compared; where `may_be_empty`, as a shard may, it stays as it is.
void conclude(CandidateRecord& candidate, const RunReport& run, bool may_be_empty);

// The word in front of the sentence, "PASSED"; empty where there is none.
std::string_view verdict_word(const CandidateRecord& candidate);

// "1234 cases and 56789 output elements compared on cpu, cuda: cpu.fused, cuda.fused"
std::string compared_line(const RunReport& run);

// Output elements, values and records that were compared, all of them together.
uint64_t compared(const RunReport& run);

}  // namespace twincheck
