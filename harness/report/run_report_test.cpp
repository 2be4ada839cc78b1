// What --report writes, from records made by hand: whatever a candidate prints, the files can be read.
#include "harness/report/run_report.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "harness/report/formats_test_support.h"
#include "harness/report/github.h"

namespace twincheck {
namespace {

namespace fs = std::filesystem;
using test::Element;
using test::Json;

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

test::Schema schema() { return test::Schema(Json::parse(contents(TWINCHECK_RESULTS_SCHEMA))); }

// Everything that a file format could trip over.
const std::string kNasty =
    "<script>alert(\"x\")</script> & ]]> ' \x01\x1b[31m \xff\xfe \xc0\x80 \xed\xa0\x80 \xe2\x82\xac\n</b>\ttab";

std::array<uint64_t, kVerdicts> counts(Verdict v, uint64_t n) {
  std::array<uint64_t, kVerdicts> all{};
  all[static_cast<std::size_t>(v)] = n;
  return all;
}

RunReport green() {
  RunReport run;
  run.version = "1.2.3";
  run.verb = "verify";
  run.arguments = {"twincheck", "verify", "--seed", "5eed"};
  run.started = "2024-05-06T07:08:09Z";
  run.host = "host";
  run.seconds = 1.5;
  run.seed = UINT64_MAX;
  run.tier = "pr";
  run.verdict = "passed";
  run.platforms = {{"cpu", true, "", {}}, {"hip", false, "hipErrorNoDevice", {}}};
  run.laws = {{"equals_reference", "the twins agree", "properties/equals_reference.cpp", 12},
              {"rows_permute", "rows permute", "properties/rows_permute.cpp", 15}};
  CandidateRecord& c = run.candidates.emplace_back();
  c.name = "cpu.fused";
  c.path = "/lib/libmine.so";
  c.platform = "cpu";
  c.verdict = "passed";
  c.sentence = "cpu.fused is right in 100 cases, 4000 output elements";
  c.totals.cases = 100;
  c.totals.verdicts = counts(Verdict::kPassed, 100);
  c.totals.ids_compared = c.totals.weights_compared = 2000;
  c.laws = {{"equals_reference", 0.25, counts(Verdict::kPassed, 60)}, {"rows_permute", 0.5, counts(Verdict::kPassed, 40)}};
  c.grids = {{"sizes",
              "tokens",
              "top_k",
              {"0", "1"},
              {"0", "1", "2-3"},
              {{1, 0, 0}, {2, 0, 0}, {3, 0, 0}, {4, 0, 0}, {5, 0, 0}, {6, 0, 0}}}};
  c.classes = {{"source", "gate", "all", 25, 100, 0.1}};
  run.stages = {{"cpu.fused", "generated", 1.0, counts(Verdict::kPassed, 100), true}};
  return run;
}

FailureRecord failure(const std::string& law, Verdict verdict, const std::string& promise) {
  FailureRecord f;
  f.candidate = "cpu.fused";
  f.stage = "generated";
  f.law = law;
  f.origin = "generated case 7 of seed 0x5eed";
  f.case_text = "append source=constant tokens=1 top_k=0 shared=1";
  f.replay = "twincheck replay 'append source=constant tokens=1 top_k=0 shared=1'";
  f.report.verdict = verdict;
  f.report.law = promise;
  f.report.detail = kNasty;
  f.report.mismatches = {{true, 0, 0, 0, "0x4020 (2.5)", "0x401f (2.484375)"}};
  f.output = kNasty;
  f.message = "FAIL cpu.fused   law=" + promise + "\n  " + kNasty + "\n";
  f.matrices = {{"out_ids", 1, {{"7", "8", true}}}};
  f.count = 3;
  return f;
}

RunReport red() {
  RunReport run = green();
  run.verdict = "failed";
  run.exit_status = 1;
  run.candidates[0].verdict = "failed";
  run.candidates[0].laws[0].verdicts = counts(Verdict::kFailed, 60);
  run.candidates[0].laws[1].verdicts = counts(Verdict::kCrashed, 40);
  run.candidates[0].sentence = kNasty;
  run.failures = {failure("equals_reference", Verdict::kFailed, "appended_weights"),
                  failure("rows_permute", Verdict::kCrashed, "no_crash")};
  run.bench.run = true;
  run.bench.device = "a device";
  run.bench.copy_bytes_per_second = 3e12;
  for (const int64_t tokens : {1, 4096}) {
    BenchPoint& p = run.bench.points.emplace_back();
    p.candidate = "cpu.fused";
    p.label = "top_k 8";
    p.tokens = tokens;
    p.bytes = 96;
    p.microseconds = 2;
    p.verdict = tokens == 1 ? "passed" : "failed";
    p.detail = kNasty;
  }
  run.bench.slower = {{"cpu.fused", "baseline.json", 1, 1.31, 1.31, "append tokens=4096"}};
  run.complaints = {{"generators", kNasty, "properties/rows_permute.cpp"}};
  run.sweeps = {{"cpu.fused", "f16-sigmoid", 1, 65536, 65536, 3, false, false, false, {65000, 536}, 1, 7}};
  run.golden = {{"corpus/golden/append.jsonl", 10, 100, 100, 1, 0}};
  run.kills.run = true;
  run.kills.idle_laws = {"rows_permute"};
  run.kills.mutants = {{"001",
                        "kept",
                        "it is wrong",
                        "project#1",
                        "equals_reference",
                        "optimized/mutants/001-kept.patch",
                        "x.",
                        "",
                        {"guards"},
                        100,
                        50,
                        2,
                        true},
                       {"002",
                        "survivor",
                        kNasty,
                        "",
                        "rows_permute",
                        "optimized/mutants/002-survivor.patch",
                        "..",
                        "mutant 002 survives",
                        {},
                        100,
                        0,
                        0,
                        false}};
  return run;
}

TEST(ResultsJson, IsWhatItsSchemaSays) {
  for (const RunReport& run : {green(), red(), RunReport{green()}}) {
    const Json document = Json::parse(results_json(run));
    EXPECT_EQ(schema().violations(document), std::vector<std::string>{});
  }
  const Json document = Json::parse(results_json(red()));
  EXPECT_EQ(document["seed"], "0xffffffffffffffff");
  EXPECT_EQ(document["candidates"][0]["laws"][0]["failures"], 60);
  EXPECT_EQ(document["candidates"][0]["grids"][0]["cases"], Json::parse("[[1,2,3],[4,5,6]]"));
  EXPECT_EQ(document["failures"][0]["matrices"][0]["cells"][0]["wrong"], true);
  EXPECT_EQ(document["bench"]["points"][1]["tokens"], 4096);
  for (const char* absent : {"mutants", "bench"}) EXPECT_TRUE(Json::parse(results_json(green()))[absent].is_null());
}

TEST(ResultsJson, ADocumentThatIsOtherwiseIsNotWhatTheSchemaSays) {
  const Json right = Json::parse(results_json(red()));
  const auto refused = [&](const char* pointer, const Json& value) {
    Json wrong = right;
    wrong[Json::json_pointer(pointer)] = value;
    EXPECT_FALSE(schema().violations(wrong).empty()) << pointer;
  };
  refused("/version", 2);
  refused("/format", "other");
  refused("/seed", 7);
  refused("/verdict", "fine");
  refused("/cases", -1);
  refused("/undocumented", 1);
  refused("/failures/0/count", 0);
  refused("/failures/0/mismatches/0/token", "0");
  refused("/candidates/0/laws/0/verdicts/passed", 1.5);
  refused("/candidates/0/grids/0/cases/0/0", "1");
  refused("/mutants/mutants/0/cells", "y");
  refused("/bench/points/0/microseconds", -1);
  Json lacking = right;
  lacking["failures"][0].erase("replay");
  EXPECT_FALSE(schema().violations(lacking).empty());
}

TEST(ResultsJson, IsReadAsItWasWritten) {
  RunReport merged = red();
  merged.parts = {
      {"verify --tier pr", "host", "2024-05-06T07:08:09Z", 1.5, 7, 2, 3, {"cpu.fused"}, "failed", 1, true, kNasty}};
  merged.known_failures = {{.file = "known.txt",
                            .line = 3,
                            .law = "*",
                            .pattern = "source=gate",
                            .on = "cpu",
                            .candidate = "",
                            .reason = kNasty,
                            .link = "link",
                            .expires = "2031-03-31",
                            .state = "fails",
                            .tried = 7,
                            .failed = 3,
                            .replay = "twincheck replay"}};
  for (const RunReport& run : {green(), red(), merged}) {
    const std::string text = results_json(run);
    EXPECT_EQ(results_json(read_results(text)), text);
  }
}

TEST(ResultsJson, OfAnEarlierTwincheckIsRead) {
  Json document = Json::parse(results_json(red()));
  document["later"] = {1, 2, 3};
  for (const char* added : {"/work", "/parts", "/candidates/0/max_unsupported"}) {
    const Json::json_pointer at(added);
    document[at.parent_pointer()].erase(at.back());
  }
  const RunReport run = read_results(document.dump());
  EXPECT_EQ(run.candidates[0].max_unsupported, 100);
  EXPECT_EQ(run.failures.size(), 2u);
}

TEST(ResultsJson, WhatIsNoReportIsToldWithItsPlace) {
  const auto told = [](const std::string& text, const std::string& words) {
    try {
      (void)read_results(text);
      ADD_FAILURE() << "read: " << text.substr(0, 200);
    } catch (const ResultsError& e) {
      EXPECT_NE(std::string(e.what()).find(words), std::string::npos) << e.what();
    }
  };
  const Json right = Json::parse(results_json(red()));
  const auto with = [&](const char* pointer, const Json& value) {
    Json wrong = right;
    wrong[Json::json_pointer(pointer)] = value;
    return wrong.dump();
  };
  told("", "no JSON");
  told(right.dump().substr(0, 4000), "no JSON");
  told("[]", "no report of twincheck");
  told(with("/format", "other"), "no report of twincheck");
  told(with("/version", 2), "version 2, expected 1");
  told(with("/seed", 7), "/seed: found 7, expected text");
  told(with("/seed", "0x"), "/seed: found \"0x\", expected a number in hexadecimal");
  told(with("/exit_status", "0"), "/exit_status: found \"0\", expected an integer");
  told(with("/candidates/0/cases", -1), "/candidates/0/cases: found -1, expected a count");
  told(with("/candidates/0/grids/0/cases", Json::parse("[[1,2,3]]")), "/candidates/0/grids/0/cases: expected 2 rows of 3");
  told(with("/failures/1/verdict", "fine"), "/failures/1/verdict: found \"fine\", expected a word as");
  told(with("/sweeps/0", 3), "/sweeps/0: found 3, expected an object");
  Json lacking = right;
  lacking["candidates"][0].erase("verdict");
  told(lacking.dump(), "/candidates/0/verdict: not there");
}

TEST(JUnit, IsWellFormedAndCountsWhatItHolds) {
  for (const RunReport& run : {green(), red()}) {
    const Element root = test::Xml::parse(junit_xml(run));
    ASSERT_EQ(root.name, "testsuites");
    const auto total = [&](const Element& of, const char* element) { return std::to_string(of.all(element).size()); };
    for (const auto& [attribute, element] :
         {std::pair{"tests", "testcase"}, {"failures", "failure"}, {"errors", "error"}, {"skipped", "skipped"}}) {
      EXPECT_EQ(root.attribute(attribute), total(root, element)) << attribute;
      for (const Element& suite : root.children) EXPECT_EQ(suite.attribute(attribute), total(suite, element)) << attribute;
    }
    for (const Element* c : root.all("testcase"))
      for (const char* attribute : {"name", "classname", "time"}) EXPECT_TRUE(c->attributes.contains(attribute));
  }
}

const Element& test_case(const Element& root, const std::string& classname, const std::string& name) {
  for (const Element* c : root.all("testcase"))
    if (c->attribute("classname") == classname && c->attribute("name") == name) return *c;
  throw std::runtime_error("no test case " + classname + " " + name);
}

TEST(JUnit, EachLawAndEachCandidateIsACase) {
  const Element right = test::Xml::parse(junit_xml(green()));
  EXPECT_EQ(right.attribute("failures") + right.attribute("errors") + right.attribute("skipped"), "000");
  for (const char* name : {"verdict", "equals_reference", "rows_permute"})
    (void)test_case(right, "twincheck.cpu.fused", name);
  EXPECT_EQ(test_case(right, "twincheck.cpu.fused", "rows_permute").attribute("line"), "15");

  const Element wrong = test::Xml::parse(junit_xml(red()));
  EXPECT_EQ(test_case(wrong, "twincheck.cpu.fused", "equals_reference").children.at(0).name, "failure");
  EXPECT_EQ(test_case(wrong, "twincheck.cpu.fused", "rows_permute").children.at(0).name, "error") << "a crash";
  EXPECT_EQ(test_case(wrong, "twincheck.cpu.fused", "verdict").children.at(0).name, "failure");
  EXPECT_EQ(test_case(wrong, "twincheck.mutants", "002 survivor").children.at(0).name, "failure");
  EXPECT_EQ(test_case(wrong, "twincheck.mutants", "001 kept").children.at(0).name, "system-out");
  EXPECT_EQ(test_case(wrong, "twincheck.reference", "corpus/golden/append.jsonl").children.at(0).name, "failure");
  EXPECT_EQ(test_case(wrong, "twincheck.bench.cpu.fused", "top_k 8").children.at(0).name, "failure");
  EXPECT_EQ(test_case(wrong, "twincheck.bench.cpu.fused", "baseline").children.at(0).name, "failure");
  EXPECT_EQ(test_case(wrong, "twincheck.verify", "generators").children.at(0).name, "failure");
}

TEST(JUnit, AnUnservedLawIsSkippedAndAnInterruptedRunIsAnError) {
  RunReport run = green();
  run.interrupted = true;
  run.candidates[0].laws[0].verdicts = {};
  run.candidates[0].laws[1].verdicts = counts(Verdict::kUnsupported, 9);
  const Element root = test::Xml::parse(junit_xml(run));
  EXPECT_EQ(test_case(root, "twincheck.cpu.fused", "equals_reference").children.at(0).name, "skipped");
  EXPECT_EQ(test_case(root, "twincheck.cpu.fused", "rows_permute").children.at(0).name, "skipped");
  EXPECT_EQ(test_case(root, "twincheck.verify", "run").children.at(0).name, "error");
}

// What the specification demands of the parts that are written (its section in brackets).
void expect_sarif(const Json& document) {
  EXPECT_EQ(document.at("version"), "2.1.0");  // [3.13.2]
  ASSERT_EQ(document.at("runs").size(), 1u);   // [3.13.4]
  const Json& run = document.at("runs")[0];
  const Json& driver = run.at("tool").at("driver");  // [3.14.6, 3.18.2]
  EXPECT_FALSE(driver.at("name").get<std::string>().empty());
  std::set<std::string> ids;
  for (const Json& rule : driver.at("rules")) {
    EXPECT_TRUE(ids.insert(rule.at("id").get<std::string>()).second) << "each rule once";  // [3.19.23]
    EXPECT_FALSE(rule.at("shortDescription").at("text").get<std::string>().empty());
  }
  for (const Json& invocation : run.at("invocations")) EXPECT_TRUE(invocation.at("executionSuccessful").is_boolean());
  for (const Json& result : run.at("results")) {
    const std::size_t index = result.at("ruleIndex");
    ASSERT_LT(index, driver.at("rules").size());
    EXPECT_EQ(driver.at("rules")[index].at("id"), result.at("ruleId"));  // [3.27.6]
    EXPECT_FALSE(result.at("message").at("text").get<std::string>().empty());
    EXPECT_EQ(result.at("kind"), "fail");  // a level other than none demands it [3.27.9]
    ASSERT_EQ(result.at("locations").size(), 1u);
    const Json& at = result.at("locations")[0].at("physicalLocation");
    EXPECT_GE(at.at("region").at("startLine"), 1);
    const std::string uri = at.at("artifactLocation").at("uri");
    EXPECT_EQ(uri.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/%:"),
              std::string::npos);
    const std::string base = at.at("artifactLocation").at("uriBaseId");
    EXPECT_TRUE(run.at("originalUriBaseIds").contains(base));  // [3.14.14]
    EXPECT_TRUE(result.at("partialFingerprints").is_object());
  }
}

TEST(Sarif, HasWhatTheSpecificationDemands) {
  expect_sarif(Json::parse(results_sarif(green())));
  expect_sarif(Json::parse(results_sarif(red())));
}

TEST(Sarif, AFailureIsAResultAtTheLineOfItsLaw) {
  const Json none = Json::parse(results_sarif(green()))["runs"][0];
  EXPECT_EQ(none["results"].size(), 0u) << "an empty array, not an absent one: the run has happened";
  EXPECT_TRUE(none["results"].is_array());
  const Json run = Json::parse(results_sarif(red()))["runs"][0];
  ASSERT_EQ(run["results"].size(), 5u) << "two failures, a mutant, a slower time, a complaint";
  const Json& crash = run["results"][1];
  EXPECT_EQ(crash["ruleId"], "rows_permute");
  EXPECT_EQ(crash["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], "properties/rows_permute.cpp");
  EXPECT_EQ(crash["locations"][0]["physicalLocation"]["region"]["startLine"], 15);
  EXPECT_EQ(crash["occurrenceCount"], 3);
  EXPECT_EQ(run["results"][2]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            "optimized/mutants/002-survivor.patch");
  RunReport interrupted = green();
  interrupted.interrupted = true;
  EXPECT_EQ(Json::parse(results_sarif(interrupted))["runs"][0]["invocations"][0]["executionSuccessful"], false);
}

TEST(Page, HoldsItsDataAndNeedsNoNetwork) {
  const std::string page = contents(TWINCHECK_PAGE), html = index_html(red()), mark = "@TWINCHECK_RESULTS@";
  const std::size_t at = page.find(mark), after = page.size() - at - mark.size();
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(html.substr(0, at), page.substr(0, at)) << "compiled in as it is";
  EXPECT_EQ(html.substr(html.size() - after), page.substr(at + mark.size()));
  const std::string data = html.substr(at, html.size() - after - at);
  EXPECT_EQ(data.find('<'), std::string::npos) << "nothing in the data ends the element that holds it";
  EXPECT_EQ(Json::parse(data), Json::parse(results_json(red())));
  EXPECT_EQ(page.find("://"), std::string::npos);
  for (const char c : page) ASSERT_LT(static_cast<unsigned char>(c), 0x80);
}

TEST(GitHub, AFailureIsAnAnnotationOfOneLineAtItsLaw) {
  const std::string text = github_annotations(red());
  EXPECT_EQ(github_annotations(green()), "");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5) << "two failures, a mutant, a slower time, a complaint:\n"
                                                           << text;
  EXPECT_NE(text.find("::error title=cpu.fused broke no_crash (crashed),file=properties/rows_permute.cpp,line=15::FAIL "
                      "cpu.fused   law=no_crash%0A  "),
            std::string::npos)
      << text;
  RunReport many = green();
  many.failures.assign(25, failure("equals_reference", Verdict::kFailed, "a: b, c"));
  const std::string ten = github_annotations(many);
  EXPECT_EQ(std::count(ten.begin(), ten.end(), '\n'), 10);
  EXPECT_NE(ten.find("and 15 more"), std::string::npos);
  EXPECT_NE(ten.find("title=cpu.fused broke a%3A b%2C c (failed),"), std::string::npos) << ten;
}

TEST(GitHub, TheSummaryHasARowACandidateAndARowAFailure) {
  const std::string text = github_summary(red());
  EXPECT_NE(text.find("### twincheck verify: FAILED\n"), std::string::npos);
  EXPECT_NE(text.find("| <code>cpu.fused</code> | FAILED | 100 | 0 | 4000 | 0.0 s |\n"), std::string::npos) << text;
  EXPECT_NE(text.find("twincheck replay 'append source=constant tokens=1 top&#95;k=0 shared=1'</code> |\n"),
            std::string::npos);
  EXPECT_EQ(text.find("<script>"), std::string::npos);
  EXPECT_NE(text.find("1 of 2 mutants killed"), std::string::npos);
}

class Folder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("twincheck_run_report_test." + std::to_string(getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
};

TEST_F(Folder, IsCreatedAndHoldsTheReportsAndNothingElse) {
  ASSERT_EQ(trouble_with_folder(folder_ / "a" / "b"), "");
  ASSERT_EQ(write_reports(green(), folder_ / "a" / "b"), "");
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder_ / "a" / "b")) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"index.html", "junit.xml", "results.json", "results.sarif"}));
  EXPECT_EQ(contents(folder_ / "a" / "b" / "results.json"), results_json(green()));
}

