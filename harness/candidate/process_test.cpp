#include "harness/candidate/process.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>

#include "harness/candidate/manners.h"

namespace twincheck {
namespace {

std::string end_of(Process& process, double seconds = 20) {
  for (double waited = 0; waited < seconds; waited += 0.002) {
    if (auto reason = process.ended()) return *reason;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return "alive";
}

std::string end_of(const std::function<void()>& body) {
  Process process(body);
  return end_of(process);
}

TEST(Process, SaysHowItEnded) {
  EXPECT_EQ(end_of([] {}), "exit status 0");
  EXPECT_EQ(end_of([] { _exit(3); }), "exit status 3");
  EXPECT_EQ(end_of([] { std::exit(4); }), "exit status 4");
  EXPECT_EQ(end_of([] { raise(SIGKILL); }), "SIGKILL");
  EXPECT_EQ(end_of([] { std::abort(); }).rfind("SIGABRT", 0), 0u);
}

TEST(Process, NamesAnUncaughtException) {
  const std::string reason = end_of([] { throw std::runtime_error("the words"); });
  EXPECT_EQ(reason, "SIGABRT: uncaught C++ exception: the words");
}

TEST(Process, SaysWhatASanitizerFound) {
  Process process([] {
    std::printf("noise\n==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x1\n");
    for (int i = 0; i < 100; ++i) std::printf("    #%d frame of the stack\n", i);
    std::printf("SUMMARY: AddressSanitizer: heap-buffer-overflow kernel.cpp:12 in append\nmore\n");
    std::fflush(stdout);
    _exit(1);
  });
  EXPECT_EQ(end_of(process), "exit status 1: AddressSanitizer: heap-buffer-overflow kernel.cpp:12 in append");
  const std::string tail = process.output_tail();
  EXPECT_EQ(tail.rfind("ERROR: AddressSanitizer: heap-buffer-overflow", 0), 0u) << tail;
  EXPECT_LT(tail.size(), 1200u);
}

SharedMemory* flags = nullptr;

TEST(Process, ThatExitsRunsNothingOfItsParents) {
  SharedMemory memory(4096);
  flags = &memory;
  static bool registered = false;
  if (!registered)
    std::atexit([] {
      if (flags != nullptr) flags->data()[0] = std::byte{1};
    });
  registered = true;
  EXPECT_EQ(end_of([] { std::exit(0); }), "exit status 0");
  EXPECT_EQ(memory.data()[0], std::byte{0});
  EXPECT_EQ(end_of([] {
              std::atexit([] { flags->data()[1] = std::byte{1}; });
              std::exit(0);
            }),
            "exit status 0");
  EXPECT_EQ(memory.data()[0], std::byte{0});
  EXPECT_EQ(memory.data()[1], std::byte{1}) << "its own handlers do run";
  flags = nullptr;
}

TEST(Process, DoesNotPrintItsParentsBufferedOutputAgain) {
  std::printf("once ");
  Process process([] { std::printf("mine\n"); });
  EXPECT_EQ(end_of(process), "exit status 0");
  EXPECT_EQ(process.output_tail(), "mine\n");
}

TEST(Process, KeepsTheTailOfWhatItPrints) {
  Process process([] {
    for (int i = 0; i < 300000; ++i) std::printf("line %d\n", i);
    std::fprintf(stderr, "last words");
  });
  while (!process.ended()) {
    process.trim_output();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_EQ(process.output_bytes(), 3'488'900u) << "300,000 lines and two words";
  const std::string tail = process.output_tail();
  EXPECT_LE(tail.size(), 1000u);
  EXPECT_NE(tail.find("line 299999"), std::string::npos) << tail;
}

TEST(Process, CannotReadItsParentsInput) {
  EXPECT_EQ(end_of([] {
              char c;
              _exit(read(0, &c, 1) == 0 ? 7 : 8);
            }),
            "exit status 7");
}

// 'X' where there is no such process; 'Z' is one of an init that reaps nothing.
char state_of(pid_t id) {
  FILE* file = std::fopen(("/proc/" + std::to_string(id) + "/stat").c_str(), "r");
  if (file == nullptr) return 'X';
  char state = 'X';
  if (std::fscanf(file, "%*d (%*[^)]) %c", &state) != 1) state = 'X';
  std::fclose(file);
  return state;
}

bool gone(pid_t id) {
  for (int i = 0; i < 5000; ++i) {
    if (const char state = state_of(id); state == 'X' || state == 'Z') return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

TEST(Process, LeavesNothingThatItForked) {
  for (const bool ends_by_itself : {false, true}) {
    SharedMemory memory(4096);
    auto* const grandchild = reinterpret_cast<volatile pid_t*>(memory.data());
    Process process([&] {
      const pid_t id = fork();
      if (id == 0)
        while (true) pause();
      *grandchild = id;
      while (!ends_by_itself) pause();
    });
    if (ends_by_itself) {
      EXPECT_EQ(end_of(process), "exit status 0");
    } else {
      while (*grandchild == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      process.kill();
    }
    EXPECT_TRUE(gone(*grandchild)) << ends_by_itself;
  }
}

TEST(Process, DiesWithItsParent) {
  SharedMemory memory(4096);
  auto* const worker = reinterpret_cast<volatile pid_t*>(memory.data());
  const pid_t parent = fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    Process process([&] {
      *worker = getpid();
      while (true) pause();
    });
    while (true) pause();
  }
  while (*worker == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  kill(parent, SIGKILL);
  int status;
  waitpid(parent, &status, 0);
  EXPECT_TRUE(gone(*worker));
}

TEST(Process, TellsItsResidentMemory) {
  constexpr std::size_t kBytes = 64 << 20;
  SharedMemory ready(4096);
  Process process([&] {
    std::string touched(kBytes, 'x');
    ready.data()[0] = std::byte(touched.back() == 'x');
    while (true) pause();
  });
  while (ready.data()[0] == std::byte{0}) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  EXPECT_GE(process.resident_bytes(), kBytes);
  EXPECT_LT(process.resident_bytes(), 8 * kBytes);
}

TEST(Manners, FindNothingWhereNothingChanged) { EXPECT_EQ(Manners().complaint(), ""); }

// In a child, so that this process keeps its own.
std::string complaint_after(void (*act)()) {
  SharedMemory memory(4096);
  end_of([&] {
    const Manners manners;
    act();
    std::strncpy(reinterpret_cast<char*>(memory.data()), manners.complaint().c_str(), 4000);
  });
  return reinterpret_cast<char*>(memory.data());
}

TEST(Manners, NoticeEachChange) {
  EXPECT_EQ(complaint_after([] {}), "");
  EXPECT_EQ(complaint_after([] { close(2); }), "file descriptor 2 is closed since the call");
  EXPECT_EQ(complaint_after([] { std::signal(SIGSEGV, [](int) { _exit(0); }); }),
            "SIGSEGV is handled otherwise since the call");
  EXPECT_EQ(complaint_after([] { std::signal(SIGTERM, SIG_IGN); }), "SIGTERM is ignored since the call");
  EXPECT_EQ(complaint_after([] {
              sigset_t set;
              sigemptyset(&set);
              sigaddset(&set, SIGINT);
              sigprocmask(SIG_BLOCK, &set, nullptr);
            }),
            "SIGINT is blocked since the call");
  EXPECT_EQ(complaint_after([] {
              if (const pid_t second = fork(); second != 0) {
                waitpid(second, nullptr, 0);
                _exit(0);
              }
            }),
            "the call returned in a second process: it has forked");
}

}  // namespace
}  // namespace twincheck
