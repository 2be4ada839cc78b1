// The seeds of the fuzzers, made of corpus/models, corpus/edges, corpus/golden, every class of cases, a walk through the
// exhaustive small domain, and a few picked ones. The same every time.
//
//   fuzz_seeds CORPUS INTO            writes INTO/FUZZER/NAME, for every seed there is
//   fuzz_seeds CORPUS --check SEEDS   are the seeds in SEEDS/FUZZER, those that a merge kept, what they would be now?
//
// Ends in 0; in 1 where a seed differs, is unknown, or a fuzzer has none; in 2 for wrong usage.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/fuzz.h"
#include "fuzz/program.h"
#include "fuzz/record.h"
#include "harness/case/classes.h"
#include "harness/case/enumerate.h"
#include "harness/case/generate.h"

namespace twincheck::fuzz {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<uint8_t>;
using Seeds = std::map<std::string, std::map<std::string, Bytes>>;  // fuzzer, name

constexpr std::size_t kMostBytes = 4096;  // a seed's
constexpr std::string_view kFuzzers[] = {"fuzz_append", "fuzz_case", "fuzz_sequence", "fuzz_wrapper"};

std::vector<fs::path> files_in(const fs::path& folder, std::string_view extension) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == extension) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// Picked by hand, and kept whatever else has the same edges: optimized code has fewer of them than its source. Calls past
// all memory, which the wrapper decides and plans, in as many blocks as a grid has, and more chunks; rows too long for a
// vector of its own, and for a chunk; and strides of what is not used.
constexpr std::pair<std::string_view, std::string_view> kPicked[] = {
    {"picked-far-sides",
     "append source=constant tokens=16777216 top_k=64 shared=1 base_id=64 topk_weights.pointer=skewed+1099511627776 "
     "out_ids.pointer=skewed+2199023255552 out_weights.pointer=skewed+3298534883328"},
    {"picked-far-gate",
     "append source=gate tokens=16777216 top_k=8 shared=1 hidden=4096 base_id=64 topk_weights.pointer=skewed+1099511627776 "
     "out_ids.pointer=skewed+2199023255552 out_weights.pointer=skewed+3298534883328 hidden.pointer=skewed+4398046511104"},
    {"picked-past-addresses",
     "append source=constant tokens=8796093022208 top_k=63 shared=1 base_id=64 topk_weights.pointer=skewed+9007199254740992 "
     "out_ids.pointer=skewed+18014398509481984 out_weights.pointer=skewed+27021597764222976"},
    {"picked-unused-shared",
     "append source=weights tokens=4294967296 top_k=4 shared=0 base_id=4 shared.row_stride=2147483653"},
    {"picked-long-rows", "append source=constant tokens=2 top_k=150 shared=1 base_id=512 weights_dtype=bf16"},
    {"picked-rows-of-chunks", "append source=gate tokens=2 top_k=1055 shared=1 hidden=8 base_id=2048"},
    {"picked-chunks-apart", "append source=constant tokens=2 top_k=1055 shared=1 base_id=2048 out_ids.row_stride=1057"},
};

std::vector<std::pair<std::string, Case>> cases(const fs::path& corpus) {
  std::vector<std::pair<std::string, Case>> all;
  for (const char* folder : {"edges", "models"})
    for (const fs::path& path : files_in(corpus / folder, ".case")) {
      const CaseFile file = read_file(path.string());
      for (std::size_t i = 0; i < file.cases.size(); ++i)
        all.emplace_back(fmt::format("{}-{}-{:03}", folder, path.stem().string(), file.lines[i]), file.cases[i]);
    }
  for (const auto& [name, line] : kPicked) all.emplace_back(name, parse(line));
  const uint64_t size = small_domain_size();
  constexpr uint64_t kWalk = 1500;
  for (uint64_t i = 0; i < kWalk; ++i) {
    const uint64_t index = i * (size / kWalk) + i * 7919 % (size / kWalk);
    all.emplace_back(fmt::format("small-{:08}", index), small_domain_case(index));
  }
  ClassCounts met;
  Choices choices = Choices::random(0);
  for (uint64_t seed = 0; seed < 40000; ++seed) {
    choices.reseed(seed);
    const Case c = draw_case(choices, {.sparse = seed % 64 == 0, .short_structs = true, .max_tokens = 64});
    ClassCounts with = met;
    with.add(c);
    bool is_new = false;
    for (std::size_t i = 0; i < kClasses; ++i) is_new = is_new || (met.members[i] < 2 && with.members[i] > met.members[i]);
    if (!is_new) continue;
    met = with;
    all.emplace_back(fmt::format("class-{:05}", seed), c);
  }
  return all;
}

