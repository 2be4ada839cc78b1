#include "harness/case/generate.h"

#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <set>

#include "harness/case/classes.h"
#include "reference/oracle.h"

namespace twincheck {
namespace {

constexpr uint64_t kDraws = 100000;

// The struct of a case over made-up addresses, far apart: nothing is read through them.
AppendArgs args_of(const Case& c) {
  const auto own = [&](Operand o) {
    if (o == Operand::kTopkIds && (static_cast<int>(c.in_place) & 1) != 0) o = Operand::kOutIds;
    if (o == Operand::kTopkWeights && (static_cast<int>(c.in_place) & 2) != 0) o = Operand::kOutWeights;
    const Layout& l = c.of(o);
    const int64_t offset = l.place == Place::kMiddle ? l.offset * dtype_bytes(implied_matrix_of(c, o).dtype) : 0;
    return static_cast<uintptr_t>((static_cast<int64_t>(o) + 1) << 44) + static_cast<uintptr_t>(offset);
  };
  AppendArgs args{};
  args.size = c.args_size.value_or(sizeof args);
  args.source = c.source;
  Matrix* const matrices[] = {&args.topk_ids, &args.topk_weights, &args.shared,     &args.hidden,
                              &args.gate,     &args.out_ids,      &args.out_weights};
  for (std::size_t i = 0; i < kOperands; ++i) {
    const Operand o = static_cast<Operand>(i);
    const Layout& l = c.layout[i];
    uintptr_t address = own(o);
    if (l.pointer == Pointer::kNull) address = 0;
    if (l.pointer == Pointer::kSkewed) address += static_cast<uintptr_t>(l.pointer_bytes);
    if (l.pointer == Pointer::kInto) address = own(l.pointer_operand) + static_cast<uintptr_t>(l.pointer_bytes);
    *matrices[i] = matrix_of(c, o);
    matrices[i]->data = std::bit_cast<void*>(address);
  }
  args.num_shared = c.shared;
  args.base_id = c.base_id;
  args.remap_local_routed = c.remap;
  args.scale = std::bit_cast<float>(c.scale_bits);
  return args;
}

template <typename Judge>
void for_each_draw(const Domain& domain, uint64_t draws, Judge judge) {
  Choices choices = Choices::random(0);
  for (uint64_t seed = 0; seed < draws; ++seed) {
    choices.reseed(seed);
    judge(draw_case(choices, domain));
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(DrawnCases, AreValidWhereOnlyValidOnesAreAskedFor) {
  for_each_draw({.validity = Validity::kValid}, kDraws, [](const Case& c) {
    ASSERT_EQ(name(reference::refusal(args_of(c))), "ok") << text(c);
    ASSERT_FALSE(has_defect(c)) << text(c);
  });
}

TEST(DrawnCases, AreInvalidWhereOnlyInvalidOnesAreAskedFor) {
  for_each_draw({.validity = Validity::kInvalid, .short_structs = true}, kDraws, [](const Case& c) {
    ASSERT_NE(name(reference::refusal(args_of(c))), "ok") << text(c);
    ASSERT_TRUE(has_defect(c)) << text(c);
  });
}

TEST(InvalidCases, ReachEveryRowOfTheRefusalTable) {
  std::map<Status, uint64_t> statuses;
  for_each_draw({.validity = Validity::kInvalid}, kDraws,
                [&](const Case& c) { ++statuses[reference::refusal(args_of(c))]; });
  for (int s = TWINCHECK_NEGATIVE_SIZE; s <= TWINCHECK_OVERLAP; ++s) {
    EXPECT_GT(statuses[static_cast<Status>(s)], kDraws / 20) << name(static_cast<Status>(s));
  }
}

// A valid case's data and pointers must lie inside what its sizes imply: the judge lays out nothing else.
TEST(ValidCases, PutInputsOnlyInsideOtherInputs) {
  uint64_t shared_buffers = 0;
  for_each_draw({.validity = Validity::kValid}, kDraws, [&](const Case& c) {
    for (std::size_t i = 0; i < kOperands; ++i) {
      const Layout& l = c.layout[i];
      const Matrix m = implied_matrix_of(c, static_cast<Operand>(i));
      if (m.rows == 0 || m.cols == 0) continue;
      ASSERT_FALSE(l.rows || l.cols || l.dtype) << text(c);
      ASSERT_TRUE(l.pointer == Pointer::kOwn || l.pointer == Pointer::kInto) << text(c);
      if (l.pointer == Pointer::kOwn) continue;
      ++shared_buffers;
      const Matrix outer = implied_matrix_of(c, l.pointer_operand);
      const auto end = [](const Matrix& x) { return ((x.rows - 1) * x.row_stride + x.cols) * dtype_bytes(x.dtype); };
      ASSERT_LT(static_cast<int>(i), kInputs);
      ASSERT_LT(static_cast<int>(l.pointer_operand), kInputs);
      ASSERT_EQ(c.of(l.pointer_operand).pointer, Pointer::kOwn);
      ASSERT_GE(l.pointer_bytes, 0);
      ASSERT_LE(l.pointer_bytes + end(m), end(outer)) << text(c);
    }
  });
  EXPECT_GT(shared_buffers, kDraws / 1000);
}

TEST(DrawnCases, HaveTheMeanSizeAndSourcesThatAreReported) {
  uint64_t cases = 0, sources[4] = {}, hidden = 0;
  int64_t elements = 0, most_hidden = 0;
  for_each_draw({.validity = Validity::kValid}, kDraws, [&](const Case& c) {
    ++cases;
    ++sources[c.source];
    elements += c.tokens * (c.top_k + c.shared);
    hidden += static_cast<uint64_t>(c.tokens * c.hidden);
    most_hidden = std::max(most_hidden, c.tokens * c.hidden);
  });
  const double mean = static_cast<double>(elements) / static_cast<double>(cases);
  EXPECT_GE(mean, 150);
  EXPECT_LE(mean, 250);
  for (const uint64_t count : sources) EXPECT_GE(count, cases * 15 / 100);
  EXPECT_LT(hidden / cases, 500u);
  EXPECT_LT(most_hidden, 1 << 16);
}

TEST(DrawnCases, StayInTheirDomain) {
  const Domain narrow{.validity = Validity::kValid,
                      .in_place = false,
                      .remap = false,
                      .odd_layouts = false,
                      .wide_ids = false,
                      .max_tokens = 5,
                      .source = Source::kGate};
  for_each_draw(narrow, 20000, [](const Case& c) {
    ASSERT_EQ(c.source, TWINCHECK_GATE);
    ASSERT_LE(c.tokens, 5);
    ASSERT_EQ(c.in_place, InPlace::kNone);
    ASSERT_EQ(c.remap, 0);
    ASSERT_EQ(c.layout, Case{}.layout);
    ASSERT_TRUE(c.ids == IdClass::kDistinct || c.ids == IdClass::kPadding);
  });
  for_each_draw({.sparse = false, .max_tokens = 7}, 20000, [](const Case& c) {
    ASSERT_LE(c.tokens, 7);
    if (has_defect(c) || c.tokens < 2) return;
    for (int i = 0; i < kOperands; ++i) {
      const Matrix m = matrix_of(c, static_cast<Operand>(i));
      ASSERT_TRUE(!is_used(c, static_cast<Operand>(i)) || m.rows < 2 || m.cols == 0 || m.row_stride < 1 << 20) << text(c);
    }
  });
  for_each_draw({}, 20000, [](const Case& c) { ASSERT_GE(c.args_size.value_or(sizeof(AppendArgs)), sizeof(AppendArgs)); });
}

TEST(DrawnCases, OfATapeOfZerosAreTheSimplest) {
  Choices zeros = Choices::replay({});
  EXPECT_EQ(text(draw_case(zeros)), "append source=constant tokens=0 top_k=0 shared=0");
}

TEST(DrawnCases, ReplayFromTheirChoices) {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    Choices random = Choices::random(seed);
    const Case c = draw_case(random);
    const std::vector<uint64_t> tape = random.drawn();
    Choices replayed = Choices::replay(tape);
    ASSERT_EQ(draw_case(replayed), c);
    Choices again = Choices::random(seed);
    ASSERT_EQ(draw_case(again), c);
  }
}

TEST(DrawnCases, OfAnyTapeAreCases) {
  Choices choices = Choices::random(1);
  std::vector<uint64_t> tape;
  for (uint64_t seed = 0; seed < 20000; ++seed) {
    choices.reseed(seed);
    tape.resize(choices.below(80));
    for (uint64_t& choice : tape) choice = choices.chance(1, 2) ? choices.below(0) : choices.below(4);
    Choices replayed = Choices::replay(tape);
    const Case c = draw_case(replayed);
    ASSERT_EQ(reference::refusal(args_of(c)) != Status::kOk, has_defect(c)) << text(c);
  }
}

}  // namespace
}  // namespace twincheck
