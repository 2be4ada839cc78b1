// Candidates that are no shared library: a file of another kind is loaded through an adapter, a library with the C ABI of
// contract/candidate.h and one export more. Beside load_candidate() nobody knows that there are adapters.
#pragma once

#include <cstdint>

#include "harness/case/case.h"

namespace twincheck {

// Whether an input lies in the left columns of its output, as the in-place form has it.
inline bool is_left_part(const Matrix& in, const Matrix& out) {
  return !is_empty(in) && in.data == out.data && (in.rows <= 1 || in.row_stride == out.row_stride);
}

}  // namespace twincheck

extern "C" {

// Called once, after the adapter is loaded and before any other of its functions: the file that it is to serve, an absolute
// path. 0 where the file is a candidate. Otherwise twincheck_last_error() says why not, and nothing else is called.
TWINCHECK_EXPORT int32_t twincheck_open(const char* path);
}
