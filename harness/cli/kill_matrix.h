// The mutants stage of the gate.
#pragma once

#include <functional>
#include <string>

#include "harness/cli/mutants.h"
#include "harness/cli/options.h"
#include "harness/cli/session.h"

namespace twincheck {

// --mutants, or ../lib/mutants from the executable. Throws UsageError where that is no folder.
std::string mutants_folder(const Options& options);

// Tries the shard's mutants of that folder, prints the kill matrix, and tells `fail` of each survivor and each mutant that
// another law kills than its header says. No matrix where the shard is empty. Throws UsageError where there is no mutant.
KillMatrix try_mutants(const Options& options, Console& console, const std::function<void(std::string_view)>& fail);

}  // namespace twincheck
