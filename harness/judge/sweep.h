// Sweeps: every value of a dtype through a conversion (`FROM-TO`) or the sigmoid (`DTYPE-sigmoid`, which stores f32 with
// scale 1), exhaustively.
//
// A sweep is a row of cases: chunk i holds the bit patterns from i * kSweepChunk on, all of them appended weights. A chunk
// is compared with the reference's bits and intervals in one run; one that does not pass goes before check(), whose verdict
// stands. Every value takes the kernel's vector path (tight, aligned). Its scalar path (one element past alignment) is taken
// by every value of a 16-bit dtype, and by one chunk in 16 of the 2^32 f32 ones.
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
};

// All of them: six conversions and three sigmoids.
std::span<const Sweep> sweeps();
const Sweep* find_sweep(std::string_view name);  // null where there is none

// The case of a chunk, on the kernel's vector path or its scalar one.
Case sweep_case(const Sweep& sweep, Sweep::Piece piece);

// What a sweep has found, by adding up chunks. Trivially copyable.
struct SweepResult {
  static constexpr std::size_t kBins = 34;
  uint64_t values = 0;  // compared, each path counted
  // Sigmoid only: how many results are n ulp of f32 from the correctly rounded value, n = 0..31; then more; then NaN for
  // NaN.
  std::array<uint64_t, kBins> ulp{};
  uint64_t max_ulp = 0, max_at = 0;  // the largest distance, and the bit pattern of the first input that has it

  void add(const SweepResult& other);
};

// Judges pieces; holds the buffers. For host memory.
class SweepBench {
 public:
  // kPassed, with what was found added to `result`, or what check() says of the piece's case.
  Report run(const Sweep& sweep, Sweep::Piece piece, const Candidate& candidate, Bench& bench, SweepResult& result);

 private:
  template <typename Bits>
  bool compare(const Sweep& sweep, uint64_t chunk, const std::byte* out, std::size_t n, SweepResult& found);

  std::vector<std::byte> inputs_, ids_, weights_, expected_;
};

}  // namespace twincheck
