// Candidates that are no shared library: a file of another kind is loaded through an adapter, a library with the C ABI of
// contract/candidate.h and one export more. Beside load_candidate() nobody knows that there are adapters.
#pragma once

#include <cstdint>

#include "contract/candidate.h"

extern "C" {

// Called once, after the adapter is loaded and before any other of its functions: the file that it is to serve, an absolute
// path. 0 where the file is a candidate. Otherwise twincheck_last_error() says why not, and nothing else is called.
TWINCHECK_EXPORT int32_t twincheck_open(const char* path);
}
