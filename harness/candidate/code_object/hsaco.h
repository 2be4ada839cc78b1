// What an AMD code object says of its kernels: the metadata that compilers put into a note of the ELF file, as LLVM's "User
// Guide for AMDGPU Backend" has it. So the JSON beside it is held against the kernel where no AMD GPU is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/candidate/code_object/description.h"

namespace twincheck::code_object {

struct Kernel {
  std::string name;
  std::vector<uint64_t> parameter_bytes;  // of each parameter that the source has, in order
  uint64_t max_threads = 0;               // of a block; 0 where it does not say
};

// The kernels of a code object, or of the first one for a GPU in a bundle, as hipcc --genco writes it. Throws
// DescriptionError where the bytes are none of them.
std::vector<Kernel> kernels_in(std::string_view hsaco);

// Throws DescriptionError where a description is not of one of these kernels: another name, other parameters, larger blocks.
void hold_against(const Description& description, const std::vector<Kernel>& kernels);

}  // namespace twincheck::code_object
