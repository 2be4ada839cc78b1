// For tests that call candidates in their own process: what is being judged, composed before the candidate is called and
// written out if the process dies.
#pragma once

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <string_view>

#include <unistd.h>

namespace twincheck {

class Published {
 public:
  static void text(std::string_view words) {
    length_ = std::min(words.size(), sizeof buffer_);
    std::memcpy(buffer_, words.data(), length_);
  }
  static void write_on_death() {
    for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
      struct sigaction action = {};
      action.sa_handler = [](int) {
        static constexpr char kDied[] = "\ndied judging: ";
        (void)!write(STDERR_FILENO, kDied, sizeof kDied - 1);
        (void)!write(STDERR_FILENO, buffer_, length_);
      };
      action.sa_flags = static_cast<int>(SA_RESETHAND);
      sigaction(signal, &action, nullptr);
    }
  }

 private:
  static inline char buffer_[1 << 16];
  static inline std::size_t length_ = 0;
};

}  // namespace twincheck
