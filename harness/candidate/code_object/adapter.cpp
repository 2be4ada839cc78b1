// libtwincheck_code_object.so: a compiled kernel (*.cubin, *.hsaco) and the JSON beside it as a candidate.
#include <dlfcn.h>
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <mutex>

#include "contract/words.h"
#include "harness/candidate/adapter.h"
#include "harness/candidate/code_object/description.h"
#include "harness/candidate/code_object/hsaco.h"
#include "reference/oracle.h"

namespace twincheck::code_object {
namespace {

namespace fs = std::filesystem;

thread_local std::string last_error;

int32_t answer(int32_t status, std::string words) {
  last_error = std::move(words);
  return status;
}

// The module API, which both runtimes have with the same signatures; 0 is success.
struct Driver {
  int (*load)(void** module, const char* path) = nullptr;
  int (*function)(void** function, void* module, const char* symbol) = nullptr;
  int (*allow)(void* function, int attribute, int value) = nullptr;
  int (*launch)(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                unsigned shared, void* stream, void** parameters, void** extra) = nullptr;
  int (*parameter)(void* function, std::size_t index, std::size_t* offset, std::size_t* bytes) = nullptr;  // CUDA 12.4's
  int (*cuda_error)(int error, const char** name) = nullptr;
  const char* (*hip_error)(int error) = nullptr;

  std::string name_of(int error) const {
    const char* name = nullptr;
    if (cuda_error != nullptr) {
      (void)cuda_error(error, &name);
    } else {
      name = hip_error(error);
    }
    return name != nullptr ? name : fmt::format("error {}", error);
  }
};

constexpr int kMaxDynamicShared = 8;  // CU_FUNC_ATTRIBUTE_ and hipFuncAttributeMaxDynamicSharedMemorySize
constexpr uint32_t kSharedWithoutAsking = 48 << 10;
constexpr int kNoSuchParameter = 1;  // CUDA_ERROR_INVALID_VALUE

struct File {
  std::string path, name;
  MemoryKind memory = MemoryKind::kCuda;
  Description description;
  std::once_flag loaded;
  Driver driver;
  void* function = nullptr;
  std::string trouble;  // why the kernel cannot be launched
};
File* file = nullptr;

template <typename Function>
bool find(void* library, Function& function, const char* symbol) {
  function = reinterpret_cast<Function>(dlsym(library, symbol));
  return function != nullptr;
}

std::string find_driver(MemoryKind memory, Driver& d) {
  if (memory == MemoryKind::kCuda) {
    void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return "libcuda.so.1 cannot be loaded";
    if (find(library, d.load, "cuModuleLoad") && find(library, d.function, "cuModuleGetFunction") &&
        find(library, d.allow, "cuFuncSetAttribute") && find(library, d.launch, "cuLaunchKernel") &&
        find(library, d.cuda_error, "cuGetErrorName")) {
      (void)find(library, d.parameter, "cuFuncGetParamInfo");
      return {};
    }
    return "libcuda.so.1 has no module API";
  }
  for (const char* name : {"libamdhip64.so", "libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5"})
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL); library != nullptr) {
      if (find(library, d.load, "hipModuleLoad") && find(library, d.function, "hipModuleGetFunction") &&
          find(library, d.allow, "hipFuncSetAttribute") && find(library, d.launch, "hipModuleLaunchKernel") &&
          find(library, d.hip_error, "hipGetErrorName"))
        return {};
      return fmt::format("{} has no module API", name);
    }
  return "libamdhip64.so cannot be loaded";
}

fs::path json_of(const fs::path& code_object) { return fs::path(code_object).replace_extension(".json"); }

