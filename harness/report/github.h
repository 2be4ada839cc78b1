// What a run says in GitHub Actions beside its log.
#pragma once

#include <string>

#include "harness/report/run_report.h"

namespace twincheck {

// Workflow commands, one a line, for the standard output: each failure is an error at its law. GitHub shows ten of a step;
// what is more is said in the tenth.
std::string github_annotations(const RunReport& run);

// Markdown for the job's summary: the verdict, a table of candidates, and one of failures.
std::string github_summary(const RunReport& run);

}  // namespace twincheck
