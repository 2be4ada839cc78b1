// What the cases of a run came to, counted where they are judged: in the worker, in an array of numbers that all add up.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "harness/candidate/worker.h"
#include "harness/case/classes.h"
#include "harness/report/message.h"
#include "harness/report/run_report.h"

namespace twincheck {

// How often each place in the space of cases was visited, and what came of it there. Trivially copyable.
struct ShapeSpace {
  static constexpr std::size_t kTokenBins = 23, kTopKBins = 14;  // below 0, then 0, 1, 2-3, 4-7, ... and more
  static constexpr std::size_t kIds = 2, kWeights = 3;           // dtypes
  static constexpr std::size_t kSources = 5, kLayouts = 4;       // the last source: a number that is none

  std::array<Grid::Cell, kTokenBins * kTopKBins> sizes;
  std::array<Grid::Cell, kIds * kWeights * kWeights> dtypes;  // of ids, weights and the source's; others are counted nowhere
  std::array<Grid::Cell, kSources * kLayouts> layouts;

  void add(const Case& c, Verdict verdict);
  void merge(const ShapeSpace& other);
};
std::vector<Grid> grids(const ShapeSpace& space);

// What one candidate's cases came to.
struct Tally {
  Totals totals;
  std::vector<std::array<uint64_t, kVerdicts>> laws;  // verdicts by law, in the order of all_laws()
  std::vector<double> law_seconds;                    // of judging, beside laws
  ShapeSpace space{};
  ClassCounts classes;

  void add(const Tally& other);
};

// "source: gate (400 of 400)", "dtypes: i64/f32/bf16 (12 of 30), ...": of each field the parts with the most unsupported
// cases, each on a line of its own.
std::string unsupported_text(const Tally& tally);

// The numbers that count_item() counts in.
std::size_t counter_count(bool with_classes);

// Adds one judged item. About a tenth of a microsecond; 0.3 more with_classes.
void count_item(const Item& item, const Report& report, bool with_classes, std::span<uint64_t> counters);

// `seconds`: of the run.
Tally tally_of(std::span<const uint64_t> counters, double seconds, bool with_classes);

}  // namespace twincheck
