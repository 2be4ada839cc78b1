// Shards are disjoint, complete and the same every time, in every verb that runs cases; and their reports, merged, say what
// one process over the same cases says.
#include "harness/cli/shard.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "harness/cli/cases.h"
#include "harness/cli/cli_test_support.h"
#include "harness/report/formats_test_support.h"

namespace twincheck {
namespace {

namespace fs = std::filesystem;
using test::Json;
using test::Ran;

const std::string kRecording = test::kLibraries + "/libcandidate_recording.so";
const std::string kCorpus = TWINCHECK_CORPUS;

TEST(Shard, PartsAreDisjointAndComplete) {
  for (uint64_t count = 1; count <= 12; ++count) {
    for (uint64_t units = 0; units <= 40; ++units) {
      std::vector<int> taken(units);
      for (uint64_t index = 0; index < count; ++index) {
        const Shard shard{index, count};
        for (uint64_t i = 0; i < shard.size(units); ++i) {
          ASSERT_LT(shard.unit(i), units);
          EXPECT_TRUE(shard.owns(shard.unit(i)));
          EXPECT_EQ(shard.place(shard.unit(i)), i);
          ++taken[shard.unit(i)];
        }
      }
      EXPECT_EQ(taken, std::vector<int>(units, 1)) << units << " units in " << count;
    }
  }
}

TEST(Shard, GeneratedCasesKeepTheirPlacesAndTheirGroups) {
  for (const uint64_t cases : {0u, 1u, 7u, 8u, 9u, 100u, 1001u}) {
    for (const uint64_t count : {1u, 2u, 3u, 7u, 64u}) {
      std::vector<int> taken(cases);
      for (uint64_t index = 0; index < count; ++index) {
        const Generated generated{
            .seed = 0x5eed, .shard = {index, count}, .laws = {find_law("equals_reference")}, .cases = cases};
        for (uint64_t i = 0; i < generated.size(); ++i) {
          ASSERT_LT(generated.global_index(i), cases);
          ++taken[generated.global_index(i)];
          // A group of eight has memory in common: it goes to one worker of one shard, in order.
          EXPECT_EQ(generated.global_index(i) % 8, i % 8);
        }
      }
      EXPECT_EQ(taken, std::vector<int>(cases, 1)) << cases << " cases in " << count;
    }
  }
}

TEST(Shard, DeviceLawsCasesAreDisjointAndComplete) {
  const auto laws = [] {
    std::vector<const Law*> all;
    for (const Law& law : device_laws()) all.push_back(&law);
    return all;
  };
  const auto names = [](const Plan& plan) {
    std::multiset<std::string> lines;
    for (uint64_t i = 0; i < plan.size; ++i)
      lines.insert(plan.origin(i) + " " + plan.item(i).law + " " + text(plan.item(i).c));
    return lines;
  };
  const DeviceLawCases whole(0x5eed, laws(), 10, {});
  const std::multiset<std::string> expected = names(whole.plan());
  EXPECT_GT(expected.size(), device_laws().size());
  std::multiset<std::string> together;
  for (uint64_t index = 0; index < 3; ++index) {
    const DeviceLawCases part(0x5eed, laws(), 10, {index, 3});
    together.merge(names(part.plan()));
  }
  EXPECT_EQ(together, expected);
}

class Shards : public test::Cli {
 protected:
  std::multiset<std::string> calls(const std::string& name) {
    std::multiset<std::string> lines;
    std::istringstream file(test::contents(folder_ / name));
    for (std::string line; std::getline(file, line);) lines.insert(line);
    return lines;
  }
  Json report(const std::string& name) { return Json::parse(test::contents(folder_ / name / "results.json")); }

