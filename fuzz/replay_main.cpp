// A fuzzer without libFuzzer: runs every input that the arguments name, files and folders of files, in order of their names.
//
//   fuzz_NAME [-artifact_prefix=PATH] FILE|FOLDER...
//
// Ends in 0 where every input holds, in 2 where there is none or one cannot be read; an input that breaks a promise aborts.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments);

int main(int count, char** arguments) {
  namespace fs = std::filesystem;
  LLVMFuzzerInitialize(&count, &arguments);
  std::vector<fs::path> files;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (argument.starts_with('-')) continue;
    std::error_code error;
    if (fs::is_directory(argument, error)) {
      for (const auto& entry : fs::directory_iterator(argument))
        if (entry.is_regular_file() && entry.path().extension() != ".md") files.push_back(entry.path());
    } else {
      files.emplace_back(argument);
    }
  }
  std::sort(files.begin(), files.end());
  uint64_t bytes = 0;
  for (const fs::path& path : files) {
    std::ifstream in(path, std::ios::binary);
    const std::vector<char> input{std::istreambuf_iterator<char>(in), {}};
    if (!in) {
      fmt::print(stderr, "{}: cannot be read\n", path.string());
      return 2;
    }
    bytes += input.size();
    if (std::getenv("TWINCHECK_FUZZ_SHOW") != nullptr) fmt::print(stderr, "input: {}\n", path.string());
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(input.data()), input.size());
  }
  fmt::print("{} inputs replayed, {} bytes\n", files.size(), bytes);
  return files.empty() ? 2 : 0;
}
