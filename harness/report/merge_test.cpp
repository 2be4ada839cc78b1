// Merging is a law of its own: any order and any grouping of the parts give the same report.
#include "harness/report/merge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "harness/report/formats_test_support.h"

namespace twincheck {
namespace {

using test::Json;

// A shard whose numbers follow from its index.
RunReport shard(uint64_t index, uint64_t count) {
  RunReport run;
  run.version = "1";
  run.verb = "gate";
  run.work = "gate --tier pr";
  run.host = "host";
  run.started = "2024-05-06T07:08:0" + std::to_string(index % 10) + "Z";
  run.seconds = 1;
  run.seed = 7;
  run.shard = index;
  run.shards = count;
  run.tier = "pr";
  run.verdict = "passed";
  run.platforms = {{"cpu", true, "", {}}};
  run.laws = {{"equals_reference", "the twins agree", "properties/equals_reference.cpp", 12},
              {"rows_permute", "rows permute", "properties/rows_permute.cpp", 15}};
  CandidateRecord c;
  c.name = "cpu.fused";
  c.platform = "cpu";
  c.own = true;
  c.verdict = "passed";
  c.max_unsupported = 0;
  c.totals.cases = 10 + index;
  c.totals.verdicts[static_cast<std::size_t>(Verdict::kPassed)] = 10 + index;
  c.totals.sources = {index, 1, 2, 3};
  c.totals.ids_compared = 100;
  c.totals.weights_compared = 50;
  c.laws = {{"equals_reference", 1, c.totals.verdicts}, {"rows_permute", 0, {}}};
  c.grids = {{"sizes", "tokens", "top_k", {"0", "1"}, {"0"}, {{index, 0, 0}, {1, 0, 0}}}};
  c.classes = {{"source", "gate", "all", index, 10 + index, 0.1}};
  run.candidates = {c};
  run.stages = {{"cpu.fused", "laws", 1, c.totals.verdicts, true}};
  SweepRecord s;
  s.candidate = "cpu.fused";
  s.name = "f32-sigmoid";
  s.values = 100 + index;
  s.total = 4294967296;
  s.wrong = index;
  s.ulp = {99, 1 + index};
  s.max_ulp = index % 3;
  s.max_at = 1000 - index;
  run.sweeps = {s};
  run.golden = {{"append.jsonl", 3, 30, 30, 0, 0}};
  run.kills.run = true;
  run.kills.seed = 7;
  MutantRecord m;
  m.id = "00" + std::to_string(index);
  m.cells = index % 2 == 0 ? "x." : "+.";
  m.cases = 1000;
  m.kills = 5 * index;
  m.first = 1 + index;
  run.kills.mutants = {m};
  return run;
}

FailureRecord failure(const std::string& text, Verdict verdict, const std::string& detail, uint64_t count) {
  FailureRecord f;
  f.candidate = "cpu.fused";
  f.stage = "laws";
  f.law = "rows_permute";
  f.case_text = text;
  f.count = count;
  f.report.verdict = verdict;
  f.report.law = "appended_ids";
  f.report.detail = detail;
  return f;
}

std::vector<RunReport> shards(uint64_t count) {
  std::vector<RunReport> all;
  for (uint64_t i = 0; i < count; ++i) all.push_back(shard(i, count));
  return all;
}

Json document(const RunReport& run) { return Json::parse(results_json(run)); }

TEST(Merge, AddsUpEverything) {
  const RunReport merged = merge_reports(shards(4));
  EXPECT_EQ(merged.error, "");
  EXPECT_EQ(merged.exit_status, 0);
  EXPECT_EQ(merged.seconds, 4);
  EXPECT_EQ(merged.shards, 1u);
  EXPECT_EQ(merged.parts.size(), 4u);
  EXPECT_EQ(merged.started, "2024-05-06T07:08:00Z");
  const CandidateRecord& c = merged.candidates.at(0);
  EXPECT_EQ(merged.candidates.size(), 1u);
  EXPECT_EQ(c.totals.cases, 46u);
  EXPECT_EQ(c.totals.count(Verdict::kPassed), 46u);
  EXPECT_EQ(c.totals.sources[0], 6u);
  EXPECT_EQ(c.laws[0].cases(), 46u);
  EXPECT_EQ(c.grids[0].cells[0].cases, 6u);
  EXPECT_EQ(c.grids[0].cells[1].cases, 4u);
  EXPECT_EQ(c.classes[0].members, 6u);
  EXPECT_EQ(c.classes[0].population, 46u);
  EXPECT_EQ(c.sentence, "cpu.fused is right in 46 cases, 600 output elements");
  EXPECT_EQ(merged.stages.size(), 1u);
  EXPECT_EQ(merged.sweeps[0].values, 406u);
  EXPECT_EQ(merged.sweeps[0].wrong, 6u);
  EXPECT_EQ(merged.sweeps[0].ulp, (std::vector<uint64_t>{396, 10}));
  EXPECT_EQ(merged.sweeps[0].max_ulp, 2u);
  EXPECT_EQ(merged.sweeps[0].max_at, 998u) << "where the largest distance comes first";
  EXPECT_EQ(merged.golden[0].ids, 120u);
  EXPECT_EQ(merged.kills.mutants.size(), 4u);
  EXPECT_EQ(merged.kills.idle_laws, std::vector<std::string>{"rows_permute"});
  EXPECT_EQ(merged.kills.median_first, 2u);
  EXPECT_EQ(merged.kills.rare, 2u) << "0 and 5 of 1,000";
}

TEST(Merge, ForgetsTheOrderAndTheGrouping) {
  std::vector<RunReport> all = shards(6);
  all[1].failures = {failure("append b", Verdict::kFailed, "", 3)};
  all[4].failures = {failure("append a", Verdict::kFailed, "", 2), failure("append c", Verdict::kCrashed, "SIGSEGV, 1", 1)};
  all[5].failures = {failure("append longer", Verdict::kCrashed, "SIGSEGV, 2", 1)};
  for (const int i : {1, 4, 5}) all[static_cast<std::size_t>(i)].exit_status = 1;
  const Json expected = document(merge_reports(all));
  EXPECT_EQ(expected["failures"].size(), 2u);
  std::mt19937 random(7);
  for (int round = 0; round < 20; ++round) {
    std::shuffle(all.begin(), all.end(), random);
    EXPECT_EQ(document(merge_reports(all)), expected);
    const auto cut = all.begin() + round % 6;
    std::vector<RunReport> groups;
    for (const std::vector<RunReport>& group : {std::vector(all.begin(), cut), std::vector(cut, all.end())})
      if (!group.empty()) groups.push_back(merge_reports(group));
    EXPECT_EQ(document(merge_reports(groups)), expected) << "reports that are merged themselves";
  }
}

TEST(Merge, AFailureKeepsItsSmallestCaseAndAllItsTimes) {
  std::vector<RunReport> all = shards(3);
  for (RunReport& run : all) run.exit_status = 1;
  all[0].failures = {failure("append longer", Verdict::kFailed, "", 3)};
  all[1].failures = {failure("append a", Verdict::kFailed, "", 2)};
  all[2].failures = {failure("append b", Verdict::kFailed, "", 4), failure("append a", Verdict::kHung, "", 1)};
  const RunReport merged = merge_reports(all);
  EXPECT_EQ(merged.exit_status, 1);
  ASSERT_EQ(merged.failures.size(), 2u);
  EXPECT_EQ(merged.failures[0].case_text, "append a");
  EXPECT_EQ(merged.failures[0].count, 9u);
  EXPECT_EQ(merged.candidates[0].verdict, "failed");
  EXPECT_EQ(merged.candidates[0].sentence, "cpu.fused is wrong: 2 kinds of failures in 33 cases");
}

TEST(Merge, ACaseThatWasNamedIsAFailureOfItsOwn) {
  std::vector<RunReport> all = shards(2);
  for (std::size_t i = 0; i < 2; ++i) {
    all[i].failures = {failure("append " + std::to_string(i), Verdict::kFailed, "", 1)};
    all[i].failures[0].stage = "replay";
    all[i].exit_status = 1;
  }
  EXPECT_EQ(merge_reports(all).failures.size(), 2u);
}

TEST(Merge, WhatIsNotWholeSaysSo) {
  std::vector<RunReport> all = shards(3);
  all.erase(all.begin() + 1);
  RunReport merged = merge_reports(all);
  EXPECT_EQ(merged.exit_status, 2);
  EXPECT_EQ(merged.error, "gate --tier pr of cpu.fused, seed 0x7: 1 of 3 shards missing: 1 (from 0)");

  all = shards(2);
  all[1].interrupted = true;
  all[1].exit_status = 130;
  merged = merge_reports(all);
  EXPECT_EQ(merged.exit_status, 130);
  EXPECT_EQ(merged.candidates[0].verdict, "interrupted");

  all = shards(2);
  all[1].error = "no GPU";
  all[1].exit_status = 2;
  merged = merge_reports(all);
  EXPECT_EQ(merged.exit_status, 2);
  EXPECT_EQ(merged.error, "gate --tier pr of cpu.fused, seed 0x7, shard 1 of 2 (from 0): no GPU");
  all[0].failures = {failure("append a", Verdict::kFailed, "", 3)};
  EXPECT_EQ(merge_reports(all).exit_status, 1) << "a failure is a failure";

  all = shards(2);
  all.push_back(all[0]);
  EXPECT_THROW((void)merge_reports(all), ResultsError) << "counted twice";
  all.back().host = "other";
  EXPECT_THROW((void)merge_reports(all), ResultsError) << "a shard that was done again elsewhere";
  std::vector<RunReport> hosts{shard(0, 1), shard(0, 1)};
  hosts[1].host = "other";
  EXPECT_EQ(merge_reports(hosts).exit_status, 0) << "the same work on two machines";
  hosts[1].version = "2";
  EXPECT_THROW((void)merge_reports(hosts), ResultsError);
  EXPECT_EQ(merge_reports({}).exit_status, 2);
}

TEST(Merge, JudgesTheWholeAnew) {
  // A shard of nothing but refusals compared nothing; together with others it did.
  std::vector<RunReport> all = shards(2);
  all[0].candidates[0].totals.ids_compared = all[0].candidates[0].totals.weights_compared = 0;
  all[0].candidates[0].verdict = "nothing_compared";
  all[0].verdict = "nothing_compared";
  all[0].exit_status = 2;
  EXPECT_EQ(merge_reports(all).exit_status, 0);
  for (RunReport& run : all) {
    run.candidates[0].totals.ids_compared = run.candidates[0].totals.weights_compared = 0;
    run.sweeps.clear();
    run.golden.clear();
  }
  EXPECT_EQ(merge_reports(all).exit_status, 2);

  // One shard above what --max-unsupported allows, the whole below it.
  all = shards(2);
  for (RunReport& run : all) run.candidates[0].max_unsupported = 40;
  Totals& totals = all[0].candidates[0].totals;
  totals.verdicts = {};
  totals.verdicts[static_cast<std::size_t>(Verdict::kUnsupported)] = 5;
  totals.verdicts[static_cast<std::size_t>(Verdict::kPassed)] = 5;
  all[0].candidates[0].verdict = "unsupported";
  all[0].exit_status = 1;
  EXPECT_EQ(merge_reports(all).exit_status, 0);
  all[1].candidates[0].max_unsupported = 10;
  EXPECT_EQ(merge_reports(all).exit_status, 1);

  // What a part does not explain is not lost.
  all = shards(2);
  all[1].exit_status = 1;
  const RunReport merged = merge_reports(all);
  EXPECT_EQ(merged.exit_status, 1);
  EXPECT_EQ(merged.complaints.at(0).message,
            "gate --tier pr of cpu.fused, seed 0x7, shard 1 of 2 (from 0): it ended in 1 and does not say why");

  for (const auto& break_it : std::vector<void (*)(RunReport&)>{
           [](RunReport& r) { r.sweeps[0].failed = true; }, [](RunReport& r) { r.golden[0].wrong = 1; },
           [](RunReport& r) { r.golden[0].skipped = 1; }, [](RunReport& r) { r.kills.mutants[0].complaint = "survives"; },
           [](RunReport& r) {
             r.complaints = {{"fuzz_wrapper", "it fell", ""}};
           },
           [](RunReport& r) { ++r.candidates[0].totals.verdicts[static_cast<std::size_t>(Verdict::kFlaky)]; }}) {
    all = shards(2);
    break_it(all[1]);
    all[1].exit_status = 1;
    EXPECT_EQ(merge_reports(all).exit_status, 1);
    EXPECT_LE(merge_reports(all).complaints.size(), 1u) << "and says why";
  }
}

TEST(Merge, AKnownFailureIsWhatAllPartsMadeOfIt) {
  const auto state = [](std::initializer_list<std::tuple<const char*, uint64_t, uint64_t>> of_parts) {
    std::vector<RunReport> all = shards(of_parts.size());
    auto run = all.begin();
    for (const auto& [word, tried, failed] : of_parts) {
      KnownFailureRecord& k = (run++)->known_failures.emplace_back();
      k.file = "known.txt";
      k.state = word;
      k.tried = tried;
      k.failed = failed;
    }
    const RunReport merged = merge_reports(all);
    EXPECT_EQ(merged.known_failures.size(), 1u);
    return merged.known_failures[0].state + (merged.exit_status == 0 ? "" : "!");
  };
  EXPECT_EQ(state({{"passes", 5, 0}, {"fails", 5, 1}, {"not_met", 0, 0}}), "fails");
  EXPECT_EQ(state({{"not_met", 0, 0}, {"passes", 5, 0}}), "passes");
  EXPECT_EQ(state({{"not_met", 0, 0}, {"not_met", 0, 0}}), "not_met");
  EXPECT_EQ(state({{"elsewhere", 0, 0}, {"not_met", 0, 0}}), "not_met");
  EXPECT_EQ(state({{"elsewhere", 0, 0}, {"elsewhere", 0, 0}}), "elsewhere");
  EXPECT_EQ(state({{"fails", 5, 1}, {"expired", 0, 0}}), "expired!");
}

TEST(Merge, CurvesArePassedThroughAndThoseOfOtherDevicesToldApart) {
  const auto timed = [](uint64_t index, const std::string& device) {
    RunReport run = shard(index, 3);
    run.bench.run = true;
    run.bench.platform = "cuda";
    run.bench.device = device;
    run.bench.copy_bytes_per_second = 3e12;
    run.bench.empty = "cuda.empty";
    BenchPoint& p = run.bench.points.emplace_back();
    p.candidate = "cuda.fused";
    p.label = "top_k 8";
    p.tokens = static_cast<int64_t>(index);
    return run;
  };
  RunReport merged = merge_reports({shard(0, 3), timed(1, "H100"), timed(2, "H100")});
  EXPECT_EQ(merged.bench.device, "H100");
  EXPECT_EQ(merged.bench.points.size(), 2u);
  EXPECT_EQ(merged.bench.points[1].label, "top_k 8");
  EXPECT_EQ(merged.bench.copy_bytes_per_second, 3e12);
  merged = merge_reports({timed(0, "H100"), timed(1, "H200"), timed(2, "H100")});
  EXPECT_EQ(merged.bench.points.size(), 3u);
  EXPECT_EQ(merged.bench.device, "cuda: H100; cuda: H200; ");
  EXPECT_EQ(merged.bench.points[0].label, "top_k 8, cuda: H100");
  EXPECT_EQ(merged.bench.points[1].label, "top_k 8, cuda: H200");
  EXPECT_EQ(merged.bench.points[2].label, "top_k 8, cuda: H100");
  EXPECT_EQ(merged.bench.copy_bytes_per_second, 0) << "they have no ceiling in common";
  RunReport slow = timed(1, "H100");
  slow.bench.slower.emplace_back();
  EXPECT_EQ(merge_reports({shard(0, 3), slow, shard(2, 3)}).exit_status, 1);
}

TEST(Merge, ReportsThatCountOtherwiseAreRefused) {
  std::vector<RunReport> all = shards(2);
  all[1].candidates[0].grids[0].rows = {"0", "1-2"};
  EXPECT_THROW((void)merge_reports(all), ResultsError);
}

}  // namespace
}  // namespace twincheck
