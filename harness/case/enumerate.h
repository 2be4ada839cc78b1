// The exhaustive small domain: every small shape under every source, dtype and layout, enumerated, not sampled.
#pragma once

#include <cstdint>

#include "harness/case/case.h"

namespace twincheck {

// Enumerated fully, all combinations of:
//   T in 0..4, K in 0..9, S in 0..4;
//   constant: ids dtype x weights dtype; weights and logits: those x shared dtype x shared of [T, S] and [T, 1];
//     gate: ids dtype x weights dtype x the dtype of hidden and gate;
//   16 layouts: tight, and in place in each of three forms; one element of padding (odd and even strides) at an offset
//     of one element; odd strides, in place; power-of-two strides, apart and in place; strides and offsets of each matrix
//     its own; against an inaccessible page at the end, at the begin, and at the end with gaps and in place; inputs strided
//     and outputs tight; outputs strided and inputs tight; rows far apart at an offset of 15 elements; and sparse, one
//     matrix at a time: rows past 2^31 elements (with fewer than two rows: a stride that is not to be read).
// Every combination of layouts with 60 sources and dtypes (96 with the broadcasts) and 250 shapes, as bounds and addresses
// depend on all of them.
//
// Cycled, because the law for one element does not depend on where the others are: the values. Routed and shared weights
// hold the special values of their dtype, each case starting at another (16 (K + S) + layout), so that within one source and
// combination of dtypes each of the 48 values meets each position (t, k) and (t, s). Gate's hidden and gate hold them in
// half of the cases and small numbers in the others (one special value decides a whole dot product). H, scale, base id
// (small ones, and near the dtype's last), remap and id classes cycle too.
uint64_t small_domain_size();

// Case number `index`, below small_domain_size(). All are valid and different.
Case small_domain_case(uint64_t index);

}  // namespace twincheck
