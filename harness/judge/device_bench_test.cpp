// Cases that travel to a device together get the verdicts that they get alone, wherever their buffers lie; on the driver of
// machines without a GPU.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/candidate/test/on_device.h"
#include "harness/case/generate.h"
#include "harness/judge/check.h"
#include "harness/judge/device.h"

namespace twincheck {
namespace {

using on_device::Mistake;

std::vector<Case> cases(std::size_t n, const Domain& domain = {}) {
  Choices choices = Choices::random(11);
  std::vector<Case> list;
  for (std::size_t i = 0; i < n; ++i) {
    choices.reseed(i + 1);
    list.push_back(draw_case(choices, domain));
  }
  return list;
}

std::string words(const Report& r) {
  return std::string(name(r.verdict)) + "/" + r.law + "/" + r.detail + "/" + std::to_string(r.ids_compared) + "/" +
         std::to_string(r.weights_wrong);
}

class DeviceBench : public testing::Test {
 protected:
  void SetUp() override {
    // By its soname it is then the libcuda.so.1 of this process.
    ASSERT_NE(dlopen(TWINCHECK_FAKE_CUDA "/libcuda.so.1", RTLD_NOW | RTLD_GLOBAL), nullptr) << dlerror();
    candidate = load_candidate(TWINCHECK_TEST_LIBRARIES "/libcandidate_on_device.so");
    make(Mistake::kNone);
  }
  void TearDown() override { make(Mistake::kNone); }
  void make(Mistake mistake) const { ASSERT_EQ(candidate.set("mistake", static_cast<int64_t>(mistake)), 0); }

  std::vector<Report> together(const std::vector<Case>& list, int threads) {
    Bench bench(MemoryKind::kCuda, uint64_t{1} << 30, 0, threads);
    std::vector<Report> reports(list.size());
    bench.for_each(list.size(), [&](std::size_t i, Bench& own) { reports[i] = check(list[i], candidate, own); });
    return reports;
  }

