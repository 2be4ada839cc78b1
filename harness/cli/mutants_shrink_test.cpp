// A failure at 4,096 tokens comes down to one that can be read, for mutants of every kind, by `twincheck shrink` as anyone
// types it.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <regex>
#include <string>

#include "harness/cli/mutants.h"

namespace twincheck {
namespace {

struct Large {
  const char* mutant;
  const char* law;  // that is broken, at first and in the end
  const char* line;
  int64_t tokens = 4, columns = 12;  // the most that may be left
};
void PrintTo(const Large& large, std::ostream* os) { *os << "M" << large.mutant; }

constexpr const char* kWeights =
    "append source=weights tokens=4096 top_k=10 shared=2 weights_dtype=bf16 base_id=300 seed=0x77";
constexpr const char* kRemap =
    "append source=weights tokens=4096 top_k=6 shared=3 weights_dtype=f16 ids_dtype=i64 base_id=300 seed=0x78 ids=sentinels "
    "shared_values=halfway weights=nan remap=64 topk_ids.row_stride=9 out_ids.row_stride=12";
constexpr const char* kInPlace =
    "append source=logits tokens=4096 top_k=8 shared=1 shared_dtype=bf16 base_id=256 seed=0x79 scale=0.5 in_place=both";
constexpr const char* kGate =
    "append source=gate tokens=4096 top_k=4 shared=2 hidden=320 shared_dtype=bf16 weights_dtype=bf16 base_id=256 seed=0x7a "
    "scale=0.25 shared_values=near_zero";
constexpr const char* kStrided =
    "append source=constant tokens=4096 top_k=7 shared=4 weights_dtype=bf16 ids_dtype=i64 base_id=3000000000 scale=0.1 "
    "seed=0x7b topk_weights.offset=1 out_weights.row_stride=33";
constexpr const char* kBroadcast =
    "append source=logits tokens=4096 top_k=9 shared=4 shared_dtype=f16 broadcast=1 weights_dtype=f16 base_id=64 seed=0x7c "
    "scale=2.5 shared_values=spread shared.offset=3";
constexpr const char* kBits =
    "append source=weights tokens=4096 top_k=5 shared=3 shared_dtype=f16 weights_dtype=bf16 base_id=64 seed=0x7d "
    "shared_values=bits ids=padding";

constexpr Large kLarge[] = {
    {"002", "appended_ids", kStrided},
    {"004", "routed_ids", kRemap},
    {"006", "routed_ids", kRemap},
    {"010", "routed_ids", kWeights},
    {"011", "all_written", kWeights},
    {"012", "all_written", kGate},
    {"014", "appended_weights", kBroadcast},
    {"016", "all_written", kInPlace},
    {"018", "routed_ids", kRemap},
    {"020", "routed_weights", kRemap},
    {"032", "routed_ids", kBroadcast},
    {"042", "appended_weights", kInPlace},
    {"046", "appended_weights", kBits},
    {"054", "appended_weights", kBits},
    {"058", "routed_weights", kRemap},
    {"070", "appended_weights", kGate},
    {"086", "refusal", kBroadcast},
    // Defects that need more: 64 rows, a second chunk of 1,024.
    {"035", "all_written", kInPlace, 64, 2},
    {"036", "appended_weights", kWeights, 1025, 1},
};

class FailureAtManyTokens : public testing::TestWithParam<Large> {};

TEST_P(FailureAtManyTokens, ShrinksWithinTwoSeconds) {
  const Large& large = GetParam();
  std::string library;
  for (const Mutant& m : mutants_in(TWINCHECK_MUTANT_LIBRARIES, /*libraries=*/true))
    if (m.id == large.mutant) library = m.library;
  ASSERT_NE(library, "");
  const std::string command = std::string("'" TWINCHECK_PROGRAM "' shrink --no-color --save '' --candidate '") + library +
                              "' '" + large.line + "' 2>&1 </dev/null";
  const auto start = std::chrono::steady_clock::now();
  std::FILE* const pipe = popen(command.c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string out;
  for (int c; (c = std::fgetc(pipe)) != EOF;) out += static_cast<char>(c);
  const int status = pclose(pipe);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(WEXITSTATUS(status), 1) << out;
  EXPECT_LT(took.count(), 2) << out;
  EXPECT_NE(out.find(std::string("law=") + large.law + " "), std::string::npos) << out;
  std::smatch match;
  const std::string replay = out.substr(std::min(out.size(), out.rfind("replay: ")));
  ASSERT_TRUE(std::regex_search(replay, match, std::regex("tokens=([0-9]+) top_k=([0-9]+) shared=([0-9]+)"))) << out;
  EXPECT_LE(std::stoll(match[1]), large.tokens) << replay;
  EXPECT_LE(std::stoll(match[2]) + std::stoll(match[3]), large.columns) << replay;
}

INSTANTIATE_TEST_SUITE_P(Mutants, FailureAtManyTokens, testing::ValuesIn(kLarge),
                         [](const auto& param) { return std::string("M") + param.param.mutant; });

}  // namespace
}  // namespace twincheck
