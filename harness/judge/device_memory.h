// Buffers on a device: each has a mirror in this process, painted and inspected here, and copied over before a run and back
// after it. Inaccessible pages exist on the host side; on the device every buffer lies between guards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "harness/judge/device.h"
#include "harness/judge/memory.h"

namespace twincheck {

// Memory of a device for one case at a time.
class DeviceMemory : public Memory {
 public:
  // Copies all buffers laid out since the last trim(), and waits for the copies back.
  virtual void upload(void* stream) = 0;
  virtual void download(void* stream) = 0;
};

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

// A part of an arena that holds one case at a time.
class SlotMemory final : public Memory {
 public:
  SlotMemory(std::byte* host, std::size_t bytes, uintptr_t to_device) : host_(host), bytes_(bytes), to_device_(to_device) {}

  bool place(std::size_t operand, const BufferShape& shape, Buffer& out) override;
  void* place_arguments(const void* source, std::size_t size) override;
  void trim() override;

  bool full() const { return full_; }  // was a buffer refused since the last trim()?

 private:
  std::byte* host_;
  std::size_t bytes_;
  uintptr_t to_device_;
  std::size_t used_ = 0;
  bool full_ = false;
  alignas(8) std::byte arguments_[sizeof(AppendArgs)];
};

// Addresses of a device for matrices whose rows are far apart: a range for each operand, in which memory is put where rows
// lie, and stays for the cases that come later; between its pages nothing is accessible. For several threads.
class FarRange {
 public:
  static constexpr std::size_t kBytes = std::size_t{64} << 30;  // of an operand

  explicit FarRange(Device& device) : device_(device) {}

  // Takes stretches (offsets in the range, where they begin and how long they are) of `operand`'s range, until they are
  // given back. `lane` tells threads apart: theirs lie beside each other. Answers where offset 0 is, or null where there is
  // no room for them, or no such thing.
  struct Stretch {
    std::size_t begin, bytes;
  };
  std::byte* take(std::size_t operand, std::size_t lane, const std::vector<Stretch>& stretches);
  void give_back(const std::byte* base, const std::vector<Stretch>& stretches);

 private:
  Device& device_;
  std::mutex mutex_;
  bool tried_ = false;
  std::byte* base_[kOperands] = {};
  std::unordered_set<uintptr_t> backed_;  // pages
  std::map<uintptr_t, uintptr_t> taken_;  // begin and end
};

// Cases that no slot holds: larger buffers in an arena, far rows in the far range, anything else in device memory of its
// own.
class LargeMemory final : public DeviceMemory {
 public:
  // lane: of the far range. own: held while a case has device memory of its own, which may be most of what there is.
  LargeMemory(Device& device, FarRange& far_range, std::size_t lane, std::mutex& own);
  ~LargeMemory() override;

  bool place(std::size_t operand, const BufferShape& shape, Buffer& out) override;
  void* place_arguments(const void* source, std::size_t size) override;
  void trim() override;

  void upload(void* stream) override;
  void download(void* stream) override;

 private:
  struct Far {  // rows in the far range; they travel through the arena
    std::vector<Segment> segments;
    std::vector<FarRange::Stretch> stretches;
    std::size_t staged = 0;  // where in the arena
    std::byte* base = nullptr;
  };
  struct Own {
    std::vector<Segment> segments;
    uintptr_t to_device;
    void* memory;
  };
  bool place_far(std::size_t operand, const BufferShape& shape, Buffer& out);
  bool place_own(std::size_t operand, const BufferShape& shape, Buffer& out);

  Device& device_;
  FarRange& far_range_;
  std::size_t lane_;
  std::unique_lock<std::mutex> own_lock_;
  Arena arena_;
  std::size_t used_ = 0;                    // by buffers, from the arena's beginning on
  std::size_t staged_ = 0;                  // by far rows, up to its end
  std::byte* far_mirrors_[kOperands] = {};  // address space; memory as far as it is touched
  std::vector<Far> far_;
  std::unique_ptr<HostMemory> mirrors_;  // made when first needed
  std::vector<Own> owned_;
  alignas(8) std::byte arguments_[sizeof(AppendArgs)];
};

}  // namespace twincheck
