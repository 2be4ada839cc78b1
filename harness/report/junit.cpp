#include <fmt/format.h>

#include <algorithm>

#include "harness/report/run_report.h"

namespace twincheck {
namespace {

// The length of the well-formed UTF-8 sequence that `text` begins with, of characters that XML 1.0 allows; 0 where it begins
// with none.
std::size_t character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return first >= 0x20 || first == '\n' || first == '\t' ? 1 : 0;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0;
  if (length == 0 || first > 0xf4 || text.size() < length) return 0;
  unsigned code = first & (0x7fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i) & 0x3f);
  }
  constexpr unsigned kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  return code < kLeast[length] || surrogate || code > 0x10ffff || code == 0xfffe || code == 0xffff ? 0 : length;
}

std::string escaped(std::string_view text, bool attribute = true) {
  std::string safe;
  while (!text.empty()) {
    const std::size_t length = character(text);
    if (length == 0) {
      safe += "\xef\xbf\xbd";  // the replacement character
      text.remove_prefix(1);
      continue;
    }
    switch (text[0]) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\n':
        safe += attribute ? "&#10;" : "\n";
        break;
      case '\t':
        safe += attribute ? "&#9;" : "\t";
        break;
      default:
        safe += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return safe;
}

struct TestCase {
  std::string name, classname, file{};
  int line = 0;
  double seconds = 0;
  enum class Outcome { kPassed, kFailed, kError, kSkipped } outcome = Outcome::kPassed;
  std::string type{}, message{}, text{};  // of what is not passed
  std::string output{};
};

struct Suite {
  std::string name;
  double seconds = 0;
  std::vector<TestCase> cases;

  std::size_t count(TestCase::Outcome outcome) const {
    return static_cast<std::size_t>(
        std::count_if(cases.begin(), cases.end(), [&](const TestCase& c) { return c.outcome == outcome; }));
  }
};

using Outcome = TestCase::Outcome;

std::string counts(std::size_t tests, std::size_t failures, std::size_t errors, std::size_t skipped, double seconds) {
  return fmt::format("tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3f}\"", tests, failures, errors,
                     skipped, seconds);
}

std::string element(const TestCase& c) {
  std::string xml = fmt::format("    <testcase name=\"{}\" classname=\"{}\" time=\"{:.3f}\"", escaped(c.name),
                                escaped(c.classname), c.seconds);
  if (!c.file.empty()) xml += fmt::format(" file=\"{}\"", escaped(c.file));
  if (c.line > 0) xml += fmt::format(" line=\"{}\"", c.line);
  xml += ">\n";
  if (c.outcome == Outcome::kSkipped) xml += fmt::format("      <skipped message=\"{}\"/>\n", escaped(c.message));
  if (c.outcome == Outcome::kFailed || c.outcome == Outcome::kError) {
    const char* tag = c.outcome == Outcome::kFailed ? "failure" : "error";
    xml += fmt::format("      <{0} type=\"{1}\" message=\"{2}\">{3}</{0}>\n", tag, escaped(c.type), escaped(c.message),
                       escaped(c.text, /*attribute=*/false));
  }
  if (!c.output.empty()) xml += fmt::format("      <system-out>{}</system-out>\n", escaped(c.output, /*attribute=*/false));
  return xml + "    </testcase>\n";
}

bool is_error(Verdict v) { return v == Verdict::kCrashed || v == Verdict::kHung; }

// Makes a test case what the failures say: an error where one crashed or hung.
void fail_with(TestCase& c, const std::vector<const FailureRecord*>& failures) {
  if (failures.empty()) return;
  c.outcome = Outcome::kFailed;
  for (const FailureRecord* f : failures) {
    if (is_error(f->report.verdict)) c.outcome = Outcome::kError;
    c.text += f->message;
    if (!f->saved.empty() && f->message.find("saved: " + f->saved) == std::string::npos)
      c.text += fmt::format("  saved: {}\n", f->saved);
  }
  const FailureRecord& first = *failures[0];
  c.type = first.report.law;
  // The message's second line says what is wrong.
  std::string_view line = first.message;
  line.remove_prefix(std::min(line.find('\n'), line.size() - 1) + 1);
  line = line.substr(0, line.find('\n'));
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  c.message = fmt::format("{}{}: {}", name(first.report.verdict),
                          first.count > 1 ? fmt::format(", {} times", first.count) : std::string(), line);
}

TestCase law_case(const RunReport& run, const CandidateRecord& candidate, const LawResult& result) {
  TestCase c{.name = result.law, .classname = "twincheck." + candidate.name, .seconds = result.seconds};
  if (const LawRecord* law = run.law(result.law)) {
    c.file = law->file;
    c.line = law->line;
  }
  Totals totals;
  totals.verdicts = result.verdicts;
  c.output = fmt::format("{} cases: {}", result.cases(), verdict_line(totals));
  std::vector<const FailureRecord*> failures;
  for (const FailureRecord& f : run.failures)
    if (f.candidate == candidate.name && f.law == result.law && f.stage.rfind("sweep ", 0) != 0) failures.push_back(&f);
  fail_with(c, failures);
  if (c.outcome != Outcome::kPassed) return c;
  const uint64_t unsupported = totals.count(Verdict::kUnsupported);
  if (result.bad() > 0) {
    c.outcome = Outcome::kFailed;
    c.type = "failed";
    c.message =
        fmt::format("{} of {} cases failed, and the run ended before one could be shown", result.bad(), result.cases());
  } else if (result.cases() == unsupported) {
    c.outcome = Outcome::kSkipped;
    c.message = unsupported == 0 ? "no case" : fmt::format("all of {} cases are unsupported", unsupported);
  }
  return c;
}

Suite candidate_suite(const RunReport& run, const CandidateRecord& candidate) {
  Suite suite{.name = candidate.name, .seconds = candidate.totals.seconds, .cases = {}};
  TestCase verdict{.name = "verdict", .classname = "twincheck." + candidate.name, .seconds = candidate.totals.seconds};
  if (candidate.verdict == "not_run" || candidate.verdict == "interrupted") {
    verdict.outcome = Outcome::kSkipped;
    verdict.message = candidate.verdict == "not_run" ? "no case was run" : candidate.sentence;
  } else if (candidate.verdict != "passed") {
    verdict.outcome = Outcome::kFailed;
    verdict.type = candidate.verdict;
    verdict.message = candidate.sentence;
  }
  verdict.output =
      fmt::format("{} cases: {}\n{} ids and {} weights compared", candidate.totals.cases, verdict_line(candidate.totals),
                  candidate.totals.ids_compared, candidate.totals.weights_compared);
  suite.cases.push_back(std::move(verdict));
  for (const LawResult& law : candidate.laws) suite.cases.push_back(law_case(run, candidate, law));
  for (const SweepRecord& sweep : run.sweeps) {
    if (sweep.candidate != candidate.name) continue;
    TestCase c{.name = "sweep " + sweep.name, .classname = "twincheck." + candidate.name, .seconds = sweep.seconds};
    std::vector<const FailureRecord*> failures;
    for (const FailureRecord& f : run.failures)
      if (f.candidate == candidate.name && f.stage == c.name) failures.push_back(&f);
    fail_with(c, failures);
    if (c.outcome == Outcome::kPassed && sweep.failed) {
      c.outcome = Outcome::kFailed;
      c.type = "failed";
      c.message = "not all right";
    } else if (c.outcome == Outcome::kPassed && (sweep.unsupported || sweep.interrupted)) {
      c.outcome = Outcome::kSkipped;
      c.message = sweep.unsupported ? "not all supported" : "interrupted: all right as far as it came";
    }
    c.output = fmt::format("{} values compared", sweep.values);
    suite.cases.push_back(std::move(c));
  }
  return suite;
}

Suite golden_suite(const RunReport& run) {
  Suite suite{.name = "reference", .cases = {}};
  for (const GoldenRecord& g : run.golden) {
    TestCase c{.name = g.file, .classname = "twincheck.reference", .file = g.file};
    std::vector<const FailureRecord*> failures;
    for (const FailureRecord& f : run.failures)
      if (f.stage == "golden" && f.origin.rfind(g.file + ":", 0) == 0) failures.push_back(&f);
    fail_with(c, failures);
    if (g.wrong + g.skipped > 0) {
      c.outcome = Outcome::kFailed;
      c.type = "recorded_outputs";
      c.message = fmt::format("{} of {} records wrong, {} skipped", g.wrong, g.records, g.skipped);
    }
    c.output = fmt::format("{} records, {} ids and {} weights compared", g.records, g.ids, g.weights);
    suite.cases.push_back(std::move(c));
  }
  return suite;
}

Suite mutants_suite(const RunReport& run) {
  Suite suite{.name = "mutants", .seconds = run.kills.seconds, .cases = {}};
  for (const MutantRecord& m : run.kills.mutants) {
    TestCase c{.name = m.id + " " + m.name, .classname = "twincheck.mutants", .file = m.file, .line = 1};
    if (!m.complaint.empty()) {
      c.outcome = Outcome::kFailed;
      c.type = m.first == 0 ? "survives" : "other_law";
      c.message = c.text = m.complaint;
    }
    c.output = m.first == 0 ? m.sentence : fmt::format("{}\nkilled by case {}", m.sentence, m.first);
    suite.cases.push_back(std::move(c));
  }
  return suite;
}

// A known failure that comes is skipped, one that does not come passes, one that has expired fails.
Suite known_suite(const RunReport& run) {
  Suite suite{.name = "known failures", .cases = {}};
  for (const KnownFailureRecord& k : run.known_failures) {
    TestCase c{
        .name = fmt::format("{} {}", k.law, k.pattern), .classname = "twincheck.known", .file = k.file, .line = k.line};
    const std::string why = fmt::format("{} ({}), until {}", k.reason, k.link, k.expires);
    if (k.state == "expired") {
      c.outcome = Outcome::kFailed;
      c.type = k.state;
      c.message = c.text = "expired: " + why;
    } else if (k.state == "passes") {
      c.output = fmt::format("passes in all of {} cases: take it out; {}", k.tried, why);
    } else {
      c.outcome = Outcome::kSkipped;
      c.message = k.state == "fails"     ? fmt::format("fails in {} of {} cases as expected: {}", k.failed, k.tried, why)
                  : k.state == "not_met" ? "no case met it"
                                         : "of another candidate or device";
    }
    suite.cases.push_back(std::move(c));
  }
  return suite;
}

// Each curve of each candidate is a test case, wrong where a result is, or a time by --max-slowdown.
Suite bench_suite(const RunReport& run) {
  Suite suite{.name = "bench", .cases = {}};
  const auto curve = [&](const std::string& candidate, const std::string& name) -> TestCase& {
    const std::string classname = "twincheck.bench." + candidate;
    for (TestCase& c : suite.cases)
      if (c.classname == classname && c.name == name) return c;
    suite.cases.push_back({.name = name, .classname = classname});
    return suite.cases.back();
  };
  const auto wrong = [](TestCase& c, const char* type, const std::string& words) {
    if (c.outcome != Outcome::kFailed) c.message = words;
    c.outcome = Outcome::kFailed;
    c.type = type;
    c.text += words + "\n";
  };
  for (const BenchPoint& p : run.bench.points) {
    TestCase& c = curve(p.candidate, p.label);
    c.seconds += p.microseconds * 1e-6;
    c.output += fmt::format("{}{} tokens: {:.3f} us", c.output.empty() ? "" : "\n", p.tokens, p.microseconds);
    if (p.verdict == "failed" || p.verdict == "crashed" || p.verdict == "hung")
      wrong(c, "bench", fmt::format("{} tokens: {}: {}", p.tokens, p.verdict, p.detail));
  }
  for (const BenchRecord::Ratio& r : run.bench.slower)
    wrong(curve(r.candidate, "baseline"), "slower",
          fmt::format("{:.3f} times the time in {}: {}", r.most, r.against, r.most_at));
  return suite;
}

// The run itself, where there is something to say of it that is no candidate's.
Suite run_suite(const RunReport& run) {
  Suite suite{.name = run.verb, .cases = {}};
  for (const ComplaintRecord& complaint : run.complaints) {
    TestCase c{.name = complaint.subject, .classname = "twincheck." + run.verb, .file = complaint.file};
    c.outcome = Outcome::kFailed;
    c.type = complaint.subject;
    c.message = c.text = complaint.message;
    suite.cases.push_back(std::move(c));
  }
  TestCase whole{.name = "run", .classname = "twincheck." + run.verb, .seconds = run.seconds};
  if (const std::string cut_short = run.cut_short(); !cut_short.empty()) {
    whole.outcome = Outcome::kError;
    whole.type = run.error.empty() ? "interrupted" : "error";
    whole.message = cut_short;
  } else if (run.verdict == "nothing_compared" && run.exit_status != 0) {
    whole.outcome = Outcome::kFailed;
    whole.type = run.verdict;
    whole.message = "nothing was compared";
  }
  suite.cases.push_back(std::move(whole));
  return suite;
}

}  // namespace

