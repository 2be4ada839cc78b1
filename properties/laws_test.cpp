// Every law holds for candidates that are right, and is watched failing on candidates that are wrong in one way each.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <set>

#include <rapidcheck.h>

#include "optimized/append.h"
#include "optimized/platform/cpu/control.h"
#include "properties/definition.h"
#include "properties/law.h"
#include "properties/published.h"
#include "properties/relate.h"
#include "properties/wrong_candidates.h"

namespace twincheck {
namespace {

void publish(const Law& law, const Case& c) {
  Published::text(fmt::format("twincheck replay --law {} '{}'\n", law.name, text(c)));
}

// RapidCheck's seed and number of runs, unless the caller's RC_PARAMS says otherwise.
const bool prepared = [] {
  setenv("RC_PARAMS", "seed=20260401 max_success=100", /*overwrite=*/0);
  Published::write_on_death();
  return true;
}();

Candidate cpu_fused() {
  static thread_local const char* message = "";
  Candidate c;
  c.name = "cpu.fused";
  c.path = "(linked)";
  c.exact_status = true;
  c.append = [](const AppendArgs* args) {
    const optimized::Result result = optimized::append(*args);
    if (result.status != Status::kOk) message = result.message;
    return static_cast<int32_t>(result.status);
  };
  c.last_error = [] { return message; };
  c.set = [](const char* key, int64_t value) { return hip_cpu::set(key, value) ? 0 : -1; };
  c.get = [](const char* key) { return std::strcmp(key, "exact_status") == 0 ? 1 : hip_cpu::get(key); };
  return c;
}

// A third party's: held to intervals and to refusal, not to equal bits and the very status.
Candidate third_party() {
  Candidate c = wrong::independent_candidate();
  c.name = "independent as a third party";
  c.exact_status = false;
  c.get = nullptr;
  return c;
}

Case draw(const Law& law, const Candidate& candidate, Choices& choices) {
  Domain domain = law.domain;
  domain.short_structs = domain.short_structs && candidate.exact_status;
  return draw_case(choices, domain);
}

Report judge(const Law& law, const Candidate& candidate, Choices& choices, Bench& bench, Case& drawn) {
  drawn = draw(law, candidate, choices);
  publish(law, drawn);
  return run_law(law, drawn, candidate, bench);
}

std::string told(const Law& law, const Candidate& candidate, const Case& c, const Report& r) {
  std::string where;
  for (const Mismatch& m : r.mismatches)
    where += fmt::format("\n  {}[token={}][slot={}] expected {} got {}", m.is_weight ? "out_weights" : "out_ids", m.token,
                         m.slot, m.expected, m.got);
  return fmt::format("{} {} law={} {}{}\n  replay: twincheck replay --law {} '{}'", name(r.verdict), candidate.name, r.law,
                     r.detail, where, law.name, text(c));
}

struct Right {
  const char* name;
  Candidate (*candidate)();
};
constexpr Right kRight[] = {
    {"CpuFused", cpu_fused}, {"Independent", wrong::independent_candidate}, {"ThirdParty", third_party}};

std::string camel(std::string_view snake) {
  std::string out;
  bool upper = true;
  for (const char c : snake) {
    if (c != '_') out += upper ? static_cast<char>(std::toupper(c)) : c;
    upper = c == '_';
  }
  return out;
}

class EveryLaw : public testing::TestWithParam<std::tuple<const Law*, const Right*>> {};

TEST_P(EveryLaw, HoldsOverSeeds) {
  const auto& [law, right] = GetParam();
  const Candidate candidate = right->candidate();
  Bench bench;
  int judged = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    Choices choices = Choices::random(seed * 0x9e3779b97f4a7c15 + 1);
    Case c;
    const Report r = judge(*law, candidate, choices, bench, c);
    ASSERT_FALSE(is_bad(r.verdict)) << told(*law, candidate, c, r);
    judged += r.verdict == Verdict::kPassed || r.verdict == Verdict::kRefused;
  }
  // A sparse case may be more than this machine has.
  EXPECT_GE(judged, 390);
}

TEST_P(EveryLaw, HoldsForShrinkingChoices) {
  const Law* law = std::get<0>(GetParam());
  const Right* right = std::get<1>(GetParam());
  const Candidate candidate = right->candidate();
  Bench bench;
  const bool held = rc::check(fmt::format("{} for {}", law->name, right->name), [&] {
    const auto tape = *rc::gen::resize(150, rc::gen::arbitrary<std::vector<uint64_t>>());
    Choices choices = Choices::replay(tape);
    Case c;
    const Report r = judge(*law, candidate, choices, bench, c);
    if (is_bad(r.verdict)) RC_FAIL(told(*law, candidate, c, r));
  });
  EXPECT_TRUE(held);
}

std::vector<std::tuple<const Law*, const Right*>> laws_and_candidates() {
  std::vector<std::tuple<const Law*, const Right*>> all;
  for (const Law& law : laws())
    for (const Right& right : kRight) all.emplace_back(&law, &right);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Laws, EveryLaw, testing::ValuesIn(laws_and_candidates()), [](const auto& param) {
  return camel(std::get<0>(param.param)->name) + std::get<1>(param.param)->name;
});

// ---- watched failing

class WrongCandidate : public testing::TestWithParam<const wrong::Wrong*> {};

TEST_P(WrongCandidate, IsSeenByItsLaw) {
  const wrong::Wrong& w = *GetParam();
  const Law* law = find_law(w.law);
  ASSERT_NE(law, nullptr);
  std::optional<relate::Blindfold> blind;
  if (w.sight == wrong::Wrong::Sight::kBlind) blind.emplace();
  Bench bench;
  int seen = 0;
  constexpr uint64_t kMost = 20000;
  for (uint64_t seed = 0; seed < kMost && seen < 3; ++seed) {
    const Candidate candidate = wrong::fresh(w);
    Choices choices = Choices::random(seed * 0x9e3779b97f4a7c15 + 1);
    Case c;
    const Report r = judge(*law, candidate, choices, bench, c);
    if (!is_bad(r.verdict)) continue;
    ++seen;
    EXPECT_EQ(r.law, w.promise) << told(*law, candidate, c, r);
    EXPECT_FALSE(r.detail.empty() && r.mismatches.empty());
    // A case is the whole replay line.
    const Report again = run_law(*law, c, wrong::fresh(w), bench);
    EXPECT_EQ(again.detail, r.detail) << text(c);
  }
  EXPECT_EQ(seen, 3) << w.name << " " << w.sentence << ", and " << w.law << " does not see it";
}

TEST_P(WrongCandidate, PassesTheReferenceWhereOnlyItsLawCanSee) {
  const wrong::Wrong& w = *GetParam();
  if (!w.within_reference) return;
  const Law* law = find_law("equals_reference");
  Bench bench;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    const Candidate candidate = wrong::fresh(w);
    Choices choices = Choices::random(seed * 0x9e3779b97f4a7c15 + 1);
    Case c;
    const Report r = judge(*law, candidate, choices, bench, c);
    ASSERT_FALSE(is_bad(r.verdict)) << told(*law, candidate, c, r);
  }
}