  // Runs a verb whole, then in `count` shards, whose calls of the candidate and whose merged report must be the same.
  void expect_shards(const std::string& arguments, int count) {
    SCOPED_TRACE(arguments);
    const std::string with = arguments + " --save '' --seed 5eed --candidate " + kRecording;
    const Ran whole = run(with + " --report whole", "RECORD_CALLS=whole.calls");
    ASSERT_EQ(whole.status, 0) << whole.out << whole.err;
    std::multiset<std::string> together;
    std::string reports;
    for (int i = 0; i < count; ++i) {
      const std::string part = std::to_string(i), shard = " --shard " + part + "/" + std::to_string(count);
      for (const std::string attempt : {"a", "b"}) {
        const Ran r = run(with + shard + " --report " + part, "RECORD_CALLS=" + part + attempt);
        ASSERT_EQ(r.status, 0) << r.out << r.err;
      }
      EXPECT_EQ(calls(part + "a"), calls(part + "b")) << "the same every time";
      together.merge(calls(part + "a"));
      reports += " " + part;
    }
    EXPECT_EQ(together, calls("whole.calls"));
    EXPECT_FALSE(together.empty());
    const Ran merged = run("merge" + reports + " --report merged");
    EXPECT_EQ(merged.status, 0) << merged.out << merged.err;
    EXPECT_EQ(Json::diff(test::without_times(report("whole")), test::without_times(report("merged"))), Json::array());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
};

TEST_F(Shards, OfVerify) {
  expect_shards("verify --cases 3001", 3);
  expect_shards("verify --cases 500 --no-corpus --law rows_permute", 2);
}

TEST_F(Shards, OfSweep) { expect_shards("sweep f16-bf16 bf16-sigmoid f16-f32", 3); }

// Every 256th piece of the sigmoid's 2^32 logits as one shard, and as eight: those that are congruent to it modulo 256.
TEST_F(Shards, OfASweepHaveItsHistogram) {
  const std::string sweep = "sweep f32-sigmoid --platform cpu --save ''";
  const Ran one = run(sweep + " --shard 0/256 --report one");
  ASSERT_EQ(one.status, 0) << one.out << one.err;
  std::string reports;
  for (int i = 0; i < 8; ++i) {
    const std::string part = std::to_string(i), shard = std::to_string(256 * i) + "/2048";
    ASSERT_EQ(run(sweep + " --shard " + shard + " --report " + part).status, 0);
    reports += " " + part;
  }
  EXPECT_EQ(run("merge" + reports + " --report merged").status, 2) << "2,040 shards of the whole are missing";
  const Json whole = test::without_times(report("one")["sweeps"]),
             together = test::without_times(report("merged")["sweeps"]);
  EXPECT_EQ(Json::diff(whole, together), Json::array());
  for (const Json& s : whole) {
    EXPECT_EQ(s["values"], (uint64_t{1} << 18) * 68);
    EXPECT_GT(s["ulp"][1], 0) << "results that are not all correctly rounded have a histogram to compare";
    uint64_t results = 0;
    for (const Json& n : s["ulp"]) results += n.get<uint64_t>();
    EXPECT_EQ(results, s["values"]);
  }
  EXPECT_EQ(whole.size(), 2u) << "cpu.fused, cpu.unfused";
}

TEST_F(Shards, OfGolden) {
  const fs::path other = fs::temp_directory_path() / ("twincheck_shard_test." + std::to_string(getpid()) + ".jsonl");
  std::ofstream(other) << test::contents(kCorpus + "/golden/append.jsonl").substr(0, 20000);
  std::string records = test::contents(other);
  std::ofstream(other) << records.substr(0, records.rfind('\n') + 1);
  expect_shards("golden " + kCorpus + "/golden/append.jsonl " + other.string(), 3);
  fs::remove(other);
}

TEST_F(Shards, OfReplayAndOfShrink) {
  const std::string files = kCorpus + "/edges/offsets.case " + kCorpus + "/edges/scales.case " + kCorpus +
                            "/edges/tokens.case 'append source=constant tokens=3 top_k=2 shared=1'";
  expect_shards("replay " + files, 3);
  expect_shards("shrink " + files, 3);
  expect_shards("replay append source=constant tokens=3 top_k=2 shared=1", 2);
}

TEST_F(Shards, LoseNoFailure) {
  // The kinds and how often each was met; which case shows it depends on what was met first.
  const auto kinds = [](const Json& report) {
    std::map<std::string, uint64_t> counts;
    for (const Json& f : report["failures"]) {
      const std::string stage = f["stage"], law = f["law"], promise = f["promise"], verdict = f["verdict"];
      counts[(stage.starts_with("sweep ") ? stage : "") + law + promise + verdict] += f["count"].get<uint64_t>();
    }
    return counts;
  };
  const std::string wrong = "TAMPER=flip_appended_weight";
  for (const std::string work : {"verify --no-corpus --cases 2000 --law equals_reference", "sweep f16-bf16 bf16-sigmoid"}) {
    SCOPED_TRACE(work);
    const std::string with = work + " --seed 5eed --save '' --candidate " + test::kTampering + " --report ";
    ASSERT_EQ(run(with + "whole", wrong).status, 1);
    for (const std::string part : {"0", "1", "2"}) {
      const bool empty = part == "2" && work.starts_with("sweep ");
      EXPECT_EQ(run(with + part + " --shard " + part + "/3", wrong).status, empty ? 0 : 1);
    }
    const Ran merged = run("merge 2 0 1 --report merged");
    EXPECT_EQ(merged.status, 1) << merged.out;
    EXPECT_TRUE(test::has(merged.out, "FAIL tampering.flip_appended_weight   law=")) << merged.out;
    EXPECT_TRUE(test::has(merged.out, "merge: FAILED: ")) << merged.out;
    Json one = test::without_times(report("whole")), other = test::without_times(report("merged"));
    EXPECT_FALSE(kinds(one).empty());
    EXPECT_EQ(kinds(one), kinds(other));
    EXPECT_EQ(one["failures"].size(), other["failures"].size());
    one.erase("failures");
    other.erase("failures");
    EXPECT_EQ(Json::diff(one, other), Json::array());
  }
}

// Reports as long as those of a gate that has found something everywhere.
TEST_F(Shards, SixtyFourAreMergedWithinTwoSeconds) {
  constexpr int kShards = 64;
  const Ran one =
      run("gate --cases 1001 --seed 5eed --max-failures 100 --save '' --report one --candidate " + test::kTampering,
          "TAMPER=flip_appended_weight");
  ASSERT_EQ(one.status, 1) << one.out << one.err;
  Json part = report("one");
  const uint64_t cases = part["candidates"][0]["cases"];
  EXPECT_GT(part["failures"].size(), 10u);
  part["shards"] = kShards;
  std::string reports;
  for (int i = 0; i < kShards; ++i) {
    part["shard"] = i;
    write(std::to_string(i) + "/results.json", part.dump(1));
    reports += " " + std::to_string(i);
  }
  const auto start = std::chrono::steady_clock::now();
  const Ran merged = run("merge" + reports + " --report merged");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
  EXPECT_EQ(merged.status, 1) << merged.out << merged.err;
  EXPECT_EQ(report("merged")["candidates"][0]["cases"], kShards * cases);
  EXPECT_EQ(report("merged")["failures"].size(), part["failures"].size());
}

// What together compared nothing is no pass, whatever each part said of itself.
TEST_F(Shards, ThatTogetherComparedNothingEndInTwo) {
  const std::string verify = "verify --no-corpus --seed 1 --cases 0 --save '' --candidate " + kRecording + " --report ";
  for (const std::string part : {"0", "1"}) EXPECT_EQ(run(verify + part + " --shard " + part + "/2").status, 0);
  const Ran merged = run("merge 0 1 --report merged");
  EXPECT_EQ(merged.status, 2) << merged.out;
  EXPECT_TRUE(test::has(merged.out, "merge: NOTHING COMPARED")) << merged.out;
  EXPECT_EQ(report("merged")["verdict"], "nothing_compared");
}

TEST_F(Shards, ThatAreMissingInterruptedOrTwiceAreToldByName) {
  const std::string verify = "verify --no-corpus --seed 1 --save '' --candidate " + kRecording + " --report ";
  for (const std::string part : {"0", "1", "3"})
    ASSERT_EQ(run(verify + part + " --cases 100 --shard " + part + "/4").status, 0);
  const Ran missing = run("merge 0 1 3 --report merged");
  EXPECT_EQ(missing.status, 2) << missing.out;
  EXPECT_TRUE(test::has(missing.err, "1 of 4 shards missing: 2 (from 0)")) << missing.err;
  EXPECT_EQ(report("merged")["verdict"], "error");
  EXPECT_EQ(report("merged")["cases"], 76) << "what there is, is there";
  expect_unusable("merge 0 1 3 1/results.json",
                  "twice the same part: verify --tier pr --cases 100 --no-corpus of "
                  "recording.plain, seed 0x1, shard 1 of 4 (from 0)");
  ASSERT_EQ(run(verify + "2 --cases 99 --shard 2/4").status, 0);
  EXPECT_EQ(run("merge 0 1 2 3").status, 2) << "a shard of other work";
  EXPECT_EQ(interrupt(verify + "2 --seconds 600 --shard 2/4", "A=B", std::chrono::milliseconds(700)), 130);
  ASSERT_EQ(run(verify + "5 --seconds 0.1 --shard 0/1").status, 0);
  const Ran interrupted = run("merge 5 2 --report merged");
  EXPECT_EQ(interrupted.status, 2) << "three shards are missing, and one is not whole: " << interrupted.out;
  expect_unusable("merge absent", "merge: absent: cannot be read, expected a results.json");
  write("other/results.json", "{\"format\": \"other\"}");
  expect_unusable("merge other", "merge: other/results.json: no report of twincheck");
  std::string text = test::contents(folder_ / "0" / "results.json");
  const std::string field = "\"ids_compared\": ";
  text.insert(text.find(field) + field.size(), "-");
  write("0/results.json", text);
  expect_unusable("merge 0", "merge: 0/results.json: /candidates/0/ids_compared: found -");
}

TEST_F(Shards, OfTheGate) { expect_shards("gate --cases 1001", 4); }

}  // namespace
}  // namespace twincheck
