// Buffers on a device: each has a mirror in this process, painted and inspected here, and copied over before a run and back
// after it. Inaccessible pages exist on the host side; on the device every buffer lies between guards.
#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "harness/judge/device.h"
#include "harness/judge/memory.h"

namespace twincheck {

// A stretch of pinned memory and one of the device, of equal size.
class Arena {
 public:
  Arena(Device& device, std::size_t bytes);  // DeviceError where it cannot be had
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::byte* host() const { return host_; }
  std::size_t size() const { return bytes_; }
  uintptr_t to_device() const { return reinterpret_cast<uintptr_t>(on_device_) - reinterpret_cast<uintptr_t>(host_); }

  // The first `bytes`, enqueued.
  void upload(std::size_t bytes, void* stream);
  void download(std::size_t bytes, void* stream);

 private:
  Device& device_;
  std::size_t bytes_;
  std::byte *host_ = nullptr, *on_device_ = nullptr;
};

// A part of an arena that holds one case at a time. While the operands are small each has a place of its own in it, the same
// case after case, so that a candidate that caches by pointer meets other contents there.
class SlotMemory final : public Memory {
 public:
  static constexpr std::size_t kBytes = std::size_t{64} << 10;

  SlotMemory(std::byte* host, uintptr_t to_device) : host_(host), to_device_(to_device) {}

  bool place(std::size_t operand, const BufferShape& shape, Buffer& out) override;
  void* place_arguments(const void* source, std::size_t size) override;
  void trim() override;

  bool full() const { return full_; }  // was a buffer refused since the last trim()?

 private:
  std::byte* host_;
  uintptr_t to_device_;
  std::size_t used_ = 0;
  bool full_ = false;
  alignas(8) std::byte arguments_[sizeof(AppendArgs)];
};

// Addresses for matrices whose rows are far apart: a range for each operand, in which memory is put where rows lie, and stays
// for the cases that come later. Several threads use it at once, each in a cell of its own of every page; between the pages
// nothing is accessible.
class FarRange {
 public:
  static constexpr std::size_t kCell = std::size_t{16} << 10;
  static constexpr std::size_t kCells = 64;

  explicit FarRange(Device& device) : device_(device) {}

  // Where a buffer of `operand` with these segments may begin, relative to their mirrors; 0 where there is no room.
  uintptr_t place(std::size_t operand, std::size_t cell, const BufferShape& shape, const std::vector<Segment>& segments);

 private:
  Device& device_;
  std::mutex mutex_;
  std::byte* base_[kOperands] = {};
  bool tried_ = false;
  std::unordered_set<uintptr_t> backed_;  // pages
};

// Cases that no slot holds: larger buffers in an arena, far rows in the far range, anything else in device memory of its own.
class LargeMemory final : public Memory {
 public:
  // cell: of the far range, of this memory alone. own: held while a case has device memory of its own, which may be most of
  // what there is.
  LargeMemory(Device& device, FarRange& far_range, std::size_t cell, std::mutex& own);
  ~LargeMemory() override;

  bool place(std::size_t operand, const BufferShape& shape, Buffer& out) override;
  void* place_arguments(const void* source, std::size_t size) override;
  void trim() override;

  // Copies all buffers laid out since the last trim(), enqueued.
  void upload(void* stream);
  void download(void* stream);

 private:
  struct Mirrored {
    std::vector<Segment> segments;
    uintptr_t to_device;
    void* own;  // device memory to be released; null in the far range
  };
  bool place_own(const BufferShape& shape, Buffer& out);

  Device& device_;
  FarRange& far_range_;
  std::size_t cell_;
  std::unique_lock<std::mutex> own_;
  Arena arena_;
  std::size_t used_ = 0;
  std::unique_ptr<HostMemory> mirrors_;  // made when first needed
  std::vector<Mirrored> mirrored_;
  alignas(8) std::byte arguments_[sizeof(AppendArgs)];
};

}  // namespace twincheck
