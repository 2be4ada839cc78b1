#include "harness/candidate/manners.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

namespace twincheck {

Manners::Manners() : process_(getpid()) {
  for (std::size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], nullptr, &actions_[i]);
  sigprocmask(SIG_SETMASK, nullptr, &blocked_);
}

std::string Manners::complaint() const {
  if (getpid() != process_) return "the call returned in a second process: it has forked";
  std::array<pollfd, 3> standard{{{0, 0, 0}, {1, 0, 0}, {2, 0, 0}}};
  poll(standard.data(), standard.size(), 0);
  for (const pollfd& p : standard)
    if ((p.revents & POLLNVAL) != 0) return fmt::format("file descriptor {} is closed since the call", p.fd);
  for (std::size_t i = 0; i < kSignals.size(); ++i) {
    struct sigaction now {};
    sigaction(kSignals[i], nullptr, &now);
    if (now.sa_handler != actions_[i].sa_handler || now.sa_flags != actions_[i].sa_flags)
      return fmt::format("SIG{} is {} since the call", sigabbrev_np(kSignals[i]),
                         now.sa_handler == SIG_IGN ? "ignored" : "handled otherwise");
  }
  sigset_t blocked{};
  sigprocmask(SIG_SETMASK, nullptr, &blocked);
  for (const int s : kSignals)
    if (sigismember(&blocked, s) != sigismember(&blocked_, s))
      return fmt::format("SIG{} is {} since the call", sigabbrev_np(s),
                         sigismember(&blocked, s) == 1 ? "blocked" : "let through");
  return {};
}

}  // namespace twincheck
