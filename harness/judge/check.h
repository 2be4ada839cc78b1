// check(): the only comparison in the project.
//
// For every case: paints guards on both sides of every buffer and in every row gap; fills the outputs with one poison, runs,
// fills with another, runs again (a byte that follows the poison was never written); compares with the reference's interval;
// checks that guards, gaps and inputs are untouched and that both runs agree; and checks that what the reference refuses is
// refused and leaves everything as it was.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "harness/candidate/candidate.h"
#include "harness/case/case.h"
#include "harness/report/verdict.h"

namespace twincheck {

class Device;

// The promises that check() itself can find broken, as Report::law names them.
namespace promise {
inline constexpr const char* kRoutedIds = "routed_ids";
inline constexpr const char* kAppendedIds = "appended_ids";
inline constexpr const char* kRoutedWeights = "routed_weights";
inline constexpr const char* kAppendedWeights = "appended_weights";
inline constexpr const char* kAllWritten = "all_written";        // an output element was left as it was
inline constexpr const char* kGuards = "guards";                 // a byte before or after a buffer changed
inline constexpr const char* kGaps = "gaps";                     // a byte between two rows changed
inline constexpr const char* kInputs = "inputs_unchanged";       // an input element changed
inline constexpr const char* kRepeats = "repeats";               // the second run gave other bits
inline constexpr const char* kRefusal = "refusal";               // accepted, or refused, against the table
inline constexpr const char* kRefusalStatus = "refusal_status";  // refused, with another status than the table's
inline constexpr const char* kRefusalTouches = "refusal_touches_nothing";
inline constexpr const char* kUnsupportedTouches = "unsupported_touches_nothing";
inline constexpr const char* kRuntimeError = "runtime_error";  // a valid case met a runtime error
inline constexpr const char* kNoCrash = "no_crash";

inline constexpr std::array<std::string_view, 15> kAll{
    kRoutedIds, kAppendedIds, kRoutedWeights, kAppendedWeights, kAllWritten,         kGuards,       kGaps,   kInputs,
    kRepeats,   kRefusal,     kRefusalStatus, kRefusalTouches,  kUnsupportedTouches, kRuntimeError, kNoCrash};
}  // namespace promise

// The outputs of one call, dense. Elements in the dtype's bits (ids sign-extended).
struct Outputs {
  int32_t status = 0;
  int64_t rows = 0, columns = 0;
  std::vector<int64_t> ids;
  std::vector<uint32_t> weights;
};

// How buffers lie in a device's memory. kExact: each is an allocation of its own that ends where its matrix does, for tools
// that watch memory; slow, and for one thread.
enum class DeviceLayout : uint8_t { kGuarded, kExact };

// The memory that cases are laid out in: allocated once, the same addresses case after case, on purpose (a candidate that
// caches by pointer meets other contents there). Not for use by two threads at once.
class Bench {
 public:
  // max_bytes: cases whose buffers take more together are kTooLarge. The others are for the kinds that have devices: which
  // one, and how many threads for_each() uses; DeviceError where it cannot be opened.
  explicit Bench(MemoryKind kind = MemoryKind::kHost, uint64_t max_bytes = uint64_t{4} << 30, int device = 0,
                 int threads = 1, DeviceLayout layout = DeviceLayout::kGuarded);
  ~Bench();
  Bench(Bench&&) noexcept;

  // Runs job(i, bench) for every i below n. Where the memory is a device's they run many at a time, on several threads and
  // as fibres, each on a bench of its own that lives as long as its job: their checks travel together, one copy each way and
  // one synchronization for many of them. What leaves a job by exception ends the others and leaves here; so does a
  // DeviceError where a candidate takes the device down, and then nothing is known of any of them.
  void for_each(std::size_t n, const std::function<void(std::size_t i, Bench& bench)>& job);

  Device* device();  // null for host memory

  struct State;
  explicit Bench(std::unique_ptr<State> state);
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

// Judges one case. Leaves by a Report, whatever the candidate does short of killing or hanging the process. Counts of
// compared elements are those of one run.
Report check(const Case& c, const Candidate& candidate, Bench& bench);

// check(), and the outputs of the second run in `outputs` where the case is valid and was answered with kOk; for laws that
// relate several calls.
Report check(const Case& c, const Candidate& candidate, Bench& bench, Outputs& outputs);

}  // namespace twincheck
