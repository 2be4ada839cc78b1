#include "harness/case/shrink.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "harness/case/case_test_support.h"
#include "harness/case/values.h"

namespace twincheck {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kAllowed = std::chrono::seconds(2);

struct Result {
  Case smallest;
  double seconds;
  uint64_t calls;
};

// Shrinks with a predicate that takes as long as a check of the case would: 50 us, and 80 ns an element.
template <typename Fails>
Result shrunk(const Case& start, Fails fails) {
  EXPECT_TRUE(fails(start)) << text(start);
  uint64_t calls = 0;
  const auto begin = Clock::now();
  const Case smallest = shrink(
      start,
      [&](const Case& c) {
        ++calls;
        const auto elements =
            std::clamp<int64_t>(c.tokens, 0, 1 << 20) * std::clamp<int64_t>(c.top_k + c.shared + c.hidden, 0, 1 << 14);
        const auto end = Clock::now() + std::chrono::nanoseconds(50000 + 80 * elements);
        const bool failed = fails(c);
        while (Clock::now() < end) {
        }
        return failed;
      },
      begin + kAllowed);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  EXPECT_TRUE(fails(smallest)) << text(smallest);
  EXPECT_LE(seconds, 2.1);
  return {smallest, seconds, calls};
}

void expect_small(const Result& r) {
  EXPECT_LE(r.smallest.tokens, 4) << text(r.smallest);
  EXPECT_LE(r.smallest.top_k + r.smallest.shared, 12) << text(r.smallest);
  testing::Test::RecordProperty("seconds", std::to_string(r.seconds));
  testing::Test::RecordProperty("calls", std::to_string(r.calls));
}

Case large_case() {
  return parse(
      "append source=logits tokens=4096 top_k=22 shared=8 ids_dtype=i64 weights_dtype=bf16 shared_dtype=f16 broadcast=1 "
      "in_place=weights scale=0x3eaaaaab base_id=70000 seed=0x1234 ids=sentinels weights=bits shared_values=spread "
      "topk_ids.row_stride=40 topk_ids.offset=3 shared.row_stride=17 out_ids.place=end out_weights.row_stride=64");
}

// Elements of an input, zero-extended.
std::vector<uint64_t> elements(const Case& c, Operand o) {
  const Matrix m = implied_matrix_of(c, o);
  const auto width = static_cast<std::size_t>(dtype_bytes(m.dtype));
  const auto count = static_cast<std::size_t>(std::max<int64_t>(0, m.rows) * std::max<int64_t>(0, m.cols));
  std::vector<uint64_t> buffer(count * width / 8 + 1), values(count);
  fill(c, o, 0, m.rows, buffer.data());
  for (std::size_t i = 0; i < count; ++i)
    std::memcpy(&values[i], reinterpret_cast<const char*>(buffer.data()) + i * width, width);
  return values;
}

TEST(Shrink, DropsAllThatDoesNotMatter) {
  const Result r = shrunk(large_case(), [](const Case& c) { return c.tokens >= 1 && c.shared >= 1; });
  EXPECT_EQ(text(r.smallest), "append source=constant tokens=1 top_k=0 shared=1");
}

TEST(Shrink, KeepsWhatTheDefectNeeds) {
  const Result r = shrunk(large_case(), [](const Case& c) {
    return c.source == TWINCHECK_LOGITS && c.broadcast && c.shared >= 2 && c.tokens >= 3 &&
           c.weights_dtype == Dtype::kBf16 && c.of(Operand::kShared).row_stride.value_or(1) > 1;
  });
  EXPECT_EQ(text(r.smallest),
            "append source=logits tokens=3 top_k=0 shared=2 weights_dtype=bf16 broadcast=1 shared.row_stride=2");
}

TEST(Shrink, FindsTheOneTokenAmongThousands) {
  const auto fails = [](const Case& c) {
    const auto weights = elements(c, Operand::kTopkWeights);
    return std::count_if(weights.begin(), weights.end(), [](uint64_t bits) { return bits == 0x7fb3; }) > 0;
  };
  Case start = large_case();
  for (start.seed = 0; !fails(start); ++start.seed) {
  }
  const Result r = shrunk(start, fails);
  expect_small(r);
  EXPECT_EQ(text(r.smallest), "append source=constant tokens=1 top_k=1 shared=0 topk_weights.bits=[0x7fb3]");
}

TEST(Shrink, FindsTwoTokensThatFailTogether) {
  const auto fails = [](const Case& c) {
    const auto ids = elements(c, Operand::kTopkIds);
    const bool odd = std::count_if(ids.begin(), ids.end(), [](uint64_t id) { return id % 1021 == 3; }) > 0;
    return odd && std::count_if(ids.begin(), ids.end(), [](uint64_t id) { return id % 1019 == 5; }) > 0;
  };
  Case start = large_case();
  while (!fails(start)) ++start.seed;
  const Result r = shrunk(start, fails);
  expect_small(r);
  EXPECT_LE(r.smallest.tokens * r.smallest.top_k, 2) << text(r.smallest);
}

TEST(Shrink, BringsAWideGateDown) {
  const Case start = parse(
      "append source=gate tokens=4096 top_k=8 shared=1 hidden=7168 weights_dtype=bf16 shared_dtype=bf16 weights=bits "
      "shared_values=near_zero seed=0x77");
  const Result r = shrunk(start, [](const Case& c) { return c.source == TWINCHECK_GATE && c.tokens >= 1 && c.shared >= 1; });
  expect_small(r);
  EXPECT_EQ(text(r.smallest), "append source=gate tokens=1 top_k=0 shared=1");
}

TEST(Shrink, BisectsToAThreshold) {
  const Result r = shrunk(large_case(), [](const Case& c) { return c.tokens >= 1021 && c.top_k >= 7; });
  EXPECT_EQ(text(r.smallest), "append source=constant tokens=1021 top_k=7 shared=0");
}

TEST(Shrink, SimplifiesInvalidCases) {
  const Case start = parse(
      "append source=weights tokens=33 top_k=8 shared=3 ids_dtype=i64 base_id=1000 seed=0x5 topk_ids.row_stride=9 "
      "topk_ids.offset=2 shared.rows=1099511627776 out_ids.rows=34 gate.row_stride=-3 args_size=4096");
  const Result r = shrunk(start, [](const Case& c) {
    return c.source == TWINCHECK_WEIGHTS && c.of(Operand::kShared).rows.value_or(-1) > c.tokens;
  });
  EXPECT_EQ(text(r.smallest), "append source=weights tokens=0 top_k=0 shared=0 shared.rows=1");
  const Case negative = parse("append source=constant tokens=-9223372036854775808 top_k=8 shared=3");
  EXPECT_EQ(text(shrunk(negative, [](const Case& c) { return c.tokens < 0; }).smallest),
            "append source=constant tokens=-1 top_k=0 shared=0");
  const Case pointer = parse("append source=constant tokens=9 top_k=8 shared=3 out_ids.pointer=skewed+7");
  EXPECT_EQ(text(shrunk(pointer, [](const Case& c) { return c.of(Operand::kOutIds).pointer_bytes % 4 != 0 && c.tokens > 0; })
                     .smallest),
            "append source=constant tokens=1 top_k=0 shared=0 out_ids.pointer=skewed+1");
}

TEST(Shrink, KeepsRowsWholeInLiteralData) {
  const Case start = parse(
      "append source=weights tokens=3 top_k=3 shared=2 topk_ids.bits=[1,2,3,4,5,6,7,8,9] shared.bits=[11,12,21,22,31,32]");
  const Result r = shrunk(start, [](const Case& c) {
    const auto ids = elements(c, Operand::kTopkIds);
    const auto values = elements(c, Operand::kShared);
    if (c.source != TWINCHECK_WEIGHTS || c.top_k == 0 || c.shared == 0) return false;
    for (std::size_t t = 0; t < static_cast<std::size_t>(c.tokens); ++t) {
      const auto row = ids.begin() + static_cast<std::ptrdiff_t>(t) * c.top_k;
      const auto shared_row = values.begin() + static_cast<std::ptrdiff_t>(t) * (c.broadcast ? 1 : c.shared);
      if (std::find(row, row + c.top_k, 5) != row + c.top_k &&
          std::find(shared_row, shared_row + c.shared, 22) != shared_row + c.shared) {
        return true;
      }
    }
    return false;
  });
  EXPECT_EQ(text(r.smallest), "append source=weights tokens=1 top_k=1 shared=1 topk_ids.bits=[0x5] shared.bits=[0x16]");
}

TEST(Shrink, OfAnyCaseEndsInOneThatStillFails) {
  Choices choices = Choices::random(1);
  for (uint64_t seed = 0; seed < 300; ++seed) {
    choices.reseed(seed);
    const Case start = any_case(choices);
    const uint64_t which = choices.below(4);
    const auto fails = [&](const Case& c) {
      switch (which) {
        case 0:
          return c.tokens == start.tokens;
        case 1:
          return c.layout == start.layout;
        case 2:
          return c.literal == start.literal && c.shared == start.shared;
        default:
          return c.source == start.source && c.remap <= start.remap;
      }
    };
    const Case smallest = shrink(start, fails, Clock::now() + std::chrono::milliseconds(200));
    ASSERT_TRUE(fails(smallest)) << text(start);
    ASSERT_LE(text(smallest).size(), text(start).size() + 16) << text(start) << "\n" << text(smallest);
  }
}

TEST(Shrink, StopsAtTheDeadline) {
  const auto begin = Clock::now();
  shrink(
      large_case(),
      [](const Case& c) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        return c.tokens >= 4000;
      },
      begin + std::chrono::milliseconds(100));
  EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(300));
}

}  // namespace
}  // namespace twincheck
