// A session over persistent buffers: the number of tokens grows and shrinks, padding comes and goes, inputs change behind
// the same pointers, other shapes, refusals and failures come in between. Every step is what the reference says of that
// step. steps.h has the model.
#include <fmt/format.h>

#include <iterator>

#include "properties/knob.h"
#include "properties/list.h"
#include "properties/relate.h"
#include "properties/steps.h"

namespace twincheck::law {
namespace {

using session::Op;

// What any candidate can be asked for; a graph is the runtime's.
constexpr Op kOps[] = {Op::kAppend,     Op::kNewData, Op::kShrink, Op::kGrow,    Op::kReallocate,
                       Op::kParameters, Op::kPadding, Op::kFault,  Op::kRefused, Op::kFirst};

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
              session::Step step;
              const uint64_t op = choices.below(std::size(kOps) + 1);
              const bool other_case = op == std::size(kOps);
              if (!other_case) step.op = kOps[op];
              step.which = static_cast<uint8_t>(choices.below(256));
              step.amount = static_cast<uint16_t>(choices.below(65536));
              const std::string what = fmt::format(
                  "{}, step {} of {}", other_case ? "another case in between" : session::words(step.op), i, steps);
              now = session::changed(step, *first, std::move(now));
              if (other_case) {
                const Case other = draw_case(choices, {.validity = Validity::kValid, .sparse = false, .max_tokens = 32});
                if (!session.related(other, out, what)) break;
              } else if (step.op == Op::kRefused) {
                if (!session.refused(session::refused(step, now), what)) break;
              } else if (step.op == Op::kFault) {
                const relate::Knob fail(candidate, "fail_nth", session::failing_call(step));
                if (fail.turned()) check(now, candidate, bench);
              }
              if (!session.related(now, out, what)) break;
            }
            return session.report();
          },
  };
}

}  // namespace twincheck::law
