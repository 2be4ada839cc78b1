// Reports of parts put together: what one process over the same cases would have reported, times and the choice of a
// failure's case aside.
#pragma once

#include <vector>

#include "harness/report/run_report.h"

namespace twincheck {

// Counts, histograms and times are added up; failures are told apart as within a run (failure_kind) and keep the smallest
// case; verdicts are judged anew. The order of the reports does not matter, and merged reports merge as their parts would.
//
// Throws ResultsError where a part is there twice, or where the reports do not count alike (other versions). A shard that is
// missing, or could not go on, is told in `error`; one that was interrupted makes the whole interrupted. `exit_status` is
// what the command line promises: 1 where anything is wrong, otherwise 2 where `error` is not empty or nothing was compared,
// otherwise 130 where a part was interrupted, otherwise 0.
RunReport merge_reports(std::vector<RunReport> reports);

}  // namespace twincheck
