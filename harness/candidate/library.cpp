#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <vector>

#include "harness/candidate/adapter.h"
#include "harness/candidate/candidate.h"

namespace twincheck {
namespace {

namespace fs = std::filesystem;

bool is_file(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored);
}

std::vector<fs::path> library_places() {
  std::vector<fs::path> places;
  std::error_code none;
  const fs::path executable = fs::read_symlink("/proc/self/exe", none);
  if (!none) {
    places.push_back(executable.parent_path());
    places.push_back(executable.parent_path().parent_path() / "lib");
  }
  if (const char* list = std::getenv("TWINCHECK_PATH")) {
    std::string_view rest = list;
    while (!rest.empty()) {
      const std::size_t colon = rest.find(':');
      if (const std::string_view place = rest.substr(0, colon); !place.empty()) places.emplace_back(place);
      if (colon == std::string_view::npos) break;
      rest.remove_prefix(colon + 1);
    }
  }
  return places;
}

template <typename Function>
Function* symbol(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

template <typename Function>
Function* required(void* library, const std::string& path, const char* name) {
  auto* function = symbol<Function>(library, name);
  if (function == nullptr)
    throw LoadError(
        fmt::format("{} is not a candidate: it exports no {} (contract/candidate.h says what it must export)", path, name));
  return function;
}

// Files that a library of ours serves: by their extension.
struct Adapter {
  std::string_view extension, library, needs;
};
constexpr Adapter kAdapters[] = {
    {".py", "libtwincheck_python.so",
     "it is built where there are Python and pybind11: `apt-get install python3-dev pybind11-dev python3-numpy`, then "
     "configure and build again"},
    {".cubin", "libtwincheck_code_object.so", "it is built with the program"},
    {".hsaco", "libtwincheck_code_object.so", "it is built with the program"},
};

const Adapter* adapter_for(const std::string& path) {
  for (const Adapter& a : kAdapters)
    if (fs::path(path).extension() == a.extension) return &a;
  return nullptr;
}

std::string adapter_library(const Adapter& adapter, const std::string& path) {
  try {
    return find_library(std::string(adapter.library));
  } catch (const LoadError&) {
    throw LoadError(fmt::format("{} needs {}, which is not here; {}", path, adapter.library, adapter.needs));
  }
}

}  // namespace

std::string find_library(const std::string& path_or_name) {
  if (path_or_name.empty()) throw LoadError("an empty name is no library: expected the path of a candidate");
  if (is_file(path_or_name)) return fs::absolute(path_or_name).lexically_normal().string();
  if (path_or_name.find('/') != std::string::npos) {
    std::error_code ignored;
    if (fs::exists(path_or_name, ignored)) throw LoadError(fmt::format("{} is not a file", path_or_name));
    throw LoadError(fmt::format("{}: no such file", path_or_name));
  }
  std::string tried = "the current folder";
  for (const fs::path& place : library_places()) {
    if (is_file(place / path_or_name)) return (place / path_or_name).lexically_normal().string();
    tried += ", " + place.string();
  }
  throw LoadError(
      fmt::format("{}: no such library in {}; give its path, or its folder in TWINCHECK_PATH", path_or_name, tried));
}

Candidate load_candidate(const std::string& path_or_name) {
  const std::string path = find_library(path_or_name);
  Candidate candidate;
  candidate.path = path;
  const Adapter* const adapter = adapter_for(path);
  const std::string library = adapter != nullptr ? adapter_library(*adapter, path) : path;
  void* handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw LoadError(fmt::format("{} cannot be loaded: {}", library, dlerror()));
  candidate.library = std::shared_ptr<void>(handle, [](void* h) { dlclose(h); });

  const int32_t abi = required<decltype(twincheck_abi)>(handle, path, "twincheck_abi")();
  if (abi != TWINCHECK_ABI)
    throw LoadError(fmt::format("{} speaks version {} of the ABI, expected version {}", path, abi, TWINCHECK_ABI));
  auto* const name_of = required<decltype(twincheck_name)>(handle, path, "twincheck_name");
  auto* const memory_of = required<decltype(twincheck_memory_kind)>(handle, path, "twincheck_memory_kind");
  candidate.append = required<decltype(twincheck_append)>(handle, path, "twincheck_append");
  candidate.last_error = symbol<decltype(twincheck_last_error)>(handle, "twincheck_last_error");
  candidate.set = symbol<decltype(twincheck_set)>(handle, "twincheck_set");
  candidate.get = symbol<decltype(twincheck_get)>(handle, "twincheck_get");
  auto* const open = symbol<decltype(twincheck_open)>(handle, "twincheck_open");
  if (adapter == nullptr && open != nullptr)
    throw LoadError(fmt::format("{} is an adapter, expected the file that it is to load", path));
  if (adapter != nullptr && required<decltype(twincheck_open)>(handle, library, "twincheck_open")(path.c_str()) != 0)
    throw LoadError(fmt::format("{} is not a candidate: {}", path,
                                candidate.last_error != nullptr ? candidate.last_error() : "no reason given"));

  const char* name = name_of();
  if (name == nullptr || *name == 0)
    throw LoadError(fmt::format("{}: twincheck_name() gave no name, expected one like \"cpu.fused\"", path));
  candidate.name = name;
  const int32_t memory = memory_of();
  if (word(kMemoryKindNames, memory) == "?")
    throw LoadError(fmt::format("{}: twincheck_memory_kind() is {}, expected 0 (host), 1 (hip) or 2 (cuda)", path, memory));
  candidate.memory = static_cast<MemoryKind>(memory);
  candidate.exact_status = candidate.get != nullptr && candidate.get("exact_status") == 1;
  candidate.takes_turns = candidate.get != nullptr && candidate.get("takes_turns") == 1;
  return candidate;
}

}  // namespace twincheck
