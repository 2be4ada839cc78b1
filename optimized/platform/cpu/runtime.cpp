#include "runtime.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string_view>

#include "control.h"

namespace twincheck::hip_cpu {
namespace {

thread_local int t_device = 0;
thread_local hipError_t t_last_error = hipSuccess;

struct Shape {
  std::uint32_t grid[3], block[3];
  std::size_t shared_bytes;
};
thread_local Shape t_shape = {};

// Never destroyed: a static destructor elsewhere may still free its memory.
template <class T>
T& immortal() {
  alignas(T) static unsigned char storage[sizeof(T)];
  static T& object = *new (storage) T();
  return object;
}

struct LegacyStreams {
  ihipStream_t of_device[kMaxDevices];
  LegacyStreams() : of_device() {
    for (int d = 0; d < kMaxDevices; ++d) {
      of_device[d].device = d;
      of_device[d].legacy = of_device[d].blocking = true;
    }
  }
};

ihipStream_t* legacy_stream(int device) { return &immortal<LegacyStreams>().of_device[device]; }

template <class Visit>
void for_each_stream(Visit visit) {
  for (int d = 0; d < kMaxDevices; ++d) visit(*legacy_stream(d));
  for (ihipStream_t* s : state().streams) visit(*s);
}

bool is_runnable(const ihipStream_t& stream) {
  if (stream.queue.empty()) return false;
  const Queued& head = stream.queue.front();
  if (head.after && !head.after->reached) return false;
  if (!stream.blocking) return true;
  bool first = true;
  for_each_stream([&](const ihipStream_t& other) {
    if (other.device != stream.device || !other.blocking || other.queue.empty() || other.legacy == stream.legacy) return;
    first = first && head.sequence < other.queue.front().sequence;
  });
  return first;
}

// One step, of `wanted` if it can be and the order is fixed; false if there is none to take.
bool step(ihipStream_t* wanted) {
  State& s = state();
  std::vector<ihipStream_t*> runnable;
  for_each_stream([&](ihipStream_t& stream) {
    if (is_runnable(stream)) runnable.push_back(&stream);
  });
  if (runnable.empty()) return false;
  std::sort(runnable.begin(), runnable.end(), [](const ihipStream_t* a, const ihipStream_t* b) {
    return a->queue.front().sequence < b->queue.front().sequence;
  });
  ihipStream_t* chosen = runnable.front();
  if (s.order_seed != 0) {
    s.interleaving = mix(s.interleaving + s.order_seed);
    chosen = runnable[s.interleaving % runnable.size()];
  } else if (wanted != nullptr && is_runnable(*wanted)) {
    chosen = wanted;
  }
  const Body body = std::move(chosen->queue.front().body);
  chosen->queue.pop_front();
  body();
  return true;
}

void spoil(Capture& capture) { capture.spoiled = true; }

}  // namespace

State& state() { return immortal<State>(); }

int current_device() { return t_device; }
void set_current_device(int device) { t_device = device; }

std::uint64_t mix(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

hipError_t enter(hipError_t fault) {
  State& s = state();
  s.calls.fetch_add(1, std::memory_order_relaxed);
  std::int64_t left = s.fail_nth.load(std::memory_order_relaxed);
  while (left > 0) {
    if (s.fail_nth.compare_exchange_weak(left, left - 1)) return left == 1 ? fault : hipSuccess;
  }
  return hipSuccess;
}

hipError_t enter_device(hipError_t fault) {
  const hipError_t error = enter(fault);
  return error != hipSuccess ? error : state().sticky[t_device].load(std::memory_order_relaxed);
}

hipError_t finish(hipError_t error) {
  if (error != hipSuccess) t_last_error = error;
  return error;
}

void remember_shape(const Launch& launch) {
  t_shape = {
      {launch.grid.x, launch.grid.y, launch.grid.z}, {launch.block.x, launch.block.y, launch.block.z}, launch.shared_bytes};
}

void fail_device(int device, hipError_t error, const std::string& why) {
  State& s = state();
  Lock guard(s.lock);
  s.sticky[device].store(error);
  s.fault = why;
}

hipError_t find_stream(hipStream_t handle, ihipStream_t** stream) {
  if (handle == nullptr) {
    *stream = legacy_stream(t_device);
    return hipSuccess;
  }
  State& s = state();
  Lock guard(s.lock);
  if (s.streams.count(handle) == 0) return hipErrorInvalidHandle;
  *stream = handle;
  return hipSuccess;
}

hipError_t find_stream_for_work(hipStream_t handle, ihipStream_t** stream) {
  const hipError_t error = find_stream(handle, stream);
  if (error != hipSuccess) return error;
  return (*stream)->device == t_device ? hipSuccess : hipErrorInvalidHandle;
}

hipError_t unless_capturing() {
  State& s = state();
  if (s.captures.load(std::memory_order_relaxed) == 0) return hipSuccess;
  Lock guard(s.lock);
  hipError_t error = hipSuccess;
  for (const auto& capture : s.active) {
    if (capture->mode == hipStreamCaptureModeRelaxed) continue;
    if (capture->mode == hipStreamCaptureModeThreadLocal && capture->owner != std::this_thread::get_id()) continue;
    spoil(*capture);
    error = hipErrorStreamCaptureUnsupported;
  }
  return error;
}

hipError_t unless_capturing(const ihipStream_t& stream) {
  State& s = state();
  if (s.captures.load(std::memory_order_relaxed) == 0) return hipSuccess;
  Lock guard(s.lock);
  if (stream.capture) {
    spoil(*stream.capture);
    return hipErrorStreamCaptureUnsupported;
  }
  if (!stream.legacy) return hipSuccess;
  hipError_t error = hipSuccess;
  for (const auto& capture : s.active) {
    for (const ihipStream_t* member : capture->streams) {
      if (!member->blocking || member->device != stream.device) continue;
      spoil(*capture);
      error = hipErrorStreamCaptureImplicit;
    }
  }
  return error;
}

bool is_immediate() {
  const State& s = state();
  return s.captures.load(std::memory_order_relaxed) == 0 && !s.deferred.load(std::memory_order_relaxed);
}

hipError_t enqueue_slow(ihipStream_t& stream, Body body) {
  State& s = state();
  {
    Lock guard(s.lock);
    if (stream.capture) {
      Capture& capture = *stream.capture;
      if (capture.spoiled) return hipErrorStreamCaptureInvalidated;
      capture.nodes.push_back({std::move(body), stream.tail});
      stream.tail = {capture.nodes.size() - 1};
      return hipSuccess;
    }
    const hipError_t error = unless_capturing(stream);
    if (error != hipSuccess) return error;
    if (s.deferred) {
      stream.queue.push_back({std::move(body), nullptr, ++s.sequence});
      return hipSuccess;
    }
  }
  body();
  return hipSuccess;
}

void drain(ihipStream_t& stream) {
  State& s = state();
  if (!s.deferred.load(std::memory_order_relaxed)) return;
  Lock guard(s.lock);
  while (!stream.queue.empty() && step(&stream)) continue;
  if (!stream.legacy) return;
  // The legacy stream is done when the blocking streams are.
  std::vector<ihipStream_t*> blocking;
  for_each_stream([&](ihipStream_t& other) {
    if (other.device == stream.device && other.blocking) blocking.push_back(&other);
  });
  for (ihipStream_t* other : blocking) {
    while (!other->queue.empty() && step(other)) continue;
  }
}

void drain_device(int device) {
  State& s = state();
  if (!s.deferred.load(std::memory_order_relaxed)) return;
  Lock guard(s.lock);
  std::vector<ihipStream_t*> mine;
  for_each_stream([&](ihipStream_t& stream) {
    if (stream.device == device) mine.push_back(&stream);
  });
  for (ihipStream_t* stream : mine) {
    while (!stream->queue.empty() && step(stream)) continue;
  }
}

void drain(const Marker& marker) {
  State& s = state();
  if (marker.reached) return;
  Lock guard(s.lock);
  while (!marker.reached && step(nullptr)) continue;
}

bool run_one(ihipStream_t& stream) {
  State& s = state();
  if (!s.deferred.load(std::memory_order_relaxed)) return false;
  Lock guard(s.lock);
  if (stream.queue.empty()) return false;
  step(&stream);
  return true;
}

void run_one() {
  Lock guard(state().lock);
  step(nullptr);
}

void drop_queues(int device) {
  Lock guard(state().lock);
  for_each_stream([&](ihipStream_t& stream) {
    if (stream.device == device) stream.queue.clear();
  });
}

bool set(const char* key, std::int64_t value) {
  State& s = state();
  const std::string_view name(key);
  if (name == "order_seed") {
    s.order_seed = static_cast<std::uint64_t>(value);
    s.orders = 0;
    s.interleaving = 0;
    return true;
  }
  if (name == "wave" && (value == 32 || value == 64)) {
    s.wave = static_cast<int>(value);
    return true;
  }
  if (name == "devices" && value >= 1 && value <= kMaxDevices) {
    s.devices = static_cast<int>(value);
    return true;
  }
  if (name == "host_device" && value >= 0 && value <= kMaxDevices) {
    s.host_device = static_cast<int>(value);
    return true;
  }
  if (name == "fail_nth" && value >= 0) {
    s.fail_nth = value;
    return true;
  }
  if (name == "deferred" && (value == 0 || value == 1)) {
    for (int d = 0; d < kMaxDevices; ++d) drain_device(d);
    s.deferred = value != 0;
    return true;
  }
  if (name == "execute" && (value == 0 || value == 1)) {
    s.execute = value != 0;
    return true;
  }
  return false;
}

// Without the lock, and the counters first: a fuzzer reads them at every input.
std::int64_t get(const char* key) {
  const State& s = state();
  const std::string_view name(key);
  if (name == "launches") return s.launches;
  if (name == "live_bytes") return s.live_bytes;
  if (name == "live_handles") return s.live_handles;
  if (name == "calls") return s.calls;
  if (name == "order_seed") return static_cast<std::int64_t>(s.order_seed.load());
  if (name == "wave") return s.wave;
  if (name == "devices") return s.devices;
  if (name == "host_device") return s.host_device;
  if (name == "fail_nth") return s.fail_nth;
  if (name == "deferred") return s.deferred;
  if (name == "execute") return s.execute;
  if (name == "device") return current_device();
  if (name == "grid_x") return t_shape.grid[0];
  if (name == "grid_y") return t_shape.grid[1];
  if (name == "grid_z") return t_shape.grid[2];
  if (name == "block_x") return t_shape.block[0];
  if (name == "block_y") return t_shape.block[1];
  if (name == "block_z") return t_shape.block[2];
  if (name == "shared_bytes") return static_cast<std::int64_t>(t_shape.shared_bytes);
  return -1;
}

void reset() {
  State& s = state();
  Lock guard(s.lock);
  for (int d = 0; d < kMaxDevices; ++d) {
    drop_queues(d);
    s.sticky[d].store(hipSuccess);
  }
  for_each_stream([](ihipStream_t& stream) {
    stream.capture.reset();
    stream.tail.clear();
  });
  for (const auto& capture : s.active) capture->ended = true;
  s.active.clear();
  s.captures = 0;
  s.order_seed = 0;
  s.orders = 0;
  s.interleaving = 0;
  s.wave = 64;
  s.devices = 1;
  s.host_device = 0;
  s.fail_nth = 0;
  s.deferred = false;
  s.execute = true;
  s.launches = 0;
  s.calls = 0;
  s.fault.clear();
  t_device = 0;
  t_last_error = hipSuccess;
}

std::string last_fault() {
  State& s = state();
  Lock guard(s.lock);
  return s.fault;
}

}  // namespace twincheck::hip_cpu

hipError_t hipGetLastError() {
  const hipError_t error = twincheck::hip_cpu::t_last_error;
  twincheck::hip_cpu::t_last_error = hipSuccess;
  return error;
}

hipError_t hipPeekAtLastError() { return twincheck::hip_cpu::t_last_error; }

const char* hipGetErrorName(hipError_t error) {
  switch (error) {
#define TWINCHECK_HIP_CPU_NAME(name, value, text) \
  case name:                                      \
    return #name;
    TWINCHECK_HIP_CPU_ERRORS(TWINCHECK_HIP_CPU_NAME)
#undef TWINCHECK_HIP_CPU_NAME
  }
  return "hipErrorUnknown";
}

const char* hipGetErrorString(hipError_t error) {
  switch (error) {
#define TWINCHECK_HIP_CPU_TEXT(name, value, text) \
  case name:                                      \
    return text;
    TWINCHECK_HIP_CPU_ERRORS(TWINCHECK_HIP_CPU_TEXT)
#undef TWINCHECK_HIP_CPU_TEXT
  }
  return "unknown error";
}
