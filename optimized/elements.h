// Device code that writes elements of the outputs (plan.h): routed ones copied, shared ones computed.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>
#include <type_traits>

#include "optimized/arithmetic.h"
#include "optimized/plan.h"

namespace twincheck::optimized {

// An output's `Rules` say what its elements are:
//   Element                    as it lies in memory
//   kAppends                   whether the shared columns are written here
//   side()                     plan.h's
//   Raw load_shared(row, s)    what a shared element is made from; the load, if there is one
//   Element shared(Raw)        the element
//   maps_routed()              whether routed elements change, and how:
//   Element routed(Element)

// Where the elements of one thread lie. One past the last is there a second time, so that everything may be loaded.
struct Places {
  uint32_t first, step;  // indices: first, first + step, ...
  uint32_t row[kElements], column[kElements];
};

// The two elements of a thread where everything is tight (Mapping::kPairs). Past the end the first is there a second time.
struct Pair {
  uint32_t first;  // its index in the outputs
  bool whole;
  uint32_t row[2], from[2];  // of an input's routed element; one of the same row where the element is shared
  uint32_t expert[2];        // 0 where the element is routed
  bool is_shared[2];
};

// 8 and 16 bytes that are moved at once: nvcc does so with a struct that is aligned so far; other compilers take a struct
// apart, and know vectors.
#if defined(__CUDACC__)
template <uint32_t kCount>
struct alignas(4 * kCount) WordsOf {
  uint32_t word[kCount];
  __device__ uint32_t operator[](uint32_t i) const { return word[i]; }
  __device__ uint32_t& operator[](uint32_t i) { return word[i]; }
};
using Words2 = WordsOf<2>;
using Words4 = WordsOf<4>;
#else
typedef uint32_t Words2 __attribute__((vector_size(8)));
typedef uint32_t Words4 __attribute__((vector_size(16)));
#endif

// kCount neighbours, an even number, in loads and stores of 16 bytes, or of all where that is less.
template <class Element, uint32_t kCount>
struct Neighbours {
  static constexpr uint32_t kWords = kCount * sizeof(Element) / 4;
  using Part = std::conditional_t<kWords == 1, uint32_t, std::conditional_t<kWords == 2, Words2, Words4>>;
  static constexpr uint32_t kPartWords = sizeof(Part) / 4;

  __device__ TWINCHECK_INLINE static void load(const Element* from, Element* elements) {
    TWINCHECK_WIDE(from, sizeof(Part));
    uint32_t word[kWords];
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < kWords; i += kPartWords) {
      const Part part = reinterpret_cast<const Part*>(from)[i / kPartWords];
      if constexpr (kWords == 1) {
        word[i] = part;
      } else {
        TWINCHECK_UNROLL
        for (uint32_t k = 0; k < kPartWords; ++k) word[i + k] = part[k];
      }
    }
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < kCount; ++i) {
      const uint32_t bit = i * 8 * sizeof(Element);
      elements[i] = static_cast<Element>(word[bit / 32] >> (bit % 32));
      if constexpr (sizeof(Element) == 8) elements[i] |= static_cast<Element>(word[bit / 32 + 1]) << 32;
    }
  }

  __device__ TWINCHECK_INLINE static void store(Element* to, const Element* elements) {
    TWINCHECK_WIDE(to, sizeof(Part));
    uint32_t word[kWords]{};
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < kCount; ++i) {
      const uint32_t bit = i * 8 * sizeof(Element);
      word[bit / 32] |= static_cast<uint32_t>(elements[i]) << (bit % 32);
      if constexpr (sizeof(Element) == 8) word[bit / 32 + 1] = static_cast<uint32_t>(elements[i] >> 32);
    }
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < kWords; i += kPartWords) {
      Part part{};
      if constexpr (kWords == 1) {
        part = word[i];
      } else {
        TWINCHECK_UNROLL
        for (uint32_t k = 0; k < kPartWords; ++k) part[k] = word[i + k];
      }
      reinterpret_cast<Part*>(to)[i / kPartWords] = part;
    }
  }
};

// What a thread does to one output: it loads, and it stores, so that the loads of both outputs are on their way before the
// first is waited for.
template <class Rules>
class Output {
 public:
  using Element = typename Rules::Element;

  __device__ explicit Output(const Rules& rules) : rules_(rules) {}

