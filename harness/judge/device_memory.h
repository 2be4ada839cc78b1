// Buffers on a device: each has a mirror in this process, painted and inspected here, and copied over before a run and back
// after it.
#pragma once

#include <cstddef>
#include <vector>

#include "harness/judge/device.h"
#include "harness/judge/memory.h"

namespace twincheck {

// Small buffers come one behind the other from an arena, so that a whole batch of cases travels in one copy each way. A
// large or sparse buffer gets device memory of its own; a case that has one is a batch of its own (see exclusive()).
// Inaccessible pages exist on the host side alone: on the device every buffer lies between guards.
class DeviceMemory final : public Memory {
 public:
  // Throws DeviceError where the arena cannot be had.
  DeviceMemory(Device& device, std::size_t arena_bytes);
  ~DeviceMemory() override;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  bool place(std::size_t operand, const BufferShape& shape, Buffer& out) override;
  void* place_arguments(const void* source, std::size_t size) override;
  void trim() override;  // starts the next batch

  // Since the last trim(): was a buffer refused because the arena is full, and does a case have memory of its own?
  bool full() const { return full_; }
  bool exclusive() const { return !own_.empty(); }

  // Copies all buffers laid out since the last trim(), enqueued on the device's stream.
  void upload();
  void download();

 private:
  struct Own {  // device memory of one buffer
    void* device;
    std::vector<Segment> segments;
    uintptr_t to_device;
  };

  Device& device_;
  std::size_t bytes_, used_ = 0;
  std::byte *host_ = nullptr, *on_device_ = nullptr;
  bool full_ = false;
  HostMemory mirrors_;  // of large and sparse buffers
  std::vector<Own> own_;
  std::vector<std::byte> arguments_;
  std::size_t arguments_used_ = 0;
};

}  // namespace twincheck
