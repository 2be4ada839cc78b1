// Sweeps: every value of a dtype through a conversion (`FROM-TO`) or the sigmoid (`DTYPE-sigmoid`, which stores f32 with
// scale 1), exhaustively.
//
// A sweep is a row of cases: chunk i holds the bit patterns from i * kSweepChunk on, all of them appended weights. A chunk
// is compared with the reference's bits and intervals in one run, every value of it. Every value takes the kernel's vector
// path (tight, aligned). Its scalar path (one element past alignment) is taken by every value of a 16-bit dtype, and by one
// chunk in 16 of the 2^32 f32 ones.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/candidate/candidate.h"
#include "harness/case/case.h"
#include "harness/judge/check.h"
#include "harness/report/verdict.h"

namespace twincheck {

inline constexpr uint64_t kSweepChunk = uint64_t{1} << 18;  // values
inline constexpr uint64_t kScalarOf = 16;                   // chunks, one of which also takes the scalar path

struct Sweep {
  std::string_view name;
  Source source;  // weights: a conversion; logits: the sigmoid
  Dtype from, to;

  uint64_t values() const { return from == Dtype::kF32 ? uint64_t{1} << 32 : uint64_t{1} << 16; }
  uint64_t chunks() const { return (values() + kSweepChunk - 1) / kSweepChunk; }

  // A chunk on one path.
  struct Piece {
    uint64_t chunk;
    bool scalar;
  };
  uint64_t pieces() const { return chunks() == 1 ? 2 : chunks() + chunks() / kScalarOf; }
  Piece piece(uint64_t i) const {
    if (chunks() == 1) return {0, i == 1};
    const uint64_t group = i / (kScalarOf + 1), place = i % (kScalarOf + 1);
    return {kScalarOf * group + (place < kScalarOf ? place : group % kScalarOf), place == kScalarOf};
  }
  // piece(index_of(p)) == p.
  uint64_t index_of(Piece p) const {
    if (chunks() == 1) return p.scalar ? 1 : 0;
    return p.chunk / kScalarOf * (kScalarOf + 1) + (p.scalar ? kScalarOf : p.chunk % kScalarOf);
  }
};

// All of them: six conversions and three sigmoids.
std::span<const Sweep> sweeps();
const Sweep* find_sweep(std::string_view name);  // null where there is none

// The case of a chunk, on the kernel's vector path or its scalar one.
Case sweep_case(const Sweep& sweep, Sweep::Piece piece);

// What a sweep has found, by adding up pieces. Trivially copyable.
struct SweepResult {
  // Results by their distance from the correctly rounded value in units in the last place of the dtype stored: 0 to 31, then
  // all that are farther, then NaN for NaN, then a NaN for a number or a number for a NaN.
  static constexpr std::size_t kFarther = 32, kNan = 33, kNanOrNumber = 34, kBins = 35;
  uint64_t values = 0;  // compared, each path counted
  uint64_t wrong = 0;   // of those: outside what the reference accepts
  std::array<uint64_t, kBins> ulp{};
  uint64_t max_ulp = 0, max_at = 0;  // the largest distance, and the bit pattern of the first input that has it
  uint64_t wrong_at = 0;             // the first input whose result is wrong, where any is

  void add(const SweepResult& other);
};

// What the reference makes of `count` bit patterns from `first` on, correctly rounded: elements of sweep.to. The patterns
// lie within 2^32 and begin at a multiple of 2^15, so that each 2^15 of them have one sign.
void sweep_expected(const Sweep& sweep, uint64_t first, std::size_t count, void* expected);

// Judges the results of those bit patterns one by one and adds them to `result`. `expected` is sweep_expected()'s.
void sweep_compare(const Sweep& sweep, uint64_t first, std::size_t count, const void* expected, const void* got,
                   SweepResult& result);

// Runs pieces and judges them; holds the buffers. For host memory.
class SweepBench {
 public:
  // kPassed; or what check() says of the piece's case. A wrong piece is as slow to check as a hundred are to compare, so
  // after the first few of a bench it fails as appended_weights without. What was compared is added to `result` in any case.
  Report run(const Sweep& sweep, Sweep::Piece piece, const Candidate& candidate, Bench& bench, SweepResult& result);

 private:
  std::vector<std::byte> inputs_, ids_, weights_, expected_;
  int wrong_pieces_ = 0;
};

}  // namespace twincheck
