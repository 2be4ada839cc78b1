// The production host wrapper: validates, plans and enqueues one fused kernel.
//
// The same source is built for three HIP runtimes: ROCm's, CUDA through platform/cuda, and the CPU runtime in platform/cpu.
#pragma once

#include <string>

#include "contract/words.h"

namespace twincheck::optimized {

// What a call came to. `message` says which matrix or parameter and what would have been right; for kRuntimeError it carries
// the runtime's own name of the error and the call that reported it (static or thread-local storage, valid until this
// thread's next call; never null).
struct Result {
  Status status;
  const char* message;
};

// The refusal table of the operation, in its order. Never reads through a matrix's pointer.
Result validate(const AppendArgs& args);

// The fused append: one launch, or none where there is nothing to write (T = 0, or K + S = 0; in place with S = 0); one for
// each 2^30 elements of an output where there are more. Enqueued on args.stream (a hipStream_t); neither synchronizes nor
// allocates; may be captured into a graph. Where matrices are larger than 2^47 bytes, which no process has addresses for,
// the launch may fail with hipErrorInvalidConfiguration.
Result append(const AppendArgs& args);

// The baseline that fusion replaced: fill, cast, and two concatenations, each a launch of its own. The same contract, except
// that it needs a scratch allocation a call (stream-ordered), so it cannot be captured.
Result append_unfused(const AppendArgs& args);

// The floor under append(): the same checks, grid and arguments, and a kernel that does nothing.
Result append_empty(const AppendArgs& args);

}  // namespace twincheck::optimized
