// Sweeps on a device say what sweeps on the host say, and an oracle that is not the reference is found out; on the driver of
// machines without a GPU.
#include "harness/judge/device_sweep.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <optional>

#include "harness/candidate/test/on_device.h"

namespace twincheck {
namespace {

using on_device::Mistake;

constexpr const char* kOracle = TWINCHECK_FAKE_HOME "/lib/libtwincheck_cuda_oracle.so";
constexpr const char* kWrongOracle = TWINCHECK_TEST_LIBRARIES "/libwrong_oracle.so";

class DeviceSweeps : public testing::Test {
 protected:
  void SetUp() override {
    // By its soname it is then the libcuda.so.1 of this process.
    ASSERT_NE(dlopen(TWINCHECK_FAKE_CUDA "/libcuda.so.1", RTLD_NOW | RTLD_GLOBAL), nullptr) << dlerror();
    candidate = load_candidate(TWINCHECK_TEST_LIBRARIES "/libcandidate_on_device.so");
    make(Mistake::kNone);
    bench.emplace(MemoryKind::kCuda);
  }
  void TearDown() override { make(Mistake::kNone); }
  void make(Mistake mistake) const { ASSERT_EQ(candidate.set("mistake", static_cast<int64_t>(mistake)), 0); }

  SweepResult run(const Sweep& sweep, std::vector<Report>& reports) {
    DeviceSweepBench device(*bench, kOracle);
    const std::array pieces{sweep.piece(0), sweep.piece(sweep.chunks() == 1 ? 1 : 16)};
    std::array<SweepResult, 2> results{};
    std::array<SweepResult*, 2> pointers{&results[0], &results[1]};
    reports = device.run(sweep, pieces, candidate, pointers);
    results[0].add(results[1]);
    return results[0];
  }

  Candidate candidate;
  std::optional<Bench> bench;
};

TEST_F(DeviceSweeps, SayWhatTheHostSays) {
  const Candidate on_host = load_candidate(TWINCHECK_TEST_LIBRARIES "/libcandidate_independent.so");
  Bench host;
  for (const Sweep& sweep : sweeps()) {
    std::vector<Report> reports;
    const SweepResult found = run(sweep, reports);
    SweepBench here;
    SweepResult expected;
    for (const uint64_t i : {uint64_t{0}, uint64_t{sweep.chunks() == 1 ? 1u : 16u}})
      EXPECT_EQ(here.run(sweep, sweep.piece(i), on_host, host, expected).verdict, Verdict::kPassed);
    EXPECT_EQ(found.values, expected.values) << sweep.name;
    EXPECT_EQ(found.ulp, expected.ulp) << sweep.name;
    EXPECT_EQ(found.max_ulp, expected.max_ulp) << sweep.name;
    EXPECT_EQ(found.max_at, expected.max_at) << sweep.name;
    EXPECT_EQ(found.wrong, 0u) << sweep.name;
    for (const Report& report : reports) EXPECT_EQ(report.verdict, Verdict::kPassed) << sweep.name;
  }
}

TEST_F(DeviceSweeps, CountWhatIsWrongAndShowTheCase) {
  make(Mistake::kRowsIn18Bits);  // no sweep has so many rows: the candidate is right
  std::vector<Report> reports;
  EXPECT_EQ(run(*find_sweep("bf16-f32"), reports).wrong, 0u);
  make(Mistake::kNanIsZero);
  const SweepResult found = run(*find_sweep("bf16-f32"), reports);
  EXPECT_EQ(found.values, 2u * 65536);
  EXPECT_EQ(found.wrong, 2u * 254) << "every NaN, on both paths";
  EXPECT_EQ(found.wrong_at, 0x7f81u);
  EXPECT_EQ(found.ulp[SweepResult::kNanOrNumber], 2u * 254);
  for (const Report& report : reports) {
    EXPECT_EQ(report.verdict, Verdict::kFailed);
    EXPECT_EQ(report.law, promise::kAppendedWeights);
  }
}

TEST(DeviceOracle, IsTheReferenceOrIsRefused) {
  ASSERT_NE(dlopen(TWINCHECK_FAKE_CUDA "/libcuda.so.1", RTLD_NOW | RTLD_GLOBAL), nullptr) << dlerror();
  const std::unique_ptr<Device> device = open_device(MemoryKind::kCuda, 0);
  DeviceOracle oracle(*device, kOracle);
  for (const Sweep& sweep : sweeps()) {
    const DeviceOracle::Proof proof = oracle.prove(sweep, 20000, 2);
    EXPECT_EQ(proof.inputs, sweep.from == Dtype::kF32 ? 20000u : 65536u) << sweep.name;
    EXPECT_EQ(proof.left > 0, sweep.source == Source::kLogits && sweep.from != Dtype::kF32) << sweep.name << proof.left;
  }
  DeviceOracle wrong(*device, kWrongOracle);
  EXPECT_NO_THROW(wrong.prove(*find_sweep("bf16-f32"), 1, 2));
  try {
    (void)wrong.prove(*find_sweep("f16-sigmoid"), 1, 2);
    FAIL() << "nobody saw it";
  } catch (const OracleError& e) {
    EXPECT_NE(std::string(e.what()).find("is not the reference: f16-sigmoid, input 0x1234: "), std::string::npos)
        << e.what();
  }
  EXPECT_THROW(DeviceOracle(*device, TWINCHECK_TEST_LIBRARIES "/libcandidate_independent.so"), OracleError);
  EXPECT_THROW(DeviceOracle(*device, "no/such/library.so"), OracleError);
}

}  // namespace
}  // namespace twincheck
