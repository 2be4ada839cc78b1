#include "harness/case/values.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <set>

namespace twincheck {
namespace {

constexpr std::array<Dtype, 3> kFloats{Dtype::kF32, Dtype::kBf16, Dtype::kF16};

// Elements of rows [first, first + rows) of an input, zero-extended.
std::vector<uint64_t> filled(const Case& c, Operand o, int64_t first, int64_t rows) {
  const Matrix m = implied_matrix_of(c, o);
  const auto width = static_cast<std::size_t>(dtype_bytes(m.dtype));
  const auto count = static_cast<std::size_t>(rows * m.cols);
  std::vector<uint64_t> buffer(count * width / 8 + 2, 0xa5a5a5a5a5a5a5a5);
  fill(c, o, first, rows, buffer.data());
  const auto* bytes = reinterpret_cast<const unsigned char*>(buffer.data());
  for (std::size_t i = count * width; i < 8 * buffer.size(); ++i) EXPECT_EQ(bytes[i], 0xa5) << "written past the rows";
  std::vector<uint64_t> elements(count);
  for (std::size_t i = 0; i < count; ++i) std::memcpy(&elements[i], bytes + i * width, width);
  return elements;
}
std::vector<uint64_t> filled(const Case& c, Operand o) { return filled(c, o, 0, implied_matrix_of(c, o).rows); }

std::vector<int64_t> filled_ids(const Case& c) {
  std::vector<int64_t> ids;
  for (const uint64_t bits : filled(c, Operand::kTopkIds)) {
    ids.push_back(c.ids_dtype == Dtype::kI64 ? static_cast<int64_t>(bits)
                                             : static_cast<int32_t>(static_cast<uint32_t>(bits)));
  }
  return ids;
}

double value_of(uint64_t bits, Dtype dtype) {
  if (dtype == Dtype::kF32) return std::bit_cast<float>(static_cast<uint32_t>(bits));
  if (dtype == Dtype::kBf16) return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const double sign = bits >> 15 ? -1 : 1;
  const auto mantissa = static_cast<double>(bits & 1023);
  if (exponent == 31) return mantissa == 0 ? sign * INFINITY : NAN;
  return sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25));
}

Case case_of(ValueClass values, Dtype dtype) {
  Case c;
  c.source = TWINCHECK_LOGITS;
  c.tokens = 64;
  c.top_k = 11;
  c.shared = 5;
  c.weights_dtype = c.shared_dtype = dtype;
  c.weights = c.shared_values = values;
  c.seed = 12345;
  return c;
}

// The values of a class, routed and shared, over some seeds.
std::vector<uint64_t> values_of(ValueClass values, Dtype dtype) {
  std::vector<uint64_t> all;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    Case c = case_of(values, dtype);
    c.seed = seed;
    for (const Operand o : {Operand::kTopkWeights, Operand::kShared}) {
      for (const uint64_t bits : filled(c, o)) all.push_back(bits);
    }
  }
  return all;
}

TEST(Fill, InPiecesEqualsTheWhole) {
  for (int v = 0; v < kValueClasses; ++v) {
    for (int i = 0; i < kIdClasses; ++i) {
      for (const Dtype dtype : kFloats) {
        Case c = case_of(static_cast<ValueClass>(v), dtype);
        c.source = v % 2 == 0 ? TWINCHECK_LOGITS : TWINCHECK_GATE;
        c.hidden = c.source == TWINCHECK_GATE ? 37 : 0;
        c.ids = static_cast<IdClass>(i);
        c.ids_dtype = i % 2 == 0 ? Dtype::kI32 : Dtype::kI64;
        if (i == 3) c.literal[1] = {1, 2, 3, 4, 5};
        for (int o = 0; o < kInputs; ++o) {
          const Operand operand = static_cast<Operand>(o);
          const Matrix m = implied_matrix_of(c, operand);
          if (m.rows == 0) continue;
          const std::vector<uint64_t> whole = filled(c, operand);
          std::vector<uint64_t> pieces;
          for (int64_t first = 0; first < m.rows; first += 13) {
            for (const uint64_t e : filled(c, operand, first, std::min<int64_t>(13, m.rows - first))) pieces.push_back(e);
          }
          ASSERT_EQ(pieces, whole) << text(c) << " " << kOperandNames[static_cast<std::size_t>(o)];
        }
      }
    }
  }
}

