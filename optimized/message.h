// The calling thread's message: what Result::message points to after a refusal or an error.
#pragma once

namespace twincheck::optimized {

// Formats as printf does, cut off at 511 characters. The text is valid until this thread's next call; never null.
__attribute__((format(printf, 1, 2))) const char* format_message(const char* format, ...);

}  // namespace twincheck::optimized
