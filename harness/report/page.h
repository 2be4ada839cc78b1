// page.html, compiled in.
#pragma once

#include <string_view>

namespace twincheck {

// Holds @TWINCHECK_RESULTS@ once, where results.json goes.
extern const std::string_view kPage;

}  // namespace twincheck
