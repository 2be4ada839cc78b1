// What the laws are made of: their own arithmetic against the hardware's and against every 16-bit value, and cases made of
// cases.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "harness/case/generate.h"
#include "properties/definition.h"
#include "properties/direct.h"
#include "properties/relate.h"
#include "properties/wrong_candidates.h"

namespace twincheck {
namespace {

using relate::number_of;
using relate::round_to;

TEST(Numbers, AreWhatTheirBitsAre) {
  EXPECT_EQ(number_of(0x3f800000, Dtype::kF32), 1);
  EXPECT_EQ(number_of(0x00000001, Dtype::kF32), 0x1p-149);
  EXPECT_EQ(number_of(0x8001, Dtype::kF16), -0x1p-24);
  EXPECT_EQ(number_of(0x7bff, Dtype::kF16), 65504);
  EXPECT_EQ(number_of(0x4049, Dtype::kBf16), 3.140625);
  EXPECT_TRUE(std::isinf(number_of(0x7c00, Dtype::kF16)));
  EXPECT_TRUE(std::isnan(number_of(0x7f81, Dtype::kBf16)));
}

TEST(Numbers, RoundToThemselves) {
  for (const Dtype dtype : {Dtype::kBf16, Dtype::kF16})
    for (uint32_t bits = 0; bits < 0x10000; ++bits) {
      if (relate::is_nan(bits, dtype)) continue;
      ASSERT_EQ(round_to(number_of(bits, dtype), dtype), bits) << name(dtype) << " " << bits;
      ASSERT_EQ(number_of(relate::widen(bits, dtype), Dtype::kF32), number_of(bits, dtype));
    }
}

TEST(Numbers, RoundToNearestEvenLikeTheHardware) {
  Choices choices = Choices::random(5);
  for (int i = 0; i < 200000; ++i) {
    const double v = std::bit_cast<double>(choices.below(0));
    if (std::isnan(v)) continue;
    int exponent = 0;
    const double small = std::ldexp(std::frexp(v, &exponent), static_cast<int>(choices.between(-155, 130)));
    ASSERT_EQ(round_to(small, Dtype::kF32), std::bit_cast<uint32_t>(static_cast<float>(small))) << small;
  }
}

TEST(Numbers, RoundHalfwayToEven) {
  for (const Dtype dtype : {Dtype::kBf16, Dtype::kF16}) {
    const uint32_t infinity = dtype == Dtype::kBf16 ? 0x7f80 : 0x7c00;
    for (uint32_t bits = 0; bits + 1 < infinity; ++bits) {
      const double below = number_of(bits, dtype), above = number_of(bits + 1, dtype), middle = (below + above) / 2;
      ASSERT_EQ(round_to(middle, dtype), bits + (bits & 1));
      ASSERT_EQ(round_to(std::nextafter(middle, 0), dtype), bits);
      ASSERT_EQ(round_to(std::nextafter(middle, INFINITY), dtype), bits + 1);
    }
    const double largest = number_of(infinity - 1, dtype), step = largest - number_of(infinity - 2, dtype);
    EXPECT_EQ(round_to(largest + step / 2, dtype), infinity);
    EXPECT_EQ(round_to(std::nextafter(largest + step / 2, 0), dtype), infinity - 1);
  }
}

// A literal form is the same case: the judge's verdict of it is the same, and so are the outputs.
TEST(LiteralCase, GivesTheSameOutputs) {
  Bench bench;
  const Candidate candidate = wrong::independent_candidate();
  int shared_buffers = 0;
  for (uint64_t seed = 0; seed < 3000; ++seed) {
    Choices choices = Choices::random(seed);
    const Case c = draw_case(choices, {.validity = Validity::kValid, .sparse = false, .max_tokens = 16});
    for (int i = 0; i < kInputs; ++i) shared_buffers += c.layout[static_cast<std::size_t>(i)].pointer == Pointer::kInto;
    const auto literal = relate::literalize(c);
    ASSERT_TRUE(literal) << text(c);
    Outputs a, b, d;
    ASSERT_EQ(check(c, candidate, bench, a).verdict, Verdict::kPassed) << text(c);
    ASSERT_EQ(check(*literal, candidate, bench, b).verdict, Verdict::kPassed) << text(*literal);
    ASSERT_EQ(check(relate::with_layout_tight(*literal), candidate, bench, d).verdict, Verdict::kPassed);
    ASSERT_EQ(a.ids, b.ids) << text(c);
    ASSERT_EQ(a.weights, b.weights) << text(c);
    ASSERT_EQ(a.weights, d.weights) << text(c);
    relate::Buffers buffers(*literal);
    ASSERT_EQ(candidate.append(&buffers.args), TWINCHECK_OK);
    EXPECT_EQ(buffers.changed(), "");
    ASSERT_EQ(buffers.outputs().ids, a.ids) << text(c);
    ASSERT_EQ(buffers.outputs().weights, a.weights) << text(c);
  }
  EXPECT_GT(shared_buffers, 0);
}

TEST(SelectedRows, AreTheRowsOfTheOutput) {
  Bench bench;
  const Candidate candidate = wrong::independent_candidate();
  for (uint64_t seed = 0; seed < 500; ++seed) {
    Choices choices = Choices::random(seed);
    const Case c = draw_case(choices, {.validity = Validity::kValid, .remap = false, .sparse = false, .max_tokens = 16});
    if (c.tokens == 0) continue;
    const auto literal = relate::literalize(c);
    ASSERT_TRUE(literal);
    const int64_t row = choices.between(0, c.tokens - 1);
    const std::vector<int64_t> rows{row, row};
    Outputs a, b;
    ASSERT_EQ(check(*literal, candidate, bench, a).verdict, Verdict::kPassed);
    ASSERT_EQ(check(relate::select_rows(*literal, rows), candidate, bench, b).verdict, Verdict::kPassed) << text(c);
    ASSERT_EQ(b.rows, 2);
    const auto n = static_cast<std::size_t>(a.columns), at = static_cast<std::size_t>(row) * n;
    for (std::size_t i = 0; i < 2 * n; ++i) {
      ASSERT_EQ(b.ids[i], a.ids[at + i % n]);
      ASSERT_EQ(b.weights[i], a.weights[at + i % n]);
    }
  }
}

TEST(FreeIds, AreThoseThatLeaveTheDtype) {
  Case c;
  c.tokens = 1, c.top_k = 5, c.shared = 2, c.remap = 1;
  c.literal[0] = {0x3fffffff, 0x2aaaaaaa, 0x2aaaaaab, 0xffffffff, 0x7fffffff};
  const bool expected[] = {true, false, true, false, true, false, false};
  for (int64_t slot = 0; slot < 7; ++slot) EXPECT_EQ(relate::is_free_id(c, 0, slot), expected[slot]) << slot;
  c.ids_dtype = Dtype::kI64;
  EXPECT_FALSE(relate::is_free_id(c, 0, 0));
  c.literal[0][0] = uint64_t{1} << 62;
  EXPECT_TRUE(relate::is_free_id(c, 0, 0));
}

TEST(Buffers, SeeWhatWasTouched) {
  Case c;
  c.tokens = 2, c.top_k = 2, c.shared = 1;
  const auto literal = relate::literalize(c);
  ASSERT_TRUE(literal);
  for (int operand = 0; operand < kOperands; ++operand) {
    relate::Buffers buffers(*literal);
    twincheck_matrix* const matrices[] = {&buffers.args.topk_ids,   &buffers.args.topk_weights, &buffers.args.shared,
                                          &buffers.args.hidden,     &buffers.args.gate,         &buffers.args.out_ids,
                                          &buffers.args.out_weights};
    auto* data = static_cast<std::byte*>(matrices[operand]->data);
    if (data == nullptr) continue;
    EXPECT_EQ(buffers.changed(), "");
    data[-1] ^= std::byte{1};
    EXPECT_EQ(buffers.changed(),
              std::string(kOperandNames[static_cast<std::size_t>(operand)]) + ": a byte before it changed");
    data[-1] ^= std::byte{1};
    if (operand < kInputs) {
      data[0] ^= std::byte{1};
      EXPECT_NE(buffers.changed().find("an element changed"), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace twincheck
