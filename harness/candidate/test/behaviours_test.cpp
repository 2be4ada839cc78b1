// The table of behaviours speaks the judge's language, so that a test can hold the judge to it word by word.
#include "harness/candidate/test/behaviours.h"

#include <algorithm>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "harness/judge/check.h"

namespace {

using tampering::kBehaviours;

std::set<std::string> words(std::string_view alternatives) {
  std::set<std::string> result;
  while (!alternatives.empty()) {
    const std::size_t bar = std::min(alternatives.find('|'), alternatives.size());
    result.emplace(alternatives.substr(0, bar));
    alternatives.remove_prefix(std::min(bar + 1, alternatives.size()));
  }
  return result;
}

TEST(Behaviours, HaveNamesOfTheirOwn) {
  for (std::size_t i = 0; i < kBehaviours.size(); ++i) {
    EXPECT_EQ(tampering::find(kBehaviours[i].name), static_cast<int>(i)) << kBehaviours[i].name;
  }
  EXPECT_EQ(tampering::find("no such behaviour"), -1);
}

TEST(Behaviours, NameVerdictsAndPromisesThatExist) {
  namespace promise = twincheck::promise;
  const std::set<std::string> promises{promise::kRoutedIds,     promise::kAppendedIds,
                                       promise::kRoutedWeights, promise::kAppendedWeights,
                                       promise::kAllWritten,    promise::kGuards,
                                       promise::kGaps,          promise::kInputs,
                                       promise::kRepeats,       promise::kRefusal,
                                       promise::kRefusalStatus, promise::kRefusalTouches,
                                       promise::kRuntimeError,  promise::kUnsupportedTouches,
                                       promise::kNoCrash};
  const std::set<std::string> verdicts(twincheck::kVerdictNames.begin(), twincheck::kVerdictNames.end());
  for (const tampering::Behaviour& b : kBehaviours) {
    EXPECT_FALSE(b.verdict.empty()) << b.name;
    for (const std::string& word : words(b.verdict)) EXPECT_EQ(verdicts.count(word), 1u) << b.name << ": " << word;
    for (const std::string& word : words(b.law)) EXPECT_EQ(promises.count(word), 1u) << b.name << ": " << word;
  }
}

TEST(Behaviours, BreakEveryPromiseOfCheck) {
  std::set<std::string> broken;
  for (const tampering::Behaviour& b : kBehaviours) broken.merge(words(b.law));
  EXPECT_EQ(broken.size(), 15u);
}

TEST(Behaviours, AlternativesAreWholeWords) {
  EXPECT_TRUE(tampering::allows("failed|flaky", "failed"));
  EXPECT_TRUE(tampering::allows("failed|flaky", "flaky"));
  EXPECT_FALSE(tampering::allows("failed|flaky", "fail"));
  EXPECT_FALSE(tampering::allows("failed|flaky", "failed|flaky"));
  EXPECT_FALSE(tampering::allows("failed", ""));
}

}  // namespace
