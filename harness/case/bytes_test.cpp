#include <gtest/gtest.h>

#include "harness/case/case.h"
#include "harness/case/case_test_support.h"
#include "harness/case/generate.h"

namespace twincheck {
namespace {

TEST(Bytes, AreReadBackAsTheSameCase) {
  Choices choices = Choices::random(1);
  std::size_t bytes = 0;
  constexpr uint64_t kCases = 100000;
  for (uint64_t seed = 0; seed < kCases; ++seed) {
    choices.reseed(seed);
    const Case c = draw_case(choices);
    const std::vector<uint8_t> encoded = encode(c);
    bytes += encoded.size();
    ASSERT_EQ(decode(encoded), c) << text(c);
  }
  EXPECT_LT(bytes / kCases, 64u);
}

TEST(Bytes, AreReadBackAsTheSameCaseWhateverItsFields) {
  Choices choices = Choices::random(1);
  for (uint64_t seed = 0; seed < 100000; ++seed) {
    choices.reseed(seed);
    const Case c = any_case(choices);
    ASSERT_EQ(decode(encode(c)), c) << text(c);
  }
}

std::size_t literal_elements(const Case& c) {
  std::size_t count = 0;
  for (const auto& literal : c.literal) {
    EXPECT_EQ(literal.capacity(), literal.size());
    count += literal.size();
  }
  return count;
}

TEST(Bytes, AreACaseWhateverTheyAre) {
  Choices choices = Choices::random(1);
  std::vector<uint8_t> bytes;
  for (uint64_t seed = 0; seed < 50000; ++seed) {
    choices.reseed(seed);
    bytes.resize(choices.below(120));
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(choices.chance(1, 4) ? 0xff : choices.below(256));
    const Case c = decode(bytes);
    ASSERT_LE(literal_elements(c), bytes.size());
    ASSERT_EQ(decode(encode(c)), c);
    ASSERT_EQ(parse(text(c)), c);
  }
}

TEST(Bytes, CutShortAnywhereAreStillACase) {
  Choices choices = Choices::random(1);
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    choices.reseed(seed);
    const std::vector<uint8_t> bytes = encode(any_case(choices));
    for (std::size_t n = 0; n < bytes.size(); ++n) {
      const Case c = decode(std::span(bytes).first(n));
      ASSERT_LE(literal_elements(c), n);
      ASSERT_EQ(decode(encode(c)), c);
    }
  }
  EXPECT_EQ(decode({}), Case{});
}

// Sizes in a case are numbers; only literal elements take memory, and each must be there.
TEST(Bytes, ThatClaimMoreElementsThanTheyHoldGetWhatIsThere) {
  Case c;
  c.literal[0] = {1, 2, 3};
  std::vector<uint8_t> bytes = encode(c);
  ASSERT_EQ(bytes[bytes.size() - 4], 3);  // the count, then one byte an element
  bytes[bytes.size() - 4] = 0x7f;
  EXPECT_EQ(decode(bytes).literal[0], c.literal[0]);
}

}  // namespace
}  // namespace twincheck
