#include "harness/case/enumerate.h"

#include <gtest/gtest.h>

#include <bitset>
#include <map>
#include <string>
#include <unordered_set>

#include "harness/case/classes.h"
#include "harness/case/values.h"

namespace twincheck {
namespace {

TEST(SmallDomain, HasEveryShapeSourceDtypeAndLayoutOnce) {
  constexpr uint64_t kShapes = 5 * 10 * 5, kCombinations = 6 + 36 + 36 + 18, kLayouts = 16;
  ASSERT_EQ(small_domain_size(), kShapes * kCombinations * kLayouts);
  ASSERT_LE(small_domain_size(), 1000000u);
  std::unordered_set<std::string> different;
  std::map<std::string, uint64_t> combinations;
  for (uint64_t i = 0; i < small_domain_size(); ++i) {
    const Case c = small_domain_case(i);
    ASSERT_FALSE(has_defect(c)) << text(c);
    ASSERT_TRUE(c.tokens <= 4 && c.top_k <= 9 && c.shared <= 4);
    const auto bytes = encode(c);
    ASSERT_TRUE(different.emplace(bytes.begin(), bytes.end()).second) << text(c);
    const char key[] = {static_cast<char>('0' + c.tokens),
                        static_cast<char>('0' + c.top_k),
                        static_cast<char>('0' + c.shared),
                        static_cast<char>('0' + c.source),
                        static_cast<char>('0' + static_cast<int>(c.ids_dtype)),
                        static_cast<char>('0' + static_cast<int>(c.weights_dtype)),
                        static_cast<char>('0' + static_cast<int>(c.shared_dtype)),
                        c.broadcast ? 'b' : 'e',
                        0};
    ++combinations[key];
  }
  EXPECT_EQ(combinations.size(), kShapes * kCombinations);
  for (const auto& [key, count] : combinations) ASSERT_EQ(count, kLayouts) << key;
}

TEST(SmallDomain, HasEveryClassOfLayout) {
  ClassCounts counts;
  for (uint64_t i = 0; i < small_domain_size(); i += 7) counts.add(small_domain_case(i));
  for (std::size_t i = 0; i < kClasses; ++i) {
    const Class& k = classes()[i];
    for (const std::string_view field :
         {"source", "row_stride", "strided_matrix", "misaligned_matrix", "in_place", "place", "ids", "routed_dtypes",
          "weights_dtypes", "logits_dtypes", "gate_dtypes", "scale", "top_k_form"}) {
      const bool not_here =
          k.name == "padding" || (k.field == "scale" && k.name == "other") || (k.field == "scale" && k.name == "tiny");
      if (k.field == field && !not_here) {
        EXPECT_GT(counts.members[i], 0u) << k.field << "=" << k.name;
      }
    }
  }
}

TEST(SmallDomain, BringsEverySpecialValueToEveryPosition) {
  // By source and dtypes of ids, routed and shared weights, and position: which of the special values were there.
  std::map<std::string, std::bitset<kSpecials>> routed, shared;
  uint16_t elements[64];
  uint32_t wide[64];
  const auto note = [&](std::map<std::string, std::bitset<kSpecials>>& met, const Case& c, Operand o,
                        const std::string& combination) {
    const Matrix m = implied_matrix_of(c, o);
    const auto list = specials(static_cast<Dtype>(m.dtype));
    const bool narrow = dtype_bytes(m.dtype) == 2;
    for (int64_t r = 0; r < m.rows; ++r) {
      fill(c, o, r, 1, narrow ? static_cast<void*>(elements) : wide);
      for (int64_t k = 0; k < m.cols; ++k) {
        const uint32_t bits = narrow ? elements[k] : wide[k];
        const auto which = static_cast<std::size_t>(std::find(list.begin(), list.end(), bits) - list.begin());
        if (which < kSpecials) met[combination + "@" + std::to_string(r) + "," + std::to_string(k)].set(which);
      }
    }
  };
  for (uint64_t i = 0; i < small_domain_size(); ++i) {
    const Case c = small_domain_case(i);
    if (c.tokens != 4 || (c.top_k != 9 && c.shared != 4)) continue;
    std::string combination{name(static_cast<Source>(c.source))};
    combination += std::string(name(c.ids_dtype)) + std::string(name(c.weights_dtype));
    if (c.source != TWINCHECK_CONSTANT) combination += name(c.shared_dtype);
    if (c.top_k == 9) note(routed, c, Operand::kTopkWeights, combination);
    if (c.shared == 4 && is_used(c, Operand::kShared))
      note(shared, c, Operand::kShared, combination + (c.broadcast ? "b" : ""));
  }
  EXPECT_EQ(routed.size(), (6u + 18 + 18 + 18) * 4 * 9);
  EXPECT_EQ(shared.size(), (18u + 18) * 4 * (4 + 1));
  for (const auto* met : {&routed, &shared}) {
    for (const auto& [position, values] : *met) EXPECT_TRUE(values.all()) << position << " lacks " << (~values).to_string();
  }
}

}  // namespace
}  // namespace twincheck
