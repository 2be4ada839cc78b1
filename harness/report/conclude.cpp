#include "harness/report/conclude.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace twincheck {
namespace {

// Kinds of failures in the candidate's cases.
std::size_t kinds(const CandidateRecord& candidate, const RunReport& run) {
  std::set<std::string> kinds;
  for (const FailureRecord& f : run.failures)
    if (f.candidate == candidate.name && f.stage != "golden" && f.stage.rfind("sweep ", 0) != 0)
      kinds.insert(failure_kind(f.law, f.report));
  return kinds.size();
}

void set(CandidateRecord& candidate, const char* verdict, std::string sentence) {
  candidate.verdict = verdict;
  candidate.sentence = std::move(sentence);
}

void conclude_sweeps(CandidateRecord& candidate, const RunReport& run) {
  uint64_t values = 0;
  bool failed = false, cut_short = run.interrupted;
  for (const SweepRecord& s : run.sweeps) {
    if (s.candidate != candidate.name) continue;
    values += s.values;
    failed |= s.failed;
    cut_short |= s.interrupted;
  }
  const std::string sentence = fmt::format("{}, {} values compared", candidate.name, values);
  if (failed) {
    set(candidate, "failed", sentence);
  } else if (cut_short) {
    set(candidate, "interrupted", sentence + ", as far as it came");
  } else if (values == 0) {
    set(candidate, "nothing_compared", fmt::format("{}: no value was compared", candidate.name));
  } else {
    set(candidate, "passed", sentence);
  }
}

}  // namespace

void conclude(CandidateRecord& candidate, const RunReport& run, bool may_be_empty) {
  const Totals& totals = candidate.totals;
  const std::string& name = candidate.name;
  const std::size_t failures = kinds(candidate, run);
  const double percent =
      totals.cases == 0 ? 0
                        : 100 * static_cast<double>(totals.count(Verdict::kUnsupported)) / static_cast<double>(totals.cases);
  const bool swept =
      std::any_of(run.sweeps.begin(), run.sweeps.end(), [&](const SweepRecord& s) { return s.candidate == name; });
  if (totals.bad() > 0 || failures > 0) {
    set(candidate, "failed",
        fmt::format("{} is wrong: {} {} in {} cases", name, failures,
                    failures == 1 ? "kind of failure" : "kinds of failures", totals.cases));
  } else if (percent > candidate.max_unsupported) {
    set(candidate, "unsupported",
        fmt::format("{} does not support {:.2f} % of {} cases, and {:g} % are allowed (--max-unsupported)", name, percent,
                    totals.cases, candidate.max_unsupported));
  } else if (totals.elements() == 0 && totals.cases > 0) {
    set(candidate, "nothing_compared",
        fmt::format("{}: no output element of a valid case was compared in {} cases ({})", name, totals.cases,
                    verdict_line(totals)));
  } else if (totals.cases > 0) {
    set(candidate, run.interrupted ? "interrupted" : "passed",
        fmt::format("{} is right in {} cases, {} output elements{}", name, totals.cases, totals.elements(),
                    run.interrupted ? ", as far as it came" : ""));
  } else if (swept) {
    conclude_sweeps(candidate, run);
  } else if (run.interrupted) {
    set(candidate, "interrupted", fmt::format("{}: nothing compared before the interruption", name));
  } else if (!may_be_empty) {
    set(candidate, "nothing_compared", fmt::format("{}: there was no case", name));
  }
}

std::string_view verdict_word(const CandidateRecord& candidate) {
  if (candidate.verdict == "failed" || candidate.verdict == "unsupported") return "FAILED";
  if (candidate.verdict == "nothing_compared") return "NOTHING COMPARED";
  return candidate.verdict == "passed" ? "PASSED" : "";
}

std::string compared_line(const RunReport& run) {
  uint64_t cases = 0, elements = 0;
  std::set<std::string> platforms;
  std::string who, where;
  for (const CandidateRecord& c : run.candidates) {
    cases += c.totals.cases;
    elements += c.totals.elements();
    platforms.insert(c.platform);
    who += fmt::format("{}{}", who.empty() ? "" : ", ", c.name);
  }
  for (const std::string& platform : platforms) where += fmt::format("{}{}", where.empty() ? "" : ", ", platform);
  const bool only_values = cases == 0 && compared(run) > 0;
  const std::string what = only_values ? fmt::format("{} values", compared(run))
                                       : fmt::format("{} cases and {} output elements", cases, elements);
  return fmt::format("{} compared on {}: {}", what, where, who);
}

uint64_t compared(const RunReport& run) {
  uint64_t all = 0;
  for (const CandidateRecord& c : run.candidates) all += c.totals.elements();
  for (const SweepRecord& s : run.sweeps) all += s.values;
  for (const GoldenRecord& g : run.golden) all += g.ids + g.weights;
  return all;
}

}  // namespace twincheck
