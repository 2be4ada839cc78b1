// A law: one promise about every input, as a function of a source of choices and a candidate. RapidCheck, GoogleTest, the
// fuzzers, `gate` and `verify` run the same list; none of them has a copy.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "harness/candidate/candidate.h"
#include "harness/case/case.h"
#include "harness/case/choices.h"
#include "harness/case/classes.h"
#include "harness/case/generate.h"
#include "harness/judge/check.h"
#include "harness/report/verdict.h"

namespace twincheck {

struct Law {
  std::string_view name;      // the file's name
  int line;                   // of that file, on which the law is defined: from 1, __LINE__ beside the name
  std::string_view sentence;  // what it holds, for people
  Domain domain;              // the cases it is about
  // Judges the law on one case of its domain. Whatever else the law needs (a split point, a permutation) it draws from
  // `choices`, which on replay are seeded from the case, so that a case is the whole replay line.
  Report (*holds)(const Case& c, Choices& choices, const Candidate& candidate, Bench& bench);
  uint64_t cost = 1;         // of a case of a device law: where others get n cases, this one gets n / cost
  bool two_devices = false;  // a device law that says nothing where there is one
};

// Every law that holds wherever a candidate's memory is, in the order in which they run.
std::span<const Law> laws();

// Those about what only a device has: streams, graphs, several devices, gigabytes. Of a candidate in host memory they only
// judge the case.
std::span<const Law> device_laws();

// The former, then the latter.
std::span<const Law> all_laws();
const Law* find_law(std::string_view name);  // null where there is none

// Draws a case of the law's domain and judges it. `drawn`, where given, receives the case before the candidate is called.
Report run_law(const Law& law, Choices& choices, const Candidate& candidate, Bench& bench, Case* drawn = nullptr);

// Judges the law on a given case (corpus, replay, shrinking).
Report run_law(const Law& law, const Case& c, const Candidate& candidate, Bench& bench);

// The classes of classes.h that `cases` draws of a law's domain give too few of: where there is one the law proves less than
// it says, and fails. `draw` is the generator. The same seed gives the same draws.
std::vector<Shortfall> missing_classes(const Law& law, uint64_t seed, int cases,
                                       Case (*draw)(Choices&, const Domain&) = draw_case);

}  // namespace twincheck
