// What a compiler made of the kernels for an AMD GPU: a code object, read through llvm-readobj and llvm-objdump. For tests.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace twincheck::amd {

// One kernel of a code object.
struct KernelCode {
  std::string symbol;  // mangled, as a module is asked for it
  std::string name;    // demangled template arguments in words: "i32 f32 bf16 logits"; the symbol where it is no such kernel

  // From the metadata.
  int vgprs = 0, agprs = 0, sgprs = 0;  // registers a lane, and a wave
  int vgpr_spills = 0, sgpr_spills = 0;
  int scratch = 0;  // bytes a lane
  int shared = 0;   // bytes a block
  int wave = 0;     // lanes
  int block = 0;    // threads, at most
  bool dynamic_stack = false;
  std::vector<int> arguments;  // bytes of each explicit argument, in order

  uint32_t float_mode =
      0;  // the eight bits of MODE with which a wave starts: 2 round f32, 2 round others, 2 and 2 subnormals

  std::map<std::string, int> count;  // of each instruction, without the suffix of its encoding; both of a dual one
  int instructions = 0;
  // Instructions on the shortest way through the kernel that loads one element and stores one: the decode path, where
  // nothing hides them. 0 where there is none.
  int decode = 0;

  // How many instructions begin with one of the prefixes.
  int starting(std::initializer_list<const char*> prefixes) const;
};

// The tools that belong to the compiler, by path.
struct Tools {
  std::string readobj, objdump;
};

// Reads a code object, a plain ELF file. Kernels in order of their names. Throws std::runtime_error, with the tool's words,
// where it cannot be read.
std::vector<KernelCode> read_code_object(const std::string& path, const Tools& tools);

// Why this kernel's machine code breaks a rule that holds for every target, one sentence each; empty where it breaks none:
// no scratch, no dynamic stack, no spills and fewer than 64 vector registers; no call; no integer division; no fused or
// approximated f32 arithmetic but a division's own, subnormals kept and everything rounded to nearest even; 16-byte loads
// and stores.
std::vector<std::string> faults_of(const KernelCode& kernel);

}  // namespace twincheck::amd
