// The smallest case that still breaks the same law, tried in isolated workers.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "harness/candidate/worker.h"

namespace twincheck {

struct Smaller {
  Item item;
  Report report;       // of the smaller case
  uint64_t tried = 0;  // cases judged
};

// `report` is what item came to: a bad verdict. A smaller case breaks the same promise with the same verdict, by itself in a
// process that has just been started. Takes about `seconds`, twice that where the candidate carries something from case to
// case, and one case's timeout more at most. Where no smaller case is found, or there is no time, it is the item.
Smaller smaller_case(const Item& item, const Report& report, const MakeJudge& make_judge, const Limits& limits,
                     double seconds);

struct SmallerSequence {
  std::vector<Item> items;
  Report report;       // of the last one
  uint64_t tried = 0;  // sequences run
};

// The same for cases of which the last one fails only after the others: fewer of them, and smaller ones, run in order in a
// process that has just been started. Empty where `items` do not break the promise of `report` so.
SmallerSequence smaller_sequence(std::span<const Item> items, const Report& report, const MakeJudge& make_judge,
                                 const Limits& limits, double seconds);

// The cases as lines for a message, long ones cut off.
std::vector<std::string> lines_of(std::span<const Item> items);

}  // namespace twincheck
