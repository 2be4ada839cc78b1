// What tests of the program have in common: a folder of their own, and how to run it there.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

namespace twincheck::test {

namespace fs = std::filesystem;

inline const std::string kProgram = TWINCHECK_PROGRAM;
inline const std::string kLibraries = TWINCHECK_TEST_LIBRARIES;
inline const std::string kIndependent = kLibraries + "/libcandidate_independent.so";
inline const std::string kTampering = kLibraries + "/libcandidate_tampering.so";

struct Ran {
  int status;       // exit status
  std::string out;  // standard output
  std::string err;  // standard error
};

inline std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A folder of a test's own, the current one of what it runs.
class Cli : public testing::Test {
 protected:
  void SetUp() override {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / ("twincheck_cli_test." + std::to_string(getpid()) + "." + test->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // `environment` as for env(1).
  Ran run(const std::string& arguments, const std::string& environment = "") {
    const std::string command = "cd '" + folder_.string() + "' && env " + environment + " '" + kProgram + "' " + arguments +
                                " >out.txt 2>err.txt </dev/null";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, contents(folder_ / "out.txt"), contents(folder_ / "err.txt")};
  }

  // Interrupts it `after` that time, and fails unless it ends within three seconds. The exit status; standard output and
  // error are in out.txt. `before` is called just before the interruption.
  int interrupt(
      const std::string& arguments, const std::string& environment, std::chrono::milliseconds after,
      const std::function<void()>& before = [] {}) {
    const std::string command = "cd '" + folder_.string() + "' && exec env " + environment + " '" + kProgram + "' " +
                                arguments + " >out.txt 2>&1 </dev/null";
    const pid_t child = fork();
    if (child == 0) {
      execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
      _exit(99);
    }
    EXPECT_GT(child, 0);
    if (child < 0) return -1;
    std::this_thread::sleep_for(after);
    before();
    kill(child, SIGINT);
    const auto start = std::chrono::steady_clock::now();
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(3)) << arguments;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  // Fails unless it ends in 2 with one line on standard error that holds `words`.
  void expect_unusable(const std::string& arguments, const std::string& words, const std::string& environment = "") {
    const Ran r = run(arguments, environment);
    EXPECT_EQ(r.status, 2) << arguments << "\n" << r.out << r.err;
    EXPECT_NE(r.err.find(words), std::string::npos) << arguments << "\n" << r.err;
    EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1) << r.err;
  }

  void write(const std::string& name, const std::string& text) {
    fs::create_directories((folder_ / name).parent_path());
    std::ofstream(folder_ / name) << text;
  }

  fs::path folder_;
};

inline bool has(const std::string& text, const std::string& words) { return text.find(words) != std::string::npos; }

}  // namespace twincheck::test
