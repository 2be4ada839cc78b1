// Cases on their way to a device and back, many at once.
//
// A lane is a stream, an arena of slots, and a thread at a time. What runs on a lane (laws, checks) runs as fibres, one a
// slot; each stops where a check has to have its call made, and when all have, their buffers travel in one copy, the calls
// are made one after the other, and the buffers come back: one synchronization for all of them. Lanes run side by side.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "harness/judge/check.h"
#include "harness/judge/device.h"
#include "harness/judge/device_memory.h"
#include "harness/judge/fibre.h"
#include "harness/judge/proceeding.h"

namespace twincheck {

// What the lanes of a device share.
struct Road {
  Road(std::unique_ptr<Device> opened, DeviceLayout how) : device(std::move(opened)), layout(how), far_range(*device) {}

  std::unique_ptr<Device> device;
  DeviceLayout layout;
  FarRange far_range;
  std::mutex own;  // device memory of a case's own
};

class Lane {
 public:
  static constexpr std::size_t kSlots = 64;

  // The index tells lanes apart. DeviceError where there is no memory for it.
  Lane(Road& road, std::size_t index, uint64_t max_bytes);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // Calls `group` on fibres until it answers false to each, with the number of a slot: check() there is judge() with that
  // number. By a thread that has made the device current.
  void run(const std::function<bool(std::size_t slot)>& group);

  // check() on a slot; on the first one outside of run() too. `outputs` may be null.
  Report judge(std::size_t slot, const Case& c, const Candidate& candidate, Outputs* outputs);

  Device& device() { return *road_.device; }

 private:
  struct Slot {
    Slot(std::byte* host, std::size_t bytes, uintptr_t to_device) : memory(host, bytes, to_device), proceeding(memory) {}
    SlotMemory memory;
    Proceeding proceeding;
    const Candidate* waits_for = nullptr;  // whose call it waits
    bool taken = false;                    // a wide one: by a fibre
  };

  bool judge_in(Slot& slot, const Case& c, const Candidate& candidate, Outputs* outputs, Report& report);
  Report judge_large(const Case& c, const Candidate& candidate, Outputs* outputs);
  Slot& take_wide();
  void travel();

  Road& road_;
  uint64_t max_bytes_;
  void* stream_;
  Arena narrow_arena_, wide_arena_;
  std::vector<std::unique_ptr<Slot>> narrow_, wide_;  // each fibre has a narrow one
  std::vector<Fibre> fibres_;
  std::unique_ptr<DeviceMemory> large_memory_;
  Proceeding large_;
};

}  // namespace twincheck
