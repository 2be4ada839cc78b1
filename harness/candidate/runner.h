// Runs a plan of items against a candidate in isolated worker processes: whatever a case does to its process, it costs that
// case, and the run goes on.
//
// An item is a pure function of its index, so parent and workers agree on it without sending it: a worker publishes the
// index before the call. All that is shared is memory mapped before the fork.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "harness/candidate/worker.h"

namespace twincheck {

struct Plan {
  uint64_t size = 0;                   // UINT64_MAX: until the time is up
  std::function<Item(uint64_t)> item;  // total over [0, size)
  // The end of the run of items, from `first` on, that one worker executes in order; in (first, size]. Pieces of 32 where
  // absent.
  std::function<uint64_t(uint64_t)> piece_end;
  std::function<std::string(uint64_t)> origin;  // where an item comes from, for messages
  bool one_by_one = false;                      // whatever the batch: an item may want a device for itself
};

// Adds one judged item to counters. Runs in the worker, and in the parent for items that killed one.
using Count = std::function<void(const Item&, const Report&, std::span<uint64_t>)>;

// A failure, the first of its kind (law, broken promise, verdict, reason).
struct Failure {
  uint64_t index = 0;  // in the plan; of the item that it was found by, where that passes alone and an earlier one does not
  std::string origin;
  Item item;
  Report report;
  std::string key;             // what makes failures equal
  std::string output;          // the tail of what the worker printed, where it died
  bool repeats_alone = false;  // the item by itself, in a fresh process, fails again
  // kFlaky only: the shortest sequence found, run from a fresh process, whose last item fails. Empty where none was found.
  std::vector<Item> sequence;
  uint64_t equal = 1;  // failures of this kind in the run
};

struct RunOptions {
  int jobs = 1;
  Limits limits;
  double seconds = 0;     // the time after which no new item is begun; 0: none
  int max_failures = 10;  // distinct ones, after which the run stops; hangs count one each
  std::size_t batch = 1;  // items a judge is given at once, at most; fewer where they take long
  int threads = 1;        // of a worker, that make a batch's items and count them: plan.item and `count` are called on each
  std::size_t counters = 0;
  Count count;
  // Which failure somebody expects: the number of the expectation, from 0, or -1; it does not ask for the verdict. Such a
  // failure is kKnown, and neither tried again nor one of max_failures. Runs where `count` does.
  std::function<int(const Item&, const Report&)> known;
  std::function<void(int expectation, const Failure&)> on_known;  // the first of each
  std::function<void(const Failure&)> on_failure;                 // as soon as it is known; in order of discovery
  std::function<void(uint64_t done, double elapsed)>
      on_tick;                              // now and then, at least every 0.1 s while nothing else happens
  const volatile int* interrupt = nullptr;  // set: stop at once
};

struct RunResult {
  uint64_t done = 0;  // items with a verdict
  double seconds = 0;
  std::vector<uint64_t> counters;
  std::vector<Failure> failures;
  bool interrupted = false;
  bool stopped = false;          // at max_failures
  uint64_t workers = 0;          // processes started
  uint64_t printed_bytes = 0;    // by the candidate
  double isolation_seconds = 0;  // what isolation adds to one item, measured in this run
};

// Throws LoadError where the candidate cannot be loaded.
RunResult run(const Plan& plan, const MakeJudge& make_judge, const RunOptions& options);

// The same in this process, one item at a time: for tools that watch it. What ends the process ends the run; of failures
// that are equal only the first is told. Counts go to the counters, and of the options' times only `seconds` is kept.
RunResult run_in_process(const Plan& plan, const MakeJudge& make_judge, const RunOptions& options);

// Failures are equal where this is: failure_kind.
std::string failure_key(const Item& item, const Report& report);

}  // namespace twincheck
