#include "harness/judge/device_memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>
#include <iterator>
#include <utility>

namespace twincheck {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kArena = std::size_t{1} << 20;     // for a case that no slot holds
constexpr std::size_t kLead = 3 * 4096;                  // device bytes before a mirror's first row: its page and guard
constexpr std::size_t kFarPages = 4096;                  // of the far range, with memory behind them
constexpr std::size_t kFarCell = std::size_t{16} << 10;  // from one lane's rows to the next lane's

constexpr std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

std::size_t needed(const BufferShape& s) { return kGuardBefore + s.offset + s.extent() + s.tail + kGuardAfter; }

// Where its device memory is, of the same offset within 256 bytes as the mirror, since that is what the case asks for.
uintptr_t aligned_like(uintptr_t at_least, const std::byte* mirror) {
  return round_up(at_least, kAlignment) + reinterpret_cast<uintptr_t>(mirror) % kAlignment;
}

// What a sanitizer has marked as nobody's is copied too, as a device does.
__attribute__((no_sanitize("address"))) void copy_whatever(std::byte* to, const std::byte* from, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) to[i] = from[i];
}

void lay_into(std::byte* memory, std::size_t bytes, const BufferShape& shape, uintptr_t to_device, Buffer& out) {
  out.shape = shape;
  out.data = memory + kGuardBefore + shape.offset;
  out.segments.assign(1, {memory, bytes});
  out.to_device = to_device;
}

}  // namespace

Arena::Arena(Device& device, std::size_t bytes) : device_(device), bytes_(bytes) {
  host_ = static_cast<std::byte*>(device.allocate_host(bytes));
  on_device_ = static_cast<std::byte*>(device.allocate(bytes));
  if (host_ == nullptr || on_device_ == nullptr)
    throw DeviceError(fmt::format("{} KiB of pinned memory and of the device's cannot be had", bytes >> 10));
}

Arena::~Arena() {
  try {
    device_.release(on_device_);
    device_.release_host(host_);
  } catch (const DeviceError&) {
    // The device is gone, and its memory with it.
  }
}

void Arena::upload(std::size_t bytes, void* stream) {
  if (bytes > 0) device_.upload(on_device_, host_, bytes, stream);
}
void Arena::download(std::size_t bytes, void* stream) {
  if (bytes > 0) device_.download(host_, on_device_, bytes, stream);
}

bool SlotMemory::place(std::size_t, const BufferShape& shape, Buffer& out) {
  const std::size_t begin = round_up(used_, kAlignment), bytes = needed(shape);
  if (full_ || bytes > bytes_ || begin + bytes > bytes_) {
    full_ = true;
    return false;
  }
  used_ = begin + bytes;
  lay_into(host_ + begin, bytes, shape, to_device_, out);
  return true;
}

void* SlotMemory::place_arguments(const void* source, std::size_t size) { return std::memcpy(arguments_, source, size); }

void SlotMemory::trim() {
  used_ = 0;
  full_ = false;
}

std::byte* FarRange::take(std::size_t operand, std::size_t lane, const std::vector<Stretch>& stretches) {
  const std::size_t page = device_.page_bytes(), cell = lane * kFarCell;
  const Stretch& last = stretches.back();
  if (page == 0 || cell + last.begin + last.bytes > kBytes) return nullptr;

  const std::lock_guard lock(mutex_);
  if (!tried_) {
    tried_ = true;
    for (std::byte*& base : base_) base = static_cast<std::byte*>(device_.reserve(kBytes));
  }
  if (base_[operand] == nullptr) return nullptr;
  std::byte* const base = base_[operand] + cell;
  for (const Stretch& s : stretches) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(base) + s.begin, end = begin + s.bytes;
    const auto next = taken_.lower_bound(end);
    if (next != taken_.begin() && std::prev(next)->second > begin) return nullptr;  // another lane's
    for (uintptr_t p = begin / page * page; p < end; p += page) {
      if (backed_.contains(p)) continue;
      if (backed_.size() >= kFarPages || !device_.back(reinterpret_cast<void*>(p))) return nullptr;
      backed_.insert(p);
    }
  }
  for (const Stretch& s : stretches) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(base) + s.begin;
    taken_[begin] = begin + s.bytes;
  }
  return base;
}

void FarRange::give_back(const std::byte* base, const std::vector<Stretch>& stretches) {
  const std::lock_guard lock(mutex_);
  for (const Stretch& s : stretches) taken_.erase(reinterpret_cast<uintptr_t>(base) + s.begin);
}

LargeMemory::LargeMemory(Device& device, FarRange& far_range, std::size_t lane, std::mutex& own)
    : device_(device), far_range_(far_range), lane_(lane), own_lock_(own, std::defer_lock), arena_(device, kArena) {}

LargeMemory::~LargeMemory() {
  try {
    trim();
  } catch (const DeviceError&) {
    // The device is gone, and its memory with it.
  }
  for (std::byte* mirror : far_mirrors_)
    if (mirror != nullptr) munmap(mirror, FarRange::kBytes);
}

