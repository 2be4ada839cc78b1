// What a call does to the process's signals is undone. The function's libraries mean no harm by it: the compiler that runs
// in a Triton kernel's first call puts handlers of its own on SIGSEGV and others, and they stay.
#pragma once

#include <array>
#include <csignal>

namespace twincheck::python {

class Signals {
 public:
  // What is now is how restore() leaves it.
  Signals() {
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], nullptr, &actions_[i]);
  }

  // After every call. Looks at SIGSEGV alone, since whoever handles signals of that kind handles that one.
  void restore() const {
    struct sigaction now {};
    sigaction(kSignals[0], nullptr, &now);
    if (now.sa_handler == actions_[0].sa_handler) return;
    for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &actions_[i], nullptr);
  }

 private:
  static constexpr std::array kSignals{SIGSEGV, SIGHUP,  SIGINT,  SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS, SIGFPE,
                                       SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGXCPU, SIGXFSZ, SIGSYS};

  std::array<struct sigaction, kSignals.size()> actions_{};
};

}  // namespace twincheck::python
