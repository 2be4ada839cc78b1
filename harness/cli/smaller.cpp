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
  const auto still_fails = [&](const Case& c) {
    if (interrupt_signal != 0) return false;
    const Item tried{.law = item.law, .c = c};
    ++smaller.tried;
    const Report r = solo.judge(tried);
    if (r.verdict != report.verdict || r.law != report.law) return false;
    smaller.item = tried;
    smaller.report = r;
    return true;
  };
  const Case found = shrink(item.c, still_fails, deadline);
  if (found == smaller.item.c || found == item.c) return smaller;
  // The last one that failed is not the one that was chosen.
  smaller.item.c = found;
  solo.restart();
  smaller.report = solo.judge(smaller.item);
  return smaller;
}

}  // namespace twincheck