TEST(Fill, DiffersBetweenSeedsOperandsAndRows) {
  Case c = case_of(ValueClass::kBits, Dtype::kF32);
  const auto weights = filled(c, Operand::kTopkWeights);
  EXPECT_EQ(std::set<uint64_t>(weights.begin(), weights.end()).size(), weights.size());
  const auto shared = filled(c, Operand::kShared);
  EXPECT_NE(weights[0], shared[0]);
  ++c.seed;
  EXPECT_NE(filled(c, Operand::kTopkWeights)[0], weights[0]);
}

TEST(Fill, OfALiteralRepeatsIt) {
  Case c = case_of(ValueClass::kRouter, Dtype::kBf16);
  c.literal[1] = {1, 0xffff0002, 3};
  const auto weights = filled(c, Operand::kTopkWeights, 1, 1);
  EXPECT_EQ(std::vector<uint64_t>(weights.begin(), weights.begin() + 4), (std::vector<uint64_t>{3, 1, 2, 3}));
}

TEST(Fill, WritesNothingWhereThereIsNothing) {
  Case c;
  uint64_t untouched = 42;
  fill(c, Operand::kTopkIds, 0, 1, &untouched);
  c.top_k = 1;
  fill(c, Operand::kShared, 0, 1, &untouched);
  fill(c, Operand::kTopkIds, 0, 0, &untouched);
  c.ids_dtype = Dtype::kNone;
  fill(c, Operand::kTopkIds, 0, 1, &untouched);
  c.ids_dtype = Dtype::kI32;
  fill(c, Operand::kOutIds, 0, 1, &untouched);
  EXPECT_EQ(untouched, 42u);
}

TEST(DistinctIds, AreDistinctInRangeAndUnsorted) {
  int unsorted = 0;
  for (const Dtype dtype : {Dtype::kI32, Dtype::kI64}) {
    for (const int64_t base :
         {int64_t{0}, int64_t{5}, int64_t{22}, int64_t{60}, int64_t{65537}, int64_t{2147483640}, int64_t{1} << 62}) {
      for (int64_t cols = 1; cols <= 40; ++cols) {
        Case c;
        c.tokens = 20;
        c.top_k = cols;
        c.base_id = base;
        c.ids_dtype = dtype;
        c.seed = static_cast<uint64_t>(base + cols);
        const int64_t range = base >= cols ? base : 1 << 20;
        const std::vector<int64_t> ids = filled_ids(c);
        for (auto row = ids.begin(); row != ids.end(); row += cols) {
          ASSERT_EQ(std::set<int64_t>(row, row + cols).size(), static_cast<std::size_t>(cols)) << text(c);
          ASSERT_GE(*std::min_element(row, row + cols), 0);
          ASSERT_LT(*std::max_element(row, row + cols), range) << text(c);
          unsorted += std::is_sorted(row, row + cols) ? 0 : 1;
        }
      }
    }
  }
  EXPECT_GT(unsorted, 2 * 7 * 40 * 20 * 3 / 4);
}