bool LargeMemory::place(std::size_t operand, const BufferShape& shape, Buffer& out) {
  const std::size_t bytes = needed(shape);
  if (bytes > arena_.size()) return place_far(operand, shape, out) || place_own(operand, shape, out);
  const std::size_t begin = round_up(used_, kAlignment);
  if (begin + bytes + staged_ > arena_.size()) return place_own(operand, shape, out);
  used_ = begin + bytes;
  lay_into(arena_.host() + begin, bytes, shape, arena_.to_device(), out);
  return true;
}

// A segment a row, as HostMemory lays them out, but for the pages.
bool LargeMemory::place_far(std::size_t operand, const BufferShape& shape, Buffer& out) {
  if (!Memory::is_sparse(shape) || needed(shape) > FarRange::kBytes) return false;
  std::byte*& mirror = far_mirrors_[operand];
  if (mirror == nullptr) {
    void* const p =
        mmap(nullptr, FarRange::kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return false;
    mirror = static_cast<std::byte*>(p);
  }
  Far far;
  std::size_t bytes = 0;
  for (int64_t r = 0; r < shape.rows; ++r) {
    const std::size_t begin = shape.offset + static_cast<std::size_t>(r) * shape.stride;  // of the guard before the row
    const std::size_t tail = r + 1 == shape.rows ? shape.tail : 0;
    far.stretches.push_back({begin, kGuardBefore + shape.row + tail + kGuardAfter});
    far.segments.push_back({mirror + begin, far.stretches.back().bytes});
    bytes += far.stretches.back().bytes;
  }
  if (used_ + staged_ + bytes > arena_.size()) return false;
  far.base = far_range_.take(operand, lane_, far.stretches);
  if (far.base == nullptr) return false;
  staged_ += bytes;
  far.staged = arena_.size() - staged_;
  out.shape = shape;
  out.data = mirror + kGuardBefore + shape.offset;
  out.segments = far.segments;
  out.to_device = reinterpret_cast<uintptr_t>(far.base) - reinterpret_cast<uintptr_t>(mirror);
  far_.push_back(std::move(far));
  return true;
}

bool LargeMemory::place_own(std::size_t operand, const BufferShape& shape, Buffer& out) {
  if (mirrors_ == nullptr) mirrors_ = std::make_unique<HostMemory>();
  if (!mirrors_->place(operand, shape, out)) return false;
  if (!own_lock_.owns_lock()) own_lock_.lock();
  void* const memory = device_.allocate(needed(shape) + 2 * kLead);
  if (memory == nullptr) return false;
  out.to_device =
      aligned_like(reinterpret_cast<uintptr_t>(memory) + kLead, out.data) - reinterpret_cast<uintptr_t>(out.data);
  owned_.push_back({out.segments, out.to_device, memory});
  return true;
}

void* LargeMemory::place_arguments(const void* source, std::size_t size) { return std::memcpy(arguments_, source, size); }

void LargeMemory::trim() {
  used_ = staged_ = 0;
  for (const Far& far : far_) far_range_.give_back(far.base, far.stretches);
  far_.clear();
  const std::vector<Own> owned = std::exchange(owned_, {});
  if (mirrors_ != nullptr && own_lock_.owns_lock()) mirrors_->trim();
  for (const Own& own : owned) device_.release(own.memory);
  if (own_lock_.owns_lock()) own_lock_.unlock();
}

void LargeMemory::upload(void* stream) {
  arena_.upload(used_, stream);
  for (const Far& far : far_) {
    std::byte* staging = arena_.host() + far.staged;
    for (std::size_t i = 0; i < far.segments.size(); ++i) {
      const Segment& s = far.segments[i];
      copy_whatever(staging, s.data, s.bytes);
      device_.upload(far.base + far.stretches[i].begin, staging, s.bytes, stream);
      staging += s.bytes;
    }
  }
  for (const Own& own : owned_)
    for (const Segment& s : own.segments)
      device_.upload(reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(s.data) + own.to_device), s.data, s.bytes, stream);
}

void LargeMemory::download(void* stream) {
  arena_.download(used_, stream);
  for (const Far& far : far_) {
    std::byte* staging = arena_.host() + far.staged;
    for (const FarRange::Stretch& s : far.stretches) {
      device_.download(staging, far.base + s.begin, s.bytes, stream);
      staging += s.bytes;
    }
  }
  for (const Own& own : owned_)
    for (const Segment& s : own.segments)
      device_.download(s.data, reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(s.data) + own.to_device), s.bytes,
                       stream);
  device_.synchronize(stream);
  for (const Far& far : far_) {
    const std::byte* staging = arena_.host() + far.staged;
    for (const Segment& s : far.segments) {
      copy_whatever(s.data, staging, s.bytes);
      staging += s.bytes;
    }
  }
}

}  // namespace twincheck
