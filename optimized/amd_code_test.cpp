// The machine code that compilers make of the kernels for AMD GPUs, read as files: no GPU, and no ROCm but its headers.
#include "optimized/amd_code.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "optimized/elf.h"
#include "optimized/plan.h"

namespace twincheck::amd {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

struct Target {
  const char* name;
  uint32_t machine;  // EF_AMDGPU_MACH, the low byte of e_flags
  int wave;
  const char* compiler;  // as messages name it
  const char* version;   // what that compiler says of itself; empty where it is not here
  Tools tools;
};

void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

const std::vector<Target>& targets() {
  static const Tools rocm{TWINCHECK_ROCM_READOBJ, TWINCHECK_ROCM_OBJDUMP},
      clang{TWINCHECK_CLANG_READOBJ, TWINCHECK_CLANG_OBJDUMP};
  static const std::vector<Target> all{{"gfx90a", 0x3f, 64, "hipcc", TWINCHECK_ROCM_VERSION, rocm},
                                       {"gfx942", 0x4c, 64, "clang-22", TWINCHECK_CLANG_VERSION, clang},
                                       {"gfx950", 0x4f, 64, "clang-22", TWINCHECK_CLANG_VERSION, clang},
                                       {"gfx1100", 0x41, 32, "clang-22", TWINCHECK_CLANG_VERSION, clang},
                                       {"gfx1201", 0x4e, 32, "clang-22", TWINCHECK_CLANG_VERSION, clang}};
  return all;
}

std::string path_of(const Target& target) { return std::string(TWINCHECK_CODE_OBJECTS "/") + target.name + ".co"; }

// Read once a target.
const std::vector<KernelCode>& kernels_of(const Target& target) {
  static std::map<std::string, std::vector<KernelCode>> read;
  auto [found, is_new] = read.try_emplace(target.name);
  if (is_new) found->second = read_code_object(path_of(target), target.tools);
  return found->second;
}

class AmdCode : public testing::TestWithParam<Target> {
 protected:
  void SetUp() override {
    if (*GetParam().version == 0) GTEST_SKIP() << "not here: compiler " << GetParam().compiler;
  }
};

TEST_P(AmdCode, IsAPlainElfFileForItsTarget) {
  const std::vector<char> file = elf::read(path_of(GetParam()));
  const Elf64_Ehdr header = elf::header_of({file.data(), file.size()});
  EXPECT_EQ(header.e_machine, EM_AMDGPU);
  EXPECT_EQ(header.e_flags & 0xff, GetParam().machine);
}

TEST_P(AmdCode, HasEveryKernelWithTheArgumentsThatThePlanFills) {
  const std::vector<KernelCode>& kernels = kernels_of(GetParam());
  EXPECT_EQ(kernels.size(), 60U);
  std::ifstream docs(TWINCHECK_SOURCE "/docs/kernel.md");
  const std::string text{std::istreambuf_iterator<char>(docs), {}};
  int documented = 0;
  for (const KernelCode& k : kernels) {
    EXPECT_NE(k.name, k.symbol) << "no kernel of the fused launch";
    EXPECT_EQ(k.arguments, std::vector<int>{static_cast<int>(sizeof(optimized::Arguments))}) << k.name;
    EXPECT_EQ(k.block, static_cast<int>(optimized::kMaxBlock)) << k.name;
    documented += text.find(k.symbol) != std::string::npos ? 1 : 0;
  }
  EXPECT_GE(documented, 1) << "docs/kernel.md shows a symbol that no code object has";
  EXPECT_THAT(text, HasSubstr(std::to_string(sizeof(optimized::Arguments)) + " bytes"));
}

TEST_P(AmdCode, BreaksNoRule) {
  for (const KernelCode& k : kernels_of(GetParam()))
    for (const std::string& fault : faults_of(k)) ADD_FAILURE() << GetParam().name << " " << k.name << ": " << fault;
}

TEST_P(AmdCode, IsForTheWaveOfItsTarget) {
  for (const KernelCode& k : kernels_of(GetParam())) EXPECT_EQ(k.wave, GetParam().wave) << k.name;
}

TEST_P(AmdCode, OnlyTheGateHasSharedMemory) {
  for (const KernelCode& k : kernels_of(GetParam())) {
    const bool is_gate = k.name.find("gate") != std::string::npos;
    EXPECT_EQ(k.shared, is_gate ? static_cast<int>(optimized::kMaxBlock * sizeof(float)) : 0) << k.name;
  }
}

// The budget: a line a target and kernel of ci/amd-code.tsv, and the compiler that it was taken from.
struct Budget {
  std::string compiler;
  std::map<std::string, std::vector<int>> rows;
};
constexpr const char* kBudgetFile = TWINCHECK_SOURCE "/ci/amd-code.tsv";
const std::vector<const char*> kColumns{"vgprs", "sgprs", "instructions", "decode", "loads_of_16", "stores_of_16"};
constexpr std::size_t kMoreIsBetter = 4;  // from this column on

std::vector<int> row_of(const KernelCode& k) {
  return {k.vgprs,
          k.sgprs,
          k.instructions,
          k.decode,
          k.starting({"global_load_dwordx4", "global_load_b128"}),
          k.starting({"global_store_dwordx4", "global_store_b128"})};
}

std::map<std::string, Budget> read_budget() {
  std::map<std::string, Budget> budget;
  std::ifstream file(kBudgetFile);
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string target, kernel, field;
    std::getline(fields, target, '\t');
    std::getline(fields, kernel, '\t');
    if (target.empty() || target[0] == '#') {
      if (target == "# compiler") {
        std::getline(fields, field);
        budget[kernel].compiler = field;
      }
      continue;
    }
    while (std::getline(fields, field, '\t')) budget[target].rows[kernel].push_back(std::stoi(field));
  }
  return budget;
}

