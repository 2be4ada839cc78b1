// Device code of the gate: each row of `hidden` times `gate`, and the shared experts' weights from it.
//
// The order of summation is a function of H alone. A row is cut into pieces of eight elements, the last filled up with
// zeros; piece q belongs to lane q mod lanes. A piece's products are added as a tree, a lane's pieces in ascending order,
// and the lanes' sums in eight interleaved chains that end in a tree: H + 1 roundings at most lie on any path.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>

#include "optimized/arithmetic.h"
#include "optimized/plan.h"

namespace twincheck::optimized {

constexpr uint32_t kPiece = 8;

__device__ inline float tree_sum(const float* x) {
  return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

template <class Bits>
struct alignas(16) Piece {
  Bits element[kPiece];
};

template <class Bits>
__device__ inline Piece<Bits> load_piece(const Bits* from, bool wide) {
  if (wide) return *reinterpret_cast<const Piece<Bits>*>(from);
  Piece<Bits> piece;
  TWINCHECK_UNROLL
  for (uint32_t i = 0; i < kPiece; ++i) piece.element[i] = from[i];
  return piece;
}

template <class Value>
__device__ inline float piece_sum(const Piece<typename Value::Bits>& h, const Piece<typename Value::Bits>& g) {
  float product[kPiece];
  TWINCHECK_UNROLL
  for (uint32_t i = 0; i < kPiece; ++i) {
    product[i] = float_of(Value::widen(h.element[i])) * float_of(Value::widen(g.element[i]));
  }
  return tree_sum(product);
}

template <class Value>
__device__ inline float lane_sum(const typename Value::Bits* hidden, const typename Value::Bits* gate, const GateRows& rows,
                                 uint32_t lane) {
  using Bits = typename Value::Bits;
  constexpr uint32_t kAhead = 4;  // pieces on their way at once
  const int64_t whole = rows.hidden_size / kPiece;
  const bool wide = rows.wide != 0;
  float sum = 0.0F;
  for (int64_t q = lane; q < whole; q += int64_t{kAhead} * rows.lanes) {
    Piece<Bits> h[kAhead] = {}, g[kAhead] = {};
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < kAhead; ++i) {
      const int64_t at = q + i * rows.lanes;
      if (at < whole) {
        h[i] = load_piece(hidden + at * kPiece, wide);
        g[i] = load_piece(gate + at * kPiece, wide);
      }
    }
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < kAhead; ++i) {
      if (q + i * rows.lanes < whole) sum += piece_sum<Value>(h[i], g[i]);
    }
  }
  const uint32_t rest = static_cast<uint32_t>(rows.hidden_size % kPiece);
  if (rest != 0 && (static_cast<uint64_t>(whole) & (rows.lanes - 1)) == lane) {
    Piece<Bits> h{}, g{};
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < kPiece; ++i) {
      if (i < rest) {
        h.element[i] = hidden[whole * kPiece + i];
        g.element[i] = gate[whole * kPiece + i];
      }
    }
    sum += piece_sum<Value>(h, g);
  }
  return sum;
}

// Block `block` of `rows.blocks`: whole rows, `rows.lanes` threads each, until the rows are used up.
template <class Value, class Weight>
__device__ inline void write_gate(const GateRows& rows, uint32_t block, int64_t num_shared, float scale) {
  using Bits = typename Value::Bits;
  __shared__ float sums[kMaxBlock];

  const uint32_t lane = threadIdx.x & (rows.lanes - 1);
  const int64_t together = blockDim.x >> rows.lane_bits;
  const int64_t step = together * rows.blocks;
  for (int64_t first = together * block; first < rows.rows; first += step) {
    const int64_t row = first + (threadIdx.x >> rows.lane_bits);
    float sum = 0.0F;
    if (row < rows.rows) {
      sum = lane_sum<Value>(static_cast<const Bits*>(rows.hidden) + row * rows.hidden_stride,
                            static_cast<const Bits*>(rows.gate), rows, lane);
    }
    if (rows.lanes > 1) {
      sums[threadIdx.x] = sum;
      __syncthreads();
    }
    if (row < rows.rows && lane < num_shared) {
      if (rows.lanes > 1) {
        const float* const mine = sums + (threadIdx.x - lane);
        float chain[kPiece];
        TWINCHECK_UNROLL
        for (uint32_t i = 0; i < kPiece; ++i) chain[i] = mine[i];
        for (uint32_t at = kPiece; at < rows.lanes; at += kPiece) {
          TWINCHECK_UNROLL
          for (uint32_t i = 0; i < kPiece; ++i) chain[i] += mine[at + i];
        }
        sum = tree_sum(chain);
      }
      const auto bits = Weight::round(bits_of(gated(sum, scale)));
      auto* const out = static_cast<typename Weight::Bits*>(rows.out) + row * rows.out_stride;
      for (int64_t s = lane; s < num_shared; s += rows.lanes) out[s] = bits;
    }
    // The next rows' sums go where these are still being read.
    if (rows.lanes > 1 && first + step < rows.rows) __syncthreads();
  }
}

}  // namespace twincheck::optimized
