#include "harness/judge/lane.h"

#include <utility>

namespace twincheck {

Lane::Lane(Road& road, std::size_t index, uint64_t max_bytes)
    : road_(road),
      max_bytes_(max_bytes),
      stream_(index == 0 ? road.device->stream() : road.device->create_stream()),
      arena_(*road.device, kSlots * SlotMemory::kBytes),
      large_memory_(*road.device, road.far_range, index, road.own),
      large_(large_memory_) {
  slots_.reserve(kSlots);
  for (std::size_t i = 0; i < kSlots; ++i)
    slots_.push_back(std::make_unique<Slot>(arena_.host() + i * SlotMemory::kBytes, arena_.to_device()));
}

Lane::~Lane() = default;

void Lane::run(const std::function<bool(std::size_t slot)>& group) {
  bool more = true;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = *slots_[i];
    if (!slot.fibre) slot.fibre.emplace();
    slot.fibre->start([&, i] {
      while (more && group(i)) continue;
      more = false;
    });
  }
  while (true) {
    for (const auto& slot : slots_)
      if (slot->fibre->unfinished()) slot->fibre->resume();
    bool waiting = false;
    for (const auto& slot : slots_) waiting |= slot->waits_for != nullptr;
    if (!waiting) return;
    travel();
  }
}

Report Lane::judge(std::size_t i, const Case& c, const Candidate& candidate, Outputs* outputs) {
  Slot& slot = *slots_[i];
  Proceeding& p = slot.proceeding;
  p.begin(c, max_bytes_);
  if (slot.memory.full()) {
    slot.memory.trim();
    return judge_large(c, candidate, outputs);
  }
  for (int run = 0; run < kRuns && !p.over(); ++run) {
    p.before(run);
    slot.waits_for = &candidate;
    if (Fibre::inside()) {
      Fibre::suspend();
    } else {
      travel();
    }
    p.after(run, candidate);
  }
  if (outputs != nullptr) p.outputs(*outputs);
  p.finish();
  slot.memory.trim();
  return std::move(p.report);
}

// At once, while the others wait: such cases are few.
Report Lane::judge_large(const Case& c, const Candidate& candidate, Outputs* outputs) {
  large_.begin(c, max_bytes_);
  for (int run = 0; run < kRuns && !large_.over(); ++run) {
    large_.before(run);
    large_memory_.upload(stream_);
    large_.call(candidate, stream_);
    large_memory_.download(stream_);
    road_.device->synchronize(stream_);
    large_.after(run, candidate);
  }
  if (outputs != nullptr) large_.outputs(*outputs);
  large_.finish();
  large_memory_.trim();
  return std::move(large_.report);
}

// All that wait for their calls.
void Lane::travel() {
  std::size_t end = 0;
  for (std::size_t i = 0; i < slots_.size(); ++i)
    if (slots_[i]->waits_for != nullptr) end = i + 1;
  arena_.upload(end * SlotMemory::kBytes, stream_);
  for (std::size_t i = 0; i < end; ++i)
    if (const Candidate* candidate = std::exchange(slots_[i]->waits_for, nullptr); candidate != nullptr)
      slots_[i]->proceeding.call(*candidate, stream_);
  arena_.download(end * SlotMemory::kBytes, stream_);
  road_.device->synchronize(stream_);
}

}  // namespace twincheck