std::vector<const wrong::Wrong*> wrong_ones() {
  std::vector<const wrong::Wrong*> all;
  for (const wrong::Wrong& w : wrong::candidates()) all.push_back(&w);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Laws, WrongCandidate, testing::ValuesIn(wrong_ones()),
                         [](const auto& param) { return camel(param.param->name); });

// Two right answers may differ: what is only a difference between two calls, inside the bounds, is no failure of a third
// party's kernel. That the same call repeats is asked of everybody.
TEST_P(WrongCandidate, MayRoundDifferentlyAsAThirdParty) {
  const wrong::Wrong& w = *GetParam();
  const bool rounds = w.within_reference && w.sight == wrong::Wrong::Sight::kWithReference && w.promise == w.law;
  if (!rounds || w.law == "deterministic" || w.law == "faults" || w.law == "device_follows_outputs") return;
  Bench bench;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    Candidate candidate = wrong::fresh(w);
    candidate.exact_status = false;
    Choices choices = Choices::random(seed * 0x9e3779b97f4a7c15 + 1);
    Case c;
    const Report r = judge(*find_law(w.law), candidate, choices, bench, c);
    ASSERT_FALSE(is_bad(r.verdict)) << told(*find_law(w.law), candidate, c, r);
  }
}

TEST(Laws, HaveEachAWrongCandidate) {
  std::set<std::string_view> seen;
  for (const wrong::Wrong& w : wrong::candidates()) seen.insert(w.law);
  for (const Law& law : laws()) EXPECT_TRUE(seen.count(law.name)) << law.name << " was never watched failing";
}

