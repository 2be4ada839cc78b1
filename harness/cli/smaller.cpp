#include "harness/cli/smaller.h"

#include <chrono>

#include "harness/case/shrink.h"
#include "harness/cli/options.h"

namespace twincheck {

Smaller smaller_case(const Item& item, const Report& report, const MakeJudge& make_judge, const Limits& limits,
                     double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  Smaller smaller{.item = item, .report = report};
  Solo solo(make_judge, limits);
  // A candidate that is wrong only the first time, or only the second, meets every case afresh: slower, and fair.
  const auto fails_the_same = [&](const Report& r) { return r.verdict == report.verdict && r.law == report.law; };
  const bool fresh_each_time = fails_the_same(solo.judge(item)) && !fails_the_same(solo.judge(item));
  const auto still_fails = [&](const Case& c) {
    if (interrupt_signal != 0) return false;
    if (fresh_each_time) solo.restart();
    const Item tried{.law = item.law, .c = c};
    ++smaller.tried;
    const Report r = solo.judge(tried);
    if (interrupt_signal != 0 || !fails_the_same(r)) return false;  // an interrupted case looks like a crash
    smaller.item = tried;
    smaller.report = r;
    return true;
  };
  const Case found = shrink(item.c, still_fails, deadline);
  if (found == smaller.item.c || found == item.c) return smaller;
  // The last one that failed is not the one that was chosen.
  solo.restart();
  const Report chosen = solo.judge({.law = item.law, .c = found});
  if (interrupt_signal != 0) return smaller;
  smaller.item.c = found;
  smaller.report = chosen;
  return smaller;
}

}  // namespace twincheck
