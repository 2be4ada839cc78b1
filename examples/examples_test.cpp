// The examples stand trial like anybody's kernel.
#include <array>
#include <string>

#include <gtest/gtest.h>

#include "harness/candidate/candidate.h"
#include "harness/case/generate.h"
#include "harness/judge/check.h"

namespace twincheck {
namespace {

struct Trial {
  std::array<int64_t, kVerdicts> verdicts{};
  std::array<int64_t, 4> weights_compared{};  // by source
  std::string first_failure;

  int64_t of(Verdict v) const { return verdicts[static_cast<std::size_t>(v)]; }
};

Trial judge(const std::string& library, int cases) {
  const Candidate candidate = load_candidate(library);
  Bench bench;
  Choices choices = Choices::random(/*seed=*/0x5eed);
  Trial trial;
  for (int i = 0; i < cases; ++i) {
    const Case c = draw_case(choices);
    const Report report = check(c, candidate, bench);
    ++trial.verdicts[static_cast<std::size_t>(report.verdict)];
    if (report.verdict == Verdict::kPassed) {
      trial.weights_compared[static_cast<std::size_t>(c.source)] += report.weights_compared;
    }
    if (is_bad(report.verdict) && trial.first_failure.empty()) {
      trial.first_failure = report.law + ": " + report.detail + "\n" + text(c);
    }
  }
  return trial;
}

TEST(ExampleInC, IsRightWhereverItServes) {
  const Trial trial = judge(TWINCHECK_EXAMPLE_C, /*cases=*/40000);
  EXPECT_EQ(trial.first_failure, "");
  for (const int64_t compared : trial.weights_compared) EXPECT_GT(compared, 10000);
  EXPECT_GT(trial.of(Verdict::kRefused), 100);
  EXPECT_GT(trial.of(Verdict::kUnsupported), 0);
}

#ifdef TWINCHECK_EXAMPLE_HIP_CPU
TEST(ExampleInHip, IsRightOnTheCpuRuntimeWhereverItServes) {
  const Trial trial = judge(TWINCHECK_EXAMPLE_HIP_CPU, /*cases=*/40000);
  EXPECT_EQ(trial.first_failure, "");
  for (const Source s : {Source::kConstant, Source::kWeights, Source::kLogits}) {
    EXPECT_GT(trial.weights_compared[static_cast<std::size_t>(s)], 10000) << name(s);
  }
  EXPECT_EQ(trial.weights_compared[static_cast<std::size_t>(Source::kGate)], 0);
  EXPECT_EQ(trial.of(Verdict::kRefused), 0);
}
#endif

}  // namespace
}  // namespace twincheck