  // Asks for the memory around element (row, column).
  __device__ TWINCHECK_INLINE void prefetch(uint32_t row, uint32_t column) const {
    const Side& side = rules_.side();
    TWINCHECK_PREFETCH(static_cast<const Element*>(side.out) + (row * side.out_stride + column));
  }

  // A vector, all routed or all shared.
  __device__ TWINCHECK_INLINE void load_vector(const Arguments& a, uint32_t row, uint32_t column) {
    const Side& side = rules_.side();
    if (column >= a.routed) {
      TWINCHECK_UNROLL
      for (uint32_t i = 0; i < kElements; ++i) raw_[i] = rules_.load_shared(row, column - a.routed + i);
    } else if (side.copies != 0) {
      Neighbours<Element, kElements>::load(static_cast<const Element*>(side.in) + (row * side.in_stride + column), element_);
    }
  }
  __device__ TWINCHECK_INLINE void store_vector(const Arguments& a, uint32_t row, uint32_t column) {
    const Side& side = rules_.side();
    const bool is_shared = column >= a.routed;
    if (is_shared ? !Rules::kAppends : side.copies == 0) return;
    if (is_shared) {
      TWINCHECK_UNROLL
      for (uint32_t i = 0; i < kElements; ++i) element_[i] = rules_.shared(raw_[i]);
    } else {
      map_routed();
    }
    Neighbours<Element, kElements>::store(static_cast<Element*>(side.out) + (row * side.out_stride + column), element_);
  }

  __device__ TWINCHECK_INLINE void load_pair(const Pair& at) {
    const auto* const in = static_cast<const Element*>(rules_.side().in);
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < 2; ++i) {
      element_[i] = in[at.from[i]];
      if constexpr (Rules::kAppends) raw_[i] = rules_.load_shared(at.row[i], at.expert[i]);
    }
  }
  __device__ TWINCHECK_INLINE void store_pair(const Pair& at) {
    auto* const out = static_cast<Element*>(rules_.side().out) + at.first;
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < 2; ++i) {
      if (rules_.maps_routed()) element_[i] = rules_.routed(element_[i]);
      if constexpr (Rules::kAppends) element_[i] = at.is_shared[i] ? rules_.shared(raw_[i]) : element_[i];
    }
    if (Rules::kAppends && at.whole) {
      Neighbours<Element, 2>::store(out, element_);
      return;
    }
    if (Rules::kAppends || !at.is_shared[0]) out[0] = element_[0];
    if (at.whole && (Rules::kAppends || !at.is_shared[1])) out[1] = element_[1];
  }

  // Any elements. There are no branches around loads: an element that a load is not for loads a neighbour of its row.
  __device__ TWINCHECK_INLINE void load(const Arguments& a, const Places& at) {
    const Side& side = rules_.side();
    const auto* const in = static_cast<const Element*>(side.in);
    if (side.copies != 0) {
      TWINCHECK_UNROLL
      for (uint32_t i = 0; i < kElements; ++i) {
        const uint32_t column = at.column[i] < a.routed ? at.column[i] : a.routed - 1;
        element_[i] = in[at.row[i] * side.in_stride + column];
      }
    }
    if constexpr (Rules::kAppends) {
      if (a.routed == a.columns.value) return;
      TWINCHECK_UNROLL
      for (uint32_t i = 0; i < kElements; ++i) {
        raw_[i] = rules_.load_shared(at.row[i], at.column[i] > a.routed ? at.column[i] - a.routed : 0);
      }
    }
  }
  __device__ TWINCHECK_INLINE void store(const Arguments& a, const Places& at) {
    const Side& side = rules_.side();
    auto* const out = static_cast<Element*>(side.out);
    map_routed();
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < kElements; ++i) {
      if (at.column[i] >= a.routed) element_[i] = rules_.shared(raw_[i]);
    }
    if (side.vectors != 0 && at.first + kElements <= a.count) {
      Neighbours<Element, kElements>::store(out + (at.row[0] * side.out_stride + at.column[0]), element_);
      return;
    }
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < kElements; ++i) {
      const bool written = at.column[i] >= a.routed ? Rules::kAppends : side.copies != 0;
      if (written && at.first + i * at.step < a.count) out[at.row[i] * side.out_stride + at.column[i]] = element_[i];
    }
  }

 private:
  __device__ TWINCHECK_INLINE void map_routed() {
    if (!rules_.maps_routed()) return;
    TWINCHECK_UNROLL
    for (uint32_t i = 0; i < kElements; ++i) element_[i] = rules_.routed(element_[i]);
  }

  Rules rules_;
  Element element_[kElements]{};
  typename Rules::Raw raw_[kElements]{};
};