void write_budget(const Target& target, const std::vector<KernelCode>& kernels) {
  std::map<std::string, Budget> budget = read_budget();
  Budget& own = budget[target.name];
  own = {target.version, {}};
  for (const KernelCode& k : kernels) own.rows[k.name] = row_of(k);
  std::ofstream file(kBudgetFile);
  file << "# What each kernel may cost on each target: docs/kernel.md. TWINCHECK_UPDATE_BUDGET=1 before the test rewrites "
          "it.\n";
  for (const auto& [name, of_target] : budget) file << "# compiler\t" << name << '\t' << of_target.compiler << '\n';
  file << "# target\tkernel";
  for (const char* column : kColumns) file << '\t' << column;
  file << '\n';
  for (const auto& [name, of_target] : budget) {
    for (const auto& [kernel, row] : of_target.rows) {
      file << name << '\t' << kernel;
      for (const int n : row) file << '\t' << n;
      file << '\n';
    }
  }
}

TEST_P(AmdCode, StaysInItsBudget) {
  const Target& target = GetParam();
  const std::vector<KernelCode>& kernels = kernels_of(target);
  if (std::getenv("TWINCHECK_UPDATE_BUDGET") != nullptr) write_budget(target, kernels);
  const Budget budget = read_budget()[target.name];
  EXPECT_EQ(budget.rows.size(), kernels.size());
  // Another compiler's numbers are shown, and hold nobody to account.
  const bool same_compiler = budget.compiler == target.version;
  std::size_t better = 0;
  for (const KernelCode& k : kernels) {
    const auto allowed = budget.rows.find(k.name);
    ASSERT_NE(allowed, budget.rows.end()) << target.name << " " << k.name << " has no line in ci/amd-code.tsv";
    const std::vector<int> row = row_of(k);
    ASSERT_EQ(allowed->second.size(), row.size()) << k.name;
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (row[i] == allowed->second[i]) continue;
      std::ostringstream difference;
      difference << target.name << " " << k.name << ": " << kColumns[i] << " " << row[i] << ", the budget has "
                 << allowed->second[i];
      const bool worse = i >= kMoreIsBetter ? row[i] < allowed->second[i] : row[i] > allowed->second[i];
      if (worse && same_compiler) ADD_FAILURE() << difference.str();
      if (!worse || !same_compiler) std::cout << difference.str() << '\n';
      better += worse ? 0 : 1;
    }
  }
  if (!same_compiler)
    std::cout << target.name << ": built by " << target.version << ", the budget is for " << budget.compiler << '\n';
  if (better > 0) std::cout << "TWINCHECK_UPDATE_BUDGET=1 with this test writes " << better << " better numbers down\n";
}