TEST(IdClasses, KeepTheirPromises) {
  for (const Dtype dtype : {Dtype::kI32, Dtype::kI64}) {
    const int64_t most = dtype == Dtype::kI64 ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int32_t>::max();
    Case c;
    c.tokens = 200;
    c.top_k = 8;
    c.base_id = 256;
    c.ids_dtype = dtype;
    c.seed = 3;
    const auto ids_of = [&](IdClass ids) {
      c.ids = ids;
      return filled_ids(c);
    };
    for (const int64_t id : ids_of(IdClass::kPadding)) ASSERT_EQ(id, -1);

    const auto duplicates = ids_of(IdClass::kDuplicates);
    for (int t = 0; t < c.tokens; ++t) {
      ASSERT_LE(std::set<int64_t>(duplicates.begin() + 8 * t, duplicates.begin() + 8 * t + 8).size(), 2u);
    }

    const auto padded = ids_of(IdClass::kSomePadding);
    int64_t padding_rows = 0;
    for (int t = 0; t < c.tokens; ++t) {
      const int64_t sentinels = std::count(padded.begin() + 8 * t, padded.begin() + 8 * t + 8, -1);
      ASSERT_TRUE(sentinels == 0 || sentinels == 8);
      padding_rows += sentinels / 8;
    }
    EXPECT_NEAR(static_cast<double>(padding_rows), 50, 25);

    const auto sentinels = ids_of(IdClass::kSentinels);
    const int64_t negative = std::count_if(sentinels.begin(), sentinels.end(), [](int64_t id) { return id < 0; });
    EXPECT_NEAR(static_cast<double>(negative), 400, 80);
    EXPECT_GT(std::count(sentinels.begin(), sentinels.end(), -1), 100);
    EXPECT_GT(std::count(sentinels.begin(), sentinels.end(), -most - 1), 10);

    const auto limits = ids_of(IdClass::kLimits);
    for (const int64_t edge : {most, most - 1, most - 3, -most - 1, -most, int64_t{0}, int64_t{-1}}) {
      EXPECT_GT(std::count(limits.begin(), limits.end(), edge), 0) << edge;
    }

    const auto large = ids_of(IdClass::kLarge);
    EXPECT_GE(*std::min_element(large.begin(), large.end()), 65536);
    const int64_t past_31 = std::count_if(large.begin(), large.end(), [](int64_t id) { return id > int64_t{1} << 31; });
    EXPECT_EQ(past_31 > 0, dtype == Dtype::kI64);
  }
}

TEST(RouterWeights, SumToOneWithinTheirRoundingAndArePositive) {
  for (const Dtype dtype : kFloats) {
    const double unit = dtype == Dtype::kF32 ? 0x1p-24 : dtype == Dtype::kBf16 ? 0x1p-8 : 0x1p-11;
    for (int64_t cols = 2; cols <= 22; ++cols) {
      Case c = case_of(ValueClass::kRouter, dtype);
      c.top_k = cols;
      const auto weights = filled(c, Operand::kTopkWeights);
      for (std::size_t i = 0; i < weights.size(); i += static_cast<std::size_t>(cols)) {
        double sum = 0;
        for (std::size_t k = 0; k < static_cast<std::size_t>(cols); ++k) {
          const double w = value_of(weights[i + k], dtype);
          ASSERT_GT(w, 0);
          ASSERT_LT(w, 1);
          sum += w;
        }
        // Half an ulp of each rounding, relative to its weight, and f32's own roundings of sum and quotient.
        ASSERT_NEAR(sum, 1, unit + static_cast<double>(cols + 2) * 0x1p-23) << text(c);
      }
    }
  }
  for (const uint64_t bits : values_of(ValueClass::kRouter, Dtype::kF16)) {
    ASSERT_GT(value_of(bits, Dtype::kF16), 0);
    ASSERT_LE(value_of(bits, Dtype::kF16), 1);
  }
}

// Whether a value lies exactly between two neighbouring values of a dtype with `digits` significant bits and ulp 2^least for
// the smallest numbers.
bool is_halfway(double value, int digits, int least) {
  if (value == 0 || !std::isfinite(value)) return false;
  int exponent = 0;
  std::frexp(value, &exponent);
  const int ulp = std::max(exponent - digits, least);
  const double halves = std::ldexp(std::abs(value), 1 - ulp);
  return halves == std::floor(halves) && std::fmod(halves, 2) == 1;
}
bool is_halfway_to(double value, Dtype to) {
  return to == Dtype::kBf16 ? is_halfway(value, 8, -133) : std::abs(value) <= 65520 && is_halfway(value, 11, -24);
}

