#include "harness/candidate/code_object/hsaco.h"

#include <elf.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

namespace twincheck::code_object {
namespace {

using Json = nlohmann::json;

constexpr uint16_t kAmdGpu = 224;   // EM_AMDGPU
constexpr uint32_t kMetadata = 32;  // NT_AMDGPU_METADATA
constexpr std::string_view kBundle = "__CLANG_OFFLOAD_BUNDLE__";

[[noreturn]] void refuse(const std::string& found) {
  throw DescriptionError(fmt::format("the file: found {}, expected an AMD code object with its metadata", found));
}

std::string_view part(std::string_view bytes, uint64_t offset, uint64_t size) {
  if (offset > bytes.size() || bytes.size() - offset < size) refuse("one that ends too early");
  return bytes.substr(offset, size);
}

template <class T>
T read(std::string_view bytes, uint64_t offset) {
  T value;
  std::memcpy(&value, part(bytes, offset, sizeof value).data(), sizeof value);
  return value;
}

// A bundle's first entry for a GPU; anything else as it is.
std::string_view unbundled(std::string_view bytes) {
  if (bytes.substr(0, kBundle.size()) != kBundle) return bytes;
  uint64_t at = kBundle.size();
  const auto next = [&] {
    const auto value = read<uint64_t>(bytes, at);
    at += sizeof value;
    return value;
  };
  for (uint64_t entries = next(); entries > 0; --entries) {
    const uint64_t offset = next(), size = next(), length = next();
    const std::string_view target = part(bytes, at, length);
    at += length;
    if (target.substr(0, 3) == "hip") return part(bytes, offset, size);
  }
  refuse("a bundle with nothing for a GPU");
}

constexpr uint64_t padded(uint64_t size) { return (size + 3) / 4 * 4; }

// The metadata of a section of notes, if it is there.
std::optional<std::string_view> metadata_in(std::string_view notes) {
  for (uint64_t at = 0; at < notes.size();) {
    const auto header = read<Elf64_Nhdr>(notes, at);
    at += sizeof header;
    const std::string_view owner = part(notes, at, header.n_namesz);
    at += padded(header.n_namesz);
    if (header.n_type == kMetadata && owner.substr(0, 6) == "AMDGPU") return part(notes, at, header.n_descsz);
    at += padded(header.n_descsz);
  }
  return std::nullopt;
}

Json metadata_of(std::string_view elf) {
  if (elf.substr(0, SELFMAG) != ELFMAG) refuse("no ELF file");
  const auto header = read<Elf64_Ehdr>(elf, 0);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_machine != kAmdGpu)
    refuse(fmt::format("an ELF file for machine {}", header.e_machine));
  for (uint64_t i = 0; i < header.e_shnum; ++i) {
    const auto section = read<Elf64_Shdr>(elf, header.e_shoff + i * header.e_shentsize);
    if (section.sh_type != SHT_NOTE) continue;
    if (const auto bytes = metadata_in(part(elf, section.sh_offset, section.sh_size)))
      return Json::from_msgpack(bytes->begin(), bytes->end());
  }
  refuse("an AMDGPU ELF file without any");
}

Kernel kernel_from(const Json& j) {
  Kernel kernel{j.at(".name").get<std::string>(), {}, j.value(".max_flat_workgroup_size", uint64_t{0})};
  for (const Json& argument : j.value(".args", Json::array()))
    if (argument.at(".value_kind").get<std::string>().rfind("hidden_", 0) != 0)
      kernel.parameter_bytes.push_back(argument.at(".size").get<uint64_t>());
  return kernel;
}

}  // namespace

std::vector<Kernel> kernels_in(std::string_view hsaco) {
  const std::string_view elf = unbundled(hsaco);
  try {
    const Json metadata = metadata_of(elf);
    std::vector<Kernel> kernels;
    for (const Json& j : metadata.at("amdhsa.kernels")) kernels.push_back(kernel_from(j));
    return kernels;
  } catch (const Json::exception& e) {
    refuse(fmt::format("metadata that cannot be read ({})", e.what()));
  }
}

void hold_against(const Description& d, const std::vector<Kernel>& kernels) {
  const auto of_name = [&](const Kernel& k) { return k.name == d.symbol; };
  const auto kernel = std::find_if(kernels.begin(), kernels.end(), of_name);
  if (kernel == kernels.end()) {
    std::vector<std::string> names;
    for (const Kernel& k : kernels) names.push_back(k.name);
    throw DescriptionError(
        fmt::format("symbol: found {}, expected a kernel of the code object: {}", d.symbol, fmt::join(names, ", ")));
  }
  hold_against(d, kernel->parameter_bytes);
  const uint64_t threads = uint64_t{d.block[0]} * d.block[1] * d.block[2];
  if (kernel->max_threads > 0 && threads > kernel->max_threads)
    throw DescriptionError(fmt::format("block: found {} threads, expected at most {}, for which it was compiled", threads,
                                       kernel->max_threads));
}

}  // namespace twincheck::code_object
