// What a bench run found, as files: CSV for tables, SVG to look at; and bench_json()'s file read back, to compare with.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "harness/report/run_report.h"

namespace twincheck::bench {

// A line a point, after a line of names.
std::string csv(const BenchRecord& run);

// Why a text is not what bench_json() writes.
struct FormatError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// What comparing needs of it: machine, candidates, cases, times, verdicts. Throws FormatError.
BenchRecord from_json(std::string_view text);

// For each shape without its tokens two panels over tokens: time, and the share of the copy rate that it comes to, with the
// empty kernel and the copy rate as lines. At most kMostPlots shapes are drawn. Fits a light and a dark background.
inline constexpr int kMostPlots = 12;
std::string svg(const BenchRecord& run);

}  // namespace twincheck::bench