  Candidate candidate;
};

TEST_F(DeviceBench, TogetherCasesGetTheVerdictsThatTheyGetAlone) {
  const std::vector<Case> list = cases(3000);
  for (const Mistake mistake : {Mistake::kNone, Mistake::kLastRow, Mistake::kRowsIn18Bits}) {
    make(mistake);
    Bench alone(MemoryKind::kCuda, uint64_t{1} << 30);
    const std::vector<Report> reports = together(list, 3);
    int bad = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const Report report = check(list[i], candidate, alone);
      ASSERT_EQ(words(reports[i]), words(report)) << text(list[i]);
      bad += is_bad(report.verdict);
    }
    EXPECT_EQ(bad > 0, mistake == Mistake::kLastRow) << "sparse cases are among them";
  }
}

TEST_F(DeviceBench, ExactAllocationsGiveTheSameVerdicts) {
  const std::vector<Case> list = cases(1000, {.sparse = false});
  Bench guarded(MemoryKind::kCuda), exact(MemoryKind::kCuda, uint64_t{1} << 30, 0, 1, DeviceLayout::kExact);
  for (const Case& c : list) ASSERT_EQ(words(check(c, candidate, exact)), words(check(c, candidate, guarded))) << text(c);
}

// The real one, and whether the whole of shared was in memory that the driver has given out.
decltype(Candidate::append) real_append = nullptr;
int calls = 0, calls_outside = 0;
int32_t looks_at_shared(const AppendArgs* args) {
  const auto owner_of =
      reinterpret_cast<int (*)(void*, int, unsigned long long)>(dlsym(RTLD_DEFAULT, "cuPointerGetAttribute"));
  constexpr int kDeviceOrdinal = 9;
  const auto begin = reinterpret_cast<uintptr_t>(args->shared.data);
  int device;
  ++calls;
  for (const uintptr_t p : {begin, begin + static_cast<uintptr_t>(args->shared.rows * args->shared.cols) * 4 - 1})
    calls_outside += owner_of(&device, kDeviceOrdinal, p) != 0;
  return real_append(args);
}

TEST_F(DeviceBench, ExactAllocationsHoldAnInputThatLiesBesideAnOutput) {
  Bench exact(MemoryKind::kCuda, uint64_t{1} << 30, 0, 1, DeviceLayout::kExact);
  real_append = candidate.append;
  Candidate looking = candidate;
  looking.append = looks_at_shared;
  for (const Operand output : {Operand::kOutIds, Operand::kOutWeights})
    for (const int64_t bytes : {-32, 128}) {
      Case c;
      c.source = TWINCHECK_LOGITS;
      c.tokens = 4;
      c.top_k = 6;
      c.shared = 2;
      c.scale_bits = 0;  // whatever lies there becomes 0
      c.of(Operand::kShared).pointer = Pointer::kInto;
      c.of(Operand::kShared).pointer_operand = output;
      c.of(Operand::kShared).pointer_bytes = bytes;
      calls = calls_outside = 0;
      EXPECT_EQ(check(c, looking, exact).verdict, Verdict::kPassed) << text(c);
      EXPECT_GT(calls, 0);
      EXPECT_EQ(calls_outside, 0) << text(c);
    }
}

TEST_F(DeviceBench, BuffersOfEverySizeFit) {
  Case c;
  c.source = TWINCHECK_LOGITS;
  c.top_k = 6;
  c.shared = 2;
  std::vector<Case> list;
  for (const int64_t tokens : {1, 100, 400, 700, 1500, 3000, 9000, 40000, 300000, 5000, 100, 1}) {
    c.tokens = tokens;
    list.push_back(c);
    list.back().seed = static_cast<uint64_t>(tokens);
  }
  const std::vector<Report> reports = together(list, 2);
  for (std::size_t i = 0; i < list.size(); ++i) EXPECT_EQ(reports[i].verdict, Verdict::kPassed) << words(reports[i]);
}

TEST_F(DeviceBench, RowsThatLieFarApartMayBeMany) {
  Case c;
  c.source = TWINCHECK_WEIGHTS;
  c.top_k = 3;
  c.shared = 1;
  std::vector<Case> list;
  for (int64_t tokens = 2; tokens < 40; ++tokens)
    for (const Operand o : {Operand::kTopkIds, Operand::kOutWeights}) {
      c.tokens = tokens;
      c.layout = {};
      c.of(o).row_stride = (int64_t{1} << 31) / (tokens - 1) + tokens;
      list.push_back(c);
    }
  for (const Report& report : together(list, 4)) EXPECT_EQ(report.verdict, Verdict::kPassed) << words(report);
}

TEST_F(DeviceBench, WhatLeavesAJobLeavesTheWhole) {
  Bench bench(MemoryKind::kCuda, uint64_t{1} << 30, 0, 3);
  const Case c;
  std::atomic<int> begun = 0;
  EXPECT_THROW(bench.for_each(100000,
                              [&](std::size_t i, Bench& own) {
                                ++begun;
                                (void)check(c, candidate, own);
                                if (i == 700) throw std::runtime_error("a job's");
                              }),
               std::runtime_error);
  EXPECT_LT(begun, 100000) << "the others end too";
}

TEST_F(DeviceBench, HostMemoryRunsJobsInOrder) {
  Bench bench;
  std::vector<std::size_t> order;
  bench.for_each(20, [&](std::size_t i, Bench& own) {
    EXPECT_EQ(&own, &bench);
    order.push_back(i);
  });
  ASSERT_EQ(order.size(), 20u);
  for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], i);
}

// The last: the driver of this process is down afterwards.
TEST_F(DeviceBench, ZThatADeviceIsDownIsTold) {
  make(Mistake::kFaults);
  Case c;
  c.tokens = 3;
  c.top_k = 2;
  std::vector<Case> list(500, c);
  list[300].base_id = 666;
  list[300].shared = 1;
  try {
    (void)together(list, 2);
    FAIL() << "nobody saw it";
  } catch (const DeviceError& e) {
    EXPECT_NE(std::string(e.what()).find("CUDA_ERROR_ILLEGAL_ADDRESS"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace twincheck
