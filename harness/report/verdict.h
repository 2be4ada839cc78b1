// Verdict and Report: what check() says of one case.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "contract/words.h"

namespace twincheck {

enum class Verdict : uint8_t {
  kPassed,       // valid, and every promise kept
  kRefused,      // invalid, and refused as it should be, everything untouched
  kFailed,       // a promise broken; `law` names it
  kUnsupported,  // the candidate said so and touched nothing
  kTooLarge,     // does not fit this machine; nothing was compared
  kCrashed,      // the process died in the call, or an exception left it; `detail` has the signal or reason
  kHung,         // did not return within the time limit, twice
  kFlaky,        // failed once and did not repeat on replay
  kKnown,        // failed, crashed or hung, and a list of known failures says so
};
inline constexpr int kVerdicts = 9;
inline constexpr std::array<std::string_view, kVerdicts> kVerdictNames{
    "passed", "refused", "failed", "unsupported", "too_large", "crashed", "hung", "flaky", "known"};
constexpr std::string_view name(Verdict v) { return kVerdictNames[static_cast<std::size_t>(v)]; }
constexpr bool is_bad(Verdict v) {
  return v == Verdict::kFailed || v == Verdict::kCrashed || v == Verdict::kHung || v == Verdict::kFlaky;
}

// One element that is not what it must be.
struct Mismatch {
  bool is_weight;  // of out_weights, else of out_ids
  int64_t token, slot;
  int64_t shared;             // slot - top_k, or -1 for a routed slot
  std::string expected, got;  // bits and value, ready to print: "0x4020 (2.5)", "[0x3efe, 0x3f02] ([0.496, 0.508])"
};

struct Report {
  Verdict verdict = Verdict::kPassed;
  std::string law;                   // the broken promise, by name; empty where none is
  std::string detail;                // one line: guard byte, status, signal, the candidate's own words
  std::vector<Mismatch> mismatches;  // at most ten, in row-major order, ids first
  int64_t ids_compared = 0, ids_wrong = 0, weights_compared = 0, weights_wrong = 0;
  Status expected_status = Status::kOk;
  int32_t got_status = 0;
  bool guards_intact = true, inputs_unchanged = true, all_written = true;
  double seconds = 0;  // of judging, where somebody has measured it; to_bytes leaves it out
};

}  // namespace twincheck
