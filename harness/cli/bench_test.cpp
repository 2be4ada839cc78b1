// bench with real runs: what it writes, what it compares with, what it catches.
#include <gtest/gtest.h>

#include "harness/cli/cli_test_support.h"
#include "harness/report/formats_test_support.h"

namespace {

using namespace twincheck::test;

// Short passes: what is tested is not how long anything takes.
const std::string kBench = "bench --platform cpu --seconds 0.005 --save '' ";

class Bench : public Cli {
 protected:
  Json json(const std::string& file) { return Json::parse(contents(folder_ / file)); }
  void write_json(const std::string& file, const Json& document) { write(file, document.dump()); }
};

TEST_F(Bench, TimesTheProjectsOwnSideBySideAndChecksThem) {
  const Ran r = run(kBench +
                    "--tokens 1,64,512 --source weights,gate --hidden 64 --csv a.csv --json a.json --plot a.svg "
                    "--report report");
  ASSERT_EQ(r.status, 0) << r.out << r.err;
  EXPECT_TRUE(has(r.out, "Times are the processor's, by the clock")) << r.out;
  EXPECT_TRUE(has(r.out, "PASSED: cpu.fused, 6 of 6 shapes timed and right")) << r.out;
  EXPECT_TRUE(has(r.out, "PASSED: cpu.unfused, 6 of 6 shapes timed and right")) << r.out;
  EXPECT_TRUE(has(r.out, "cpu.fused takes ")) << r.out;

  const std::string csv = contents(folder_ / "a.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 6 * 3);
  EXPECT_EQ(Xml::parse(contents(folder_ / "a.svg")).name, "svg");
  const Json document = json("report/results.json");
  const Schema schema(Json::parse(contents(TWINCHECK_RESULTS_SCHEMA)));
  EXPECT_EQ(schema.violations(document), std::vector<std::string>{});
  EXPECT_EQ(document["verdict"], "passed");
  EXPECT_GT(document["elements_compared"], 0);
  const Json& bench = document["bench"];
  EXPECT_EQ(bench["platform"], "cpu");
  EXPECT_EQ(bench["empty"], "cpu.empty");
  EXPECT_GT(bench["copy_bytes_per_second"], 0);
  ASSERT_EQ(bench["points"].size(), 6u * 3);
  for (const Json& point : bench["points"]) {
    EXPECT_EQ(point["verdict"], "passed");
    EXPECT_EQ(point["method"], "clock");
    EXPECT_GT(point["microseconds"], 0);
    EXPECT_LE(point["low"], point["microseconds"]);
    EXPECT_GE(point["high"], point["microseconds"]);
  }
  EXPECT_EQ(json("a.json")["points"], bench["points"]);
  EXPECT_TRUE(has(contents(folder_ / "report/index.html"), "cpu.empty"));
}

TEST_F(Bench, AnEarlierRunIsABaselineBothWays) {
  const std::string some = kBench + "--tokens 64,512 --layout tight,odd ";
  ASSERT_EQ(run(some + "--json before.json").status, 0);
  const Json before = json("before.json");
  const auto scaled = [&](const char* file, double factor) {
    Json other = before;
    for (Json& point : other["points"]) point["microseconds"] = point["microseconds"].get<double>() * factor;
    write_json(file, other);
  };
  scaled("slow.json", 1000);
  scaled("fast.json", 0.001);

  const Ran faster = run(some + "--baseline slow.json");
  EXPECT_EQ(faster.status, 0) << faster.out << faster.err;
  EXPECT_TRUE(has(faster.out, "8 of 12 times have one in slow.json, 0 of them slower by more than a factor of 1.05"))
      << faster.out;

  const Ran slower = run(some + "--baseline fast.json --max-slowdown 2 --report report");
  EXPECT_EQ(slower.status, 1) << slower.out << slower.err;
  EXPECT_TRUE(has(slower.out, "SLOWER: cpu.fused took ")) << slower.out;
  EXPECT_TRUE(has(slower.out, "8 of them slower")) << slower.out;
  EXPECT_EQ(json("report/results.json")["bench"]["slower"].size(), 8u);

  EXPECT_EQ(run(some + "--baseline fast.json --max-slowdown 100000").status, 0);
}

TEST_F(Bench, ABaselineThatSaysNothingIsNotGreen) {
  const std::string some = kBench + "--tokens 64 ";
  ASSERT_EQ(run(some + "--json before.json").status, 0);
  Json other = json("before.json");
  other["device"] = "another machine";
  write_json("other.json", other);
  const Ran elsewhere = run(some + "--baseline other.json");
  EXPECT_EQ(elsewhere.status, 2);
  EXPECT_TRUE(has(elsewhere.err, "--baseline other.json is of another machine on cpu, and this machine is"))
      << elsewhere.err;

  const Ran apart = run(kBench + "--tokens 65 --baseline before.json");
  EXPECT_EQ(apart.status, 2) << "no time in common";
  EXPECT_TRUE(has(apart.out, "0 of 3 times have one in before.json")) << apart.out;

  EXPECT_EQ(run(some + "--baseline missing.json").status, 2);
  write("no.json", "{}");
  const Ran no = run(some + "--baseline no.json");
  EXPECT_EQ(no.status, 2);
  EXPECT_TRUE(has(no.err, "--baseline no.json: ")) << no.err;
}

TEST_F(Bench, AWrongCandidateIsCaughtAfterTiming) {
  const Ran r = run(kBench + "--tokens 8,64 --candidate " + kTampering + " --report report", "TAMPER=flip_appended_weight");
  EXPECT_EQ(r.status, 1) << r.out << r.err;
  EXPECT_TRUE(has(r.out, "FAIL tampering.flip_appended_weight   law=appended_weights   bench")) << r.out;
  EXPECT_TRUE(has(r.out, "(after timing, in set ") || has(r.out, "after timing, in set ")) << r.out;
  EXPECT_TRUE(has(r.out, "replay: twincheck replay --candidate ")) << r.out;
  EXPECT_TRUE(has(r.out, "FAILED: tampering.flip_appended_weight, 0 of 2 shapes timed and right")) << r.out;
  EXPECT_TRUE(has(r.out, "PASSED: cpu.fused, 2 of 2 shapes timed and right")) << r.out;
  const Json document = json("report/results.json");
  EXPECT_EQ(document["verdict"], "failed");
  EXPECT_EQ(document["failures"].size(), 2u);
  for (const Json& point : document["bench"]["points"])
    if (point["candidate"] == "tampering.flip_appended_weight") {
      EXPECT_EQ(point["verdict"], "failed");
      EXPECT_EQ(point["microseconds"], 0) << "the time of a wrong result is none";
    }
}

TEST_F(Bench, ACrashAndAnUnsupportedShapeCostThatShape) {
  const Ran crash = run(kBench + "--tokens 8,64 --candidate " + kTampering, "TAMPER=sigsegv");
  EXPECT_EQ(crash.status, 1) << crash.out << crash.err;
  EXPECT_TRUE(has(crash.out, "CRASH tampering.sigsegv   law=no_crash   bench")) << crash.out;
  EXPECT_TRUE(has(crash.out, "PASSED: cpu.unfused, 2 of 2 shapes timed and right")) << crash.out;

  const Ran unsupported =
      run(kBench + "--tokens 8 --source constant,gate --hidden 64 --candidate " + kTampering, "TAMPER=unsupported_gate");
  EXPECT_EQ(unsupported.status, 0) << unsupported.out << unsupported.err;
  EXPECT_TRUE(has(unsupported.out, "PASSED: tampering.unsupported_gate, 1 of 2 shapes timed and right")) << unsupported.out;
  EXPECT_EQ(run(kBench + "--tokens 8 --source gate --hidden 64 --alone --candidate " + kTampering, "TAMPER=unsupported_gate")
                .status,
            2)
      << "nothing was compared";
}

TEST_F(Bench, ShapesThatDoNotFitAreNoFailure) {
  const Ran r = run(kBench + "--tokens 8,1000000000000 --memory-limit 512M");
  EXPECT_EQ(r.status, 0) << r.out << r.err;
  EXPECT_TRUE(has(r.out, "too_large")) << r.out;
  EXPECT_TRUE(has(r.out, "PASSED: cpu.fused, 1 of 2 shapes timed and right")) << r.out;
}

TEST_F(Bench, ShardsAreAllShapesTogether) {
  std::set<std::string> cases;
  for (const char* shard : {"1/3", "2/3", "3/3"}) {
    ASSERT_EQ(run(kBench + "--tokens 1..7 --shard " + shard + " --json part.json").status, 0);
    const Json part = json("part.json");
    for (const Json& point : part["points"]) cases.insert(point["case"]);
  }
  EXPECT_EQ(cases.size(), 7u);
  const Ran empty = run(kBench + "--tokens 1 --shard 2/3");
  EXPECT_EQ(empty.status, 0);
  EXPECT_TRUE(has(empty.out, "is empty: nothing to do")) << empty.out;
}

TEST_F(Bench, TheWorstShapesAreTimedOnceMore) {
  const Ran r = run(kBench + "--tokens 1,8,64,512 --again 2 --json a.json");
  ASSERT_EQ(r.status, 0) << r.out << r.err;
  const std::size_t once_more = r.out.find("Once more, longer:");
  ASSERT_NE(once_more, std::string::npos) << r.out;
  EXPECT_EQ(json("a.json")["points"].size(), 4u * 3) << "in place of the first times";
}

TEST_F(Bench, OptionsNameTheMistake) {
  const struct {
    std::string options, words;
  } kMistakes[] = {
      {"--tokens 1,x", "--tokens: found 'x' in '1,x', expected numbers"},
      {"--ids i16", "--ids: found 'i16', expected a list of i32, i64"},
      {"--weights f32,,bf16", "--weights: found '', expected a list of f32, bf16, f16"},
      {"--layout loose", "--layout: found 'loose', expected a list of tight, strided, uneven, in_place, odd"},
      {"--source nothing", "--source: found 'nothing', expected a list of constant, weights, logits, gate"},
      {"--max-slowdown 0", "--max-slowdown: found '0', expected a factor above 0"},
      {"--again -1", "--again: found '-1', expected a count"},
      {"--alone", "--alone needs a --candidate"},
  };
  for (const auto& [options, words] : kMistakes) {
    const Ran r = run("bench --platform cpu " + options);
    EXPECT_EQ(r.status, 2) << options;
    EXPECT_TRUE(has(r.err, words)) << options << "\n" << r.err;
  }
  const Ran help = run("bench --help");
  EXPECT_EQ(help.status, 0);
  EXPECT_TRUE(has(help.out, "Examples:") && has(help.out, "--max-slowdown")) << help.out;
}

TEST_F(Bench, AnInterruptedRunSaysSo) {
  EXPECT_EQ(interrupt("bench --platform cpu --seconds 30 --tokens 64 --save ''", "", std::chrono::milliseconds(1500)), 130);
  EXPECT_TRUE(has(contents(folder_ / "out.txt"), "INTERRUPTED: cpu.fused")) << contents(folder_ / "out.txt");
}

}  // namespace
