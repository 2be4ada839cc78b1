// A candidate that is timed, in a worker process of its own: whatever a case does to it, it costs that case.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "harness/bench/timing.h"
#include "harness/candidate/worker.h"
#include "harness/case/case.h"
#include "harness/report/verdict.h"

namespace twincheck::bench {

struct Setting {
  int device = 0;          // index of the GPU
  uint64_t max_bytes = 0;  // of one set of buffers, on the host
  Limits limits;
};

// One at a time of several contestants is asked: they share the machine.
class Contestant {
 public:
  // `checked`: its results are compared. Throws nothing; a library that cannot be loaded is a LoadError of prepare().
  Contestant(const std::string& path, const Setting& setting, bool checked);

  // Timer::prepare(); kCrashed and kHung where the worker died or did not answer, and the next case meets a fresh one.
  Report prepare(const Case& c);
  const Pass& plan() const { return pass_; }

  // Passes for about so many seconds, one at least: microseconds a call, one a pass, are added to `samples`. Then, as
  // prepare() does, why it must not be asked again for this case; empty where it may.
  std::optional<Report> time(double seconds, std::vector<double>& samples);

  // Timer::check().
  Report check();

  // What it had printed, where it died.
  const std::string& output() const { return output_; }

 private:
  std::string ask(char what, std::string_view bytes, Report& report);

  Worker worker_;
  Limits limits_;
  Pass pass_;
  std::string output_;
};

// copy_rate() and the device's name, asked in a process of its own. For host memory the processor's name.
struct Machine {
  std::string device;
  double copy_bytes_per_second = 0;
};
// Throws LoadError where the device cannot be opened.
Machine look_at_machine(MemoryKind kind, int device, const Limits& limits);

}  // namespace twincheck::bench
