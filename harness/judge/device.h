// A GPU as the judge needs it: memory, copies, one stream. The runtime is found when the program starts (libamdhip64 for
// HIP, the driver's libcuda for CUDA), so that one binary runs on every machine.
#pragma once

#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>

#include "contract/words.h"

namespace twincheck {

// What a runtime answered instead of doing it: the call, and the runtime's own name for the error.
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// One device and one non-default stream of it. Not for two threads at once. Every call throws DeviceError where the runtime
// refuses.
class Device {
 public:
  virtual ~Device() = default;

  virtual std::string name() = 0;                 // as the runtime has it, e.g. "NVIDIA H100 80GB HBM3"
  virtual void* allocate(std::size_t bytes) = 0;  // null where there is not that much memory
  virtual void release(void* p) = 0;
  virtual void* allocate_host(std::size_t bytes) = 0;  // pinned; null where there is not that much
  virtual void release_host(void* p) = 0;
  virtual void upload(void* device, const void* host, std::size_t bytes) = 0;    // enqueued on stream()
  virtual void download(void* host, const void* device, std::size_t bytes) = 0;  // enqueued on stream()
  virtual void synchronize() = 0;  // stream(); reports what any kernel on it met
  virtual void* stream() = 0;      // hipStream_t or cudaStream_t
};

// Opens device `index` of a runtime. Throws DeviceError with the runtime's own words ("hipErrorNoDevice") where it cannot.
// In the process that runs the candidate: a device does not survive a fork.
std::unique_ptr<Device> open_device(MemoryKind kind, int index);

}  // namespace twincheck
