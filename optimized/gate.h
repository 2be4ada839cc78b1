// Device code of the gate: each row of `hidden` times `gate`, and the shared experts' weights from it.
//
// The order of summation is a function of H alone. A row is cut into pieces of eight elements, the last filled up with
// zeros; piece q belongs to lane q mod lanes. A piece's products are added as a tree, a lane's pieces in ascending order,
// and the lanes' sums in eight interleaved chains that end in a tree: H + 1 roundings at most lie on any path.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>
#include <type_traits>

#include "optimized/arithmetic.h"
#include "optimized/plan.h"

namespace twincheck::optimized {

constexpr uint32_t kPiece = 8;

// The second of __launch_bounds__: for at most 64 registers. CUDA counts blocks a multiprocessor, HIP waves an execution
// unit.
#if defined(__CUDACC__)
constexpr uint32_t kGateOccupancy = 4;
#else
constexpr uint32_t kGateOccupancy = 8;
#endif

__device__ inline float tree_sum(const float* x) {
  return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

// Where a compiler shall not begin with the next piece before this one's registers are free: nothing but a hint.
#if defined(__AMDGCN__) && __has_builtin(__builtin_amdgcn_sched_barrier)
#define TWINCHECK_ONE_AT_A_TIME() __builtin_amdgcn_sched_barrier(0)
#else
#define TWINCHECK_ONE_AT_A_TIME() static_cast<void>(0)
#endif

// In words, so that two 16-bit elements share a register.
template <class Bits>
struct alignas(16) Piece {
  static constexpr uint32_t kPerWord = 4 / sizeof(Bits);
  uint32_t word[kPiece / kPerWord];

  __device__ Bits element(uint32_t i) const {
    return static_cast<Bits>(word[i / kPerWord] >> (i % kPerWord * 8 * sizeof(Bits)));
  }
  __device__ void add(uint32_t i, Bits bits) {
    word[i / kPerWord] |= static_cast<uint32_t>(bits) << (i % kPerWord * 8 * sizeof(Bits));
  }
};

template <bool kWide, class Bits>
__device__ inline Piece<Bits> load_piece(const Bits* from) {
  if constexpr (kWide) {
    TWINCHECK_WIDE(from, 16);
    return *reinterpret_cast<const Piece<Bits>*>(from);
  } else {
    Piece<Bits> piece{};
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < kPiece; ++i) piece.add(i, from[i]);
    return piece;
  }
}

template <class Value>
__device__ inline float piece_sum(const Piece<typename Value::Bits>& h, const Piece<typename Value::Bits>& g) {
  float product[kPiece];
  TWINCHECK_UNROLL
  for (uint32_t i = 0; i < kPiece; ++i) {
    product[i] = float_of(Value::widen(h.element(i))) * float_of(Value::widen(g.element(i)));
  }
  return tree_sum(product);
}

template <bool kWide, class Value>
__device__ inline float lane_sum(const typename Value::Bits* hidden, const typename Value::Bits* gate, const GateRows& rows,
                                 uint32_t lane) {
  using Bits = typename Value::Bits;
  // Pieces on their way at once: they hide the memory's latency and take registers, more where widening takes some too.
  constexpr uint32_t kAhead = !kWide ? 1 : std::is_same_v<Value, F16> ? 2 : 64 / sizeof(Piece<Bits>);
  const int64_t pieces = rows.hidden_size / kPiece;
  float sum = 0.0F;
  TWINCHECK_ROLLED
  for (int64_t q = lane; q < pieces; q += int64_t{kAhead} * rows.lanes) {
    Piece<Bits> h[kAhead], g[kAhead];
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < kAhead; ++i) {
      // Past the end the first one is read again.
      const int64_t piece = q + i * rows.lanes < pieces ? q + i * rows.lanes : q;
      h[i] = load_piece<kWide>(hidden + piece * kPiece);
      g[i] = load_piece<kWide>(gate + piece * kPiece);
    }
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < kAhead; ++i) {
      TWINCHECK_ONE_AT_A_TIME();
      // A selection, not a branch, into which a compiler would move the loads.
      const float more = sum + piece_sum<Value>(h[i], g[i]);
      sum = q + i * rows.lanes < pieces ? more : sum;
    }
  }
  TWINCHECK_ROLLED
  for (int64_t i = pieces * kPiece + lane; i < rows.hidden_size; i += rows.lanes) {
    sum += float_of(Value::widen(hidden[i])) * float_of(Value::widen(gate[i]));
  }
  return sum;
}

// kLinks numbers, kPiece places apart, in ascending order; read before the first is added.
template <uint32_t kLinks>
__device__ inline float chain_sum(const float* first) {
  float link[kLinks];
  TWINCHECK_UNROLL
  for (uint32_t i = 0; i < kLinks; ++i) link[i] = first[i * kPiece];
  TWINCHECK_UNROLL
  for (uint32_t i = 1; i < kLinks; ++i) link[0] += link[i];
  return link[0];
}

__device__ inline float chain_sum(const float* first, uint32_t lanes) {
  switch (lanes / kPiece) {
    case 1:
      return chain_sum<1>(first);
    case 2:
      return chain_sum<2>(first);
    case 4:
      return chain_sum<4>(first);
    case 8:
      return chain_sum<8>(first);
    case 16:
      return chain_sum<16>(first);
    default:
      return chain_sum<32>(first);
  }
}
static_assert(kMaxBlock / kPiece == 32);

// Block `block` of `rows.blocks`: whole rows, `rows.lanes` threads each.
template <class Value, class Weight>
__device__ inline void write_gate(const GateRows& rows, uint32_t block, int64_t num_shared, float scale) {
  using Bits = typename Value::Bits;
  __shared__ float sums[kMaxBlock];

  const uint32_t lane = threadIdx.x & (rows.lanes - 1);
  const uint32_t row_in_block = threadIdx.x >> rows.lane_bits;
  const int64_t row = static_cast<int64_t>(block) * (blockDim.x >> rows.lane_bits) + row_in_block;
  float sum = 0.0F;
  if (row < rows.rows) {
    const Bits* const hidden = static_cast<const Bits*>(rows.hidden) + row * rows.hidden_stride;
    const Bits* const gate = static_cast<const Bits*>(rows.gate);
    TWINCHECK_WAIT_FOR_STREAM();
    sum =
        rows.wide != 0 ? lane_sum<true, Value>(hidden, gate, rows, lane) : lane_sum<false, Value>(hidden, gate, rows, lane);
  }
  if (rows.lanes > 1) {
    float* const mine = sums + (threadIdx.x - lane);
    mine[lane] = sum;
    __syncthreads();
    // A place that a chain's thread writes is read by no other until the barrier.
    if (lane < kPiece) mine[lane] = chain_sum(mine + lane, rows.lanes);
    __syncthreads();
    sum = tree_sum(mine);
  }
  if (row >= rows.rows || lane >= num_shared) return;
  const auto bits = Weight::round(bits_of(gated(sum, scale)));
  auto* const out = static_cast<typename Weight::Bits*>(rows.out) + row * rows.out_stride;
  for (int64_t s = lane; s < num_shared; s += rows.lanes) out[s] = bits;
}

}  // namespace twincheck::optimized
