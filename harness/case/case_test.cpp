#include "harness/case/case.h"

#include <gtest/gtest.h>

#include <limits>

#include "harness/case/choices.h"

namespace twincheck {
namespace {

void expect_matrix(const Matrix& m, int64_t rows, int64_t cols, int64_t row_stride, Dtype dtype) {
  EXPECT_EQ(m.data, nullptr);
  EXPECT_EQ(m.rows, rows);
  EXPECT_EQ(m.cols, cols);
  EXPECT_EQ(m.row_stride, row_stride);
  EXPECT_EQ(m.dtype, static_cast<int32_t>(dtype));
  EXPECT_EQ(m.reserved, 0);
}

Case case_of(Source source) {
  Case c;
  c.source = static_cast<int32_t>(source);
  c.tokens = 3;
  c.top_k = 8;
  c.shared = 2;
  c.hidden = source == Source::kGate ? 64 : 0;
  c.ids_dtype = Dtype::kI64;
  c.weights_dtype = Dtype::kBf16;
  c.shared_dtype = Dtype::kF16;
  return c;
}

TEST(Matrices, HaveTheShapesThatTheSizesImply) {
  const Case c = case_of(Source::kGate);
  expect_matrix(matrix_of(c, Operand::kTopkIds), 3, 8, 8, Dtype::kI64);
  expect_matrix(matrix_of(c, Operand::kTopkWeights), 3, 8, 8, Dtype::kBf16);
  expect_matrix(matrix_of(c, Operand::kShared), 0, 0, 0, Dtype::kNone);
  expect_matrix(matrix_of(c, Operand::kHidden), 3, 64, 64, Dtype::kF16);
  expect_matrix(matrix_of(c, Operand::kGate), 1, 64, 64, Dtype::kF16);
  expect_matrix(matrix_of(c, Operand::kOutIds), 3, 10, 10, Dtype::kI64);
  expect_matrix(matrix_of(c, Operand::kOutWeights), 3, 10, 10, Dtype::kBf16);
}

TEST(Matrices, ThatTheSourceDoesNotUseAreZeros) {
  for (const Source source : {Source::kConstant, Source::kWeights, Source::kLogits}) {
    const Case c = case_of(source);
    expect_matrix(matrix_of(c, Operand::kHidden), 0, 0, 0, Dtype::kNone);
    expect_matrix(matrix_of(c, Operand::kGate), 0, 0, 0, Dtype::kNone);
    EXPECT_EQ(is_used(c, Operand::kShared), source != Source::kConstant);
  }
  Case c = case_of(Source::kWeights);
  expect_matrix(matrix_of(c, Operand::kShared), 3, 2, 2, Dtype::kF16);
  c.broadcast = true;
  expect_matrix(matrix_of(c, Operand::kShared), 3, 1, 1, Dtype::kF16);
  c.source = 7;
  expect_matrix(matrix_of(c, Operand::kShared), 0, 0, 0, Dtype::kNone);
}

TEST(Matrices, InPlaceFollowTheRowStrideOfTheOutput) {
  Case c = case_of(Source::kConstant);
  c.in_place = InPlace::kIds;
  c.of(Operand::kOutIds).row_stride = 13;
  EXPECT_EQ(matrix_of(c, Operand::kTopkIds).row_stride, 13);
  EXPECT_EQ(matrix_of(c, Operand::kTopkWeights).row_stride, 8);
  c.of(Operand::kTopkIds).row_stride = 9;
  EXPECT_EQ(matrix_of(c, Operand::kTopkIds).row_stride, 9);
}

TEST(Matrices, TakeOverridesAndKeepWhatIsImplied) {
  Case c = case_of(Source::kConstant);
  Layout& l = c.of(Operand::kTopkIds);
  l.rows = -1;
  l.cols = 5;
  l.dtype = 99;
  l.row_stride = 1;
  expect_matrix(matrix_of(c, Operand::kTopkIds), -1, 5, 1, static_cast<Dtype>(99));
  expect_matrix(implied_matrix_of(c, Operand::kTopkIds), 3, 8, 1, Dtype::kI64);
}

TEST(Matrices, SaturateWhereColumnsLeave64Bits) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  Case c;
  c.top_k = kMax;
  c.shared = 1;
  EXPECT_EQ(matrix_of(c, Operand::kOutIds).cols, kMax);
  c.top_k = std::numeric_limits<int64_t>::min();
  c.shared = -1;
  EXPECT_EQ(matrix_of(c, Operand::kOutIds).cols, std::numeric_limits<int64_t>::min());
}

TEST(Choices, ReplayedFromWhatWasDrawnAreTheSame) {
  Choices random = Choices::random(7);
  std::vector<uint64_t> first;
  for (const uint64_t n : {1, 2, 3, 10, 1000, 0}) first.push_back(random.below(n));
  const std::vector<uint64_t> tape = random.drawn();
  EXPECT_EQ(tape, first);
  Choices replayed = Choices::replay(tape);
  for (std::size_t i = 0; const uint64_t n : {1, 2, 3, 10, 1000, 0}) EXPECT_EQ(replayed.below(n), first[i++]);
}

TEST(Choices, OnATapeAreReducedAndZeroPastItsEnd) {
  const std::vector<uint64_t> tape{10, 11, ~uint64_t{0}};
  Choices choices = Choices::replay(tape);
  EXPECT_EQ(choices.below(10), 0u);
  EXPECT_EQ(choices.below(10), 1u);
  EXPECT_EQ(choices.below(0), ~uint64_t{0});
  EXPECT_EQ(choices.below(10), 0u);
  EXPECT_EQ(choices.between(-5, 5), -5);
  EXPECT_FALSE(choices.chance(99, 100));
}

TEST(Choices, StayInTheirRangeAndFillIt) {
  Choices choices = Choices::random(1);
  int counts[7] = {};
  for (int i = 0; i < 7000; ++i) ++counts[choices.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);
  for (int i = 0; i < 1000; ++i) {
    const int64_t value = choices.between(std::numeric_limits<int64_t>::min(), -3);
    EXPECT_LE(value, -3);
  }
  int chances = 0;
  for (int i = 0; i < 8000; ++i) chances += choices.chance(3, 8) ? 1 : 0;
  EXPECT_NEAR(chances, 3000, 200);
}

TEST(Choices, OfASeedAreTheSameForEver) {
  Choices choices = Choices::random(0);
  EXPECT_EQ(choices.below(0), 0x99ec5f36cb75f2b4u);  // xoshiro256** from splitmix64(0)
  EXPECT_EQ(choices.below(0), 0xbf6e1f784956452au);
  choices.reseed(0);
  EXPECT_EQ(choices.below(0), 0x99ec5f36cb75f2b4u);
}

}  // namespace
}  // namespace twincheck
