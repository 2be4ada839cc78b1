#include "harness/report/github.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace twincheck {
namespace {

constexpr std::size_t kAnnotations = 10;
constexpr std::size_t kShown = 50;  // failures in a summary

// https://docs.github.com/en/actions/reference/workflow-commands-for-github-actions
std::string escaped(std::string_view text, bool property) {
  std::string safe;
  for (const char c : printable(text)) {
    const bool special = c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ','));
    safe += special ? fmt::format("%{:02X}", static_cast<unsigned char>(c)) : std::string(1, c);
  }
  return safe;
}

struct Annotation {
  std::string file;
  int line;
  std::string title, message;
  const char* level = "error";
};

// One line of Markdown inside a table, whatever it holds.
std::string code(std::string_view text) {
  std::string safe;
  for (const char c : printable(text)) {
    const bool markup = std::string_view("&<>|`*_[]\\").find(c) != std::string_view::npos;
    safe += c == '\n' ? " " : markup ? fmt::format("&#{};", static_cast<int>(c)) : std::string(1, c);
  }
  return "<code>" + safe + "</code>";
}

std::string upper(std::string text) {
  for (char& c : text) c = c == '_' ? ' ' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

std::string github_annotations(const RunReport& run) {
  std::vector<Annotation> all;
  if (!run.error.empty()) all.push_back({"", 0, "twincheck " + run.verb, run.error});
  for (const FailureRecord& f : run.failures) {
    const LawRecord* law = run.law(f.law);
    all.push_back({law != nullptr ? law->file : "", law != nullptr ? law->line : 0,
                   fmt::format("{} broke {} ({})", f.candidate, f.report.law, name(f.report.verdict)), f.message});
  }
  for (const CandidateRecord& c : run.candidates)
    if (c.verdict == "unsupported" || c.verdict == "nothing_compared") all.push_back({"", 0, c.name, c.sentence});
  for (const MutantRecord& m : run.kills.mutants)
    if (!m.complaint.empty()) all.push_back({m.file, 1, "mutant " + m.id, m.complaint});
  for (const KnownFailureRecord& k : run.known_failures) {
    const std::string why = fmt::format("{} ({})", k.reason, k.link);
    if (k.state == "expired") all.push_back({k.file, k.line, "known failure expired", "on " + k.expires + ": " + why});
    if (k.state == "passes") all.push_back({k.file, k.line, "known failure passes", "take it out: " + why, "warning"});
  }
  for (const BenchRecord::Ratio& r : run.bench.slower)
    all.push_back({"", 0, r.candidate, fmt::format("{:.3f} times the time in {}: {}", r.most, r.against, r.most_at)});
  for (const GoldenRecord& g : run.golden)
    if (g.skipped > 0) all.push_back({"", 0, g.file, fmt::format("{} of {} records skipped", g.skipped, g.records)});
  for (const ComplaintRecord& c : run.complaints) all.push_back({c.file, 0, c.subject, c.message});

  std::string text;
  for (std::size_t i = 0; i < std::min(all.size(), kAnnotations); ++i) {
    const Annotation& a = all[i];
    std::string message = a.message;
    if (i + 1 == kAnnotations && all.size() > kAnnotations)
      message += fmt::format("and {} more: see the job's summary", all.size() - kAnnotations);
    text += fmt::format("::{} title={}", a.level, escaped(a.title, true));
    if (!a.file.empty()) text += fmt::format(",file={}", escaped(a.file, true));
    if (a.line > 0) text += fmt::format(",line={}", a.line);
    text += fmt::format("::{}\n", escaped(message, false));
  }
  return text;
}

std::string github_summary(const RunReport& run) {
  std::string text = fmt::format("### twincheck {}: {}\n\n", run.verb, upper(run.verdict));
  if (run.interrupted) text += "Interrupted: this is what was done until then.\n\n";
  if (!run.error.empty()) text += code(run.error) + "\n\n";
  if (!run.candidates.empty()) {
    text += "| candidate | verdict | cases | failures | output elements | time |\n|---|---|---:|---:|---:|---:|\n";
    for (const CandidateRecord& c : run.candidates)
      text += fmt::format("| {} | {} | {} | {} | {} | {:.1f} s |\n", code(c.name), upper(c.verdict), c.totals.cases,
                          c.totals.bad(), c.totals.elements(), c.totals.seconds);
    text += '\n';
  }
  if (!run.failures.empty()) {
    text += "| candidate | law | broken | verdict | times | replay |\n|---|---|---|---|---:|---|\n";
    for (std::size_t i = 0; i < std::min(run.failures.size(), kShown); ++i) {
      const FailureRecord& f = run.failures[i];
      text += fmt::format("| {} | {} | {} | {} | {} | {} |\n", code(f.candidate), code(f.law), code(f.report.law),
                          name(f.report.verdict), f.count,
                          f.replay.empty() ? code(f.saved) : code(std::string_view(f.replay).substr(0, 2000)));
    }
    if (run.failures.size() > kShown) text += fmt::format("\nand {} more\n", run.failures.size() - kShown);
    text += '\n';
  }
  if (!run.known_failures.empty()) {
    text += "| known failure | on | state | failed | reason | until |\n|---|---|---|---:|---|---|\n";
    for (const KnownFailureRecord& k : run.known_failures)
      text += fmt::format("| {} | {} | {} | {} of {} | {} | {} |\n", code(k.law + " " + k.pattern), code(k.on),
                          upper(k.state), k.failed, k.tried, code(k.reason + " (" + k.link + ")"), k.expires);
    text += '\n';
  }
  if (run.kills.run)
    text += fmt::format(
        "{} of {} mutants killed in {:.1f} s.\n",
        std::count_if(run.kills.mutants.begin(), run.kills.mutants.end(), [](const MutantRecord& m) { return m.first > 0; }),
        run.kills.mutants.size(), run.kills.seconds);
  for (const MutantRecord& m : run.kills.mutants)
    if (!m.complaint.empty()) text += fmt::format("* {}\n", code(m.complaint));
  for (const BenchRecord::Ratio& r : run.bench.slower)
    text += fmt::format("* {} takes {:.3f} times the time in {}: {}\n", code(r.candidate), r.most, code(r.against),
                        code(r.most_at));
  for (const ComplaintRecord& c : run.complaints) text += fmt::format("* {}\n", code(c.message));
  for (const GoldenRecord& g : run.golden)
    text += fmt::format("{}: {} records, {} wrong, {} skipped.\n", code(g.file), g.records, g.wrong, g.skipped);
  uint64_t values = 0;
  for (const SweepRecord& s : run.sweeps) values += s.values;
  if (values > 0) text += fmt::format("{} values swept in {} sweeps.\n", values, run.sweeps.size());
  return text + '\n';
}

}  // namespace twincheck
