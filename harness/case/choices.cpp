#include "harness/case/choices.h"

namespace twincheck {

void Choices::reseed(uint64_t seed) {
  for (uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
  from_tape_ = false;
  tape_ = {};
  position_ = 0;
  drawn_.clear();
}

Choices Choices::random(uint64_t seed) {
  Choices c;
  c.drawn_.reserve(256);
  c.reseed(seed);
  return c;
}

Choices Choices::replay(std::span<const uint64_t> tape) {
  Choices c;
  c.tape_ = tape;
  c.from_tape_ = true;
  return c;
}

}  // namespace twincheck
