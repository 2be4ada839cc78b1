// The mutants' table is complete, a patch that no longer applies is an error, a survivor is told, and every mutant is killed
// by the law that its header names.
#include "harness/cli/mutants.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "harness/case/case.h"
#include "harness/report/formats_test_support.h"
#include "properties/law.h"

namespace twincheck {
namespace {

namespace fs = std::filesystem;
using test::Json;
using test::without_times;

struct Ran {
  int status;
  std::string out;  // both streams
};

Ran run(const std::string& command) {
  std::FILE* pipe = popen((command + " 2>&1 </dev/null").c_str(), "r");
  if (pipe == nullptr) return {-1, "popen failed"};
  Ran ran{0, {}};
  char buffer[4096];
  for (std::size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) ran.out.append(buffer, n);
  const int status = pclose(pipe);
  ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ran;
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

class Folder : public testing::Test {
 protected:
  Folder() {
    std::string name = (fs::temp_directory_path() / "twincheck-mutants-XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~Folder() override {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }
  std::string write(const std::string& name, const std::string& contents) {
    const fs::path path = folder_ / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << contents;
    return path.string();
  }
  std::string read(const std::string& name) {
    std::ostringstream words;
    words << std::ifstream(folder_ / name).rdbuf();
    return words.str();
  }

  fs::path folder_;
};

std::string header(const std::string& law, const std::string& id = "017") {
  return fmt::format("id: {}\nsentence: Two and two are five.\nlaw: {}\n\n", id, law);
}
const std::string kPatch =
    "--- a/optimized/sum.h\n+++ b/optimized/sum.h\n@@ -1,3 +1,3 @@\n // Sums.\n-inline int sum = 4;\n+inline int sum = 5;\n"
    " // The end.\n";

// ---- the table

TEST(MutantTable, IsComplete) {
  const std::vector<Mutant> mutants = mutants_in(TWINCHECK_MUTANT_PATCHES, /*libraries=*/false);
  EXPECT_GE(mutants.size(), 40u);
  std::set<std::string> names, sentences;
  for (const Mutant& m : mutants) {
    EXPECT_TRUE(names.insert(m.name).second) << m.name << " is there twice";
    EXPECT_TRUE(sentences.insert(m.sentence).second) << m.id << ": another mutant has the sentence '" << m.sentence << "'";
    EXPECT_EQ(m.sentence.back(), '.') << m.id << ": " << m.sentence;
  }
}

// Public bugs of kernels of this family, as far as a kernel of one launch can have them.
TEST(MutantTable, HasEveryPublicBug) {
  std::set<std::string> missing{"sglang#26845",         "sglang#28237",      "sglang#32340",    "sglang#6736",
                                "sglang#8125",          "aiter#5255",        "sglang#40362",    "TransformerEngine#2908",
                                "DLBlas#171",           "Liger-Kernel#1248", "FreeToken#186",   "Megatron-LM#3626",
                                "vLLM#57167",           "sglang#36407",      "aiter#5292",      "DeepSelect#5",
                                "tokenspeed#683",       "flashinfer#2889",   "sglang#39351",    "vllm-backport#65",
                                "vllm-ascend#15714",    "vLLM#52383",        "sglang#25175",    "vLLM#57036",
                                "vllm-xpu-kernels#571", "TileKernels#28",    "flashinfer#3946", "sglang#35113"};
  for (const Mutant& m : mutants_in(TWINCHECK_MUTANT_PATCHES, /*libraries=*/false)) missing.erase(m.bug);
  for (const std::string& bug : missing) ADD_FAILURE() << "no mutant for " << bug;
}

using MutantHeader = Folder;

TEST_F(MutantHeader, IsRead) {
  const Mutant m = read_mutant(write("017-two-and-two.patch", "bug: sums#1\n" + header("gaps") + kPatch));
  EXPECT_EQ(m.id, "017");
  EXPECT_EQ(m.name, "two-and-two");
  EXPECT_EQ(m.sentence, "Two and two are five.");
  EXPECT_EQ(m.bug, "sums#1");
  EXPECT_EQ(m.law, "gaps");
  const Mutant library = read_mutant(write("libmutant_017_two_and_two.patch", header("rows_permute") + kPatch));
  EXPECT_EQ(library.name, m.name);
}

TEST_F(MutantHeader, IsRefusedByNameWhereSomethingIsMissing) {
  const auto message = [&](const std::string& name, const std::string& contents) -> std::string {
    try {
      (void)read_mutant(write(name, contents));
    } catch (const FileError& e) {
      return e.what();
    }
    return "accepted";
  };
  const auto expect = [&](const std::string& said, std::string_view part) {
    EXPECT_TRUE(has(said, part) && has(said, "017-")) << said;
  };
  expect(message("017-a.patch", header("no_such_law") + kPatch), "law: NAME");
  expect(message("017-b.patch", "id: 017\nsentence: So.\n" + kPatch), "law: NAME");
  expect(message("017-c.patch", "id: 017\nlaw: gaps\n" + kPatch), "sentence:");
  expect(message("017-d.patch", header("gaps", "018") + kPatch), "begins with its id");
  expect(message("017-e.patch", header("gaps", "17") + kPatch), "id: NNN");
  expect(message("017-f.patch", header("gaps")), "--- ");
  expect(message("017-g.patch", "bug: sums\n" + header("gaps") + kPatch), "project#number");
  write("017-h.patch", header("gaps") + kPatch);
  fs::remove(folder_ / "017-a.patch");
  for (const char* bad : {"b", "c", "d", "e", "f", "g"}) fs::remove(folder_ / fmt::format("017-{}.patch", bad));
  write("017-i.patch", header("gaps") + kPatch);
  EXPECT_THROW((void)mutants_in(folder_.string(), /*libraries=*/false), FileError) << "two mutants with one id";
}

// ---- the patches

class MutantPatch : public Folder {
 protected:
  Ran apply(const std::string& patch) {
    return run(fmt::format(
        "'{0}' -D PATCH='{1}' -D SOURCES='{2}/src' -D INTO='{2}/copy' -D BESIDE='{2}/beside.patch' -D PROGRAM='{3}' "
        "-P '{4}/apply.cmake'",
        TWINCHECK_CMAKE, patch, folder_.string(), TWINCHECK_PATCH_PROGRAM, TWINCHECK_MUTANT_PATCHES));
  }
};

TEST_F(MutantPatch, ChangesACopyAlone) {
  const std::string source = "// Sums.\ninline int sum = 4;\n// The end.\n";
  write("src/optimized/sum.h", "// A line more is no other context.\n" + source);
  const Ran ran = apply(write("017-two-and-two.patch", header("gaps") + kPatch));
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_TRUE(has(read("copy/optimized/sum.h"), "sum = 5"));
  EXPECT_EQ(read("beside.patch"), header("gaps") + kPatch);
  EXPECT_TRUE(has(read("src/optimized/sum.h"), "sum = 4"));
}

TEST_F(MutantPatch, ThatNoLongerAppliesIsAnErrorThatNamesIt) {
  // Not a word of context may differ.
  for (const char* source :
       {"// Sums.\ninline int sum = 3;\n// The end.\n", "// Sum.\ninline int sum = 4;\n// The end.\n"}) {
    write("src/optimized/sum.h", source);
    const Ran ran = apply(write("017-two-and-two.patch", header("gaps") + kPatch));
    EXPECT_NE(ran.status, 0);
    EXPECT_TRUE(has(ran.out, "017-two-and-two.patch no longer applies")) << ran.out;
    EXPECT_FALSE(fs::exists(folder_ / "copy")) << "nothing is left to be compiled";
  }
  fs::remove(folder_ / "src/optimized/sum.h");
  const Ran ran = apply((folder_ / "017-two-and-two.patch").string());
  EXPECT_NE(ran.status, 0);
  EXPECT_TRUE(has(ran.out, "017-two-and-two.patch no longer applies")) << ran.out;
}

// ---- the stage

class MutantStage : public Folder {
 protected:
  void put(const std::string& library, const std::string& name, const std::string& law) {
    fs::copy_file(library, folder_ / (name + ".so"), fs::copy_options::overwrite_existing);
    write(name + ".patch", header(law, name.substr(10, 3)) + kPatch);
  }
  Ran stage(const std::string& options = "") {
    return run(fmt::format("'{}' mutants --no-color --mutants '{}' {}", TWINCHECK_PROGRAM, folder_.string(), options));
  }
};

std::string library_of(const std::string& name) {
  for (const Mutant& m : mutants_in(TWINCHECK_MUTANT_LIBRARIES, /*libraries=*/true))
    if (m.name == name) return m.library;
  return {};
}

TEST_F(MutantStage, TellsOfASurvivor) {
  put(TWINCHECK_CPU_LIBRARY, "libmutant_900_right", "gaps");
  const Ran ran = stage();
  EXPECT_EQ(ran.status, 1) << ran.out;
  EXPECT_TRUE(has(ran.out, "FAIL mutant 900 right survives: Two and two are five.")) << ran.out;
  EXPECT_TRUE(has(ran.out, "0 of 1 mutants killed")) << ran.out;
}

TEST_F(MutantStage, TellsOfAHeaderThatNamesAnotherLaw) {
  put(library_of("scale-applied-twice"), "libmutant_901_header", "remap_tiles");
  const Ran ran = stage("--cases 200 --no-corpus");
  EXPECT_EQ(ran.status, 1) << ran.out;
  EXPECT_TRUE(
      has(ran.out, "FAIL mutant 901 header is not killed by remap_tiles, as its header says, but by equals_reference"))
      << ran.out;
}

TEST_F(MutantStage, KillsOneThatDiesInItsCalls) {
  put(library_of("null-input-accepted"), "libmutant_902_dies", "no_crash");
  const Ran ran = stage();
  EXPECT_EQ(ran.status, 0) << ran.out;
  EXPECT_TRUE(has(ran.out, "1 of 1 mutants killed")) << ran.out;
}

TEST_F(MutantStage, WantsMutants) {
  Ran ran = stage();
  EXPECT_EQ(ran.status, 2) << ran.out;
  EXPECT_TRUE(has(ran.out, "build the target `mutants`")) << ran.out;
  write("libmutant_903_none.patch", header("gaps", "903") + kPatch);
  write("libmutant_903_none.so", "no library");
  ran = stage();
  EXPECT_EQ(ran.status, 2) << ran.out;
  EXPECT_TRUE(has(ran.out, "mutant 903")) << ran.out;
  fs::remove(folder_ / "libmutant_903_none.patch");
  ran = stage();
  EXPECT_EQ(ran.status, 2) << ran.out;
  EXPECT_TRUE(has(ran.out, "libmutant_903_none.patch")) << "a library without its header: " << ran.out;
}

Json report_in(const fs::path& folder) {
  std::ifstream file(folder / "results.json");
  return Json::parse(file);
}

TEST_F(MutantStage, ShardsTryEachMutantOnceAndMergeIntoTheWholeMatrix) {
  for (const char* name : {"scale-applied-twice", "remap-inserts-one-slot", "null-input-accepted", "last-row-left-out"}) {
    const fs::path library = library_of(name);
    for (const fs::path& file : {library, fs::path(library).replace_extension(".patch")})
      fs::copy_file(file, folder_ / file.filename());
  }
  const std::string some = "--no-corpus --report ";
  const Ran whole = stage(some + (folder_ / "whole").string());
  EXPECT_EQ(whole.status, 0) << whole.out;
  std::string reports;
  for (const std::string part : {"0", "1", "2", "3", "4"}) {  // the last one is empty
    const Ran ran = stage(some + (folder_ / part).string() + " --shard " + part + "/5");
    EXPECT_EQ(ran.status, 0) << ran.out;
    EXPECT_EQ(has(ran.out, "is empty"), part == "4") << ran.out;
    reports += fmt::format(" '{}'", (folder_ / part).string());
  }
  const Ran merged =
      run(fmt::format("'{}' merge {} --report '{}'", TWINCHECK_PROGRAM, reports, (folder_ / "merged").string()));
  EXPECT_EQ(merged.status, 0) << merged.out;
  EXPECT_EQ(Json::diff(without_times(report_in(folder_ / "whole")), without_times(report_in(folder_ / "merged"))),
            Json::array());
}

// Mutants and fuzzers are units of the gate's work too.
TEST_F(MutantStage, ShardsOfTheGateDoTogetherWhatTheGateDoes) {
  put(library_of("scale-applied-twice"), "libmutant_901_one", "equals_reference");
  put(library_of("last-row-left-out"), "libmutant_902_other", "equals_reference");
  const auto gate = [&](const std::string& name, const std::string& shard) {
    return run(
        fmt::format("'{}' gate --no-color --platform cpu --no-corpus --cases 500 --seed 1 --save '' --mutants '{}' "
                    "--report '{}' {}",
                    TWINCHECK_PROGRAM, folder_.string(), (folder_ / name).string(), shard));
  };
  const auto fuzzers = [](const std::string& out) {
    std::multiset<std::string> names;
    for (const char* name : {"fuzz_wrapper", "fuzz_append", "fuzz_sequence", "fuzz_case"})
      for (std::size_t at = 0; (at = out.find(fmt::format("\n{}: ", name), at)) != std::string::npos; ++at)
        names.insert(name);
    return names;
  };
  const Ran whole = gate("whole", "");
  EXPECT_EQ(whole.status, 0) << whole.out;
  EXPECT_EQ(fuzzers(whole.out).size(), 4u);
  std::multiset<std::string> fuzzed;
  std::string reports;
  for (const std::string part : {"0", "1", "2"}) {
    const Ran ran = gate(part, "--shard " + part + "/3");
    EXPECT_EQ(ran.status, 0) << ran.out;
    fuzzed.merge(fuzzers(ran.out));
    reports += fmt::format(" '{}'", (folder_ / part).string());
  }
  EXPECT_EQ(fuzzed, fuzzers(whole.out));
  const Ran merged =
      run(fmt::format("'{}' merge {} --report '{}'", TWINCHECK_PROGRAM, reports, (folder_ / "merged").string()));
  EXPECT_EQ(merged.status, 0) << merged.out;
  EXPECT_EQ(Json::diff(without_times(report_in(folder_ / "whole")), without_times(report_in(folder_ / "merged"))),
            Json::array());
}

// ---- the matrix

// The page's table has a row for each law, `| law | us | wrong candidates | mutants |`: all of those it breaks by its own
// statement.
void expect_kills_of_the_page(const KillMatrix& matrix) {
  std::set<std::string> named;
  std::ifstream page(TWINCHECK_LAWS_PAGE);
  for (std::string line; std::getline(page, line);) {
    std::istringstream cells(line);
    std::vector<std::string> row;
    for (std::string cell; std::getline(cells, cell, '|');) row.push_back(cell);
    if (row.size() != 5) continue;
    std::istringstream first(row[1]), ids(row[4]);
    std::string name;
    first >> name;
    const Law* law = find_law(name);
    if (law == nullptr) continue;
    named.insert(name);
    for (std::string id; ids >> id;) {
      const auto mutant = std::find_if(matrix.mutants.begin(), matrix.mutants.end(),
                                       [&](const MutantResult& r) { return r.mutant.id == id; });
      ASSERT_NE(mutant, matrix.mutants.end()) << TWINCHECK_LAWS_PAGE << ": " << name << ": no mutant " << id;
      EXPECT_TRUE(mutant->laws[static_cast<std::size_t>(law - laws().data())].by_itself)
          << TWINCHECK_LAWS_PAGE << ": " << name << " does not break by itself on mutant " << id
          << "; expected one with an x in its column: twincheck mutants";
    }
    EXPECT_NE(row[4].find_first_of("0123456789"), std::string::npos) << name << ": no mutant is named";
  }
  for (const Law& law : laws())
    EXPECT_TRUE(named.count(std::string(law.name))) << TWINCHECK_LAWS_PAGE << ": no row of " << law.name;
}

TEST(KillMatrix, HasNoSurvivorAndNoHeaderThatIsWrong) {
  MatrixOptions options;
  options.corpus = std::string(TWINCHECK_CORPUS) + "/edges";
  options.jobs = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  options.limits.timeout = 30;
  const KillMatrix matrix = run_mutants(mutants_in(TWINCHECK_MUTANT_LIBRARIES, /*libraries=*/true), options);
  std::cout << matrix_text(matrix) << matrix_summary(matrix);
  for (const MutantResult& r : matrix.mutants) EXPECT_EQ(complaint(r), "");
  EXPECT_TRUE(matrix.good());
  EXPECT_EQ(matrix.mutants.size(), mutants_in(TWINCHECK_MUTANT_PATCHES, /*libraries=*/false).size()) << "all are built";
  EXPECT_GE(matrix.rare(), 15u) << "wrong on fewer than 1 % of default cases";
  EXPECT_LE(matrix.median_first(), 100u) << "cases until half of the mutants are killed";
  EXPECT_TRUE(matrix.idle_laws().empty()) << "laws that no mutant puts on trial";
  expect_kills_of_the_page(matrix);
}

}  // namespace
}  // namespace twincheck
