// One of `count` parts of a run's work: disjoint, complete, and the same every time. Unit g of the work belongs to part
// g % count, whatever a unit is: a file, a group of generated cases, a piece of a sweep, a mutant.
#pragma once

#include <cstdint>

namespace twincheck {

struct Shard {
  uint64_t index = 0, count = 1;  // index < count

  bool owns(uint64_t unit) const { return unit % count == index; }
  uint64_t size(uint64_t units) const { return units / count + (index < units % count ? 1 : 0); }  // of those, its own
  uint64_t unit(uint64_t i) const { return i * count + index; }                                    // its i-th
  uint64_t place(uint64_t unit) const { return (unit - index) / count; }  // of a unit of its own: unit(place(u)) == u
};

}  // namespace twincheck