TEST(HalfwayValues, AreHalfwayInANarrowerDtypeOrNextToIt) {
  const std::vector<std::pair<Dtype, Dtype>> conversions{
      {Dtype::kF32, Dtype::kBf16}, {Dtype::kF32, Dtype::kF16}, {Dtype::kBf16, Dtype::kF16}, {Dtype::kF16, Dtype::kBf16}};
  std::map<std::pair<Dtype, Dtype>, int> halfway, neighbours;
  int subnormal = 0, overflowing = 0;
  for (const Dtype from : kFloats) {
    for (const uint64_t bits : values_of(ValueClass::kHalfway, from)) {
      bool any = false;
      for (const auto& conversion : conversions) {
        if (conversion.first != from) continue;
        const double value = value_of(bits, from);
        if (is_halfway_to(value, conversion.second)) {
          ++halfway[conversion];
          any = true;
          if (conversion.second == Dtype::kF16 && std::abs(value) < 0x1p-14) ++subnormal;
          if (conversion.second == Dtype::kF16 && std::abs(value) == 65520) ++overflowing;
        } else if (is_halfway_to(value_of(bits + 1, from), conversion.second) ||
                   is_halfway_to(value_of(bits - 1, from), conversion.second)) {
          ++neighbours[conversion];
          any = true;
        }
      }
      const bool threshold = from == Dtype::kBf16 && (bits & 0x7fff) >= 0x477e && (bits & 0x7fff) <= 0x4780;
      ASSERT_TRUE(any || threshold) << std::hex << bits << " " << name(from);
    }
  }
  for (const auto& conversion : conversions) {
    EXPECT_GT(halfway[conversion], 1000) << name(conversion.first) << " to " << name(conversion.second);
    EXPECT_GT(neighbours[conversion], 1000) << name(conversion.first) << " to " << name(conversion.second);
  }
  EXPECT_GT(subnormal, 1000);
  Case c = case_of(ValueClass::kHalfway, Dtype::kF32);
  for (c.seed = 0; overflowing == 0 && c.seed < 2000; ++c.seed) {
    for (const uint64_t bits : filled(c, Operand::kTopkWeights)) overflowing += (bits & 0x7fffffff) == 0x477ff000 ? 1 : 0;
  }
  EXPECT_GT(overflowing, 0);
}

