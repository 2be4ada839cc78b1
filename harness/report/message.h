// What people read: the failure message, the lines of the summary, the last sentence.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "contract/words.h"
#include "harness/report/verdict.h"

namespace twincheck {

// Colours help where they are seen and carry nothing alone: the words are the same without.
struct Style {
  bool color = false;

  std::string bad(std::string_view words) const;
  std::string good(std::string_view words) const;
  std::string dim(std::string_view words) const;
};

// Colours are for terminals, unless --no-color or NO_COLOR (set to anything but nothing) forbids them.
Style style_for(int descriptor, bool no_color);

// Text that a candidate wrote, safe to show on a terminal: control characters but newlines become '?'.
std::string printable(std::string_view text);

// FNV-1a, 64 bits: the same text has the same hash in every run, for names and fingerprints.
uint64_t hash_of(std::string_view text);

// A word of a command line, quoted for a POSIX shell where it needs to be.
std::string shell_word(std::string_view word);

// What makes failures of one candidate equal: the law that was run, the broken promise, the verdict and, without its
// particulars, the reason of a crash.
std::string failure_kind(std::string_view law, const Report& report);

// What a failure message says beside the report itself.
struct Context {
  std::string candidate;           // "platform.algorithm"
  std::string origin;              // where the case comes from: a file, or "generated case 17"
  std::string replay;              // the whole command
  std::string output;              // the tail of what the candidate printed; empty where it printed nothing
  std::vector<std::string> notes;  // further lines
};

//     FAIL cuda.fused   law=appended_weights   corpus/regressions/0007-bf16-halfway.case
//       out_weights[token=1][slot=8, shared 0]  expected 0x4020 (2.5)  got 0x401f (2.484375)    1 of 20 weights, 0 of 20 ids
//       guards intact, inputs unchanged, all slots written
//       replay: twincheck replay 'append ...'
//
// The first word is FAIL, CRASH, HANG or FLAKY, as the verdict is. At most ten mismatches. Ends in a newline.
std::string failure_message(const Report& report, const Context& context, Style style);

// What was done to one candidate, or to all of them together.
struct Totals {
  uint64_t cases = 0;
  double seconds = 0;
  std::array<uint64_t, kVerdicts> verdicts{};
  std::array<uint64_t, 4> sources{};  // cases of each twincheck_source; other numbers are counted nowhere
  uint64_t ids_compared = 0, weights_compared = 0;

  uint64_t count(Verdict v) const { return verdicts[static_cast<std::size_t>(v)]; }
  uint64_t elements() const { return ids_compared + weights_compared; }
  uint64_t bad() const;
  void add(const Totals& other);
};

// "N cases in S s, R cases/s": plain digits, S with one decimal.
std::string rate_line(const Totals& totals);

// "mean 212.4 output elements a case; sources: constant 24.9 %, weights 25.2 %, ..."
std::string distribution_line(const Totals& totals);

// "passed 900, refused 80, failed 2": in the order of the verdicts, those that are not zero.
std::string verdict_line(const Totals& totals);

// "38 s", "3 min 20 s", "1 h 05 min": for progress lines.
std::string duration(double seconds);
std::string bytes_text(uint64_t bytes);  // "1.2 GiB"

}  // namespace twincheck
