// What the fuzzers share: the candidate on trial, the cases that bytes become, and what is said when a promise is broken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "harness/candidate/candidate.h"
#include "harness/case/case.h"
#include "harness/judge/check.h"
#include "harness/report/verdict.h"

namespace twincheck::fuzz {

// Production's kernel on the CPU platform, linked into the fuzzer and instrumented; or the library that the environment
// variable TWINCHECK_FUZZ_CANDIDATE names (a mutant). Exits in 2 where that is no candidate.
const Candidate& candidate();
bool is_linked();  // production's

// Host memory for small cases; one for the process.
Bench& bench();

// A hash of the bytes: what an input draws beyond its fields (the order of blocks) follows from it.
uint64_t hash(std::span<const uint8_t> bytes);

// Blocks and threads run in an order that follows from `seed`, never the fixed one.
void set_block_order(uint64_t seed);

// The nearest case that the table accepts and that is judged in microseconds: sizes, strides and parameters out of range
// are folded into it, overrides that make a struct invalid are dropped. A case that is so already stays as it is.
Case valid_case(Case c);
inline constexpr int64_t kMaxOutputElements = 2304;  // of valid_case; the CPU platform has more than one chunk from 1,024 on
inline constexpr int64_t kMaxHiddenElements = 8192;

// A promise is broken: prints the report, the cases and the line that replays them, saves them as a *.case file beside
// libFuzzer's own artifacts (`-artifact_prefix`) and aborts. More than one case is a sequence; the last one is judged.
[[noreturn]] void fail(std::span<const Case> cases, const Report& report);
[[noreturn]] void fail(const Case& c, const Report& report);
[[noreturn]] void fail(const Case& c, std::string_view law, std::string_view detail);

// Prints the cases that an input has become before they are run, where TWINCHECK_FUZZ_SHOW is set: what is left of an input
// that takes the process down.
void show(const Case& c);

}  // namespace twincheck::fuzz
