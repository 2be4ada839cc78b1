// For tools that watch a device's memory: each buffer is an allocation that ends where its matrix does, with no guard behind
// it, so that the tool sees an access past it.
#pragma once

#include <vector>

#include "harness/judge/device_memory.h"

namespace twincheck {

class ExactMemory final : public DeviceMemory {
 public:
  explicit ExactMemory(Device& device) : device_(device) {}
  ~ExactMemory() override;

  // Where a matrix is empty there is an allocation all the same, to point to.
  bool place(std::size_t operand, const BufferShape& shape, Buffer& out) override;
  void* place_arguments(const void* source, std::size_t size) override;
  void trim() override;

  void upload(void* stream) override;
  void download(void* stream) override;

 private:
  struct Owned {
    void* memory;
    uintptr_t to_device;
    std::vector<Segment> parts;  // of the mirror, that have memory on the device
  };

  Device& device_;
  HostMemory mirrors_;
  std::vector<Owned> owned_;
  alignas(8) std::byte arguments_[sizeof(AppendArgs)];
};

}  // namespace twincheck