std::string junit_xml(const RunReport& run) {
  std::vector<Suite> suites{run_suite(run)};
  for (const CandidateRecord& candidate : run.candidates) suites.push_back(candidate_suite(run, candidate));
  if (!run.known_failures.empty()) suites.push_back(known_suite(run));
  if (!run.golden.empty()) suites.push_back(golden_suite(run));
  if (run.kills.run) suites.push_back(mutants_suite(run));
  if (run.bench.run) suites.push_back(bench_suite(run));

  std::size_t tests = 0, failures = 0, errors = 0, skipped = 0;
  std::string body;
  for (const Suite& suite : suites) {
    const std::size_t failed = suite.count(Outcome::kFailed), error = suite.count(Outcome::kError),
                      skip = suite.count(Outcome::kSkipped);
    tests += suite.cases.size();
    failures += failed;
    errors += error;
    skipped += skip;
    // Dashboards want the time without a zone.
    body += fmt::format("  <testsuite name=\"{}\" {} timestamp=\"{}\" hostname=\"{}\">\n", escaped(suite.name),
                        counts(suite.cases.size(), failed, error, skip, suite.seconds), escaped(run.started.substr(0, 19)),
                        escaped(run.host));
    body += fmt::format(
        "    <properties>\n      <property name=\"twincheck\" value=\"{}\"/>\n      <property name=\"command\" "
        "value=\"{}\"/>\n      <property name=\"seed\" value=\"0x{:x}\"/>\n    </properties>\n",
        escaped(run.version), escaped(run.command()), run.seed);
    for (const TestCase& c : suite.cases) body += element(c);
    body += "  </testsuite>\n";
  }
  return fmt::format("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"twincheck {}\" {}>\n{}</testsuites>\n",
                     escaped(run.verb), counts(tests, failures, errors, skipped, run.seconds), body);
}

}  // namespace twincheck
