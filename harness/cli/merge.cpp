// `twincheck merge`: reports of shards, or of several machines, put together into one.
#include "harness/report/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "harness/cli/session.h"
#include "harness/cli/verbs.h"
#include "harness/report/conclude.h"

namespace twincheck {
namespace {

namespace fs = std::filesystem;

RunReport read_report(const std::string& argument) {
  std::error_code ignored;
  const fs::path path = fs::is_directory(argument, ignored) ? fs::path(argument) / "results.json" : fs::path(argument);
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file) throw UsageError(fmt::format("merge: {}: cannot be read, expected a results.json", path.string()));
  try {
    return read_results(text);
  } catch (const ResultsError& e) {
    throw UsageError(fmt::format("merge: {}: {}", path.string(), e.what()));
  }
}

void tell(const RunReport& run, Console& console) {
  for (const FailureRecord& f : run.failures)
    console.always(fmt::format("{}{}", f.message, f.count > 1 ? fmt::format("  {} times\n", f.count) : ""));
  for (const ComplaintRecord& c : run.complaints)
    console.always(fmt::format("{} {}", console.style().bad("FAIL"), c.message));
  for (const MutantRecord& m : run.kills.mutants)
    if (!m.complaint.empty()) console.always(fmt::format("{} {}", console.style().bad("FAIL"), m.complaint));
  for (const SweepRecord& s : run.sweeps)
    console.line(fmt::format("{} {}: {} values, {}", s.candidate, s.name, s.values,
                             s.failed        ? "not all right"
                             : s.interrupted ? "all right as far as it came"
                             : s.unsupported ? "not all supported"
                                             : "all right"));
  for (const GoldenRecord& g : run.golden)
    console.line(fmt::format("{}: {} records, {} wrong, {} skipped", g.file, g.records, g.wrong, g.skipped));
  if (run.kills.run)
    console.line(fmt::format(
        "{} of {} mutants killed",
        std::count_if(run.kills.mutants.begin(), run.kills.mutants.end(), [](const MutantRecord& m) { return m.first > 0; }),
        run.kills.mutants.size()));
  Totals totals;
  for (const CandidateRecord& c : run.candidates) totals.add(c.totals);
  if (totals.cases > 0) {
    console.line(verdict_line(totals));
    console.always(rate_line(totals));
    console.line(distribution_line(totals));
  }
  for (const CandidateRecord& c : run.candidates) console.conclusion(c);
}

}  // namespace

int merge(const Options& options) {
  Console console(options);
  std::vector<RunReport> reports;
  for (const std::string& argument : options.arguments) reports.push_back(read_report(argument));
  RunReport& record = *options.record;
  RunReport merged;
  try {
    merged = merge_reports(std::move(reports));
  } catch (const ResultsError& e) {
    throw UsageError(fmt::format("merge: {}", e.what()));
  }
  merged.arguments = record.arguments;
  record = std::move(merged);
  console.always(fmt::format("twincheck merge: {} reports, {} parts of {}", options.arguments.size(), record.parts.size(),
                             record.work.empty() ? "several works" : record.work));
  tell(record, console);
  if (!record.error.empty()) fmt::print(stderr, "twincheck: merge: {}\n", record.error);
  if (record.exit_status == kInterrupted) console.always("a part was interrupted: run it again");
  const bool good = record.exit_status == kGood;
  const char* word = good                              ? "PASSED"
                     : record.exit_status == kBad      ? "FAILED"
                     : !record.error.empty()           ? "NOT WHOLE"
                     : record.exit_status == kUnusable ? "NOTHING COMPARED"
                                                       : "INTERRUPTED";
  console.always(fmt::format("merge: {}{}", good ? console.style().good(word) : console.style().bad(word),
                             record.candidates.empty() ? "" : ": " + compared_line(record)));
  return record.exit_status;
}

}  // namespace twincheck
