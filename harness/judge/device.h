// A GPU as the judge and the bench need it: memory, copies, streams, events, graphs. The runtime is found when the program
// starts (libamdhip64 for HIP, the driver's libcuda for CUDA), so that one binary runs on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "contract/words.h"

namespace twincheck {

// What a runtime answered instead of doing it: the call, and the runtime's own name for the error.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct DeviceProperties {
  std::string name;  // as the runtime has it, e.g. "NVIDIA H100 80GB HBM3"
  uint64_t memory_bytes = 0;
  // What the driver says, 0 where it does not.
  int multiprocessors = 0;  // compute units
  int wave = 0;             // threads of a warp or wave
  int64_t l2_bytes = 0;
  int64_t clock_khz = 0, memory_clock_khz = 0;
  int memory_bus_bits = 0;
};

// One device and one non-default stream of it, which is `stream()`; a null stream argument means that one. A handle is used
// with the device that made it, and is destroyed by its maker. Calls throw DeviceError where the runtime refuses, or is too
// old to have the function. One thread at a time may use a stream; a thread other than the one that opened the device calls
// make_current() first.
class Device {
 public:
  virtual ~Device() = default;

  virtual DeviceProperties properties() = 0;
  virtual std::size_t free_bytes() = 0;
  virtual int index() = 0;
  virtual int count() = 0;          // of the runtime's devices
  virtual void make_current() = 0;  // for the calling thread
  virtual bool is_current() = 0;

  virtual void* allocate(std::size_t bytes) = 0;  // null where there is not that much memory
  virtual void release(void* p) = 0;
  virtual void* allocate_host(std::size_t bytes) = 0;  // pinned; null where there is not that much
  virtual void release_host(void* p) = 0;

  // Addresses without memory, to which memory is given page by page; neither is given back before the process ends.
  virtual std::size_t page_bytes() = 0;          // 0 where the runtime has no such thing
  virtual void* reserve(std::size_t bytes) = 0;  // null where there are not that many addresses
  virtual bool back(void* page) = 0;             // false where there is no memory for it

  // Enqueued on a stream; where `to` or `from` is on the host it is pinned memory, or the call may wait.
  virtual void upload(void* device, const void* host, std::size_t bytes, void* stream = nullptr) = 0;
  virtual void download(void* host, const void* device, std::size_t bytes, void* stream = nullptr) = 0;
  virtual void copy(void* to, const void* from, std::size_t bytes, void* stream = nullptr) = 0;  // on the device
  virtual void fill(void* device, uint8_t byte, std::size_t bytes, void* stream = nullptr) = 0;

  virtual void* stream() = 0;         // hipStream_t or cudaStream_t
  virtual void* create_stream() = 0;  // another; it does not wait for the default stream
  virtual void destroy_stream(void* stream) = 0;
  virtual void synchronize(void* stream = nullptr) = 0;  // reports what any kernel on it met
  virtual void drain() = 0;                              // the same of all streams, the default one too

  // Events: points in a stream, with the time at which the device passed them.
  virtual void* create_event() = 0;
  virtual void destroy_event(void* event) = 0;
  virtual void record(void* event, void* stream = nullptr) = 0;
  virtual void wait_for(void* event, void* stream = nullptr) = 0;  // what `stream` gets from now on waits for it
  virtual bool is_done(void* event) = 0;
  virtual void synchronize_event(void* event) = 0;
  virtual double microseconds_between(void* first, void* last) = 0;  // both are done

  // Graphs: what is enqueued on a stream from begin_capture() to end_capture(), not run but kept, to be launched as a whole
  // any number of times. Other threads' calls are not affected. Where something in between cannot be captured, end_capture()
  // throws, and the stream is as before.
  virtual void begin_capture(void* stream = nullptr) = 0;
  virtual void* end_capture(void* stream = nullptr) = 0;  // the executable graph
  virtual void launch_graph(void* graph, void* stream = nullptr) = 0;
  virtual void destroy_graph(void* graph) = 0;
};

// Opens device `index` of a runtime. Throws DeviceError with the runtime's own words ("hipErrorNoDevice") where it cannot.
// In the process that runs the candidate: a device does not survive a fork.
std::unique_ptr<Device> open_device(MemoryKind kind, int index);

}  // namespace twincheck
