// How a call's work is laid out over a grid: plain numbers, decided on the host, no HIP.
//
// Each output is a *side*, written by blocks of its own. A side is a rectangle of elements, cut into chunks that 32-bit
// indices can count: blockIdx.y is the chunk's place among the rows and blockIdx.z among the columns (nearly always there is
// one chunk), blockIdx.x the block's in the chunk.
#pragma once

#include <cstdint>

#include "contract/words.h"

namespace twincheck::optimized {

// Division by a number known in advance: n / d == quotient for 0 <= n < 2^31 and 1 <= d < 2^31. arithmetic.h divides.
//
// With 2^(s-1) < d <= 2^s and m = ceil(2^(31+s) / d), which fits 32 bits, n m / 2^(31+s) exceeds n / d by less than
// n / 2^(31+s) < 1 / d, so that its floor is the quotient. For d = 1 the multiplier is 0 and the quotient n.
struct Divisor {
  uint32_t value;
  uint32_t multiplier;
  uint32_t shift;  // s - 1
};

// The same for 0 <= n < 2^63 and 1 <= d < 2^63.
struct WideDivisor {
  uint64_t multiplier;
  uint32_t shift;
};

Divisor make_divisor(uint32_t d);
WideDivisor make_wide_divisor(uint64_t d);

// What a thread writes in a chunk. A vector is 16 bytes of the output: 2, 4 or 8 elements.
enum class Mapping : uint32_t {
  kScalar,  // one element: any layout
  kFlat,    // one vector of a tight output, which may run on into the next row
  kRows,    // one vector of a row, the last of a row cut short: rows that start at multiples of 16 bytes
};

struct Side {
  const void* in;  // the routed columns' source; `out` where there is nothing to read
  void* out;
  int64_t in_stride;  // elements; 0 where there is one row
  int64_t out_stride;
  int64_t rows;
  int64_t columns;       // written
  int64_t first_column;  // of those written: K in place, 0 otherwise
  int64_t routed;        // K: columns below are copied, the others are the shared experts'
  int64_t chunk_rows;
  int64_t chunk_columns;
  Divisor divisor;  // places a row of a chunk (elements of a row for kFlat)
  Mapping mapping;
  uint32_t wide_in;  // 1: routed elements that fill a vector are an aligned vector of `in` too
  uint32_t units;    // threads a chunk; 0: nothing to write
  uint32_t blocks;   // a chunk
};

// Rows of `hidden` against `gate`. A row is summed by `lanes` threads, a power of two and a function of H alone, which fixes
// the order of summation (gate.h).
struct GateRows {
  int64_t rows;  // 0: nothing to do
  int64_t hidden_size;
  int64_t hidden_stride;  // elements; 0 where there is one row
  const void* hidden;
  const void* gate;
  void* out;           // the first shared column
  int64_t out_stride;  // elements; 0 where there is one row
  uint32_t lanes;
  uint32_t lane_bits;  // log2 lanes
  uint32_t wide;       // 1: every eight elements of a row begin at a multiple of 16 bytes
  uint32_t blocks;     // along x; as many again for each blockIdx.y
};

// What the kernels take, by value.
struct Arguments {
  Side ids;
  Side weights;
  GateRows gate;
  const void* shared;     // null where the source has none
  int64_t shared_stride;  // elements; 0 where there is one row
  int64_t shared_step;    // 0 where one column serves all shared experts, 1 otherwise
  int64_t num_shared;
  int64_t base_id;
  WideDivisor remap;  // by remap_local_routed
  uint32_t has_remap;
  float scale;
};

inline constexpr uint32_t kMaxBlock = 256;

// The most elements of a chunk, so that three parts of a grid stay below 2^32 threads together along x.
inline constexpr int64_t kChunkElements = int64_t{1} << 30;

struct Tuning {
  // Below this many elements a side is written one element a thread: short work ends sooner on more threads.
  int64_t vector_from = 0;
  int64_t chunk_elements = kChunkElements;  // 16 or more; where a grid would have too many chunks, they are larger
  uint32_t small_block = 64;                // threads a block of little work: a power of two, kMaxBlock at most
};

struct Plan {
  Arguments arguments;
  uint32_t grid_x, grid_y, grid_z;  // blocks; grid_x is 0 where there is nothing to launch
  uint32_t block;                   // threads
};

// The fused kernel's grid for a call that validate() accepts.
Plan plan_append(const AppendArgs& args, const Tuning& tuning);

// Parts of it, for the unfused baseline: K columns from `in` (used where routed > 0) and then `shared` columns into `out`;
// `in_place` leaves the routed columns alone. `element_bytes` is 2, 4 or 8. Sets everything but `blocks`. plan_gate: the
// gate's rows into the columns of `out` from `first_column` on.
Side plan_side(const Matrix* in, const Matrix& out, int64_t routed, int64_t shared, int64_t element_bytes, bool in_place,
               const Tuning& tuning);
GateRows plan_gate(const AppendArgs& args, const Matrix& out, int64_t first_column);

// Everything but the sides and the gate's rows.
Arguments common_arguments(const AppendArgs& args);

// The threads a block and the blocks of each part, for the parts that `arguments` holds.
Plan plan_grid(const Arguments& arguments, const Tuning& tuning);

// Whether the routed columns already are where they belong.
bool is_in_place(const Matrix& in, const Matrix& out);

}  // namespace twincheck::optimized
