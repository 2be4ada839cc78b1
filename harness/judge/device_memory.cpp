#include "harness/judge/device_memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace twincheck {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kArena = std::size_t{1} << 20;     // for a case that no slot holds
constexpr std::size_t kLead = 3 * 4096;                  // device bytes before a mirror's first row: its page and guard
constexpr std::size_t kFarBytes = std::size_t{64} << 30; // addresses of an operand
constexpr std::size_t kFarPages = 4096;                  // with memory behind them

constexpr std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

std::size_t needed(const BufferShape& s) { return kGuardBefore + s.offset + s.extent() + s.tail + kGuardAfter; }

// Where its device memory is, of the same offset within 256 bytes as the mirror, since that is what the case asks for.
uintptr_t aligned_like(uintptr_t at_least, const std::byte* mirror) {
  return round_up(at_least, kAlignment) + reinterpret_cast<uintptr_t>(mirror) % kAlignment;
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

bool SlotMemory::place(std::size_t operand, const BufferShape& shape, Buffer& out) {
  constexpr std::size_t kOwnPlace = kBytes / (kOperands + 1);
  const std::size_t begin = round_up(std::max(used_, operand * kOwnPlace), kAlignment), bytes = needed(shape);
  if (begin + bytes > kBytes) {
    full_ = true;
    return false;
  }
  used_ = begin + bytes;
  lay_into(host_ + begin, bytes, shape, to_device_, out);
  return true;
}

void* SlotMemory::place_arguments(const void* source, std::size_t size) {
  return std::memcpy(arguments_, source, size);
}

void SlotMemory::trim() {
  used_ = 0;
  full_ = false;
}

uintptr_t FarRange::place(std::size_t operand, std::size_t cell, const BufferShape& shape,
                          const std::vector<Segment>& segments) {
  const std::byte* const first = segments.front().data;
  const auto span = static_cast<std::size_t>(segments.back().data + segments.back().bytes - first);
  const std::size_t page = device_.page_bytes();
  if (page == 0 || shape.row + shape.tail + 2 * 4096 > kCell || span + (kCells + 1) * kCell > kFarBytes) return 0;

  const std::lock_guard lock(mutex_);
  if (!tried_) {
    tried_ = true;
    for (std::byte*& base : base_) base = static_cast<std::byte*>(device_.reserve(kFarBytes));
  }
  if (base_[operand] == nullptr) return 0;
  // Mirrors and cells both begin at pages of 4096 bytes.
  const uintptr_t to_device =
      reinterpret_cast<uintptr_t>(base_[operand]) + cell * kCell - reinterpret_cast<uintptr_t>(first);
  for (const Segment& s : segments) {
    const uintptr_t begin = reinterpret_cast<uintptr_t>(s.data) + to_device;
    for (uintptr_t p = begin / page * page; p < begin + s.bytes; p += page) {
      if (backed_.contains(p)) continue;
      if (backed_.size() >= kFarPages || !device_.back(reinterpret_cast<void*>(p))) return 0;
      backed_.insert(p);
    }
  }
  return to_device;
}

LargeMemory::LargeMemory(Device& device, FarRange& far_range, std::size_t cell, std::mutex& own)
    : device_(device), far_range_(far_range), cell_(cell), own_(own, std::defer_lock), arena_(device, kArena) {}

LargeMemory::~LargeMemory() {
  try {
    trim();
  } catch (const DeviceError&) {
    // The device is gone, and its memory with it.
  }
}

bool LargeMemory::place(std::size_t operand, const BufferShape& shape, Buffer& out) {
  const std::size_t begin = round_up(used_, kAlignment), bytes = needed(shape);
  if (begin + bytes <= arena_.size()) {
    used_ = begin + bytes;
    lay_into(arena_.host() + begin, bytes, shape, arena_.to_device(), out);
    return true;
  }
  if (mirrors_ == nullptr) mirrors_ = std::make_unique<HostMemory>();
  if (!mirrors_->place(operand, shape, out)) return false;
  if (out.segments.size() > 1 && cell_ < FarRange::kCells)
    if (const uintptr_t to_device = far_range_.place(operand, cell_, shape, out.segments); to_device != 0) {
      out.to_device = to_device;
      mirrored_.push_back({out.segments, to_device, nullptr});
      return true;
    }
  return place_own(shape, out);
}

bool LargeMemory::place_own(const BufferShape& shape, Buffer& out) {
  if (!own_.owns_lock()) own_.lock();
  void* const memory = device_.allocate(needed(shape) + 2 * kLead);
  if (memory == nullptr) return false;
  out.to_device = aligned_like(reinterpret_cast<uintptr_t>(memory) + kLead, out.data) - reinterpret_cast<uintptr_t>(out.data);
  mirrored_.push_back({out.segments, out.to_device, memory});
  return true;
}

void* LargeMemory::place_arguments(const void* source, std::size_t size) { return std::memcpy(arguments_, source, size); }

void LargeMemory::trim() {
  used_ = 0;
  if (mirrored_.empty()) {
    if (own_.owns_lock()) own_.unlock();
    return;
  }
  const std::vector<Mirrored> mirrored = std::move(mirrored_);
  mirrored_.clear();
  mirrors_->trim();
  for (const Mirrored& m : mirrored)
    if (m.own != nullptr) device_.release(m.own);
  if (own_.owns_lock()) own_.unlock();
}

void LargeMemory::upload(void* stream) {
  arena_.upload(used_, stream);
  for (const Mirrored& m : mirrored_)
    for (const Segment& s : m.segments)
      device_.upload(reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(s.data) + m.to_device), s.data, s.bytes, stream);
}

void LargeMemory::download(void* stream) {
  arena_.download(used_, stream);
  for (const Mirrored& m : mirrored_)
    for (const Segment& s : m.segments)
      device_.download(s.data, reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(s.data) + m.to_device), s.bytes, stream);
}

}  // namespace twincheck
