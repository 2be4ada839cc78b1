// Device code that writes one side of the outputs (plan.h): routed elements copied, shared ones computed.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>
#include <cstring>

#include "optimized/arithmetic.h"
#include "optimized/plan.h"

namespace twincheck::optimized {

template <class Element>
struct alignas(16) Vector {
  static constexpr uint32_t kElements = 16 / sizeof(Element);
  Element element[kElements];
};

// One store of 16 bytes: as a struct's elements a compiler may merge some of them with the stores of a cut vector.
template <class Element>
__device__ inline void store(Element* out, const Vector<Element>& vector) {
  TWINCHECK_WIDE(out);
  uint4 words;
  std::memcpy(&words, &vector, sizeof words);
  *reinterpret_cast<uint4*>(out) = words;
}

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

// A side's `Rules` say what its elements are:
//   Element                         as it lies in memory
//   Raw load_shared(row, s)         what a shared element is made from; the load, if there is one
//   Element shared(Raw)             the element
//   bool maps_routed()              whether routed elements change, and how:
//   Element routed(Element)

template <class Rules, class Element>
__device__ inline void write_element(const Chunk<Element>& chunk, uint32_t row, uint32_t column, const Rules& rules) {
  Element element;
  if (column < chunk.routed) {
    element = chunk.in[row * chunk.in_stride + column];
    if (rules.maps_routed()) element = rules.routed(element);
  } else {
    element = rules.shared(rules.load_shared(chunk.first_row + row, chunk.first_shared + (column - chunk.routed)));
  }
  chunk.out[row * chunk.out_stride + column] = element;
}

// Loads are not in branches of their own: all shall be on their way before the first is waited for.
template <class Rules, class Element>
__device__ inline void write_vector(const Chunk<Element>& chunk, const Side& side, uint32_t row, uint32_t column,
                                    const Rules& rules) {
  using V = Vector<Element>;
  Element* const out = chunk.out + (row * chunk.out_stride + column);
  V vector{};
  if (side.wide_in != 0 && column + V::kElements <= chunk.routed) {
    const Element* const in = chunk.in + (row * chunk.in_stride + column);
    TWINCHECK_WIDE(in);
    vector = *reinterpret_cast<const V*>(in);
    if (rules.maps_routed()) {
      TWINCHECK_UNROLL
      for (uint32_t i = 0; i < V::kElements; ++i) vector.element[i] = rules.routed(vector.element[i]);
    }
    store(out, vector);
    return;
  }

  // The places that the vector covers. A load that a place does not need goes to the chunk's first element of its kind.
  uint32_t rows[V::kElements], columns[V::kElements];
  int64_t from[V::kElements];
  uint32_t valid = 0, shared = 0;  // a count, and a bit for each place of a shared expert
  int64_t row_at = row * chunk.in_stride;
  TWINCHECK_UNROLL
  for (uint32_t i = 0; i < V::kElements; ++i) {
    const bool inside = row < chunk.rows && column < chunk.columns;
    const bool is_shared = inside && column >= chunk.routed;
    rows[i] = is_shared ? row : 0;
    columns[i] = is_shared ? column - chunk.routed : 0;
    from[i] = inside && !is_shared ? row_at + column : 0;
    valid += inside ? 1 : 0;
    shared |= is_shared ? 1U << i : 0;
    ++column;
    if (column == chunk.columns && side.mapping == Mapping::kFlat) {
      column = 0;
      ++row;
      row_at += chunk.in_stride;
    }
  }
  if (chunk.routed > 0) {
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < V::kElements; ++i) vector.element[i] = chunk.in[from[i]];
    if (rules.maps_routed()) {
      TWINCHECK_UNROLL
      for (uint32_t i = 0; i < V::kElements; ++i) vector.element[i] = rules.routed(vector.element[i]);
    }
  }
  if (shared != 0) {
    typename Rules::Raw raw[V::kElements];
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < V::kElements; ++i) {
      raw[i] = rules.load_shared(chunk.first_row + rows[i], chunk.first_shared + columns[i]);
    }
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < V::kElements; ++i) {
      if ((shared >> i & 1U) != 0) vector.element[i] = rules.shared(raw[i]);
    }
  }
  if (valid == V::kElements) {
    store(out, vector);
    return;
  }
  TWINCHECK_UNROLL
  for (uint32_t i = 0; i < V::kElements; ++i) {
    if (i < valid) out[i] = vector.element[i];
  }
}

// What thread `unit` of the side's threads does, in the chunk that blockIdx.y and z name.
template <class Rules>
__device__ inline void write_side(const Side& side, uint32_t unit, const Rules& rules) {
  using Element = typename Rules::Element;
  if (unit >= side.units) return;
  constexpr uint32_t kElements = Vector<Element>::kElements;
  const uint32_t index = side.mapping == Mapping::kFlat ? unit * kElements : unit;
  const uint32_t row = quotient(index, side.divisor);
  uint32_t column = index - row * side.divisor.value;
  if (side.mapping == Mapping::kRows) column *= kElements;

  const int64_t first_row = blockIdx.y * side.chunk_rows;
  const int64_t first_column = blockIdx.z * side.chunk_columns;
  const int64_t rows = side.rows - first_row;
  const int64_t columns = side.columns - first_column;
  if (rows <= row || columns <= column) return;
  const int64_t absolute = side.first_column + first_column;
  const int64_t routed = side.routed - absolute;
  Chunk<Element> chunk;
  chunk.rows = static_cast<uint32_t>(rows < side.chunk_rows ? rows : side.chunk_rows);
  chunk.columns = static_cast<uint32_t>(columns < side.chunk_columns ? columns : side.chunk_columns);
  chunk.routed = routed <= 0 ? 0 : static_cast<uint32_t>(routed < chunk.columns ? routed : chunk.columns);
  chunk.first_row = first_row;
  chunk.first_shared = routed < 0 ? -routed : 0;
  chunk.in_stride = side.in_stride;
  chunk.out_stride = side.out_stride;
  chunk.in = static_cast<const Element*>(side.in) + (first_row * side.in_stride + absolute);
  chunk.out = static_cast<Element*>(side.out) + (first_row * side.out_stride + absolute);
  if (side.mapping == Mapping::kScalar) {
    write_element(chunk, row, column, rules);
  } else {
    write_vector(chunk, side, row, column, rules);
  }
}

}  // namespace twincheck::optimized
