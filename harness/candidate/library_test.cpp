#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "harness/candidate/worker.h"

namespace twincheck {
namespace {

const std::string kFolder = TWINCHECK_TEST_LIBRARIES;

std::string library(const std::string& name) { return kFolder + "/lib" + name + ".so"; }

std::string refusal_of(const std::string& path) {
  try {
    (void)probe_candidate(path);
  } catch (const LoadError& e) {
    return e.what();
  }
  return "loaded";
}

TEST(LoadCandidate, AsksTheLibraryForItsName) {
  const CandidateInfo info = probe_candidate(library("candidate_independent"));
  EXPECT_EQ(info.name, "independent.plain");
  EXPECT_EQ(info.memory, MemoryKind::kHost);
}

TEST(LoadCandidate, KnowsWhoIsHeldToTheTablesStatus) {
  unsetenv("TAMPER");
  EXPECT_TRUE(probe_candidate(library("candidate_tampering")).exact_status);
  EXPECT_FALSE(probe_candidate(library("candidate_tampering")).takes_turns);
  setenv("TAMPER_EXACT", "0", 1);
  EXPECT_FALSE(probe_candidate(library("candidate_tampering")).exact_status);
  unsetenv("TAMPER_EXACT");
}

struct Bad {
  const char* name;
  const char* says;
};

TEST(LoadCandidate, SaysWhyALibraryIsNone) {
  for (const Bad& bad :
       {Bad{"candidate_bad_no_symbols", "exports no twincheck_abi"},
        Bad{"candidate_bad_version", "version 2 of the ABI, expected version 1"},
        Bad{"candidate_bad_no_append", "exports no twincheck_append"},
        Bad{"candidate_bad_memory_kind", "twincheck_memory_kind() is 7"}, Bad{"candidate_bad_null_name", "gave no name"},
        Bad{"candidate_bad_dies_at_load", "SIGABRT"}, Bad{"candidate_bad_unresolved", "twincheck_test_defined_nowhere"}}) {
    const std::string what = refusal_of(library(bad.name));
    EXPECT_NE(what.find(bad.says), std::string::npos) << what;
    EXPECT_NE(what.find(library(bad.name)), std::string::npos) << what;
  }
}

TEST(LoadCandidate, RefusesAFileThatIsNoLibrary) {
  const std::string path = testing::TempDir() + "no_library.so";
  std::ofstream(path) << "text";
  EXPECT_NE(refusal_of(path).find("cannot be loaded"), std::string::npos);
  std::filesystem::remove(path);
}

TEST(FindLibrary, NamesThePlacesItLookedIn) {
  setenv("TWINCHECK_PATH", "/nowhere/a:/nowhere/b", 1);
  std::string what;
  try {
    (void)find_library("libnothing.so");
  } catch (const LoadError& e) {
    what = e.what();
  }
  unsetenv("TWINCHECK_PATH");
  const std::string beside = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  for (const std::string& place : {beside, std::string("/lib,"), std::string("/nowhere/a"), std::string("/nowhere/b")})
    EXPECT_NE(what.find(place), std::string::npos) << what;
}

TEST(FindLibrary, LooksInTwincheckPath) {
  setenv("TWINCHECK_PATH", ("/nowhere:" + kFolder).c_str(), 1);
  EXPECT_EQ(find_library("libcandidate_independent.so"), library("candidate_independent"));
  unsetenv("TWINCHECK_PATH");
}

TEST(FindLibrary, TakesAPathAsItIs) {
  EXPECT_EQ(find_library(library("candidate_independent")), library("candidate_independent"));
  EXPECT_THROW((void)find_library("./nothing.so"), LoadError);
  EXPECT_THROW((void)find_library("/tmp"), LoadError);
  EXPECT_THROW((void)find_library(""), LoadError);
}

}  // namespace
}  // namespace twincheck