INSTANTIATE_TEST_SUITE_P(Targets, AmdCode, testing::ValuesIn(targets()),
                         [](const auto& target) { return std::string(target.param.name); });

// The rules, watched on kernels that break one each: amd_code_faults.hip.
class AmdCodeFaults : public testing::Test {
 protected:
  void SetUp() override {
    if (*TWINCHECK_CLANG_VERSION == 0) GTEST_SKIP() << "not here: compiler clang-22";
  }
  static std::string faults(const std::string& kernel) {
    static const std::vector<KernelCode> all =
        read_code_object(TWINCHECK_CODE_OBJECTS "/faults.co", {TWINCHECK_CLANG_READOBJ, TWINCHECK_CLANG_OBJDUMP});
    std::string text;
    for (const KernelCode& k : all)
      if (k.symbol == kernel)
        for (const std::string& fault : faults_of(k)) text += fault + "; ";
    return text;
  }
};

TEST_F(AmdCodeFaults, NoneIsFoundInAKernelThatHasNone) { EXPECT_EQ(faults("right"), ""); }
TEST_F(AmdCodeFaults, ScratchIsFound) { EXPECT_THAT(faults("scratch"), HasSubstr("scratch memory")); }
TEST_F(AmdCodeFaults, ManyRegistersAreFound) { EXPECT_THAT(faults("registers"), HasSubstr("expected fewer than 64")); }
TEST_F(AmdCodeFaults, A64BitDivisionIsFound) { EXPECT_THAT(faults("division_64"), HasSubstr("integer divisions")); }
TEST_F(AmdCodeFaults, A32BitDivisionIsFound) { EXPECT_THAT(faults("division_32"), HasSubstr("integer divisions")); }
TEST_F(AmdCodeFaults, AFusedMultiplyAddIsFound) {
  EXPECT_THAT(faults("fused"), HasSubstr("1 fused operations, expected 0"));
}
TEST_F(AmdCodeFaults, AnApproximatedDivisionIsFound) { EXPECT_THAT(faults("reciprocal"), HasSubstr("reciprocals")); }
TEST_F(AmdCodeFaults, AnApproximatedFunctionIsFound) { EXPECT_THAT(faults("exponential"), HasSubstr("approximated")); }
TEST_F(AmdCodeFaults, FlushedSubnormalsAreFound) { EXPECT_THAT(faults("flushing"), HasSubstr("MODE")); }
TEST_F(AmdCodeFaults, ConversionsOfTheHardwareAreFound) { EXPECT_THAT(faults("half"), HasSubstr("16-bit floating-point")); }
TEST_F(AmdCodeFaults, NarrowAccessesAreFound) {
  EXPECT_THAT(faults("narrow"), HasSubstr("no 16-byte load"));
  EXPECT_THAT(faults("narrow"), HasSubstr("no 16-byte store"));
}
TEST_F(AmdCodeFaults, ACallIsFound) { EXPECT_THAT(faults("call"), HasSubstr("a call")); }

TEST(AmdCodeReading, AFileThatIsNoCodeObjectIsSaidToBeNone) {
  if (*TWINCHECK_CLANG_VERSION == 0) GTEST_SKIP() << "not here: compiler clang-22";
  EXPECT_THROW(read_code_object(TWINCHECK_SOURCE "/README.md", {TWINCHECK_CLANG_READOBJ, TWINCHECK_CLANG_OBJDUMP}),
               std::runtime_error);
}

}  // namespace
}  // namespace twincheck::amd
