// `twincheck list`: platforms, candidates, laws, and which of them can run here.
#include <fmt/format.h>

#include <algorithm>

#include "harness/cli/platform.h"
#include "harness/cli/record.h"
#include "harness/cli/session.h"
#include "harness/cli/verbs.h"
#include "harness/judge/sweep.h"
#include "properties/law.h"

namespace twincheck {

int list(const Options& options) {
  const std::vector<Platform> platforms = find_platforms();
  options.record->platforms = platform_records(platforms);
  fmt::print("platforms\n");
  for (const Platform& p : platforms) {
    if (p.here) {
      std::string devices;
      for (std::size_t i = 0; i < p.devices.size(); ++i)
        devices += fmt::format("   device {}: {}{}", i, p.devices[i],
                               p.architectures[i].empty() ? "" : fmt::format(" ({})", p.architectures[i]));
      fmt::print("  {:<6} here{}\n", p.name, devices);
    } else {
      fmt::print("  {:<6} not here: {}\n", p.name, p.reason);
    }
  }
  fmt::print("candidates\n");
  for (const std::string& library : own_libraries()) {
    try {
      const CandidateInfo info = probe_candidate(library);
      const auto platform =
          std::find_if(platforms.begin(), platforms.end(), [&](const Platform& p) { return p.memory == info.memory; });
      const bool runs = platform != platforms.end() && platform->here;
      fmt::print("  {:<14} {}{}\n", info.name, info.path, runs ? "" : "   (its platform is not here)");
    } catch (const LoadError& e) {
      fmt::print("  {:<14} not here: {}\n", library, e.what());
    }
  }
  for (const std::string& library : options.candidates) {
    const CandidateInfo info = probe_candidate(library);
    fmt::print("  {:<14} {}   ({} memory)\n", info.name, info.path, name(info.memory));
  }
  fmt::print("laws\n");
  for (const Law& law : laws()) fmt::print("  {:<28} {}\n", law.name, law.sentence);
  fmt::print("laws about devices\n");
  for (const Law& law : device_laws()) fmt::print("  {:<28} {}\n", law.name, law.sentence);
  fmt::print("sweeps\n");
  for (const Sweep& s : sweeps()) fmt::print("  {:<14} {} values\n", s.name, s.values());
  return kGood;
}

}  // namespace twincheck
