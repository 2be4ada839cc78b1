// How a call's work is laid out over a grid: plain numbers, decided on the host, no HIP.
//
// Both outputs have the same rows and columns, and one thread writes the same few elements of both: what it works out of
// places serves twice. What 32-bit indices do not count is cut into chunks, each a launch of its own; nearly always there is
// one.
#pragma once

#include <cstdint>

#include "contract/words.h"

namespace twincheck::optimized {

// Division by a number known in advance: n / d == quotient for 0 <= n < 2^31 and 1 <= d < 2^31. arithmetic.h divides.
//
// With 2^(s-1) < d <= 2^s and m = ceil(2^(31+s) / d), which fits 32 bits, n m / 2^(31+s) exceeds n / d by less than
// n / 2^(31+s) < 1 / d, so that its floor is the quotient.
struct Divisor {
  uint32_t value;
  uint32_t multiplier;
  uint32_t shift;  // s
};

// The same for 0 <= n < 2^63 and 1 <= d < 2^63. For d = 1 the multiplier is 0 and the quotient n.
struct WideDivisor {
  uint64_t multiplier;
  uint32_t shift;  // s - 1
};

Divisor make_divisor(uint32_t d);
WideDivisor make_wide_divisor(uint64_t d);

// The elements of each output that a thread writes; two where they are kPairs.
inline constexpr uint32_t kElements = 4;

// Where a thread's elements lie, counted along the rows.
enum class Mapping : uint32_t {
  kApart,       // a block's width from each other: any layout
  kNeighbours,  // one behind the other, and a vector of each output
  kWide,        // the same, and each vector is all routed or all shared; of routed ones the inputs' are vectors too
  kPairs,       // two neighbours: little work, the outputs' rows and the inputs' one behind the other, K and S above 0
};

// One output and the input of its routed columns. Offsets in a chunk fit 32 bits.
struct Side {
  const void* in;                  // not read where nothing is copied
  void* out;                       // the first element that is written
  uint32_t in_stride, out_stride;  // elements
  uint32_t copies;                 // 0: the routed columns are left alone
  uint32_t vectors;                // 1: every element is written, and those of a thread are a vector
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
  uint32_t blocks;
};

// What the kernels take, by value: one chunk. What the shortest way reads comes first: each line of the cache of arguments
// is a latency of its own.
struct Arguments {
  Divisor columns;  // places an element by its index
  uint32_t count;   // rows times columns
  Mapping mapping;
  uint32_t routed;  // columns below are routed, the others are the shared experts'
  uint32_t has_remap;
  float scale;
  uint32_t shared_stride;  // elements
  uint32_t shared_step;    // 0 where one column serves all shared experts, 1 otherwise
  uint32_t prefetches;     // 1: of the outputs' memory, before it is written
  const void* shared;      // of the first row and shared expert; null where the source has none
  int64_t first_id;        // of the first shared expert here
  Side ids;
  Side weights;
  int64_t num_shared;  // S
  WideDivisor remap;   // by remap_local_routed
  GateRows gate;
};

inline constexpr uint32_t kMaxBlock = 256;  // threads

// The most elements of a chunk, and threads of a gate's: a grid has less than 2^32 threads.
inline constexpr int64_t kChunkElements = int64_t{1} << 30;

// No result depends on it.
struct Tuning {
  uint32_t block = 128;                     // threads; as many as a gate's row has lanes where those are more
  int64_t chunk_elements = kChunkElements;  // 16 or more; large tasks have larger chunks
  bool vectors = true;                      // false: always kApart
  int64_t pairs_to = 0;                     // elements of an output up to which kPairs is taken
  int64_t prefetch_from = INT64_MAX;        // elements of an output with gaps from which its memory is prefetched
};

// What is written, in the operation's terms. The pointers are to matrices that validate() has seen.
struct Task {
  const Matrix *ids = nullptr, *out_ids = nullptr;          // out null: this output is not written; in null: K is 0
  const Matrix *weights = nullptr, *out_weights = nullptr;  // the same rows
  const Matrix* shared = nullptr;                           // what shared weights, or ids, are made from; null: nothing
  const AppendArgs* gate = nullptr;                         // whose gate makes the weights' shared columns
  int64_t routed = 0, num_shared = 0, base_id = 0, remap = 0;
  float scale = 0;
};

// The whole operation.
Task fused_task(const AppendArgs& args);

// A launch.
struct Plan {
  Arguments arguments;
  uint32_t grid, block;  // blocks, threads a block
};

// The elements that a task writes, and how they are cut into chunks.
struct Geometry {
  int64_t rows, columns;
  int64_t first_column;  // K where both outputs' routed columns are left alone
  int64_t routed;        // counted from there
  int64_t chunk_rows, chunk_columns;
  Mapping mapping;
  bool prefetches;
};

// A task's chunks, one launch each. More than any memory's matrices need are one, whose grid the runtime refuses.
class Chunks {
 public:
  Chunks(const Task& task, const Tuning& tuning);

  int64_t count() const { return count_; }  // 0: nothing to launch
  Plan plan(int64_t chunk) const;           // 0 to count() - 1

 private:
  Task task_;
  Geometry geometry_{};
  Plan first_{};  // what all have in common
  int64_t across_ = 0, count_ = 0;
  bool is_refused_ = false;
};

}  // namespace twincheck::optimized
