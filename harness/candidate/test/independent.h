// The operation in plain C++17 on host memory: a correct candidate that shares nothing with the oracle or the kernel.
#pragma once

#include <cstdint>

#include "contract/candidate.h"

namespace independent {

// A twincheck_status and, where it is not TWINCHECK_OK, the reason in words (static storage).
struct Answer {
  int32_t status;
  const char* reason;
};

// What the table says, in its order; TWINCHECK_OK for a valid case. Reads nothing but the struct.
Answer refusal(const twincheck_append_args& args);

// Serves every case: refuses by the table, in its order, before anything is written; otherwise fills both outputs.
// Thread-safe on disjoint outputs, keeps nothing. Compiled with INDEPENDENT_EXP2 the sigmoid is computed in f32 through
// exp2(x * log2 e) with a rounded argument, as fast GPU code does; otherwise in double.
Answer append(const twincheck_append_args& args);

}  // namespace independent