TEST(ValueClasses, KeepTheirPromises) {
  for (const Dtype dtype : kFloats) {
    const double smallest_normal = dtype == Dtype::kF16 ? 0x1p-14 : 0x1p-126;
    const double largest = dtype == Dtype::kF32 ? 0x1.fffffep127 : dtype == Dtype::kBf16 ? 0x1.fep127 : 65504;
    int subnormal = 0, normal = 0;
    for (const uint64_t bits : values_of(ValueClass::kSubnormal, dtype)) {
      const double magnitude = std::abs(value_of(bits, dtype));
      ASSERT_GT(magnitude, 0);
      ASSERT_LT(magnitude, 2 * smallest_normal);
      ++(magnitude < smallest_normal ? subnormal : normal);
    }
    EXPECT_GT(subnormal, 10000);
    EXPECT_GT(normal, 1000);

    int quiet = 0, signalling = 0, numbers = 0, negative = 0;
    const uint64_t quiet_bit = dtype == Dtype::kF32 ? 0x400000 : dtype == Dtype::kBf16 ? 0x40 : 0x200;
    std::set<uint64_t> payloads;
    for (const uint64_t bits : values_of(ValueClass::kNan, dtype)) {
      const double value = value_of(bits, dtype);
      if (!std::isnan(value)) {
        ASSERT_LE(std::abs(value), 4);
        ++numbers;
        continue;
      }
      payloads.insert(bits);
      ++((bits & quiet_bit) != 0 ? quiet : signalling);
      negative += bits >> (dtype == Dtype::kF32 ? 31 : 15) != 0 ? 1 : 0;
    }
    EXPECT_GT(quiet, 3000);
    EXPECT_GT(signalling, 3000);
    EXPECT_GT(numbers, 6000);
    EXPECT_GT(negative, 3000);
    EXPECT_GT(payloads.size(), 200u);

    int infinities = 0, large = 0;
    for (const uint64_t bits : values_of(ValueClass::kInfinite, dtype)) {
      const double magnitude = std::abs(value_of(bits, dtype));
      ASSERT_FALSE(std::isnan(magnitude));
      if (std::isinf(magnitude)) ++infinities;
      if (!std::isinf(magnitude) && magnitude > 0.9 * largest) ++large;
    }
    EXPECT_GT(infinities, 3000);
    EXPECT_GT(large, 3000);

    const auto zeros = values_of(ValueClass::kZero, dtype);
    for (const uint64_t bits : zeros) ASSERT_EQ(value_of(bits, dtype), 0);
    EXPECT_EQ(std::set<uint64_t>(zeros.begin(), zeros.end()).size(), 2u);

    double least = 0, most = 0;
    for (const uint64_t bits : values_of(ValueClass::kSpread, dtype)) {
      least = std::min(least, value_of(bits, dtype));
      most = std::max(most, value_of(bits, dtype));
    }
    EXPECT_GE(least, -110);
    EXPECT_LE(most, 110);
    EXPECT_LT(least, -109);
    EXPECT_GT(most, 109);

    int below_one = 0, positive = 0, count = 0;
    for (const uint64_t bits : values_of(ValueClass::kNearZero, dtype)) {
      ASSERT_LE(std::abs(value_of(bits, dtype)), 4);
      below_one += std::abs(value_of(bits, dtype)) < 1 ? 1 : 0;
      positive += value_of(bits, dtype) > 0 ? 1 : 0;
      ++count;
    }
    EXPECT_GT(below_one, count / 2);
    EXPECT_NEAR(positive, 0.5 * count, 0.05 * count);

    const auto bits = values_of(ValueClass::kBits, dtype);
    const std::size_t patterns = std::set<uint64_t>(bits.begin(), bits.end()).size();
    EXPECT_GT(patterns, dtype == Dtype::kF32 ? 20000u : 14000u);
  }
}

TEST(ConsecutiveValues, AreThePatternsFromTheSeedOn) {
  Case c = case_of(ValueClass::kConsecutive, Dtype::kBf16);
  c.seed = 0x1fffe;
  const auto weights = filled(c, Operand::kTopkWeights);
  for (std::size_t i = 0; i < weights.size(); ++i) ASSERT_EQ(weights[i], (0xfffe + i) & 0xffff);
}

TEST(Specials, StartAtTheSeedAndCycle) {
  for (const Dtype dtype : kFloats) {
    const auto list = specials(dtype);
    EXPECT_EQ(std::set<uint32_t>(list.begin(), list.end()).size(), kSpecials) << name(dtype);
    Case c = case_of(ValueClass::kSpecials, dtype);
    c.seed = ~uint64_t{0} - 1;  // 14 modulo 48
    const auto weights = filled(c, Operand::kTopkWeights);
    for (std::size_t i = 0; i < weights.size(); ++i) ASSERT_EQ(weights[i], list[(i + 14) % kSpecials]);
  }
}

TEST(Specials, HoldEveryKindOfValue) {
  for (const Dtype dtype : kFloats) {
    int nans = 0, infinities = 0, zeros = 0, subnormals = 0;
    for (const uint32_t bits : specials(dtype)) {
      const double value = value_of(bits, dtype);
      nans += std::isnan(value) ? 1 : 0;
      infinities += std::isinf(value) ? 1 : 0;
      zeros += value == 0 ? 1 : 0;
      subnormals += value != 0 && std::abs(value) < (dtype == Dtype::kF16 ? 0x1p-14 : 0x1p-126) ? 1 : 0;
    }
    EXPECT_GE(nans, 7);
    EXPECT_EQ(infinities, 2);
    EXPECT_EQ(zeros, 2);
    EXPECT_GE(subnormals, 4);
  }
}

}  // namespace
}  // namespace twincheck
