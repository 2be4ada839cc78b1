// --known-failures FILE: failures that are expected, each with a reason and an end.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/case/case.h"
#include "harness/report/verdict.h"

namespace twincheck {

struct KnownFailure {
  int line = 0;                    // of the file, where it begins
  std::string law;                 // that was run, or the promise that was broken; "*": any
  std::vector<std::string> words;  // of the case, each FIELD=GLOB; none: any case
  std::string on;                  // cpu, hip, cuda, or an architecture as gfx942; "*": everywhere
  std::string candidate = "*";     // its name; "*": any
  std::string reason, link;
  std::string expires;  // the last day on which it is known, "2025-12-31", UTC

  // `architecture` as the runtime has it: "gfx90a:sramecc+:xnack-" is gfx90a. Empty: none.
  bool applies(std::string_view name, std::string_view platform, std::string_view architecture) const;
  bool expired(std::string_view today) const { return expires < today; }

  // Is it about cases like this one, tried by this law? True too where the law is a promise: it may break under any law.
  bool meets(std::string_view tried_law, std::string_view full_text) const;
  // Does the failure of such a case come as it says?
  bool explains(std::string_view tried_law, std::string_view broken_promise) const;

  std::string pattern() const;  // its words as one line, "*" where there is none
};

// Reads docs/known-failures.md's format. Throws UsageError: FILE:LINE, what was found, what would be right.
std::vector<KnownFailure> read_known_failures(const std::string& path);

std::string today_utc();

}  // namespace twincheck
