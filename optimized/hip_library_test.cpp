// Reads the hip platform's libraries as files: there need not be an AMD GPU, nor ROCm, to see that the AMD build is whole.
#include <cxxabi.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "optimized/elf.h"

namespace twincheck {
namespace {

using elf::at;
using elf::Symbol;
using elf::symbols_of;

using Bytes = std::vector<char>;

Bytes read_library(const std::string& name) { return elf::read(TWINCHECK_LIBRARIES "/" + name); }

std::set<std::string> exports_of(std::string_view elf) {
  std::set<std::string> names;
  for (const Symbol& s : symbols_of(elf, SHT_DYNSYM)) {
    if (s.defined && s.global && s.visible) names.insert(s.name);
  }
  return names;
}

std::string demangled(const std::string& name) {
  int status = 0;
  char* const text = abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  std::string result = status == 0 ? text : "";
  std::free(text);
  return result;
}

// The template arguments of `function` where `text` names one, and "" otherwise: "<int, twincheck::optimized::F32>".
std::string arguments_of(const std::string& function, const std::string& text) {
  const std::size_t start = text.find("::" + function + "<");
  if (start == std::string::npos) return "";
  const std::size_t open = start + 2 + function.size();
  int depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    depth += text[i] == '<' ? 1 : text[i] == '>' ? -1 : 0;
    if (depth == 0) return text.substr(open, i + 1 - open);
  }
  return "";
}

// The device code of a clang offload bundle, by target.
std::map<std::string, std::string_view> code_objects_of(std::string_view library) {
  constexpr std::string_view kMagic = "__CLANG_OFFLOAD_BUNDLE__";
  std::map<std::string, std::string_view> objects;
  const std::size_t start = library.find(kMagic);
  if (start == std::string_view::npos) return objects;
  const std::string_view bundle = library.substr(start);
  const auto count = at<uint64_t>(bundle, kMagic.size());
  uint64_t entry = kMagic.size() + 8;
  for (uint64_t i = 0; i < count; ++i) {
    const auto offset = at<uint64_t>(bundle, entry), size = at<uint64_t>(bundle, entry + 8),
               length = at<uint64_t>(bundle, entry + 16);
    objects.emplace(bundle.substr(entry + 24, length), bundle.substr(offset, size));
    entry += 24 + length;
  }
  return objects;
}

std::string_view gfx90a_of(const Bytes& library) {
  for (const auto& [target, object] : code_objects_of({library.data(), library.size()})) {
    if (target.find("gfx90a") != std::string::npos) return object;
  }
  throw std::runtime_error("the library holds no code object for gfx90a");
}

// A kernel, and the function that launches it, which has the same template arguments.
struct Kernel {
  const char* kernel;
  const char* launcher;
  std::size_t instantiations;
};

void expect_every_kernel(const char* hip_library, const char* cpu_library, const std::vector<Kernel>& kernels) {
  const Bytes hip = read_library(hip_library), cpu = read_library(cpu_library);
  std::vector<std::string> device, host;
  for (const Symbol& s : symbols_of(gfx90a_of(hip), SHT_SYMTAB)) {
    constexpr std::string_view kDescriptor = ".kd";
    const bool is_kernel = s.name.size() > 3 && s.name.substr(s.name.size() - 3) == kDescriptor;
    if (is_kernel) device.push_back(demangled(s.name.substr(0, s.name.size() - 3)));
  }
  // A compiler adds a suffix to the name of a function that it has specialized.
  for (const Symbol& s : symbols_of({cpu.data(), cpu.size()}, SHT_SYMTAB))
    host.push_back(demangled(s.name.substr(0, s.name.find('.'))));
  std::size_t expected = 0;
  for (const Kernel& k : kernels) {
    std::set<std::string> on_device, on_host;
    for (const std::string& text : device) on_device.insert(arguments_of(k.kernel, text));
    for (const std::string& text : host) on_host.insert(arguments_of(k.launcher, text));
    on_device.erase("");
    on_host.erase("");
    EXPECT_EQ(on_host.size(), k.instantiations) << k.launcher << " in " << cpu_library;
    EXPECT_EQ(on_device, on_host) << k.kernel;
    expected += k.instantiations;
  }
  EXPECT_EQ(device.size(), expected) << "kernels in " << hip_library;
}

TEST(HipLibrary, ExportsTheAbiAndNothingElse) {
  const std::set<std::string> abi{"twincheck_abi",        "twincheck_name", "twincheck_memory_kind", "twincheck_append",
                                  "twincheck_last_error", "twincheck_set",  "twincheck_get"};
  for (const char* name :
       {"libtwincheck_hip.so", "libtwincheck_hip_unfused.so", "libtwincheck_cpu.so", "libtwincheck_cpu_unfused.so"}) {
    const Bytes library = read_library(name);
    EXPECT_EQ(exports_of({library.data(), library.size()}), abi) << name;
  }
}

TEST(HipLibrary, HoldsCodeForGfx90a) {
  constexpr uint32_t kMachineMask = 0xff, kGfx90a = 0x3f;
  for (const char* name : {"libtwincheck_hip.so", "libtwincheck_hip_unfused.so"}) {
    const Bytes library = read_library(name);
    const auto header = at<Elf64_Ehdr>(gfx90a_of(library), 0);
    EXPECT_EQ(header.e_machine, EM_AMDGPU) << name;
    EXPECT_EQ(header.e_flags & kMachineMask, kGfx90a) << name;
  }
}

TEST(HipLibrary, HoldsEveryKernelThatTheCpuLibraryHas) {
  expect_every_kernel("libtwincheck_hip.so", "libtwincheck_cpu.so",
                      {{"append_kernel", "(anonymous namespace)::launch", 60}});
}

TEST(HipLibrary, HoldsEveryKernelOfTheBaseline) {
  expect_every_kernel("libtwincheck_hip_unfused.so", "libtwincheck_cpu_unfused.so",
                      {{"fill_kernel", "fill", 2},
                       {"cast_kernel", "cast", 30},
                       {"concat_ids_kernel", "concat_ids", 2},
                       {"concat_weights_kernel", "concat_weights", 3}});
}

}  // namespace
}  // namespace twincheck
