// The platforms of this machine: where the project's own candidates can run.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "contract/words.h"

namespace twincheck {

struct Platform {
  std::string name;  // cpu, hip, cuda
  MemoryKind memory = MemoryKind::kHost;
  bool here = false;
  std::string reason;                // where not here: the runtime's own words ("hipErrorNoDevice")
  std::vector<std::string> devices;  // names, where here
  // Beside devices, as compilers name them: "gfx942", "sm_90"; empty where the runtime does not say.
  std::vector<std::string> architectures;
};

// Asks the device runtimes, in a child process: one that dies of it says so in `reason`.
std::vector<Platform> find_platforms();

// The platform of a candidate's memory. Throws UsageError where it is not here.
void require_platform(const std::vector<Platform>& platforms, std::string_view name, std::string_view who);

}  // namespace twincheck