// The output that a kernel does not write.
template <>
class Output<void> {
 public:
  __device__ void prefetch(uint32_t, uint32_t) const {}
  __device__ void load_vector(const Arguments&, uint32_t, uint32_t) {}
  __device__ void store_vector(const Arguments&, uint32_t, uint32_t) {}
  __device__ void load_pair(const Pair&) {}
  __device__ void store_pair(const Pair&) {}
  __device__ void load(const Arguments&, const Places&) {}
  __device__ void store(const Arguments&, const Places&) {}
};

// The shortest way: what little work takes is the time of one thread. Both outputs share all but addresses, and there is one
// division.
template <class Ids, class Weights>
__device__ TWINCHECK_INLINE inline void write_pair(const Arguments& a, uint32_t block, Output<Ids>& ids,
                                                   Output<Weights>& weights) {
  Pair at;
  at.first = (block * blockDim.x + threadIdx.x) * 2;
  if (at.first >= a.count) return;
  at.whole = at.first + 1 < a.count;
  uint32_t row = quotient(at.first, a.columns), column = at.first - row * a.columns.value;
  TWINCHECK_UNROLL
  for (uint32_t i = 0; i < 2; ++i) {
    at.is_shared[i] = column >= a.routed;
    at.row[i] = row;
    at.from[i] = row * a.routed + (at.is_shared[i] ? 0 : column);
    at.expert[i] = at.is_shared[i] ? column - a.routed : 0;
    const bool turns = column + 1 == a.columns.value;
    if (!at.whole) continue;
    row += turns ? 1 : 0;
    column = turns ? 0 : column + 1;
  }
  TWINCHECK_WAIT_FOR_STREAM();
  ids.load_pair(at);
  weights.load_pair(at);
  ids.store_pair(at);
  weights.store_pair(at);
}

// Memory completes a sector that is written in part by reading it, and does so when the cache needs the place. Where every
// row ends in such sectors it is faster to ask for them early, with the inputs' loads.
template <class Ids, class Weights>
__device__ TWINCHECK_INLINE inline void prefetch(const Arguments& a, uint32_t row, uint32_t column, const Output<Ids>& ids,
                                                 const Output<Weights>& weights) {
  if (a.prefetches == 0) return;
  ids.prefetch(row, column);
  weights.prefetch(row, column);
}

// Block `block` of the elements'.
template <class Ids, class Weights>
__device__ TWINCHECK_INLINE inline void write_elements(const Arguments& a, uint32_t block, Output<Ids> ids,
                                                       Output<Weights> weights) {
  if (a.mapping == Mapping::kPairs) {
    write_pair(a, block, ids, weights);
    return;
  }
  TWINCHECK_WAIT_FOR_STREAM();
  const bool apart = a.mapping == Mapping::kApart;
  Places at;
  at.first = block * blockDim.x * kElements + threadIdx.x * (apart ? 1 : kElements);
  at.step = apart ? blockDim.x : 1;
  if (at.first >= a.count) return;
  if (a.mapping == Mapping::kWide) {
    const uint32_t row = quotient(at.first, a.columns), column = at.first - row * a.columns.value;
    prefetch(a, row, column, ids, weights);
    ids.load_vector(a, row, column);
    weights.load_vector(a, row, column);
    ids.store_vector(a, row, column);
    weights.store_vector(a, row, column);
    return;
  }
  TWINCHECK_UNROLL
  for (uint32_t i = 0; i < kElements; ++i) {
    const uint32_t index = at.first + i * at.step < a.count ? at.first + i * at.step : a.count - 1;
    at.row[i] = quotient(index, a.columns);
    at.column[i] = index - at.row[i] * a.columns.value;
    prefetch(a, at.row[i], at.column[i], ids, weights);
  }
  ids.load(a, at);
  weights.load(a, at);
  ids.store(a, at);
  weights.store(a, at);
}

}  // namespace twincheck::optimized
