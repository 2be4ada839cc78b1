// What a candidate must leave as it found it in its process: the standard descriptors, the signals, the process itself.
#pragma once

#include <sys/types.h>

#include <array>
#include <csignal>
#include <string>

namespace twincheck {

class Manners {
 public:
  Manners();  // what is now is how it must stay

  // What has changed since, for a report's detail: "SIGSEGV is handled otherwise since the call". Empty where nothing has.
  // About a microsecond.
  std::string complaint() const;

 private:
  static constexpr std::array<int, 8> kSignals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM, SIGINT, SIGTERM};

  pid_t process_;
  std::array<struct sigaction, kSignals.size()> actions_{};
  sigset_t blocked_{};
};

}  // namespace twincheck
