// A Report as bytes, to cross from a worker process to its parent.
#pragma once

#include <string>
#include <string_view>

#include "harness/report/verdict.h"

namespace twincheck {

// At most kReportBytes, text cut short where needed.
inline constexpr std::size_t kReportBytes = 16384;
std::string to_bytes(const Report& report);

// Inverse of to_bytes. Total: bytes that a candidate has scribbled over give some Report, whose verdict is kCrashed where
// they cannot be read at all.
Report report_from(std::string_view bytes);

}  // namespace twincheck
