#include "harness/cli/smaller.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <utility>

#include "harness/case/shrink.h"
#include "harness/cli/options.h"

namespace twincheck {
namespace {

using Clock = std::chrono::steady_clock;

Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

}  // namespace

Smaller smaller_case(const Item& item, const Report& report, const MakeJudge& make_judge, const Limits& limits,
                     double seconds) {
  Solo solo(make_judge, limits);
  const auto fails_the_same = [&](const Report& r) { return r.verdict == report.verdict && r.law == report.law; };
  Smaller smaller{.item = item, .report = report};
  bool fresh_each_time = false;
  const auto still_fails = [&](const Case& c) {
    if (interrupt_signal != 0) return false;
    if (fresh_each_time) solo.restart();
    ++smaller.tried;
    const Report r = solo.judge({.law = item.law, .c = c});
    return interrupt_signal == 0 && fails_the_same(r);  // an interrupted case looks like a crash
  };
  // The smallest case by which a process that has just been started fails.
  const auto search = [&] {
    const Case found = shrink(item.c, still_fails, Clock::now() + duration_of(seconds));
    solo.restart();
    const Report alone = solo.judge({.law = item.law, .c = found});
    if (interrupt_signal != 0 || !fails_the_same(alone)) return false;
    smaller.item.c = found;
    smaller.report = alone;
    return true;
  };
  // A candidate that is wrong only the first time, or only after other cases, meets every case afresh: slower, and fair.
  fresh_each_time = fails_the_same(solo.judge(item)) && !fails_the_same(solo.judge(item));
  if (!search() && !fresh_each_time && interrupt_signal == 0) {
    fresh_each_time = true;
    (void)search();
  }
  return smaller;
}

SmallerSequence smaller_sequence(std::span<const Item> items, const Report& report, const MakeJudge& make_judge,
                                 const Limits& limits, double seconds) {
  const auto deadline = Clock::now() + duration_of(seconds);
  Solo solo(make_judge, limits);
  SmallerSequence smaller;
  const auto fails = [&](std::vector<Item> sequence) {
    solo.restart();
    ++smaller.tried;
    for (std::size_t i = 0; i < sequence.size(); ++i) {
      const Report r = solo.judge(sequence[i]);
      if (interrupt_signal != 0) return false;
      if (!is_bad(r.verdict)) continue;
      if (r.law != report.law) return false;
      sequence.resize(i + 1);
      smaller.items = std::move(sequence);
      smaller.report = r;
      return true;
    }
    return false;
  };
  const auto in_time = [&] { return interrupt_signal == 0 && Clock::now() < deadline; };
  if (!fails({items.begin(), items.end()})) return smaller;
  for (bool changed = true; changed && in_time();) {
    changed = false;
    for (std::size_t i = 0; i + 1 < smaller.items.size() && in_time();) {
      std::vector<Item> fewer = smaller.items;
      fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(i));
      if (fails(std::move(fewer))) {
        changed = true;
      } else {
        ++i;
      }
    }
    // What is kept from case to case may depend on sizes that all of them share.
    for (const auto field : {&Case::top_k, &Case::shared, &Case::hidden}) {
      for (const int64_t value : {0, 1, 2}) {
        std::vector<Item> alike = smaller.items;
        for (Item& item : alike) item.c.*field = std::min(item.c.*field, value);
        const bool differs = !std::equal(alike.begin(), alike.end(), smaller.items.begin(), smaller.items.end(),
                                         [](const Item& a, const Item& b) { return a.c == b.c; });
        if (!differs || !in_time() || !fails(std::move(alike))) continue;
        changed = true;
        break;
      }
    }
    for (std::size_t i = smaller.items.size(); i-- > 0 && in_time();) {
      if (i >= smaller.items.size()) continue;
      const Case was = smaller.items[i].c;
      const std::size_t size = smaller.items.size();
      const auto still_fails = [&](const Case& c) {
        if (!in_time() || smaller.items.size() != size) return false;
        std::vector<Item> other = smaller.items;
        other[i].c = c;
        return fails(std::move(other));
      };
      (void)shrink(was, still_fails, deadline);
      changed = changed || smaller.items.size() != size || smaller.items[i].c != was;
    }
  }
  return smaller;
}

std::vector<std::string> lines_of(std::span<const Item> items) {
  constexpr std::size_t kLongest = 400;
  std::vector<std::string> lines;
  for (const Item& item : items) {
    std::string line = text(item.c);
    if (line.size() > kLongest) line = line.substr(0, kLongest) + " ...";
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace twincheck
