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

// A machine that follows from `seed`: the order of blocks and threads (never the fixed one), waves of 32 or 64, seldom a
// second device. No result depends on it.
void set_machine(uint64_t seed);

// The nearest case that the table accepts and that is judged in microseconds: sizes, strides and parameters out of range
// are folded into it, overrides that make a struct invalid are dropped. A case that is so already stays as it is.
Case valid_case(Case c);
inline constexpr int64_t kMaxOutputElements = 2304;  // of valid_case; the CPU platform has more than one chunk from 1,024 on
inline constexpr int64_t kMaxHiddenElements = 8192;

// A promise is broken: prints the report, the cases and the line that replays them, saves them as a *.case file beside
// libFuzzer's own artifacts (`-artifact_prefix`) and aborts. More than one case is a sequence; the last one is judged.
[[noreturn]] void fail(std::span<const Case> cases, const Report& report);
Report broken(std::string_view law, std::string_view detail);
[[noreturn]] void fail(const Case& c, const Report& report);
[[noreturn]] void fail(const Case& c, std::string_view law, std::string_view detail);

// The same of an input that is text and no case: it is saved as it is, as a *.case or, where it begins as JSON, *.jsonl
// file.
[[noreturn]] void fail_input(std::string_view input, std::string_view law, std::string_view detail);

// Prints the cases that an input has become before they are run, where TWINCHECK_FUZZ_SHOW is set (shows()): what is left of
// an input that takes the process down.
bool shows();
void show(const Case& c);
void show(std::string_view line);

}  // namespace twincheck::fuzz
