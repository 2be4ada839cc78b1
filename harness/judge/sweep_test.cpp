// Sweeps meet every value once, expect what the reference makes of each, and count everything that they compared, a wrong
// piece included.
#include "harness/judge/sweep.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <vector>

#include "harness/candidate/test/independent.h"
#include "reference/rounding.h"
#include "reference/sigmoid.h"

namespace twincheck {
namespace {

uint32_t element(const Sweep& sweep, const std::vector<std::byte>& from, std::size_t i) {
  uint32_t bits = 0;
  const std::size_t width = sweep.to == Dtype::kF32 ? 4 : 2;
  std::memcpy(&bits, from.data() + i * width, width);
  return bits;
}

uint32_t by_itself(const Sweep& sweep, uint32_t input) {
  const double value = reference::widen(reference::format_of(sweep.from), input);
  return sweep.source == Source::kLogits ? reference::sigmoid_correctly_rounded(value, 1.0f, sweep.to)
                                         : reference::round(reference::format_of(sweep.to), value);
}

TEST(Sweeps, MeetEveryChunkOnTheVectorPathAndOneInSixteenOnTheScalar) {
  for (const Sweep& sweep : sweeps()) {
    std::map<uint64_t, int> vector, scalar;
    for (uint64_t i = 0; i < sweep.pieces(); ++i) {
      const Sweep::Piece piece = sweep.piece(i);
      ASSERT_EQ(sweep.index_of(piece), i) << sweep.name;
      ++(piece.scalar ? scalar : vector)[piece.chunk];
    }
    ASSERT_EQ(vector.size(), sweep.chunks()) << sweep.name;
    EXPECT_EQ(scalar.size(), sweep.from == Dtype::kF32 ? sweep.chunks() / 16 : 1) << sweep.name;
    for (const auto& [chunk, times] : vector) ASSERT_EQ(times, 1) << sweep.name << " " << chunk;
    for (const auto& [chunk, times] : scalar) ASSERT_EQ(times, 1) << sweep.name << " " << chunk;
    EXPECT_GE(sweep.chunks() * kSweepChunk, sweep.values());
  }
}

// What lies between two equal results is not evaluated; evaluated it is the same.
TEST(Sweeps, ExpectWhatTheReferenceMakesOfEachValue) {
  // f32: zero, bf16's and f16's subnormals, where sigmoids leave 0.5, 1, f16's overflow, where sigmoids reach 0 and 1,
  // bf16's overflow and the NaNs; and the same below zero.
  constexpr uint32_t kPlaces[] = {0x00000000, 0x007c0000, 0x33000000, 0x38780000, 0x33800000, 0x3e000000, 0x3f800000,
                                  0x41880000, 0x42b00000, 0x42cc0000, 0x477c0000, 0x7f7c0000, 0x7f800000, 0x7ffc0000};
  for (const Sweep& sweep : sweeps()) {
    std::vector<uint64_t> firsts{0};
    const auto count = static_cast<std::size_t>(std::min(kSweepChunk, sweep.values()));
    if (sweep.from == Dtype::kF32) {
      firsts.clear();
      for (const uint32_t place : kPlaces) {
        ASSERT_EQ(place % kSweepChunk, 0u);
        firsts.push_back(place);
        firsts.push_back(place | 0x80000000u);
      }
    }
    std::vector<std::byte> expected(count * 4);
    for (const uint64_t first : firsts) {
      sweep_expected(sweep, first, count, expected.data());
      for (std::size_t i = 0; i < count; ++i) {
        const auto input = static_cast<uint32_t>(first + i);
        ASSERT_EQ(element(sweep, expected, i), by_itself(sweep, input)) << sweep.name << " " << input;
      }
    }
  }
}

TEST(Sweeps, CountEveryResultByItsDistance) {
  const Sweep& sweep = *find_sweep("f32-sigmoid");
  constexpr uint64_t kFirst = 0x3f800000;  // sigmoids from 0.731 on
  constexpr std::size_t kCount = 4096;
  std::vector<uint32_t> expected(kCount);
  sweep_expected(sweep, kFirst, kCount, expected.data());
  std::vector<uint32_t> got = expected;
  got[7] += 1;
  got[1023] -= 2;
  got[1024] += 31;
  got[1025] += 32;
  got[2000] = 0x7fc00000;
  got[4095] = 0x80000000 | expected[4095];
  SweepResult r;
  sweep_compare(sweep, kFirst, kCount, expected.data(), got.data(), r);
  EXPECT_EQ(r.values, kCount);
  EXPECT_EQ(r.ulp[0], kCount - 6);
  EXPECT_EQ(r.ulp[1], 1u);
  EXPECT_EQ(r.ulp[2], 1u);
  EXPECT_EQ(r.ulp[31], 1u);
  EXPECT_EQ(r.ulp[SweepResult::kFarther], 2u);
  EXPECT_EQ(r.ulp[SweepResult::kNanOrNumber], 1u);
  EXPECT_EQ(r.max_at, kFirst + 4095);
  EXPECT_EQ(r.wrong, 4u) << "1 and 2 ulp are within the interval";
  EXPECT_EQ(r.wrong_at, kFirst + 1024);

  SweepResult nans;
  constexpr uint64_t kNans = 0x7f800000;  // infinity, then NaNs
  sweep_expected(sweep, kNans, kCount, expected.data());
  got = expected;
  for (std::size_t i = 1; i < kCount; ++i) got[i] = 0xffc00000 + static_cast<uint32_t>(i);
  got[5] = 0x3f800000;
  sweep_compare(sweep, kNans, kCount, expected.data(), got.data(), nans);
  EXPECT_EQ(nans.ulp[0], 1u);
  EXPECT_EQ(nans.ulp[SweepResult::kNan], kCount - 2) << "any NaN will do";
  EXPECT_EQ(nans.ulp[SweepResult::kNanOrNumber], 1u);
  EXPECT_EQ(nans.wrong, 1u);
  EXPECT_EQ(nans.wrong_at, kNans + 5);

  nans.add(r);
  EXPECT_EQ(nans.values, 2 * kCount);
  EXPECT_EQ(nans.wrong, 5u);
  EXPECT_EQ(nans.wrong_at, kFirst + 1024);
  EXPECT_EQ(nans.max_at, kFirst + 4095);
}

// Wrong by one unit for one bit pattern of bf16, which any path may meet.
constexpr uint16_t kWrongAt = 0x4049;
int32_t wrong_at_one(const twincheck_append_args* args) {
  const int32_t status = independent::append(*args).status;
  const auto* in = static_cast<const uint16_t*>(args->shared.data);
  auto* out = static_cast<uint32_t*>(args->out_weights.data);
  if (status != TWINCHECK_OK || args->shared.dtype != TWINCHECK_BF16 || args->out_weights.dtype != TWINCHECK_F32)
    return status;
  for (int64_t t = 0; t < args->shared.rows; ++t) {
    for (int64_t s = 0; s < args->shared.cols; ++s) {
      if (in[t * args->shared.row_stride + s] != kWrongAt) continue;
      out[t * args->out_weights.row_stride + args->topk_weights.cols + s] += 1;
    }
  }
  return status;
}

TEST(Sweeps, CountTheValuesOfAFailingPieceToo) {
  Candidate candidate;
  candidate.append = wrong_at_one;
  Bench bench;
  SweepBench sweep_bench;
  const Sweep& sweep = *find_sweep("bf16-f32");
  for (const bool scalar : {false, true}) {
    SweepResult r;
    const Report report = sweep_bench.run(sweep, {0, scalar}, candidate, bench, r);
    EXPECT_EQ(report.verdict, Verdict::kFailed);
    EXPECT_EQ(report.law, promise::kAppendedWeights);
    EXPECT_EQ(r.values, 65536u);
    EXPECT_EQ(r.wrong, 1u);
    EXPECT_EQ(r.wrong_at, kWrongAt);
    EXPECT_EQ(r.ulp[1], 1u);
    EXPECT_EQ(r.max_ulp, 1u);
    EXPECT_EQ(r.ulp[SweepResult::kNan], 2u * 127);
    EXPECT_EQ(r.ulp[0], 65536u - 2 * 127 - 1);
  }
  candidate.append = [](const twincheck_append_args* args) { return independent::append(*args).status; };
  SweepResult r;
  EXPECT_EQ(sweep_bench.run(sweep, {0, false}, candidate, bench, r).verdict, Verdict::kPassed);
  EXPECT_EQ(r.wrong, 0u);
  EXPECT_EQ(r.max_ulp, 0u);
}

}  // namespace
}  // namespace twincheck
