// SARIF 2.1.0, https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. A rule is a law, or what else a gate asks;
// a result is a failure, at the line of the law that it breaks, so that code hosting shows it there.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "harness/report/run_report.h"

namespace twincheck {
namespace {

using Json = nlohmann::ordered_json;

// Of a path in the project: what a URI reference does not allow is escaped.
std::string uri(std::string_view path) {
  std::string escaped;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("-._~/").find(c) != std::string_view::npos;
    escaped += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return escaped;
}

Json location(const std::string& file, int line) {
  Json artifact{{"uri", uri(file)}};
  if (file.empty() || file[0] != '/') {
    artifact["uriBaseId"] = "SRCROOT";
  } else {
    artifact["uri"] = "file://" + uri(file);
  }
  return {{"physicalLocation", {{"artifactLocation", std::move(artifact)}, {"region", {{"startLine", std::max(1, line)}}}}}};
}

class Rules {
 public:
  // The rule's index.
  std::size_t add(const std::string& id, const std::string& sentence, const std::string& help) {
    for (std::size_t i = 0; i < rules_.size(); ++i)
      if (rules_[i]["id"] == id) return i;
    rules_.push_back({{"id", id},
                      {"shortDescription", {{"text", sentence}}},
                      {"help", {{"text", help}}},
                      {"defaultConfiguration", {{"level", "error"}}}});
    return rules_.size() - 1;
  }
  const Json& json() const { return rules_; }

 private:
  Json rules_ = Json::array();
};

Json result(std::size_t rule, const std::string& id, const std::string& message, Json at, const std::string& identity) {
  return {{"ruleId", id},
          {"ruleIndex", rule},
          {"kind", "fail"},
          {"level", "error"},
          {"message", {{"text", message}}},
          {"locations", Json::array({std::move(at)})},
          {"partialFingerprints", {{"twincheckFailure/v1", fmt::format("{:016x}", hash_of(identity))}}}};
}

}  // namespace

std::string results_sarif(const RunReport& run) {
  Rules rules;
  Json results = Json::array();
  const std::string laws_help =
      "docs/laws.md says why each law holds; the message ends in the command that replays the case.";
  for (const LawRecord& law : run.laws) rules.add(law.name, law.sentence, laws_help);

  for (const FailureRecord& f : run.failures) {
    std::string id = f.law, file = "properties/laws.inc";
    int line = 1;
    if (const LawRecord* law = run.law(f.law)) {
      file = law->file;
      line = law->line;
    }
    if (f.stage == "golden") {
      id = "recorded_outputs";
      rules.add(id, "the reference agrees with what other implementations recorded", "corpus/golden/README.md");
      const std::size_t colon = f.origin.rfind(':');
      file = f.origin.substr(0, colon);
      line = colon == std::string::npos ? 1 : std::atoi(f.origin.c_str() + colon + 1);
    }
    const std::size_t rule = rules.add(id, id, laws_help);
    Json one = result(rule, id, f.message, location(file, line),
                      fmt::format("{}/{}/{}/{}/{}", f.candidate, f.stage, f.law, f.report.law, name(f.report.verdict)));
    one["occurrenceCount"] = f.count;
    one["properties"] = {{"candidate", f.candidate},
                         {"promise", f.report.law},
                         {"verdict", name(f.report.verdict)},
                         {"case", f.case_text},
                         {"replay", f.replay}};
    results.push_back(std::move(one));
  }
  for (const GoldenRecord& g : run.golden) {
    if (g.skipped == 0) continue;
    const std::size_t rule =
        rules.add("recorded_outputs_skipped", "every recorded output is compared", "corpus/golden/README.md");
    results.push_back(result(rule, "recorded_outputs_skipped", fmt::format("{} of {} records skipped", g.skipped, g.records),
                             location(g.file, 1), g.file));
  }
  for (const CandidateRecord& c : run.candidates) {
    if (c.verdict != "unsupported" && c.verdict != "nothing_compared") continue;
    const std::size_t rule = rules.add(c.verdict, "a candidate serves the cases that it is judged on",
                                       "docs/command-line.md: --max-unsupported, exit statuses");
    results.push_back(result(rule, c.verdict, c.sentence, location("properties/laws.inc", 1), c.name + "/" + c.verdict));
  }
  for (const MutantRecord& m : run.kills.mutants) {
    if (m.complaint.empty()) continue;
    const std::size_t rule =
        rules.add("mutant_killed", "every mutant is killed, by the law that its header names", "docs/mutants.md");
    results.push_back(result(rule, "mutant_killed", m.complaint, location(m.file, 1), m.id));
  }
  for (const KnownFailureRecord& k : run.known_failures) {
    if (k.state != "expired") continue;
    const std::size_t rule =
        rules.add("known_failure_expired", "a known failure is mended before its date", "docs/known-failures.md");
    results.push_back(result(rule, "known_failure_expired",
                             fmt::format("expired on {}: {} ({})", k.expires, k.reason, k.link), location(k.file, k.line),
                             fmt::format("{}/{}/{}", k.law, k.pattern, k.on)));
  }
  for (const BenchRecord::Ratio& r : run.bench.slower) {
    const std::size_t rule = rules.add("slower", "a candidate is no slower than it was", "docs/report.md");
    results.push_back(result(
        rule, "slower", fmt::format("{} takes {:.3f} times the time in {}: {}", r.candidate, r.most, r.against, r.most_at),
        location("properties/laws.inc", 1), r.candidate + "/" + r.most_at));
  }
  for (const ComplaintRecord& c : run.complaints) {
    const std::size_t rule =
        rules.add(c.subject, "the gate's own " + c.subject + " are as they should be", "docs/report.md");
    results.push_back(result(rule, c.subject, c.message, location(c.file.empty() ? "properties/laws.inc" : c.file, 1),
                             c.subject + c.message));
  }

  const std::string cut_short = run.cut_short();
  Json invocation{{"commandLine", run.command()},
                  {"startTimeUtc", run.started},
                  {"exitCode", run.exit_status},
                  {"executionSuccessful", cut_short.empty()}};
  if (!cut_short.empty())
    invocation["toolExecutionNotifications"] = Json::array({{{"level", "error"}, {"message", {{"text", cut_short}}}}});
  const Json document{
      {"$schema", "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"},
      {"version", "2.1.0"},
      {"runs",
       Json::array({{{"tool", {{"driver", {{"name", "twincheck"}, {"version", run.version}, {"rules", rules.json()}}}}},
                     {"invocations", Json::array({std::move(invocation)})},
                     {"automationDetails", {{"id", fmt::format("twincheck/{}/", run.verb)}}},
                     {"originalUriBaseIds", {{"SRCROOT", {{"description", {{"text", "the root of the project"}}}}}}},
                     {"columnKind", "utf16CodeUnits"},
                     {"results", std::move(results)}}})}};
  return document.dump(1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

}  // namespace twincheck
