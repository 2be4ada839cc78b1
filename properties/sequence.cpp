// A session over persistent buffers: the number of tokens grows and shrinks, padding comes and goes, inputs change behind
// the same pointers, other shapes, refusals and failures come in between. Every step is what the reference says of that
// step.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "properties/knob.h"
#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {
namespace {

enum class Step {
  kSame,
  kNewData,
  kFewerTokens,
  kMoreTokens,
  kPaddingComes,
  kPaddingGoes,
  kSharedChanges,
  kParametersChange,
  kBackToFirst,
  kOther,
  kRefused,
  kFailure,
};
constexpr const char* kWords[] = {"the same again",
                                  "other data",
                                  "fewer tokens",
                                  "more tokens",
                                  "tokens become padding",
                                  "padding becomes tokens",
                                  "other shared values alone",
                                  "another base_id and scale",
                                  "the first case again",
                                  "another case in between",
                                  "after a refusal",
                                  "after a runtime error"};
constexpr std::size_t kSteps = std::size(kWords);

constexpr int64_t kMostTokens = 600;

std::vector<uint64_t>& literal_of(Case& c, Operand o) { return c.literal[static_cast<std::size_t>(o)]; }

void set_tokens(Case& c, int64_t tokens) {
  c.tokens = tokens;
  relate::refit(c);
}

// All of `now`'s rows in [first, end) become padding: every id -1.
void pad(Case& now, int64_t first, int64_t end) {
  std::vector<uint64_t>& ids = literal_of(now, Operand::kTopkIds);
  relate::elements(now, Operand::kTopkIds, ids);
  for (int64_t i = first * now.top_k; i < end * now.top_k; ++i)
    if (static_cast<std::size_t>(i) < ids.size()) ids[static_cast<std::size_t>(i)] = ~uint64_t{0};
}

// What a step makes of the current case.
void change(Step step, const Case& first, Case& now, Choices& choices) {
  switch (step) {
    case Step::kNewData:
      for (std::vector<uint64_t>& bits : now.literal) bits.clear();
      now.seed = choices.below(uint64_t{1} << 32);
      break;
    case Step::kFewerTokens:
      set_tokens(now, now.tokens - choices.between(0, now.tokens));
      break;
    case Step::kMoreTokens:
      set_tokens(now, std::max(now.tokens,
                               std::min(kMostTokens, now.tokens + choices.between(1, std::max<int64_t>(4, now.tokens)))));
      break;
    case Step::kPaddingComes: {
      const int64_t from = choices.between(0, now.tokens);
      pad(now, from, choices.chance(1, 2) ? now.tokens : std::min(now.tokens, from + 1));
      break;
    }
    case Step::kPaddingGoes:
      literal_of(now, Operand::kTopkIds).clear();
      if (now.ids == IdClass::kPadding || now.ids == IdClass::kSomePadding) now.ids = IdClass::kDistinct;
      break;
    case Step::kSharedChanges:
      for (const Operand o : {Operand::kShared, Operand::kHidden}) {
        std::vector<uint64_t>& bits = literal_of(now, o);
        if (!is_used(now, o) || !relate::elements(now, o, bits)) continue;
        // The sign, so that no weight but 0 and NaN stays.
        const int sign = now.shared_dtype == Dtype::kF32 ? 31 : 15;
        for (uint64_t& b : bits) b ^= uint64_t{1} << sign;
      }
      break;
    case Step::kParametersChange: {
      static constexpr float kScales[] = {1, 0.5, 0.25, 2.5, -1};
      now.base_id += now.base_id > 0 ? -1 : 1;
      if (now.source != TWINCHECK_WEIGHTS)
        now.scale_bits = std::bit_cast<uint32_t>(kScales[choices.below(std::size(kScales))]);
      break;
    }
    case Step::kBackToFirst:
      now = first;
      break;
    default:
      break;
  }
}

}  // namespace

Law sequence() {
  return {
      .name = "sequence",
      .line = __LINE__,
      .sentence = "a session of calls over the same buffers always equals the reference of the current step",
      .domain = {.validity = Validity::kValid, .sparse = false},
      .holds =
          [](const Case& c, Choices& choices, const Candidate& candidate, Bench& bench) {
            relate::Session session("sequence", candidate, bench);
            if (!session.given(c)) return session.report();
            const auto first = relate::literalize(c);
            if (!first || c.tokens > relate::kMaxElements) {
              session.too_large();
              return session.report();
            }
            Case now = *first;
            Outputs out;
            const int64_t steps = choices.between(3, 6);
            for (int64_t i = 1; i <= steps; ++i) {
              const auto step = static_cast<Step>(choices.below(kSteps));
              const std::string what = fmt::format("{}, step {} of {}", kWords[static_cast<std::size_t>(step)], i, steps);
              change(step, *first, now, choices);
              if (step == Step::kOther) {
                const Case other = draw_case(choices, {.validity = Validity::kValid, .sparse = false, .max_tokens = 32});
                if (!session.related(other, out, what)) break;
              } else if (step == Step::kRefused) {
                Case refused = now;
                refused.base_id = -1;
                if (!session.refused(refused, what)) break;
              } else if (step == Step::kFailure) {
                const relate::Knob fail(candidate, "fail_nth", choices.between(1, 4));
                if (fail.turned()) check(now, candidate, bench);
              }
              if (!session.related(now, out, what)) break;
            }
            return session.report();
          },
  };
}

}  // namespace twincheck::law
