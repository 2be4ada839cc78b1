// The runtime's own state and the steps that its calls share. Internal.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "hip/hip_runtime.h"

namespace twincheck::hip_cpu {

inline constexpr int kMaxDevices = 16;
inline constexpr int kMaxBlockThreads = 1024;
inline constexpr int kMaxGridYz = 65'535;
inline constexpr std::size_t kMaxSharedBytes = 65'536;

// What a stream has to do. Bodies look for the sticky error of their device themselves.
using Body = std::function<void()>;

// Reached when the record that made it has run.
struct Marker {
  std::atomic<bool> reached{false};
  std::chrono::steady_clock::time_point when;
};

struct Queued {
  Body body;
  std::shared_ptr<Marker> after;  // null: nothing but the stream's order
  std::uint64_t sequence;
};

struct Node {
  Body body;
  std::vector<std::size_t> after;  // earlier nodes
};

struct Capture {
  hipStreamCaptureMode mode;
  std::thread::id owner;
  ihipStream_t* origin;
  bool spoiled = false;
  bool ended = false;
  std::vector<Node> nodes;
  std::vector<ihipStream_t*> streams;  // the origin and those that joined
};

struct Allocation {
  std::size_t bytes;
  int device;
  hipMemoryType type;
};

// Holds no heap memory while nothing is alive, so that a candidate library can be unloaded without a trace.
struct State {
  std::atomic<std::uint64_t> order_seed{0};
  std::atomic<std::uint64_t> orders{0};  // launches since order_seed was set, where it is not 0
  std::atomic<int> wave{64};
  std::atomic<int> devices{1};
  std::atomic<int> host_device{0};
  std::atomic<std::int64_t> fail_nth{0};
  std::atomic<bool> deferred{false};
  std::atomic<bool> execute{true};

  std::atomic<std::int64_t> calls{0}, launches{0}, live_bytes{0}, live_handles{0};
  std::atomic<hipError_t> sticky[kMaxDevices] = {};
  std::atomic<int> captures{0};  // == active.size(), to be read without the lock

  // Everything below is under the lock. Recursive: queued work that frees runs under it.
  std::recursive_mutex lock;
  std::map<std::uintptr_t, Allocation> allocations;
  std::set<ihipStream_t*> streams;  // null streams apart
  std::set<ihipEvent_t*> events;
  std::set<ihipGraph*> graphs;
  std::set<ihipGraphExec*> execs;
  std::list<std::shared_ptr<Capture>> active;
  std::uint64_t sequence = 0;
  std::uint64_t interleaving = 0;  // state of the random choice between streams
  std::string fault;
};

State& state();
using Lock = std::lock_guard<std::recursive_mutex>;

// The calling host thread's.
int current_device();
void set_current_device(int device);

std::uint64_t mix(std::uint64_t x);

// Every counted call starts with one of these: counts it, and gives the error that it must return instead of working, if
// any. `fault` is what the call fails with when told to. enter_device also gives the current device's sticky error.
hipError_t enter(hipError_t fault);
hipError_t enter_device(hipError_t fault);
// ... and ends with this, which remembers the error.
hipError_t finish(hipError_t error);

void fail_device(int device, hipError_t error, const std::string& why);

// The stream of a handle; hipErrorInvalidHandle if it is none. Null: the current device's legacy stream.
hipError_t find_stream(hipStream_t handle, ihipStream_t** stream);
// The same for work: the stream must be of the current device.
hipError_t find_stream_for_work(hipStream_t handle, ihipStream_t** stream);

// While a capture is active: what the call at hand must return, having spoiled the captures that it breaks.
hipError_t unless_capturing();                            // calls that no capture of global mode (or of this thread) allows
hipError_t unless_capturing(const ihipStream_t& stream);  // calls that a capture on this stream does not allow

// Hands work to a stream: records it if the stream captures, queues it if streams are deferred, runs `now` otherwise.
hipError_t enqueue_slow(ihipStream_t& stream, Body body);
bool is_immediate();
template <class Now, class MakeBody>
hipError_t enqueue(ihipStream_t& stream, Now now, MakeBody make_body) {
  if (!is_immediate()) return enqueue_slow(stream, make_body());
  now();
  return hipSuccess;
}
template <class Work>
hipError_t enqueue(ihipStream_t& stream, Work work) {
  return enqueue(stream, work, [&] { return Body(work); });
}

// Runs queued work until the stream, the device, or the marker is done.
void drain(ihipStream_t& stream);
void drain_device(int device);
void drain(const Marker& marker);
bool run_one(ihipStream_t& stream);  // some step towards it; false if it was done
void run_one();                      // some step, if there is one
void drop_queues(int device);

// For the counters that give the calling thread's latest launch.
void remember_shape(const Launch& launch);

// Runs a kernel here and now, unless its device has failed.
void run_kernel(const Launch& launch, int device);
// The mechanism. With the reason: hipErrorLaunchFailure when a block's threads cannot meet, hipErrorLaunchOutOfResources
// when there is no room for their stacks, hipErrorNotSupported from within a kernel.
hipError_t execute_blocks(const Launch& launch, std::uint64_t seed, int wave, std::string* why);

}  // namespace twincheck::hip_cpu

struct ihipStream_t {
  int device;
  bool legacy;    // a device's null stream
  bool blocking;  // waits for the legacy stream, and it for this
  unsigned flags;
  std::list<twincheck::hip_cpu::Queued> queue;
  std::shared_ptr<twincheck::hip_cpu::Capture> capture;
  std::vector<std::size_t> tail;  // of the capture: what the next node comes after
};

struct ihipEvent_t {
  int device;
  bool timed;
  std::shared_ptr<twincheck::hip_cpu::Marker> marker;  // null: never recorded
  std::shared_ptr<twincheck::hip_cpu::Capture> capture;
  std::vector<std::size_t> tail;
};

struct ihipGraph {
  std::vector<twincheck::hip_cpu::Node> nodes;
};

struct ihipGraphExec {
  std::shared_ptr<const std::vector<twincheck::hip_cpu::Node>> nodes;
};