Program program(const Case& c, uint64_t seed) {
  Program p{c, {}};
  Choices choices = Choices::random(seed);
  const uint64_t steps = 1 + choices.below(8);
  for (uint64_t i = 0; i < steps; ++i)
    p.steps.push_back({static_cast<Op>(choices.below(kOps)), static_cast<uint8_t>(choices.below(kOperands)),
                       static_cast<uint16_t>(choices.below(choices.chance(1, 4) ? 4096 : 24))});
  return p;
}

Seeds make(const fs::path& corpus) {
  Seeds seeds;
  const auto add = [&](const char* fuzzer, const std::string& name, Bytes bytes) {
    if (bytes.size() <= kMostBytes) seeds[fuzzer][name] = std::move(bytes);
  };
  const auto add_text = [&](const std::string& name, std::string_view words) {
    add("fuzz_case", name, Bytes(words.begin(), words.end()));
  };
  for (const auto& [name, c] : cases(corpus)) {
    const Case valid = valid_case(c);
    add("fuzz_append", name, encode(valid));
    add("fuzz_wrapper", name, encode(c));
    const Bytes bytes = encode_program(program(valid, hash({reinterpret_cast<const uint8_t*>(name.data()), name.size()})));
    add("fuzz_sequence", name, bytes);
    add("fuzz_case", name + "-bytes", encode(c));
    add_text(name + "-text", text(c));
    add_text(name + "-record", line_of(record_of(c)));
  }
  for (const char* folder : {"edges", "models"})
    for (const fs::path& path : files_in(corpus / folder, ".case")) {
      std::ifstream in(path, std::ios::binary);
      add_text(fmt::format("{}-{}-file", folder, path.stem().string()), std::string{std::istreambuf_iterator<char>(in), {}});
    }
  for (const fs::path& path : files_in(corpus / "golden", ".jsonl")) {
    std::ifstream in(path);
    int number = 0;
    for (std::string line; std::getline(in, line);)
      add_text(fmt::format("golden-{}-{:04}", path.stem().string(), ++number), line);
  }
  return seeds;
}

int write(const Seeds& seeds, const fs::path& into) {
  for (const auto& [fuzzer, files] : seeds) {
    fs::create_directories(into / fuzzer);
    for (const auto& [name, bytes] : files) {
      std::ofstream out(into / fuzzer / name, std::ios::binary);
      out.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    fmt::print("{}: {} seeds\n", fuzzer, files.size());
  }
  return 0;
}

int compare(const Seeds& seeds, const fs::path& folder) {
  int wrong = 0;
  uint64_t count = 0, size = 0;
  for (const std::string_view fuzzer : kFuzzers) {
    const auto& right = seeds.at(std::string(fuzzer));
    uint64_t here = 0;
    if (fs::is_directory(folder / fuzzer))
      for (const auto& entry : fs::directory_iterator(folder / fuzzer)) {
        ++here;
        std::ifstream in(entry.path(), std::ios::binary);
        const Bytes bytes{std::istreambuf_iterator<char>(in), {}};
        const auto found = right.find(entry.path().filename().string());
        if (found != right.end() && found->second == bytes) {
          size += bytes.size();
          continue;
        }
        ++wrong;
        fmt::print("{}: {}\n", entry.path().string(), found == right.end() ? "is no seed" : "differs");
      }
    if (here == 0) {
      ++wrong;
      fmt::print("{}: no seeds\n", fuzzer);
    }
    count += here;
  }
  if (size > std::size_t{2} << 20) {
    ++wrong;
    fmt::print("{} bytes of seeds: 2 MiB are the most\n", size);
  }
  fmt::print("{} seeds, {} bytes, {} wrong{}\n", count, size, wrong, wrong > 0 ? "; make them anew: ci/fuzz --seeds" : "");
  return wrong > 0 ? 1 : 0;
}

int run(int count, char** arguments) {
  if (count == 3) return write(make(arguments[1]), arguments[2]);
  if (count == 4 && std::string_view(arguments[2]) == "--check") return compare(make(arguments[1]), arguments[3]);
  fmt::print(stderr, "usage: fuzz_seeds CORPUS INTO | fuzz_seeds CORPUS --check SEEDS\n");
  return 2;
}

}  // namespace
}  // namespace twincheck::fuzz

int main(int count, char** arguments) { return twincheck::fuzz::run(count, arguments); }
