#include "harness/judge/device_memory.h"

#include <fmt/format.h>

#include <cstring>

namespace twincheck {
namespace {

constexpr std::size_t kOwnAbove = std::size_t{8} << 20;  // bytes of a buffer that no longer goes into the arena
constexpr std::size_t kLead = 3 * 4096;                  // device bytes before a mirror's first row: its page and guard
constexpr std::size_t kArguments = std::size_t{16} << 20;

}  // namespace

DeviceMemory::DeviceMemory(Device& device, std::size_t arena_bytes) : device_(device), bytes_(arena_bytes) {
  host_ = static_cast<std::byte*>(device.allocate_host(arena_bytes));
  on_device_ = static_cast<std::byte*>(device.allocate(arena_bytes));
  if (host_ == nullptr || on_device_ == nullptr)
    throw DeviceError(fmt::format("an arena of {} MiB cannot be had", arena_bytes >> 20));
  arguments_.resize(kArguments);
}

DeviceMemory::~DeviceMemory() {
  try {
    trim();
    device_.release(on_device_);
    device_.release_host(host_);
  } catch (const DeviceError&) {
    // The device is gone, and its memory with it.
  }
}

bool DeviceMemory::place(std::size_t operand, const BufferShape& shape, Buffer& out) {
  const std::size_t needs = kGuardBefore + shape.offset + shape.extent() + shape.tail + kGuardAfter;
  if (needs > kOwnAbove) {
    if (!mirrors_.place(operand, shape, out)) return false;
    void* memory = device_.allocate(needs + 2 * kLead);
    if (memory == nullptr) return false;
    // The same offset within 256 bytes as the mirror has, since that is what the case asks for.
    const auto data = reinterpret_cast<uintptr_t>(out.data);
    const uintptr_t target = (reinterpret_cast<uintptr_t>(memory) + kLead) / 256 * 256 + data % 256;
    out.to_device = target - data;
    own_.push_back({memory, out.segments, out.to_device});
    return true;
  }
  const std::size_t begin = (used_ + 255) / 256 * 256;
  if (begin + needs > bytes_) {
    full_ = true;
    return false;
  }
  used_ = begin + needs;
  out.shape = shape;
  out.data = host_ + begin + kGuardBefore + shape.offset;
  out.segments.assign(1, {host_ + begin, needs});
  out.to_device = reinterpret_cast<uintptr_t>(on_device_) - reinterpret_cast<uintptr_t>(host_);
  return true;
}

void* DeviceMemory::place_arguments(const void* source, std::size_t size) {
  const std::size_t step = (size + 63) / 64 * 64;
  if (arguments_used_ + step > arguments_.size()) arguments_used_ = 0;
  void* p = arguments_.data() + arguments_used_;
  arguments_used_ += step;
  std::memcpy(p, source, size);
  return p;
}

void DeviceMemory::trim() {
  used_ = 0;
  full_ = false;
  if (own_.empty()) return;
  for (const Own& own : own_) device_.release(own.device);
  own_.clear();
  mirrors_.trim();
}

void DeviceMemory::upload() {
  if (used_ > 0) device_.upload(on_device_, host_, used_);
  for (const Own& own : own_)
    for (const Segment& s : own.segments)
      device_.upload(reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(s.data) + own.to_device), s.data, s.bytes);
}

void DeviceMemory::download() {
  if (used_ > 0) device_.download(host_, on_device_, used_);
  for (const Own& own : own_)
    for (const Segment& s : own.segments)
      device_.download(s.data, reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(s.data) + own.to_device), s.bytes);
}

}  // namespace twincheck
