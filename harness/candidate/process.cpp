#include "harness/candidate/process.h"

#include <cxxabi.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <system_error>
#include <typeinfo>

namespace twincheck {
namespace {

constexpr std::size_t kWords = 1024;       // of an uncaught exception
constexpr off_t kOutputKept = 1 << 16;     // bytes at the end that survive trim_output
constexpr off_t kOutputAllowed = 1 << 20;  // bytes at which it acts
constexpr std::size_t kTailBytes = 1000;   // of output_tail

char* last_words = nullptr;  // in the child

[[noreturn]] void terminated() {
  const std::exception_ptr exception = std::current_exception();
  if (exception != nullptr) {
    try {
      std::rethrow_exception(exception);
    } catch (const std::exception& e) {
      std::snprintf(last_words, kWords, "uncaught C++ exception: %s", e.what());
    } catch (...) {
      const std::type_info* type = abi::__cxa_current_exception_type();
      std::snprintf(last_words, kWords, "uncaught C++ exception of type %s", type != nullptr ? type->name() : "?");
    }
  }
  std::abort();
}

// The first handler that a child registers is the last of its own to run: behind it are the parent's.
void leave(int status, void*) {
  std::fflush(nullptr);
  _exit(status);
}

[[noreturn]] void child(const std::function<void()>& body, pid_t parent, int output) noexcept {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  setpgid(0, 0);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  dup2(null, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  syscall(SYS_close_range, 3u, ~0u, 0u);
  for (int s = 1; s < NSIG; ++s)
    if (s != SIGKILL && s != SIGSTOP) {
      struct sigaction now {};
      // A sanitizer's handlers say more about a death than the signal does.
      if (sigaction(s, nullptr, &now) == 0 && (s == SIGINT || s == SIGTERM || now.sa_handler == SIG_IGN)) signal(s, SIG_DFL);
    }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  on_exit(leave, nullptr);
  std::set_terminate(terminated);
  body();
  std::fflush(nullptr);
  _exit(0);
}

std::string signal_name(int number) {
  const char* name = sigabbrev_np(number);
  return name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", number);
}

// "AddressSanitizer: SEGV file.cpp:12 in f": a sanitizer's last line, where it ended the process. Empty where none did.
std::string sanitizer_summary(const std::string& output) {
  constexpr std::string_view kMark = "\nSUMMARY: ";
  const std::size_t at = output.rfind(kMark);
  if (at == std::string::npos) return {};
  const std::size_t first = at + kMark.size();
  const std::string line = output.substr(first, output.find('\n', first) - first);
  return line.find("Sanitizer: ") == std::string::npos ? std::string() : line;
}

}  // namespace

SharedMemory::SharedMemory(std::size_t bytes) : size_(bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(p);
}
SharedMemory::~SharedMemory() { munmap(data_, size_); }

Process::Process(const std::function<void()>& body) : words_(kWords) {
  output_ = memfd_create("twincheck-output", MFD_CLOEXEC);
  if (output_ < 0) throw std::system_error(errno, std::generic_category(), "memfd_create");
  std::fflush(nullptr);
  const pid_t parent = getpid();
  id_ = fork();
  if (id_ < 0) {
    const int error = errno;
    close(output_);
    throw std::system_error(error, std::generic_category(), "fork");
  }
  if (id_ == 0) {
    last_words = reinterpret_cast<char*>(words_.data());
    child(body, parent, output_);
  }
  setpgid(id_, id_);  // here too: whichever of the two comes first
  pidfd_ = static_cast<int>(syscall(SYS_pidfd_open, id_, 0));
}

Process::~Process() {
  kill();
  if (pidfd_ >= 0) close(pidfd_);
  close(output_);
}

void Process::reap(int status) {
  ::kill(-id_, SIGKILL);  // what the child forked
  auto* const words = reinterpret_cast<char*>(words_.data());
  words[kWords - 1] = 0;
  if (WIFSIGNALED(status)) {
    ended_ = signal_name(WTERMSIG(status));
  } else {
    ended_ = fmt::format("exit status {}", WEXITSTATUS(status));
  }
  if (*words != 0) {
    *ended_ += fmt::format(": {}", words);
  } else if (const std::string summary = sanitizer_summary(output_tail()); !summary.empty()) {
    *ended_ += fmt::format(": {}", summary);
  }
}

std::optional<std::string> Process::ended() {
  if (!ended_) {
    int status = 0;
    if (waitpid(id_, &status, WNOHANG) == id_) reap(status);
  }
  return ended_;
}

void Process::kill() {
  if (ended_) return;
  ::kill(-id_, SIGKILL);
  ::kill(id_, SIGKILL);
  int status = 0;
  pid_t waited;
  do {
    waited = waitpid(id_, &status, 0);
  } while (waited < 0 && errno == EINTR);
  reap(status);
}

namespace {

// The text of a file of /proc; empty where it cannot be read.
std::string proc_text(pid_t id, const char* name) {
  char text[1024];
  const int file = open(fmt::format("/proc/{}/{}", id, name).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  const ssize_t n = read(file, text, sizeof text);
  close(file);
  return {text, n > 0 ? static_cast<std::size_t>(n) : 0};
}

}  // namespace

uint64_t Process::resident_bytes() const {
  unsigned long long size = 0, resident = 0;
  if (std::sscanf(proc_text(id_, "statm").c_str(), "%llu %llu", &size, &resident) != 2) return 0;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

Process::Activity Process::activity() const {
  Activity activity;
  const std::string text = proc_text(id_, "stat");
  // The second field is the program's name in parentheses, which may hold anything.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return activity;
  char state = 0;
  unsigned long long user = 0, system = 0;
  if (std::sscanf(text.c_str() + name_end + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu %llu", &state, &user,
                  &system) != 3)
    return activity;
  activity.cpu_seconds = static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
  activity.busy = state == 'R' || state == 'D';
  return activity;
}

uint64_t Process::output_bytes() const {
  struct stat state {};
  return fstat(output_, &state) == 0 ? static_cast<uint64_t>(state.st_size) : 0;
}

std::string Process::output_tail() const {
  struct stat state {};
  if (fstat(output_, &state) != 0) return {};
  const off_t kept = std::min(state.st_size, kOutputKept);
  std::string tail(static_cast<std::size_t>(kept), '\0');
  const ssize_t n = pread(output_, tail.data(), tail.size(), state.st_size - kept);
  tail.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  if (tail.size() <= kTailBytes) return tail;
  // A sanitizer says what happened first, and much else afterwards.
  const std::size_t error = tail.rfind("ERROR: ");
  if (error != std::string::npos && tail.find("Sanitizer", error) < error + 40) {
    const std::size_t summary = std::min(tail.rfind("SUMMARY: "), tail.size());
    std::string shown = tail.substr(error, kTailBytes);
    if (summary > error + kTailBytes) shown += "\n...\n" + tail.substr(summary, tail.find('\n', summary) - summary) + "\n";
    return shown;
  }
  tail.erase(0, tail.size() - kTailBytes);
  if (const std::size_t line = tail.find('\n'); line != std::string::npos && line + 1 < tail.size()) tail.erase(0, line + 1);
  return tail;
}

void Process::trim_output() {
  struct stat state {};
  if (fstat(output_, &state) != 0 || state.st_size - trimmed_ <= kOutputAllowed) return;
  // A hole: the file keeps its length, and the child may go on writing meanwhile.
  const off_t end = state.st_size - kOutputKept;
  if (fallocate(output_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, trimmed_, end - trimmed_) == 0) trimmed_ = end;
}

}  // namespace twincheck
