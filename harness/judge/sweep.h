// Sweeps: every value of a dtype through a conversion (`FROM-TO`) or the sigmoid (`DTYPE-sigmoid`, which stores f32 with
// scale 1), exhaustively.
//
// A sweep is a row of cases: chunk i holds the bit patterns from i * kSweepChunk on, all of them appended weights. A chunk
// is compared with the reference by bits alone, once through the kernel's vector path (tight, aligned) and once through its
// scalar path (one element past alignment); a chunk that does not match goes before check(), whose verdict stands.
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

struct Sweep {
  std::string_view name;
  Source source;  // weights: a conversion; logits: the sigmoid
  Dtype from, to;

  uint64_t values() const { return from == Dtype::kF32 ? uint64_t{1} << 32 : uint64_t{1} << 16; }
  uint64_t chunks() const;
};

// All of them: six conversions and three sigmoids.
std::span<const Sweep> sweeps();
const Sweep* find_sweep(std::string_view name);  // null where there is none

inline constexpr uint64_t kSweepChunk = uint64_t{1} << 18;  // values

// The case of a chunk, on the kernel's vector path or its scalar one.
Case sweep_case(const Sweep& sweep, uint64_t chunk, bool scalar);

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

// Judges chunks, and keeps what the two paths of a chunk share. For host memory.
class SweepBench {
 public:
  // Runs one chunk on one path. kPassed, with what it found added to `result`, or what check() says of the chunk's case.
  Report run(const Sweep& sweep, uint64_t chunk, bool scalar, const Candidate& candidate, Bench& bench, SweepResult& result);

 private:
  void expect(const Sweep& sweep, uint64_t chunk);
  bool compare(const Sweep& sweep, uint64_t chunk, const std::byte* out, SweepResult& found) const;

  const Sweep* sweep_ = nullptr;  // what expected_ is of
  uint64_t chunk_ = 0;
  std::vector<uint32_t> expected_;  // correctly rounded
  std::vector<std::byte> inputs_, ids_, weights_;
};

}  // namespace twincheck
