// Device code that writes one side of the outputs (plan.h): routed elements copied, shared ones computed.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>

#include "optimized/arithmetic.h"
#include "optimized/plan.h"

namespace twincheck::optimized {

template <class Element>
struct alignas(16) Vector {
  static constexpr uint32_t kElements = 16 / sizeof(Element);
  Element element[kElements];
};

// A chunk as its threads see it: pointers to its first row, and sizes that fit 32 bits.
template <class Element>
struct Chunk {
  const Element* in;
  Element* out;
  int64_t in_stride, out_stride;
  int64_t first_row;     // of the side
  int64_t first_shared;  // the shared expert of the first column that is not routed
  uint32_t rows, columns;
  uint32_t routed;  // columns below are copied
};

template <class Element, class Routed, class Shared>
__device__ inline Element element_at(const Chunk<Element>& chunk, uint32_t row, uint32_t column, const Routed& routed,
                                     const Shared& shared) {
  if (column < chunk.routed) return routed(chunk.in[row * chunk.in_stride + column]);
  return shared(chunk.first_row + row, chunk.first_shared + (column - chunk.routed));
}

template <class Element, class Routed, class Shared>
__device__ inline void write_vector(const Chunk<Element>& chunk, const Side& side, uint32_t row, uint32_t column,
                                    const Routed& routed, const Shared& shared) {
  using V = Vector<Element>;
  V vector{};
  Element* const out = chunk.out + (row * chunk.out_stride + column);
  if (side.wide_in != 0 && column + V::kElements <= chunk.routed) {
    vector = *reinterpret_cast<const V*>(chunk.in + (row * chunk.in_stride + column));
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < V::kElements; ++i) vector.element[i] = routed(vector.element[i]);
    *reinterpret_cast<V*>(out) = vector;
    return;
  }
  uint32_t valid = 0;
  TWINCHECK_UNROLL
  for (uint32_t i = 0; i < V::kElements; ++i) {
    if (row < chunk.rows && column < chunk.columns) {
      vector.element[i] = element_at(chunk, row, column, routed, shared);
      valid = i + 1;
    }
    ++column;
    if (column == chunk.columns && side.mapping == Mapping::kFlat) {
      column = 0;
      ++row;
    }
  }
  if (valid == V::kElements) {
    *reinterpret_cast<V*>(out) = vector;
    return;
  }
  TWINCHECK_UNROLL
  for (uint32_t i = 0; i < V::kElements; ++i) {
    if (i < valid) out[i] = vector.element[i];
  }
}

// What thread `unit` of the side's threads does. `routed` maps an element of the input to the output's; `shared` gives the
// element of a row and a shared expert.
template <class Element, class Routed, class Shared>
__device__ inline void write_side(const Side& side, uint32_t unit, const Routed& routed, const Shared& shared) {
  if (unit >= side.units) return;
  constexpr uint32_t kElements = Vector<Element>::kElements;
  const uint32_t index = side.mapping == Mapping::kFlat ? unit * kElements : unit;
  const uint32_t row = quotient(index, side.divisor);
  uint32_t column = index - row * side.divisor.value;
  if (side.mapping == Mapping::kRows) column *= kElements;

  for (int64_t first_row = 0; first_row < side.rows; first_row += side.chunk_rows) {
    for (int64_t first_column = 0; first_column < side.columns; first_column += side.chunk_columns) {
      const int64_t rows = side.rows - first_row;
      const int64_t columns = side.columns - first_column;
      const int64_t absolute = side.first_column + first_column;
      const int64_t routed_left = side.routed - absolute;
      Chunk<Element> chunk;
      chunk.rows = static_cast<uint32_t>(rows < side.chunk_rows ? rows : side.chunk_rows);
      chunk.columns = static_cast<uint32_t>(columns < side.chunk_columns ? columns : side.chunk_columns);
      chunk.routed = routed_left <= 0 ? 0 : static_cast<uint32_t>(routed_left < chunk.columns ? routed_left : chunk.columns);
      chunk.first_row = first_row;
      chunk.first_shared = routed_left < 0 ? -routed_left : 0;
      chunk.in_stride = side.in_stride;
      chunk.out_stride = side.out_stride;
      chunk.in = static_cast<const Element*>(side.in) + (first_row * side.in_stride + absolute);
      chunk.out = static_cast<Element*>(side.out) + (first_row * side.out_stride + absolute);
      if (row >= chunk.rows || column >= chunk.columns) continue;
      if (side.mapping == Mapping::kScalar) {
        chunk.out[row * chunk.out_stride + column] = element_at(chunk, row, column, routed, shared);
      } else {
        write_vector(chunk, side, row, column, routed, shared);
      }
    }
  }
}

}  // namespace twincheck::optimized
