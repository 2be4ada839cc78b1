// Every recorded output of other implementations (corpus/golden/README.md) is one that the reference accepts.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "reference/oracle.h"
#include "reference/rounding.h"

namespace twincheck::reference {
namespace {

using Json = nlohmann::json;

int32_t dtype_of(const std::string& word) {
  for (std::size_t i = 0; i < kDtypeNames.size(); ++i)
    if (kDtypeNames[i] == word) return static_cast<int32_t>(i);
  throw std::invalid_argument("no dtype: " + word);
}

int32_t source_of(const std::string& word) {
  for (std::size_t i = 0; i < kSourceNames.size(); ++i)
    if (kSourceNames[i] == word) return static_cast<int32_t>(i);
  throw std::invalid_argument("no source: " + word);
}

uint32_t bits_of(const Json& hex) { return static_cast<uint32_t>(std::stoul(hex.get<std::string>(), nullptr, 16)); }

std::vector<uint32_t> weights_of(const Json& list) {
  std::vector<uint32_t> all;
  for (const Json& hex : list) all.push_back(bits_of(hex));
  return all;
}

// A tight matrix that owns its elements.
struct Storage {
  std::vector<int64_t> words;  // eight bytes a piece: aligned for every dtype
  Matrix matrix{};

  template <typename Values>
  void fill(const Values& values, int64_t rows, int64_t cols, int32_t dtype) {
    ASSERT_EQ(static_cast<int64_t>(values.size()), rows * cols);
    words.assign(values.size(), 0);
    matrix = {words.data(), rows, cols, cols, dtype, 0};
    const std::size_t bytes = dtype == TWINCHECK_I64 ? 8 : dtype == TWINCHECK_BF16 || dtype == TWINCHECK_F16 ? 2 : 4;
    for (std::size_t i = 0; i < values.size(); ++i)
      std::memcpy(reinterpret_cast<char*>(words.data()) + i * bytes, &values[i], bytes);  // little-endian: the low bytes
  }
};

// One line of the file: the call, what it gave, and what the reference expects of it.
struct Record {
  Storage ids, weights, shared, hidden, gate, out_ids, out_weights;
  AppendArgs args{};
  std::vector<int64_t> got_ids;
  std::vector<uint32_t> got_weights;
  Dtype weights_dtype = Dtype::kNone;
  Expected expected;

  void read(const std::string& line) {
    const Json j = Json::parse(line);
    const int64_t T = j.at("tokens"), K = j.at("top_k"), S = j.at("shared");
    const int32_t ids_dtype = dtype_of(j.at("ids_dtype")), dtype = dtype_of(j.at("weights_dtype"));
    weights_dtype = Dtype{dtype};
    args.size = sizeof(AppendArgs);
    args.source = source_of(j.at("mode"));
    args.num_shared = S;
    args.base_id = j.at("experts");
    args.scale = static_cast<float>(widen(kF32, bits_of(j.at("scale"))));
    ids.fill(j.at("ids").get<std::vector<int64_t>>(), T, K, ids_dtype);
    weights.fill(weights_of(j.at("weights")), T, K, dtype);
    if (args.source == TWINCHECK_WEIGHTS || args.source == TWINCHECK_LOGITS)
      shared.fill(weights_of(j.at("shared_values")), T, j.at("shared_cols"), dtype_of(j.at("shared_dtype")));
    if (args.source == TWINCHECK_GATE) {
      const int64_t H = j.at("hidden");
      hidden.fill(weights_of(j.at("hidden_values")), T, H, dtype_of(j.at("shared_dtype")));
      gate.fill(weights_of(j.at("gate_values")), 1, H, dtype_of(j.at("shared_dtype")));
    }
    got_ids = j.at("out_ids").get<std::vector<int64_t>>();
    got_weights = weights_of(j.at("out_weights"));
    out_ids.fill(got_ids, T, K + S, ids_dtype);
    out_weights.fill(got_weights, T, K + S, dtype);
    args.topk_ids = ids.matrix;
    args.topk_weights = weights.matrix;
    args.shared = shared.matrix;
    args.hidden = hidden.matrix;
    args.gate = gate.matrix;
    args.out_ids = out_ids.matrix;
    args.out_weights = out_weights.matrix;
    ASSERT_EQ(name(refusal(args)), "ok");
    append(args, 0, T, expected);
  }

  bool accepts_weight(std::size_t i, uint32_t bits) const { return accepts(expected.weights[i], weights_dtype, bits); }
};

// Calls `judge` with each record, and the number of its line.
template <typename Judge>
void for_each_record(Judge judge) {
  std::ifstream file(TWINCHECK_GOLDEN);
  ASSERT_TRUE(file) << TWINCHECK_GOLDEN;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    SCOPED_TRACE("line " + std::to_string(number));
    Record record;
    ASSERT_NO_FATAL_FAILURE(record.read(line));
    judge(record);
  }
}

TEST(RecordedOutputs, LieInsideTheIntervals) {
  int64_t ids = 0, weights = 0, appended = 0;
  for_each_record([&](const Record& r) {
    ASSERT_EQ(r.got_ids.size(), r.expected.ids.size());
    ASSERT_EQ(r.got_weights.size(), r.expected.weights.size());
    appended += r.expected.rows * r.args.num_shared;
    for (std::size_t i = 0; i < r.got_ids.size(); ++i, ++ids) {
      EXPECT_FALSE(r.expected.ids[i].any) << i;
      EXPECT_EQ(r.got_ids[i], r.expected.ids[i].value) << i;
    }
    for (std::size_t i = 0; i < r.got_weights.size(); ++i, ++weights)
      EXPECT_TRUE(r.accepts_weight(i, r.got_weights[i])) << i << ": " << r.got_weights[i];
  });
  EXPECT_EQ(appended, 20207);
  EXPECT_EQ(weights, 95582);  // the routed ones too
  EXPECT_EQ(ids, weights);
}

TEST(RecordedOutputs, AreRefusedOnceAnyOfThemLeavesItsInterval) {
  int64_t numbers = 0, nans = 0;
  for_each_record([&](const Record& r) {
    const Format f = format_of(r.weights_dtype);
    for (std::size_t i = 0; i < r.got_weights.size(); ++i) {
      const Weight& w = r.expected.weights[i];
      if (w.kind == Weight::Kind::kNan) {
        EXPECT_FALSE(r.accepts_weight(i, 0)) << i;
        EXPECT_FALSE(r.accepts_weight(i, f.infinity)) << i;
        ++nans;
      } else if (w.kind == Weight::Kind::kBits) {
        EXPECT_FALSE(r.accepts_weight(i, r.got_weights[i] ^ 1)) << i;
        ++numbers;
      } else {
        const uint32_t above = next_up(f, w.hi), below = next_down(f, w.lo);
        EXPECT_NE(r.accepts_weight(i, above), ordinal(f, above) != ordinal(f, w.hi)) << i;
        EXPECT_NE(r.accepts_weight(i, below), ordinal(f, below) != ordinal(f, w.lo)) << i;
        EXPECT_EQ(r.accepts_weight(i, quiet_nan(f)), w.kind == Weight::Kind::kRangeOrNan) << i;
        ++numbers;
      }
    }
  });
  EXPECT_GT(numbers, 19000);
  EXPECT_GT(nans, 0);
}

}  // namespace
}  // namespace twincheck::reference
