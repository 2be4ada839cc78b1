#include "harness/cli/same_bits.h"

#include <fmt/format.h>

namespace twincheck {
namespace {

constexpr const char* kLaw = "same_bits";
constexpr std::size_t kMaxMismatches = 10;

}  // namespace

Report check_same_bits(const Case& c, const Candidate& candidate, Bench& bench, const Candidate& twin, uint64_t max_bytes) {
  Outputs ours, its;
  Report report = check(c, candidate, bench, ours);
  if (report.verdict != Verdict::kPassed) return report;
  // Of each thread: the jobs of a device's bench run on several, and this call is over before another one of the thread.
  thread_local Bench host(MemoryKind::kHost, max_bytes);
  Report other = check(c, twin, host, its);
  if (other.verdict != Verdict::kPassed) {
    other.detail = fmt::format("{}: {}", twin.name, other.detail);
    return other;
  }
  for (int64_t t = 0; t < ours.rows; ++t)
    for (int64_t s = 0; s < ours.columns; ++s) {
      const auto i = static_cast<std::size_t>(t * ours.columns + s);
      const int64_t shared = s < c.top_k ? -1 : s - c.top_k;
      const bool more = report.mismatches.size() < kMaxMismatches;
      if (ours.ids[i] != its.ids[i]) {
        ++report.ids_wrong;
        if (more)
          report.mismatches.push_back({false, t, s, shared, fmt::format("{}", its.ids[i]), fmt::format("{}", ours.ids[i])});
      }
      if (ours.weights[i] != its.weights[i]) {
        ++report.weights_wrong;
        if (more)
          report.mismatches.push_back(
              {true, t, s, shared, fmt::format("{:#x}", its.weights[i]), fmt::format("{:#x}", ours.weights[i])});
      }
    }
  if (report.ids_wrong + report.weights_wrong > 0) {
    report.verdict = Verdict::kFailed;
    report.law = kLaw;
    report.detail = fmt::format("not the bits of {}", twin.name);
  }
  return report;
}

}  // namespace twincheck
