// A source of choices: what every generator and every law draws from. Smaller is simpler: every generator maps 0 to the
// simplest alternative, so that shrinking a tape of choices shrinks fields.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace twincheck {

class Choices {
 public:
  // Pseudorandom choices (xoshiro256**, seeded through splitmix64). The same seed gives the same choices everywhere.
  static Choices random(uint64_t seed);

  // Choices read back from a tape, each reduced modulo the number of alternatives; past its end, zeros. The tape is the
  // caller's and must outlive this.
  static Choices replay(std::span<const uint64_t> tape);

  // One of n alternatives, in [0, n). n = 0 stands for 2^64.
  uint64_t below(uint64_t n) {
    uint64_t choice;
    if (from_tape_) {
      choice = position_ < tape_.size() ? tape_[position_++] : 0;
      if (n != 0) choice %= n;
    } else {
      choice = next();
      if (n != 0) choice = scaled(choice, n);
    }
    drawn_.push_back(choice);
    return choice;
  }

  // In [lo, hi], both included; lo is the simplest.
  int64_t between(int64_t lo, int64_t hi) {
    return static_cast<int64_t>(static_cast<uint64_t>(lo) +
                                below(static_cast<uint64_t>(hi) - static_cast<uint64_t>(lo) + 1));
  }

  // True with probability num/den; false is the simplest.
  bool chance(uint64_t num, uint64_t den) { return below(den) >= den - num; }

  // What has been drawn so far, one number a choice, each below its number of alternatives: a tape that replays it.
  const std::vector<uint64_t>& drawn() const { return drawn_; }

  // Starts over with another seed (pseudorandom from then on), keeping the memory.
  void reseed(uint64_t seed);

 private:
  Choices() = default;

  uint64_t next() {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // floor(x * n / 2^64): the high word of the product.
  static uint64_t scaled(uint64_t x, uint64_t n) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<uint64_t>((static_cast<Wide>(x) * n) >> 64);
  }

  uint64_t state_[4] = {};
  std::span<const uint64_t> tape_;
  std::size_t position_ = 0;
  bool from_tape_ = false;
  std::vector<uint64_t> drawn_;
};

}  // namespace twincheck
