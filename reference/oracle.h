// The oracle: what the append operation must produce, straight from its definition, as intervals of acceptable results.
//
// Obvious rather than fast; Eigen, no HIP, nothing from optimized/. Everything is read through the argument struct's own
// pointers, so layouts, in-place forms and overlapping inputs need no special case.
#pragma once

#include <cstdint>
#include <vector>

#include "contract/words.h"

namespace twincheck::reference {

// The first refusal of the table that applies to `args`, or kOk. Looks at sizes, dtypes, strides, addresses and parameters;
// never reads through a pointer. Total: any bit pattern in `args` gives an answer, without overflow or traps.
// An `args.size` smaller than version 1's is kBadParameter, decided before anything else of the struct is read.
Status refusal(const AppendArgs& args);

// The acceptable results of one weight, as bit patterns of the output dtype (in the low bits).
struct Weight {
  enum class Kind : uint8_t {
    kBits,        // lo is the one right pattern, the sign of zero and the payload of a NaN included
    kNan,         // any NaN
    kRange,       // any number in [lo, hi], compared as numbers (+0 equals -0)
    kRangeOrNan,  // the same, or any NaN
  };
  Kind kind;
  uint32_t lo, hi;
};

// Whether `bits`, a value of `dtype` (f32, bf16 or f16), is acceptable.
bool accepts(const Weight& expected, Dtype dtype, uint32_t bits);

// One id. Where the remapped id leaves the dtype, nothing is promised and the element is not compared.
struct Id {
  int64_t value;
  bool any;
};

// What rows [first, first + rows) of the outputs must hold, row-major, `columns` = K + S elements a row.
struct Expected {
  int64_t first = 0, rows = 0, columns = 0;
  std::vector<Id> ids;
  std::vector<Weight> weights;
};

// Evaluates rows [first, first + rows) of a call that `refusal` lets pass. Reuses `out`'s memory. Rows are independent, so a
// large batch is evaluated in pieces. Requires 0 <= first, 0 <= rows, first + rows <= T.
void append(const AppendArgs& args, int64_t first, int64_t rows, Expected& out);

}  // namespace twincheck::reference
