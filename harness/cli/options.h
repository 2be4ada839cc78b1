// What the command line said: the options that every verb knows, and the arguments of the verb.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "harness/bench/shapes.h"
#include "harness/cli/shard.h"
#include "harness/report/run_report.h"

namespace twincheck {

// bench's own.
struct BenchOptions {
  bench::ShapeLists shapes;     // no tokens: a few that suit the platform
  std::string csv, json, plot;  // files, or empty
  std::string baseline;         // file, or empty
  double max_slowdown = 1.05;
  bool alone = false;  // without the project's own candidates
  uint64_t again = 0;  // shapes that are timed once more, and longer
};

struct Options {
  std::string platform;                 // "cpu", "hip", "cuda", or empty: all that are here
  std::vector<std::string> candidates;  // paths or names of libraries; empty: the project's own
  std::string tier = "pr";              // smoke, pr, nightly
  std::optional<uint64_t> cases;        // generated cases a candidate
  std::optional<double> seconds;        // of generated cases a candidate
  std::optional<uint64_t> seed;
  Shard shard;                                // i/n is taken modulo n, so that counting from 0 and from 1 both work
  double timeout = 10;                        // seconds a case
  std::string report;                         // folder, or empty
  std::string save = "twincheck-failures";    // folder, or empty: failures are not saved
  std::optional<double> max_unsupported;      // percent; where not told 0 for the project's own candidates, else 100
  uint64_t memory_limit = uint64_t{4} << 30;  // resident bytes of a worker
  std::string same_bits_as;                   // a path or name of a library in host memory, or empty
  std::string law;                            // this law alone; empty: all
  std::string corpus;                         // folder; empty: the project's own
  std::string mutants;                        // folder; empty: ../lib/mutants from the executable
  std::string known_failures;                 // file, or empty
  int jobs = 1;                               // worker processes
  int device = 0;                             // index of the GPU
  uint64_t oracle_samples = 1 << 16;          // of f32, by which the oracle on a device is held against the CPU's
  int max_failures = 10;                      // distinct ones, after which a candidate's run stops
  bool quiet = false, no_color = false;
  bool classes = false;
  bool no_corpus = false;
  bool in_process = false;  // no workers; on a device each buffer is an allocation that ends where its matrix does

  std::vector<std::string> arguments;  // the verb's own
  BenchOptions bench;

  // What the run does and finds, for --report; never null. Copies of the options share it.
  std::shared_ptr<RunReport> record = std::make_shared<RunReport>();
};

// Wrong usage, an absent platform or library, malformed input: what() is for the user, and the program ends in 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Exit statuses.
inline constexpr int kGood = 0, kBad = 1, kUnusable = 2, kInterrupted = 130;

// Set to the signal's number by SIGINT and SIGTERM.
extern volatile int interrupt_signal;

}  // namespace twincheck
