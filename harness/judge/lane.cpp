#include "harness/judge/lane.h"

#include <algorithm>
#include <utility>

#include "harness/judge/exact_memory.h"

namespace twincheck {
namespace {

// Nine of ten generated cases fit into a narrow slot, and few of the others do not into a wide one.
constexpr std::size_t kNarrowBytes = std::size_t{24} << 10, kWideBytes = std::size_t{96} << 10, kWide = 12;

std::unique_ptr<DeviceMemory> memory_for_large(Road& road, std::size_t index) {
  if (road.layout == DeviceLayout::kExact) return std::make_unique<ExactMemory>(*road.device);
  return std::make_unique<LargeMemory>(*road.device, road.far_range, index, road.own);
}

}  // namespace

Lane::Lane(Road& road, std::size_t index, uint64_t max_bytes)
    : road_(road),
      max_bytes_(max_bytes),
      stream_(index == 0 ? road.device->stream() : road.device->create_stream()),
      narrow_arena_(*road.device, kSlots * kNarrowBytes),
      wide_arena_(*road.device, kWide * kWideBytes),
      fibres_(kSlots),
      large_memory_(memory_for_large(road, index)),
      large_(*large_memory_) {
  const auto divide = [](Arena& arena, std::size_t count, std::size_t bytes, auto& slots) {
    for (std::size_t i = 0; i < count; ++i)
      slots.push_back(std::make_unique<Slot>(arena.host() + i * bytes, bytes, arena.to_device()));
  };
  divide(narrow_arena_, kSlots, kNarrowBytes, narrow_);
  divide(wide_arena_, kWide, kWideBytes, wide_);
}

Lane::~Lane() = default;

void Lane::run(const std::function<bool(std::size_t slot)>& group) {
  bool more = true;
  for (std::size_t i = 0; i < kSlots; ++i)
    fibres_[i].start([&, i] {
      while (more && group(i)) continue;
      more = false;
    });
  const auto unfinished = [](const Fibre& f) { return f.unfinished(); };
  while (std::any_of(fibres_.begin(), fibres_.end(), unfinished)) {
    for (Fibre& fibre : fibres_)
      if (fibre.unfinished()) fibre.resume();
    travel();
  }
}

Report Lane::judge(std::size_t i, const Case& c, const Candidate& candidate, Outputs* outputs) {
  if (road_.layout == DeviceLayout::kExact) return judge_large(c, candidate, outputs);
  Report report;
  if (judge_in(*narrow_[i], c, candidate, outputs, report)) return report;
  Slot& wide = take_wide();
  const bool fits = judge_in(wide, c, candidate, outputs, report);
  wide.taken = false;
  return fits ? report : judge_large(c, candidate, outputs);
}

// False where the case does not fit into the slot.
bool Lane::judge_in(Slot& slot, const Case& c, const Candidate& candidate, Outputs* outputs, Report& report) {
  Proceeding& p = slot.proceeding;
  p.begin(c, max_bytes_);
  const bool fits = !slot.memory.full();
  for (int run = 0; fits && run < kRuns && !p.over(); ++run) {
    p.before(run);
    slot.waits_for = &candidate;
    if (Fibre::inside()) {
      Fibre::suspend();
    } else {
      travel();
    }
    p.after(run, candidate);
  }
  if (fits && outputs != nullptr) p.outputs(*outputs);
  p.finish();
  slot.memory.trim();
  if (fits) report = std::move(p.report);
  return fits;
}

// Waits until one is free: those who have them are on their way.
Lane::Slot& Lane::take_wide() {
  while (true) {
    for (const auto& slot : wide_)
      if (!std::exchange(slot->taken, true)) return *slot;
    Fibre::suspend();
  }
}

// At once, while the others wait: such cases are few.
Report Lane::judge_large(const Case& c, const Candidate& candidate, Outputs* outputs) {
  large_.begin(c, max_bytes_);
  for (int run = 0; run < kRuns && !large_.over(); ++run) {
    large_.before(run);
    large_memory_->upload(stream_);
    large_.call(candidate, stream_);
    large_memory_->download(stream_);
    large_.after(run, candidate);
  }
  if (outputs != nullptr) large_.outputs(*outputs);
  large_.finish();
  large_memory_->trim();
  return std::move(large_.report);
}

// All that wait for their calls.
void Lane::travel() {
  const auto end_of = [](const auto& slots) {
    std::size_t end = slots.size();
    while (end > 0 && slots[end - 1]->waits_for == nullptr) --end;
    return end;
  };
  const std::size_t narrow = end_of(narrow_), wide = end_of(wide_);
  if (narrow + wide == 0) return;
  narrow_arena_.upload(narrow * kNarrowBytes, stream_);
  wide_arena_.upload(wide * kWideBytes, stream_);
  for (const auto* slots : {&narrow_, &wide_})
    for (const auto& slot : *slots)
      if (const Candidate* candidate = std::exchange(slot->waits_for, nullptr); candidate != nullptr)
        slot->proceeding.call(*candidate, stream_);
  narrow_arena_.download(narrow * kNarrowBytes, stream_);
  wide_arena_.download(wide * kWideBytes, stream_);
  road_.device->synchronize(stream_);
}

}  // namespace twincheck
