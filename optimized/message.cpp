#include "optimized/message.h"

#include <cstdarg>
#include <cstdio>

namespace twincheck::optimized {

const char* format_message(const char* format, ...) {
  thread_local char text[512];
  std::va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  return text;
}

}  // namespace twincheck::optimized