TEST_F(Folder, AnOldReportIsReplacedAsAWhole) {
  ASSERT_EQ(trouble_with_folder(folder_), "");
  ASSERT_EQ(write_reports(red(), folder_), "");
  // A reader that has the old file open goes on reading the old one.
  std::ifstream reader(folder_ / "results.json");
  ASSERT_EQ(write_reports(green(), folder_), "");
  const std::string read{std::istreambuf_iterator<char>(reader), {}};
  EXPECT_EQ(read, results_json(red()));
  EXPECT_EQ(contents(folder_ / "results.json"), results_json(green()));
}

TEST_F(Folder, ThatCannotBeWrittenIsNamed) {
  fs::create_directories(folder_);
  std::ofstream(folder_ / "file") << "x";
  EXPECT_NE(trouble_with_folder(folder_ / "file").find("file: "), std::string::npos);
  EXPECT_NE(trouble_with_folder(folder_ / "file" / "below").find("below: "), std::string::npos);
  EXPECT_NE(trouble_with_folder("/proc/twincheck"), "");
  EXPECT_NE(write_reports(green(), folder_ / "absent"), "");
  // Where a report's name is taken by a folder, nothing unfinished stays behind.
  fs::create_directories(folder_ / "full" / "results.json" / "x");
  EXPECT_NE(write_reports(green(), folder_ / "full").find("results.json"), std::string::npos);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_ / "full"), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace twincheck
