// The laws about devices, on the driver of machines without a GPU: each lets a right candidate pass and sees the mistakes
// that are its own.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "harness/candidate/test/on_device.h"
#include "properties/law.h"
#include "properties/many_rows.h"

namespace twincheck {
namespace {

using on_device::kMistakes;
using on_device::Mistake;

class DeviceLaws : public testing::Test {
 protected:
  void SetUp() override {
    setenv("FAKE_CUDA_DEVICES", "2", 1);
    setenv("FAKE_CUDA_MEMORY", "60000000000", 1);
    // By its soname it is then the libcuda.so.1 of this process.
    ASSERT_NE(dlopen(TWINCHECK_FAKE_CUDA "/libcuda.so.1", RTLD_NOW | RTLD_GLOBAL), nullptr) << dlerror();
    candidate = load_candidate(TWINCHECK_TEST_LIBRARIES "/libcandidate_on_device.so");
    make(Mistake::kNone);
    bench.emplace(MemoryKind::kCuda);
  }
  void TearDown() override { make(Mistake::kNone); }

  void make(Mistake mistake) const { ASSERT_EQ(candidate.set("mistake", static_cast<int64_t>(mistake)), 0); }

  // The first of some cases of which the law says something other than passed, or the last.
  Report judge(const Law& law, uint64_t cases) {
    Report report;
    for (uint64_t seed = 0; seed < cases && report.verdict == Verdict::kPassed; ++seed) {
      Choices choices = Choices::random(seed + 1);
      report = run_law(law, choices, candidate, *bench);
    }
    return report;
  }

  Candidate candidate;
  std::optional<Bench> bench;
};

// A hundred million rows are for a device.
bool is_for_tests(const Law& law) { return law.name != "many_rows"; }

TEST_F(DeviceLaws, LetARightCandidatePass) {
  for (const Law& law : device_laws())
    if (is_for_tests(law)) {
      const Report report = judge(law, 12);
      EXPECT_EQ(report.verdict, Verdict::kPassed) << law.name << ": " << report.law << ": " << report.detail;
    }
}

TEST_F(DeviceLaws, SeeTheirMistakes) {
  for (std::size_t i = 0; i < kMistakes.size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(kMistakes[i].mistake), i);
    const Law* const law = find_law(kMistakes[i].law);
    if (law == nullptr || !is_for_tests(*law)) continue;
    make(kMistakes[i].mistake);
    const Report report = judge(*law, 12);
    EXPECT_EQ(report.verdict, Verdict::kFailed) << kMistakes[i].name << ": " << report.detail;
    // far_offsets leaves it to check() to say what is wrong.
    const std::string_view words = law->name != "far_offsets"                    ? law->name
                                   : kMistakes[i].mistake == Mistake::kFarShared ? promise::kAppendedWeights
                                                                                 : promise::kAllWritten;
    EXPECT_EQ(report.law, words) << kMistakes[i].name << ": " << report.detail;
  }
}

TEST_F(DeviceLaws, HaveEachAMistake) {
  for (const Law& law : device_laws())
    EXPECT_TRUE(std::any_of(kMistakes.begin(), kMistakes.end(), [&](const auto& row) { return row.law == law.name; }))
        << law.name << " was never watched failing";
}

TEST_F(DeviceLaws, WhatCannotBeCapturedIsUnsupported) {
  make(Mistake::kSynchronizes);
  const Report report = judge(*find_law("graph_replays"), 12);
  EXPECT_EQ(report.verdict, Verdict::kUnsupported);
  EXPECT_NE(report.detail.find("cannot be captured: "), std::string::npos) << report.detail;
  EXPECT_EQ(judge(*find_law("rows_permute"), 12).verdict, Verdict::kPassed);
}

TEST_F(DeviceLaws, JudgeACandidateInHostMemoryByTheCaseAlone) {
  const Candidate on_host = load_candidate(TWINCHECK_TEST_LIBRARIES "/libcandidate_independent.so");
  Bench host;
  for (const Law& law : device_laws()) {
    Choices choices = Choices::random(3);
    EXPECT_EQ(run_law(law, choices, on_host, host).verdict, Verdict::kPassed) << law.name;
  }
}

TEST_F(DeviceLaws, FarOffsetsWithoutTheMemoryAreTooLarge) {
  setenv("FAKE_CUDA_MEMORY", "1000000000", 1);
  EXPECT_EQ(judge(*find_law("far_offsets"), 12).verdict, Verdict::kTooLarge);
}

class ManyRows : public DeviceLaws {
 protected:
  static Case rows_of(int32_t source) {
    Case c;
    c.source = source;
    c.tokens = 300'000;
    c.top_k = 2;
    c.shared = 1;
    c.hidden = source == TWINCHECK_GATE ? 3 : 0;
    c.base_id = 7;
    return c;
  }
};

TEST_F(ManyRows, AreRight) {
  for (const int32_t source : {TWINCHECK_CONSTANT, TWINCHECK_WEIGHTS, TWINCHECK_LOGITS, TWINCHECK_GATE}) {
    const Report report = relate::check_many_rows(rows_of(source), candidate, *bench);
    EXPECT_EQ(report.verdict, Verdict::kPassed) << source << ": " << report.detail;
    EXPECT_EQ(report.ids_compared, 900'000);
  }
}

TEST_F(ManyRows, LastOfThemIsLookedAt) {
  make(Mistake::kRowsIn18Bits);
  const Report report = relate::check_many_rows(rows_of(TWINCHECK_CONSTANT), candidate, *bench);
  EXPECT_EQ(report.verdict, Verdict::kFailed);
  EXPECT_EQ(report.law, "many_rows");
  EXPECT_NE(report.detail.find("300000 rows: out_ids[token=262144][slot=0]"), std::string::npos) << report.detail;
}

TEST_F(ManyRows, WithoutTheMemoryAreTooLarge) {
  setenv("FAKE_CUDA_MEMORY", "8000000", 1);
  EXPECT_EQ(relate::check_many_rows(rows_of(TWINCHECK_CONSTANT), candidate, *bench).verdict, Verdict::kTooLarge);
}

}  // namespace
}  // namespace twincheck