// ---- the cases that a law needs

constexpr int kDraws = 20000;

TEST(Laws, AreGivenEveryClassOfCasesThatTheyNeed) {
  for (const Law& law : laws())
    for (const Shortfall& s : missing_classes(law, /*seed=*/1, kDraws)) ADD_FAILURE() << law.name << ": " << s.message;
}

// A generator that has lost one class: cases of it come out as something else.
template <typename Is, typename Becomes>
Case draw_without(Choices& choices, const Domain& domain, Is is, Becomes becomes) {
  Case c = draw_case(choices, domain);
  if (is(c)) becomes(c);
  return c;
}

struct Lost {
  std::string_view field, name;
  Case (*draw)(Choices&, const Domain&);
};
constexpr Lost kLost[] = {
    {"topk_weights", "nan",
     [](Choices& choices, const Domain& d) {
       return draw_without(
           choices, d, [](const Case& c) { return c.weights == ValueClass::kNan; },
           [](Case& c) { c.weights = ValueClass::kRouter; });
     }},
    {"shared_logits", "spread",
     [](Choices& choices, const Domain& d) {
       return draw_without(
           choices, d, [](const Case& c) { return c.shared_values == ValueClass::kSpread; },
           [](Case& c) { c.shared_values = ValueClass::kRouter; });
     }},
    {"large_ids", "i64_above_2^31",
     [](Choices& choices, const Domain& d) {
       return draw_without(
           choices, d, [](const Case& c) { return c.ids == IdClass::kLarge && c.ids_dtype == Dtype::kI64; },
           [](Case& c) { c.ids = IdClass::kDistinct; });
     }},
    {"weights_columns", "broadcast",
     [](Choices& choices, const Domain& d) {
       return draw_without(
           choices, d, [](const Case& c) { return c.source == TWINCHECK_WEIGHTS && c.broadcast; },
           [](Case& c) { c.broadcast = false; });
     }},
    {"shared", "0",
     [](Choices& choices, const Domain& d) {
       return draw_without(
           choices, d, [](const Case& c) { return c.shared == 0 && !has_defect(c); },
           [](Case& c) {
             c = {};
             c.shared = 1;
             c.tokens = 1;
           });
     }},
};

TEST(Laws, FailWhereTheirGeneratorHasLostAClass) {
  for (const Lost& lost : kLost) {
    int failing = 0;
    for (const Law& law : laws()) {
      for (const Shortfall& s : missing_classes(law, /*seed=*/1, kDraws, lost.draw)) {
        if (s.of->field != lost.field) continue;  // what the lost ones became may be missing elsewhere
        EXPECT_EQ(s.of->name, lost.name) << law.name;
        EXPECT_EQ(s.members, 0u) << law.name << ": " << s.message;
        ++failing;
      }
    }
    EXPECT_GE(failing, 10) << lost.field << "=" << lost.name;
  }
}

TEST(Laws, AreFoundByName) {
  for (const Law& law : laws()) EXPECT_EQ(find_law(law.name), &law);
  EXPECT_EQ(find_law("no_such_law"), nullptr);
}

TEST(Laws, AnswerForAnyCase) {
  Bench bench;
  const Candidate candidate = cpu_fused();
  for (uint64_t seed = 0; seed < 150; ++seed) {
    Choices choices = Choices::random(seed + 77);
    const Case c = draw_case(choices, {.validity = seed % 2 ? Validity::kInvalid : Validity::kValid, .short_structs = true});
    for (const Law& law : laws()) {
      publish(law, c);
      const Report r = run_law(law, c, candidate, bench);
      EXPECT_FALSE(is_bad(r.verdict)) << told(law, candidate, c, r);
    }
  }
}

}  // namespace
}  // namespace twincheck
