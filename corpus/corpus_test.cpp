// The corpus is linted like code: what must be in it, and what every file and line of it must be.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/judge/trial.h"

namespace twincheck {
namespace {

namespace fs = std::filesystem;

struct File {
  fs::path path;
  std::vector<std::string> lines;
  CaseFile parsed;
  bool nightly = false;  // has the comment `# tier: nightly`

  std::string name() const { return path.filename().string(); }
  std::string where(std::size_t i) const { return path.string() + ":" + std::to_string(parsed.lines[i]); }
  const std::string& line_of(std::size_t i) const { return lines[parsed.lines[i] - 1]; }
};

const std::vector<File>& files(const std::string& folder) {
  static std::map<std::string, std::vector<File>> loaded;
  if (const auto it = loaded.find(folder); it != loaded.end()) return it->second;
  std::vector<File>& all = loaded[folder];
  for (const auto& entry : fs::directory_iterator(fs::path(TWINCHECK_CORPUS) / folder)) {
    if (entry.path().extension() != ".case") continue;
    File file;
    file.path = entry.path();
    std::ifstream in(file.path);
    for (std::string line; std::getline(in, line);) {
      file.nightly |= line == "# tier: nightly";
      file.lines.push_back(line);
    }
    file.parsed = read_file(file.path.string());
    all.push_back(std::move(file));
  }
  std::sort(all.begin(), all.end(), [](const File& a, const File& b) { return a.path < b.path; });
  return all;
}

std::vector<const File*> every_file() {
  std::vector<const File*> all;
  for (const char* folder : {"models", "edges"})
    for (const File& file : files(folder)) all.push_back(&file);
  return all;
}

// Calls f(file, index, case) for every case of the folders.
void each_case(const std::function<void(const File&, std::size_t, const Case&)>& f) {
  for (const File* file : every_file())
    for (std::size_t i = 0; i < file->parsed.cases.size(); ++i) f(*file, i, file->parsed.cases[i]);
}

bool any_edge(const std::function<bool(const Case&)>& wanted) {
  for (const File& file : files("edges"))
    if (std::any_of(file.parsed.cases.begin(), file.parsed.cases.end(), wanted)) return true;
  return false;
}

// The status after "# refused: " behind the case, "ok" where there is none.
std::string promised_status(const std::string& line) {
  static const std::string kMark = "# refused: ";
  const std::size_t at = line.find(kMark);
  if (at == std::string::npos) return "ok";
  const std::size_t start = at + kMark.size();
  return line.substr(start, line.find(':', start) - start);
}

TEST(CorpusFiles, AreThereAndHoldCases) {
  EXPECT_GE(files("models").size(), 15u);
  EXPECT_GE(files("edges").size(), 15u);
  for (const File* file : every_file()) EXPECT_FALSE(file->parsed.cases.empty()) << file->path;
}

TEST(CorpusFiles, SayWhereTheyComeFromOrWhatTheyCatch) {
  for (const File& file : files("models")) {
    EXPECT_TRUE(file.lines.at(0).starts_with("# ")) << file.path;
    EXPECT_TRUE(file.lines.at(1).starts_with("# Source: ")) << file.path;
  }
  for (const File& file : files("edges")) {
    EXPECT_TRUE(file.lines.at(0).starts_with("# ")) << file.path;
    EXPECT_TRUE(file.lines.at(1).starts_with("# Catches: ") || file.lines.at(2).starts_with("# Catches: ")) << file.path;
  }
}

TEST(CorpusFiles, AreNightlyByNameAndByComment) {
  for (const File* file : every_file()) EXPECT_EQ(file->nightly, file->name().ends_with(".nightly.case")) << file->path;
}

TEST(CorpusFiles, StaySmallEnoughToReview) {
  std::uintmax_t bytes = 0;
  for (const File* file : every_file()) bytes += fs::file_size(file->path);
  EXPECT_LT(bytes, 400u * 1024u);
}

TEST(CorpusCases, SurviveTextAndBytes) {
  each_case([](const File& file, std::size_t i, const Case& c) {
    EXPECT_EQ(parse(text(c)), c) << file.where(i);
    EXPECT_EQ(decode(encode(c)), c) << file.where(i);
  });
}

TEST(CorpusCases, StandOnceInAFile) {
  for (const File* file : every_file()) {
    std::map<std::string, std::size_t> seen;
    for (std::size_t i = 0; i < file->parsed.cases.size(); ++i) {
      const auto [it, fresh] = seen.emplace(text(file->parsed.cases[i]), i);
      EXPECT_TRUE(fresh) << file->where(i) << " repeats line " << file->parsed.lines[it->second];
    }
  }
}

// Also that no case takes more than 1 GiB.
TEST(CorpusCases, GetTheStatusThatTheirLinePromises) {
  HostMemory memory;
  Trial trial(memory);
  each_case([&](const File& file, std::size_t i, const Case& c) {
    const Trial::Ready ready = trial.lay_out(c, uint64_t{1} << 30);
    EXPECT_EQ(name(trial.expected_status()), promised_status(file.line_of(i))) << file.where(i) << ": " << file.line_of(i);
    EXPECT_NE(ready, Trial::Ready::kTooLarge) << file.where(i) << ": " << file.line_of(i);
    trial.finish();
  });
}

struct Model {
  const char* file;
  int64_t experts, top_k, shared, hidden;
  bool gate;  // a sigmoid gate makes the shared weight; else it is a constant
};
constexpr Model kModels[] = {
    {"qwen3.5-397b-a17b", 512, 10, 1, 4096, true}, {"qwen3.6-35b-a3b", 256, 8, 1, 2048, true},
    {"qwen1.5-moe-a2.7b", 60, 4, 1, 2048, true},   {"qwen1.5-moe-a2.7b", 60, 4, 4, 2048, true},
    {"qwen2-57b-a14b", 64, 8, 1, 3584, true},      {"deepseek-v2", 160, 6, 2, 5120, false},
    {"deepseek-v2-lite", 64, 6, 2, 2048, false},   {"deepseek-v3", 256, 8, 1, 7168, false},
    {"kimi-k2", 384, 8, 1, 7168, false},           {"glm-4.5", 160, 8, 1, 5120, false},
    {"glm-4.5-air", 128, 8, 1, 4096, false},       {"llama-4-scout", 16, 1, 1, 5120, false},
    {"llama-4-maverick", 128, 1, 1, 5120, false},  {"dots.llm1", 128, 6, 2, 4096, false},
    {"moonlight-16b-a3b", 64, 6, 2, 2048, false},  {"ernie-4.5-21b-a3b", 64, 6, 2, 2560, false},
};
constexpr int64_t kDecode[] = {1, 2, 3, 7, 64, 65, 512, 513};
constexpr int64_t kPrefill[] = {2048, 2049, 8192, 8193, 16384, 16385};

bool has_shape(const Model& model, const char* suffix, Source source, int64_t tokens) {
  for (const File& file : files("models")) {
    if (file.name() != std::string(model.file) + suffix) continue;
    for (const Case& c : file.parsed.cases) {
      if (c.source == static_cast<int32_t>(source) && c.tokens == tokens && c.top_k == model.top_k &&
          c.shared == model.shared && c.base_id == model.experts && (source != Source::kGate || c.hidden == model.hidden)) {
        return true;
      }
    }
  }
  return false;
}

TEST(CorpusModels, EveryPublishedModelHasEveryBatchSize) {
  for (const Model& model : kModels) {
    for (const int64_t tokens : kDecode) {
      EXPECT_TRUE(has_shape(model, ".case", model.gate ? Source::kGate : Source::kConstant, tokens))
          << model.file << " shared=" << model.shared << " tokens=" << tokens;
    }
    for (const int64_t tokens : kPrefill) {
      EXPECT_TRUE(has_shape(model, ".case", model.gate ? Source::kLogits : Source::kConstant, tokens))
          << model.file << " shared=" << model.shared << " tokens=" << tokens;
      if (model.gate) {
        EXPECT_TRUE(has_shape(model, ".nightly.case", Source::kGate, tokens))
            << model.file << " shared=" << model.shared << " tokens=" << tokens;
      }
    }
  }
}

TEST(CorpusModels, NameTheirHiddenSizeAndHaveNoOtherFiles) {
  std::set<std::string> known;
  for (const Model& model : kModels) {
    known.insert(std::string(model.file) + ".case");
    if (model.gate) known.insert(std::string(model.file) + ".nightly.case");
  }
  for (const File& file : files("models")) {
    EXPECT_TRUE(known.contains(file.name())) << file.path;
    for (const Model& model : kModels) {
      if (!file.name().starts_with(std::string(model.file) + ".")) continue;
      EXPECT_NE(file.lines.at(0).find("hidden size " + std::to_string(model.hidden)), std::string::npos) << file.path;
    }
  }
}

// Ids distinct within a token or -1, weights from a softmax: by class, or literal.
TEST(CorpusModels, AreRoutedAsARouterDoes) {
  for (const File& file : files("models")) {
    bool padding = false;
    for (std::size_t i = 0; i < file.parsed.cases.size(); ++i) {
      const Case& c = file.parsed.cases[i];
      EXPECT_EQ(c.weights, ValueClass::kRouter) << file.where(i);
      EXPECT_TRUE(c.ids == IdClass::kDistinct || c.ids == IdClass::kSomePadding || c.ids == IdClass::kPadding)
          << file.where(i);
      padding |= c.ids == IdClass::kSomePadding;
      const std::vector<uint64_t>& ids = c.literal[static_cast<std::size_t>(Operand::kTopkIds)];
      ASSERT_EQ(ids.size() % static_cast<std::size_t>(c.top_k), 0u) << file.where(i);
      for (std::size_t row = 0; row < ids.size(); row += static_cast<std::size_t>(c.top_k)) {
        const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(row);
        const std::set<uint64_t> distinct(begin, begin + c.top_k);
        const bool padded = distinct == std::set<uint64_t>{~uint64_t{0}};
        EXPECT_TRUE(padded || distinct.size() == static_cast<std::size_t>(c.top_k)) << file.where(i);
      }
    }
    EXPECT_TRUE(padding || file.nightly) << file.path << " has no padding rows";
  }
}

TEST(CorpusEdges, HaveEveryTopKFrom0To33) {
  for (int64_t k = 0; k <= 33; ++k) EXPECT_TRUE(any_edge([&](const Case& c) { return c.top_k == k && c.tokens > 1; })) << k;
}

TEST(CorpusEdges, HaveEveryNumberOfSharedExpertsForEverySource) {
  for (int32_t source = 0; source < 4; ++source) {
    for (int64_t s = 0; s <= 8; ++s) {
      EXPECT_TRUE(any_edge([&](const Case& c) { return c.source == source && c.shared == s && c.tokens > 1; }))
          << "source " << source << ", shared " << s;
    }
  }
}

TEST(CorpusEdges, HaveTokenCountsOnBothSidesOfWavesBlocksAndGrids) {
  for (const int64_t t :
       {0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025, 65535, 65536, 65537}) {
    EXPECT_TRUE(any_edge([&](const Case& c) { return c.tokens == t; })) << t;
  }
}

TEST(CorpusEdges, HaveEveryHiddenSizeInEveryDtype) {
  for (const int64_t h : {1, 3, 7168, 8193}) {
    for (const Dtype d : {Dtype::kF32, Dtype::kBf16, Dtype::kF16})
      EXPECT_TRUE(any_edge([&](const Case& c) {
        return c.source == TWINCHECK_GATE && c.hidden == h && c.shared_dtype == d;
      })) << h
          << " " << name(d);
  }
}

TEST(CorpusEdges, HaveEveryIdClassInBothDtypesWithAndWithoutRemap) {
  for (int i = 0; i < kIdClasses; ++i) {
    for (const Dtype d : {Dtype::kI32, Dtype::kI64}) {
      for (const bool remap : {false, true})
        EXPECT_TRUE(any_edge([&](const Case& c) {
          return static_cast<int>(c.ids) == i && c.ids_dtype == d && (c.remap > 0) == remap;
        })) << i
            << " " << name(d) << " remap " << remap;
    }
  }
}

TEST(CorpusEdges, HaveBaseIdsPastEveryWidth) {
  for (const Dtype d : {Dtype::kI32, Dtype::kI64}) {
    EXPECT_TRUE(any_edge([&](const Case& c) { return c.ids_dtype == d && c.base_id > 65536 && c.shared > 0; }));
    const int64_t last = d == Dtype::kI32 ? INT32_MAX : INT64_MAX;
    EXPECT_TRUE(
        any_edge([&](const Case& c) { return c.ids_dtype == d && c.shared > 0 && c.base_id == last - c.shared + 1; }));
  }
  EXPECT_TRUE(any_edge([](const Case& c) { return c.base_id > int64_t{1} << 31 && c.ids_dtype == Dtype::kI64; }));
}

TEST(CorpusEdges, HaveSpecialValuesThroughEveryPairOfDtypes) {
  for (const int32_t source : {TWINCHECK_WEIGHTS, TWINCHECK_LOGITS}) {
    for (const Dtype from : {Dtype::kF32, Dtype::kBf16, Dtype::kF16}) {
      for (const Dtype to : {Dtype::kF32, Dtype::kBf16, Dtype::kF16}) {
        EXPECT_TRUE(any_edge([&](const Case& c) {
          return c.source == source && c.shared_dtype == from && c.weights_dtype == to &&
                 c.shared_values == ValueClass::kSpecials && c.tokens * c.shared >= 48;
        })) << source
            << " " << name(from) << " to " << name(to);
      }
    }
  }
}

TEST(CorpusEdges, HaveTheScalesThatMatterForEverySourceThatTakesOne) {
  for (const int32_t source : {TWINCHECK_CONSTANT, TWINCHECK_LOGITS, TWINCHECK_GATE}) {
    for (const float scale : {0.0f, -1.0f, 1e-30f, 1e10f}) {
      EXPECT_TRUE(any_edge([&](const Case& c) {
        return c.source == source && c.scale_bits == std::bit_cast<uint32_t>(scale);
      })) << source
          << " " << scale;
    }
  }
}

TEST(CorpusEdges, HaveEveryLayoutClassOfEveryMatrix) {
  for (int o = 0; o < kOperands; ++o) {
    const auto operand = static_cast<Operand>(o);
    const std::string who(kOperandNames[static_cast<std::size_t>(o)]);
    const auto has = [&](const char* what, const std::function<bool(const Layout&)>& wanted) {
      EXPECT_TRUE(any_edge([&](const Case& c) { return c.tokens > 1 && is_used(c, operand) && wanted(c.of(operand)); }))
          << who << ": " << what;
    };
    has("offset", [](const Layout& l) { return l.offset != 0; });
    has("ends at a page", [](const Layout& l) { return l.place == Place::kEnd; });
    has("begins at a page", [](const Layout& l) { return l.place == Place::kBegin; });
    if (operand == Operand::kGate) continue;
    has("odd stride", [](const Layout& l) { return l.row_stride.value_or(0) % 2 == 1; });
    has("power of two", [](const Layout& l) { return l.row_stride == 64; });
    has("past 2^31", [](const Layout& l) { return l.row_stride.value_or(0) >= int64_t{1} << 28; });
  }
}

TEST(CorpusEdges, HaveEveryInPlaceFormForEverySource) {
  for (int32_t source = 0; source < 4; ++source) {
    for (const InPlace form : {InPlace::kIds, InPlace::kWeights, InPlace::kBoth})
      EXPECT_TRUE(any_edge([&](const Case& c) { return c.source == source && c.in_place == form && c.tokens > 1; }))
          << source << " " << static_cast<int>(form);
  }
}

// A device alone refuses with runtime_error, and a candidate alone with unsupported.
TEST(CorpusEdges, HaveEachRefusal) {
  std::set<std::string> statuses;
  for (const File& file : files("edges"))
    for (const std::string& line : file.lines) statuses.insert(promised_status(line));
  for (int32_t s = TWINCHECK_OK; s < TWINCHECK_RUNTIME_ERROR; ++s)
    EXPECT_TRUE(statuses.contains(std::string(name(static_cast<Status>(s))))) << name(static_cast<Status>(s));
}

// NAME.case says the reason, and has the cases; a fuzzer's regression is the bytes too, as NAME beside it, which need not be
// a case.
TEST(CorpusRegressions, SayWhatTheyCatch) {
  std::size_t regressions = 0;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(TWINCHECK_CORPUS) / "regressions")) {
    if (!entry.is_regular_file()) continue;
    const fs::path& path = entry.path();
    if (path.extension() != ".case") {
      EXPECT_TRUE(fs::exists(path.string() + ".case")) << path << ": expected the reason beside it, as " << path << ".case";
      ++regressions;
      continue;
    }
    std::ifstream in(path);
    std::string first;
    std::getline(in, first);
    constexpr std::string_view kCatches = "# Catches: ";
    EXPECT_TRUE(first.starts_with(kCatches) && first.size() > kCatches.size() + 20)
        << path << ": expected '# Catches: ' and what was wrong";
    const fs::path bytes = fs::path(path).replace_extension();
    EXPECT_TRUE(!read_file(path.string()).cases.empty() || fs::exists(bytes)) << path;
  }
  EXPECT_GT(regressions, 0u);
}

}  // namespace
}  // namespace twincheck