std::optional<std::string> contents(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return std::nullopt;
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

// What the driver knows of the loaded kernel's parameters against the description; empty where they agree, or where the
// driver is too old to say.
std::string wrong_parameters(const File& f) {
  if (f.driver.parameter == nullptr) return {};
  std::vector<uint64_t> bytes;
  std::size_t offset = 0, size = 0;
  int error = 0;
  while ((error = f.driver.parameter(f.function, bytes.size(), &offset, &size)) == 0) bytes.push_back(size);
  if (error != kNoSuchParameter) return {};
  try {
    hold_against(f.description, bytes);
  } catch (const DescriptionError& e) {
    return fmt::format("{}: {}", json_of(f.path).filename().string(), e.what());
  }
  return {};
}

// In the context of the first call: a module belongs to one.
void load(File& f) {
  f.trouble = find_driver(f.memory, f.driver);
  if (!f.trouble.empty()) return;
  const auto done = [&](const char* step, int error) {
    if (error != 0) f.trouble = fmt::format("{}: {}", step, f.driver.name_of(error));
    return error == 0;
  };
  void* module = nullptr;
  if (!done("loading the module", f.driver.load(&module, f.path.c_str()))) return;
  const std::string& symbol = f.description.symbol;
  if (!done(fmt::format("looking for {}", symbol).c_str(), f.driver.function(&f.function, module, symbol.c_str()))) return;
  if (std::string words = wrong_parameters(f); !words.empty()) {
    f.trouble = std::move(words);
    return;
  }
  if (f.description.shared_memory > kSharedWithoutAsking)
    (void)done("shared_memory",
               f.driver.allow(f.function, kMaxDynamicShared, static_cast<int>(f.description.shared_memory)));
}

int32_t append(const AppendArgs& a) {
  // A kernel by itself has nobody who refuses: it is put to valid cases only.
  if (const Status status = reference::refusal(a); status != Status::kOk)
    return answer(TWINCHECK_UNSUPPORTED, fmt::format("a kernel without a host function refuses nothing ({})", name(status)));
  if (std::string words = unsupported(file->description, a); !words.empty())
    return answer(TWINCHECK_UNSUPPORTED, std::move(words));
  Parameters p = parameters(file->description, a);
  if (!p.trouble.empty()) return answer(TWINCHECK_UNSUPPORTED, std::move(p.trouble));
  const std::optional<uint32_t> grid = blocks(file->description, a);
  if (!grid) return answer(TWINCHECK_UNSUPPORTED, "more blocks than a grid has");
  if (*grid == 0) return TWINCHECK_OK;
  std::call_once(file->loaded, [] { load(*file); });
  if (!file->trouble.empty()) return answer(TWINCHECK_RUNTIME_ERROR, file->trouble);
  std::vector<void*> pointers;
  for (std::vector<std::byte>& value : p.values) pointers.push_back(value.data());
  const std::array<uint32_t, 3>& block = file->description.block;
  const int error = file->driver.launch(file->function, *grid, 1, 1, block[0], block[1], block[2],
                                        file->description.shared_memory, a.stream, pointers.data(), nullptr);
  return error == 0 ? TWINCHECK_OK : answer(TWINCHECK_RUNTIME_ERROR, "launch: " + file->driver.name_of(error));
}

}  // namespace
}  // namespace twincheck::code_object

namespace code_object = twincheck::code_object;

int32_t twincheck_open(const char* path) {
  namespace fs = std::filesystem;
  if (code_object::file != nullptr) {
    if (code_object::file->path == path) return 0;
    return code_object::answer(1, "this process already has the code object " + code_object::file->path);
  }
  auto opened = std::make_unique<code_object::File>();
  opened->path = path;
  opened->memory = fs::path(path).extension() == ".hsaco" ? twincheck::MemoryKind::kHip : twincheck::MemoryKind::kCuda;
  opened->name = fmt::format("{}.{}", name(opened->memory), fs::path(path).stem().string());
  const fs::path json = code_object::json_of(path);
  const std::optional<std::string> text = code_object::contents(json);
  if (!text)
    return code_object::answer(1, json.string() + ", which describes the kernel, is not there; see docs/code-objects.md");
  fs::path looked_at = json;
  try {
    opened->description = code_object::parse(*text);
    if (opened->memory == twincheck::MemoryKind::kHip) {
      looked_at = path;
      const std::vector<code_object::Kernel> kernels = code_object::kernels_in(code_object::contents(path).value_or(""));
      looked_at = json;
      code_object::hold_against(opened->description, kernels);
    }
  } catch (const code_object::DescriptionError& e) {
    return code_object::answer(1, looked_at.filename().string() + ": " + e.what());
  }
  code_object::file = opened.release();
  return 0;
}

int32_t twincheck_abi(void) { return TWINCHECK_ABI; }
const char* twincheck_name(void) { return code_object::file != nullptr ? code_object::file->name.c_str() : nullptr; }
int32_t twincheck_memory_kind(void) {
  return static_cast<int32_t>(code_object::file != nullptr ? code_object::file->memory : twincheck::MemoryKind::kCuda);
}
const char* twincheck_last_error(void) { return code_object::last_error.c_str(); }
int32_t twincheck_append(const twincheck_append_args* args) {
  if (code_object::file == nullptr) return code_object::answer(TWINCHECK_RUNTIME_ERROR, "no code object is open");
  return code_object::append(*args);
}
