// What the JSON beside a code object says of its kernel. docs/code-objects.md is its contract.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "contract/words.h"

namespace twincheck::code_object {

// An argument of the kernel: a field of the ABI's struct by its name, all of the struct, or a constant.
struct Argument {
  enum class Type : uint8_t { kI32, kI64, kF32, kPointer, kStruct };
  Type type = Type::kI64;
  std::string field;                          // "topk_ids.row_stride"; empty for a constant
  std::variant<int64_t, double> constant{0};  // of the type: int64_t, or double for kF32
};

enum class Per : uint8_t { kElement, kRow, kFixed };

struct Description {
  std::string symbol;
  std::vector<Argument> arguments;
  Per per = Per::kElement;
  int64_t each = 1;  // elements or rows a block; kFixed: blocks
  std::array<uint32_t, 3> block{1, 1, 1};
  uint32_t shared_memory = 0;  // bytes, dynamic
  // Empty: all of them.
  std::vector<std::string> sources, ids_dtypes, weights_dtypes, shared_dtypes, in_place;
  bool remap = true, strided = true, broadcast = true;
};

// Says where in the text, what was found and what was expected.
struct DescriptionError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

Description parse(std::string_view json);

// Throws DescriptionError where the kernel takes other parameters than the description gives it; bytes of each, in order.
void hold_against(const Description& description, const std::vector<uint64_t>& parameter_bytes);

// Why the kernel is not put to this valid call; empty where it is.
std::string unsupported(const Description& description, const AppendArgs& args);

// The kernel's parameters for a call: one value of bytes each, in order. An i32 that its field does not fit in: the reason.
struct Parameters {
  std::vector<std::vector<std::byte>> values;
  std::string trouble;
};
Parameters parameters(const Description& description, const AppendArgs& args);

// Blocks for a call; 0 where there is nothing to do. Nothing where it is more than a grid's x can be.
std::optional<uint32_t> blocks(const Description& description, const AppendArgs& args);

}  // namespace twincheck::code_object
