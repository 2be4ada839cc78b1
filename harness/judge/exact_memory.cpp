#include "harness/judge/exact_memory.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace twincheck {

ExactMemory::~ExactMemory() {
  try {
    trim();
  } catch (const DeviceError&) {
    // The device is gone, and its memory with it.
  }
}

bool ExactMemory::place(std::size_t operand, const BufferShape& shape, Buffer& out) {
  if (!mirrors_.place(operand, shape, out)) return false;
  const std::size_t head = std::min<std::size_t>(shape.head, out.data - out.segments.front().data);
  const std::size_t lead = head + reinterpret_cast<uintptr_t>(out.data - head) % 256;  // so that data lies as the case asks
  const std::size_t bytes = shape.extent() + shape.tail;
  void* const memory = device_.allocate(lead + std::max<std::size_t>(bytes, 1));
  if (memory == nullptr) return false;
  out.to_device = reinterpret_cast<uintptr_t>(memory) + lead - reinterpret_cast<uintptr_t>(out.data);
  Owned owned{memory, out.to_device, {}};
  if (out.segments.size() > 1) {  // sparse: a segment a row
    for (std::size_t r = 0; r < out.segments.size(); ++r)
      owned.parts.push_back({out.data + r * shape.stride, shape.row + (r + 1 == out.segments.size() ? shape.tail : 0)});
    owned.parts.front() = {out.data - head, head + shape.row};
  } else if (head + bytes > 0) {
    owned.parts.push_back({out.data - head, head + bytes});
  }
  owned_.push_back(std::move(owned));
  return true;
}

void* ExactMemory::place_arguments(const void* source, std::size_t size) { return std::memcpy(arguments_, source, size); }

void ExactMemory::trim() {
  const std::vector<Owned> owned = std::exchange(owned_, {});
  mirrors_.trim();
  for (const Owned& o : owned) device_.release(o.memory);
}

void ExactMemory::upload(void* stream) {
  for (const Owned& o : owned_)
    for (const Segment& part : o.parts)
      device_.upload(reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(part.data) + o.to_device), part.data, part.bytes,
                     stream);
}

void ExactMemory::download(void* stream) {
  for (const Owned& o : owned_)
    for (const Segment& part : o.parts)
      device_.download(part.data, reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(part.data) + o.to_device), part.bytes,
                       stream);
  device_.synchronize(stream);
}

}  // namespace twincheck
