// A child process that runs code nobody trusts: forked, not executed, and cut off from its parent but for shared memory.
//
// The child is in a process group of its own (Ctrl-C is the parent's), dies with its parent, has /dev/null as its standard
// input, and what it prints is kept in memory. Its exit(), whoever calls it, runs no handler and no destructor of the
// parent's. The process that starts children must be single-threaded and must never have loaded a candidate.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace twincheck {

// Memory that a parent shares with the children that it forks afterwards; zeros at first. Nothing is left behind.
class SharedMemory {
 public:
  explicit SharedMemory(std::size_t bytes);  // std::bad_alloc where there is not that much
  ~SharedMemory();
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_;
  std::size_t size_;
};

class Process {
 public:
  // Runs `body` in a child, which ends with status 0 when it returns. Throws std::system_error where there can be no child.
  explicit Process(const std::function<void()>& body);
  // Kills the child and all that it left in its process group.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t id() const { return id_; }

  // How the child ended, in words: "SIGSEGV", "exit status 0", "SIGABRT: uncaught exception: std::bad_alloc". Nothing while
  // it lives.
  std::optional<std::string> ended();
  void kill();  // and waits for the end

  // For poll(): readable when the child has ended; -1 where the system has no such thing.
  int descriptor() const { return pidfd_; }

  uint64_t resident_bytes() const;  // 0 where not known

  // What it is doing: processor time so far, and whether it wants to run or waits for the disk (false: it sleeps).
  struct Activity {
    double cpu_seconds = 0;
    bool busy = false;
  };
  Activity activity() const;

  // What it has printed. The text is the last few lines, or a sanitizer's report; it holds memory in proportion to what is
  // kept, not to what was printed, as long as somebody calls trim_output() now and then.
  uint64_t output_bytes() const;
  std::string output_tail() const;
  void trim_output();

 private:
  void reap(int status);

  pid_t id_ = -1;
  int pidfd_ = -1;
  int output_ = -1;
  off_t trimmed_ = 0;  // bytes of the beginning whose memory is given back
  SharedMemory words_;
  std::optional<std::string> ended_;
};

}  // namespace twincheck
