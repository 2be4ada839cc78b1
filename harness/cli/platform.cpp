#include "harness/cli/platform.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cstdint>

#include "harness/candidate/worker.h"
#include "harness/cli/options.h"

namespace twincheck {
namespace {

template <typename Function>
Function* symbol(void* library, const char* name) {
  return reinterpret_cast<Function*>(dlsym(library, name));
}

// The answers of a runtime, as lines: "here" and the devices' names, or "absent" and the reason.
std::string absent(std::string_view reason) { return fmt::format("absent\n{}", reason); }

// The one text of a hipDeviceProp_t, wherever this version has it, that is an architecture's name; empty where there is
// none.
std::string architecture_of(int (*properties)(void*, int), int device) {
  std::vector<char> bytes(std::size_t{1} << 16);
  if (properties(bytes.data(), device) != 0) return "";
  const std::string_view all(bytes.data(), bytes.size());
  for (std::size_t at = all.find("gfx"); at != std::string_view::npos; at = all.find("gfx", at + 1)) {
    const std::string_view word = all.substr(at, std::min(all.find('\0', at), all.size()) - at);
    const std::size_t end = std::min(word.find(':'), word.size());
    if (end > 5 && word.substr(3, end - 3).find_first_not_of("0123456789abcdef") == std::string_view::npos)
      return std::string(word.substr(0, end));
  }
  return "";
}

std::string ask_hip() {
  void* library = nullptr;
  for (const char* name : {"libamdhip64.so", "libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5"}) {
    if (library == nullptr) library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  for (const char* name : {"/opt/rocm/lib/libamdhip64.so"})
    if (library == nullptr) library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return absent("libamdhip64 is not installed");
  auto* const count_devices = symbol<int(int*)>(library, "hipGetDeviceCount");
  auto* const error_name = symbol<const char*(int)>(library, "hipGetErrorName");
  if (count_devices == nullptr || error_name == nullptr) return absent("libamdhip64 lacks hipGetDeviceCount");
  int count = 0;
  if (const int error = count_devices(&count); error != 0) return absent(error_name(error));
  if (count == 0) return absent("hipErrorNoDevice");
  // The properties struct differs between versions; the device's own name has a call of its own.
  auto* const device_name = symbol<int(char*, int, int)>(library, "hipDeviceGetName");
  auto* properties = symbol<int(void*, int)>(library, "hipGetDevicePropertiesR0600");
  if (properties == nullptr) properties = symbol<int(void*, int)>(library, "hipGetDeviceProperties");
  std::string lines = "here";
  for (int device = 0; device < count; ++device) {
    std::array<char, 256> name{};
    if (device_name == nullptr || device_name(name.data(), static_cast<int>(name.size()) - 1, device) != 0) name[0] = '?';
    lines += fmt::format("\n{}\t{}", name.data(), properties == nullptr ? "" : architecture_of(properties, device));
  }
  return lines;
}

std::string ask_cuda() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return absent("libcuda.so.1 is not installed");
  auto* const init = symbol<int(unsigned)>(library, "cuInit");
  auto* const count_devices = symbol<int(int*)>(library, "cuDeviceGetCount");
  auto* const error_name = symbol<int(int, const char**)>(library, "cuGetErrorName");
  auto* const device_name = symbol<int(char*, int, int)>(library, "cuDeviceGetName");
  auto* const attribute = symbol<int(int*, int, int)>(library, "cuDeviceGetAttribute");
  if (init == nullptr || count_devices == nullptr || error_name == nullptr || device_name == nullptr)
    return absent("libcuda.so.1 lacks cuInit or cuDeviceGetCount");
  int count = 0;
  int error = init(0);
  if (error == 0) error = count_devices(&count);
  if (error != 0) {
    const char* words = nullptr;
    error_name(error, &words);
    return absent(words != nullptr ? words : fmt::format("CUDA error {}", error).c_str());
  }
  if (count == 0) return absent("CUDA_ERROR_NO_DEVICE");
  std::string lines = "here";
  for (int device = 0; device < count; ++device) {
    std::array<char, 256> name{};
    if (device_name(name.data(), static_cast<int>(name.size()) - 1, device) != 0) name[0] = '?';
    int major = 0, minor = 0;
    constexpr int kMajor = 75, kMinor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
    const bool known =
        attribute != nullptr && attribute(&major, kMajor, device) == 0 && attribute(&minor, kMinor, device) == 0;
    lines += fmt::format("\n{}\t{}", name.data(), known ? fmt::format("sm_{}{}", major, minor) : "");
  }
  return lines;
}

Platform probe(std::string name, MemoryKind memory, std::string (*ask)()) {
  Platform platform{
      .name = std::move(name), .memory = memory, .here = false, .reason = {}, .devices = {}, .architectures = {}};
  Worker worker([ask]() -> Answer { return [ask](std::string_view) { return ask(); }; }, {.timeout = 60});
  const Worker::Outcome outcome = worker.ask("");
  if (outcome.end != Worker::End::kAnswered) {
    platform.reason = fmt::format("asking its runtime ended in {}",
                                  outcome.end == Worker::End::kHung ? "no answer within 60 s" : outcome.reason);
    return platform;
  }
  std::vector<std::string> lines;
  std::string_view rest = outcome.answer;
  while (true) {
    const std::size_t end = rest.find('\n');
    lines.emplace_back(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  platform.here = lines[0] == "here";
  if (platform.here) {
    for (auto line = lines.begin() + 1; line != lines.end(); ++line) {
      const std::size_t tab = std::min(line->find('\t'), line->size());
      platform.devices.push_back(line->substr(0, tab));
      platform.architectures.push_back(line->substr(std::min(tab + 1, line->size())));
    }
  } else {
    platform.reason = lines.size() > 1 ? lines[1] : "no reason given";
  }
  return platform;
}

}  // namespace

std::vector<Platform> find_platforms() {
  return {
      Platform{.name = "cpu", .memory = MemoryKind::kHost, .here = true, .reason = {}, .devices = {}, .architectures = {}},
      probe("hip", MemoryKind::kHip, ask_hip), probe("cuda", MemoryKind::kCuda, ask_cuda)};
}

void require_platform(const std::vector<Platform>& platforms, std::string_view name, std::string_view who) {
  for (const Platform& platform : platforms)
    if (platform.name == name && !platform.here)
      throw UsageError(fmt::format("{} needs the platform {}, which is not here: {}; `twincheck list` shows what is", who,
                                   name, platform.reason));
}

}  // namespace twincheck
