#include "harness/candidate/manners.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

namespace twincheck {
namespace {

// The C library adds a flag of its own (SA_RESTORER) to what it sets: one that puts an action back has changed nothing.
bool same(const struct sigaction& a, const struct sigaction& b) {
  constexpr int kRestorer = 0x04000000;
  return a.sa_handler == b.sa_handler && (a.sa_flags | kRestorer) == (b.sa_flags | kRestorer);
}

}  // namespace

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
    if (!same(now, actions_[i]))
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
