// HIP for a machine without a GPU: device code and host API in ordinary C++17.
//
// Found as <hip/hip_runtime.h> when optimized/platform/cpu is on the include path. Device memory is heap memory and a launch
// is a loop over blocks and threads, so that sanitizers see every access of an unmodified kernel; docs/cpu-platform.md says
// which of the hardware's limits and errors are kept. optimized/platform/cpu/control.h has the knobs and counters.
#pragma once

#include "arithmetic.h"
#include "atomic.h"
#include "cooperative.h"
#include "execution.h"
#include "hip_runtime_api.h"
#include "launch.h"
#include "qualifiers.h"
#include "vector_types.h"
