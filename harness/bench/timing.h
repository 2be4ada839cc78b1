// Times one candidate, in the process that runs it: a graph of many calls where the device can capture them, else many calls
// between two events, else (host memory) many calls by the clock. Calls go round over sets of buffers (stage.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/bench/stage.h"
#include "harness/candidate/candidate.h"
#include "harness/judge/device.h"
#include "harness/report/verdict.h"

namespace twincheck::bench {

enum class Method : uint8_t { kGraph, kEvents, kClock };
inline constexpr const char* kMethodNames[] = {"graph", "events", "clock"};

// What of a call a timer measures.
struct Pass {
  Method method = Method::kClock;
  int calls = 0, sets = 0;
};

class Timer {
 public:
  // `checked`: the results are (an empty kernel has none). device: index of the GPU, for candidates that have one.
  Timer(Candidate candidate, int device, uint64_t max_bytes, bool checked);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Lays the case out, tries one call, prepares a pass, and brings all buffers to their start. kPassed where pass() can be
  // called; else why not, with the candidate's own words. What was prepared before is forgotten.
  Report prepare(const Case& c);
  const Pass& plan() const { return pass_; }

  // One pass: microseconds a call. Throws DeviceError, or std::runtime_error where a call was refused.
  double pass();

  // Of what the passes wrote: Stage::check().
  Report check();

 private:
  double device_pass();
  double clock_pass();
  int32_t call(int i, void* stream);
  void forget_graph();
  void evict();
  bool capture(int calls);

  Candidate candidate_;
  std::unique_ptr<Device> device_;
  uint64_t max_bytes_;
  bool checked_;
  DeviceProperties properties_;
  Stage stage_;
  std::vector<AppendArgs> arguments_;  // of each set
  Pass pass_;
  bool evict_ = false;
  void *first_ = nullptr, *last_ = nullptr;  // events
  void* graph_ = nullptr;
  void* other_ = nullptr;  // what is copied to and fro to empty the cache
  std::size_t other_bytes_ = 0;
};

// Bytes a second of a large copy, read and written bytes counted: of the device's memory, or this machine's where there is
// no device. 0 where there is not the memory for it.
double copy_rate(Device* device);

}  // namespace twincheck::bench
