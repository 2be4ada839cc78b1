// A fuzzer without libFuzzer: runs every input that the arguments name, files and folders of files, in order of their names.
//
//   fuzz_NAME [-artifact_prefix=PATH] [-max_total_time=S [-seed=N]] FILE|FOLDER...    *.case files of a folder aside
//
// With -max_total_time it then runs mutations of them, by the fuzzers' own mutator and without feedback, until S seconds are
// over; the same seed gives the same inputs. Other options are ignored: they are libFuzzer's.
// Ends in 0 where every input holds, in 2 where there is none or one cannot be read, in 70 where one takes longer than 20 s;
// an input that breaks a promise aborts.
#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <vector>

#include "harness/case/choices.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments);
extern "C" std::size_t LLVMFuzzerCustomMutator(uint8_t* data, std::size_t size, std::size_t most, unsigned seed);

namespace {

using Input = std::vector<uint8_t>;

// The number behind `option`, or what it was.
uint64_t number(std::string_view argument, std::string_view option, uint64_t otherwise) {
  if (!argument.starts_with(option)) return otherwise;
  argument.remove_prefix(option.size());
  uint64_t value = 0;
  return std::from_chars(argument.data(), argument.data() + argument.size(), value).ec == std::errc{} ? value : otherwise;
}

twincheck::Choices& choices() {
  static twincheck::Choices it = twincheck::Choices::random(1);
  return it;
}

void run(const Input& input) {
  constexpr unsigned kSeconds = 20;
  alarm(kSeconds);
  LLVMFuzzerTestOneInput(input.data(), input.size());
  alarm(0);
}

void end_late(int) {
  constexpr std::string_view kWords = "an input takes longer than 20 s\n";
  (void)!write(STDERR_FILENO, kWords.data(), kWords.size());
  _exit(70);
}

// How many mutations of the inputs were run.
uint64_t fuzz(const std::vector<Input>& inputs, uint64_t seconds) {
  constexpr std::size_t kMost = 1024;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  uint64_t runs = 0;
  for (; std::chrono::steady_clock::now() < end; ++runs) {
    Input input = inputs[choices().below(inputs.size())];
    std::size_t size = std::min(input.size(), kMost);
    input.resize(kMost);
    for (uint64_t times = 1 + choices().below(4); times > 0; --times)
      size = LLVMFuzzerCustomMutator(input.data(), size, kMost, static_cast<unsigned>(choices().below(uint64_t{1} << 32)));
    input.resize(size);
    input.shrink_to_fit();  // a read behind the input is one behind its allocation
    run(input);
  }
  return runs;
}

}  // namespace

// Where the mutator leaves an input to plain bytes: one is changed, added or dropped.
extern "C" std::size_t LLVMFuzzerMutate(uint8_t* data, std::size_t size, std::size_t most) {
  const auto byte = static_cast<uint8_t>(choices().below(256));
  if (size == 0 || (size < most && choices().chance(1, 3))) {
    data[size] = byte;
    return size + 1;
  }
  if (size > 1 && choices().chance(1, 4)) return size - 1;
  data[choices().below(size)] ^= byte;
  return size;
}

int main(int count, char** arguments) {
  namespace fs = std::filesystem;
  LLVMFuzzerInitialize(&count, &arguments);
  std::signal(SIGALRM, end_late);
  std::vector<fs::path> files;
  uint64_t seconds = 0, seed = 1;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    seconds = number(argument, "-max_total_time=", seconds);
    seed = number(argument, "-seed=", seed);
    if (argument.starts_with('-')) continue;
    std::error_code error;
    if (fs::is_directory(argument, error)) {
      for (const auto& entry : fs::directory_iterator(argument))
        if (entry.is_regular_file() && entry.path().extension() != ".case") files.push_back(entry.path());
    } else {
      files.emplace_back(argument);
    }
  }
  std::sort(files.begin(), files.end());
  uint64_t bytes = 0;
  std::vector<Input> inputs;
  for (const fs::path& path : files) {
    std::ifstream in(path, std::ios::binary);
    Input input{std::istreambuf_iterator<char>(in), {}};
    if (!in) {
      fmt::print(stderr, "{}: cannot be read\n", path.string());
      return 2;
    }
    bytes += input.size();
    if (std::getenv("TWINCHECK_FUZZ_SHOW") != nullptr) fmt::print(stderr, "input: {}\n", path.string());
    run(input);
    inputs.push_back(std::move(input));
  }
  fmt::print("{} inputs replayed, {} bytes\n", files.size(), bytes);
  if (seconds > 0 && !inputs.empty()) {
    choices().reseed(seed);
    fmt::print("{} mutations of them run in {} s, -seed={}\n", fuzz(inputs, seconds), seconds, seed);
  }
  return files.empty() ? 2 : 0;
}
