// A program of calls over the same buffers: what fuzz_sequence runs.
//
// As bytes: a case (encode), then the steps, 4 bytes each, then their number in one byte. The steps are read from the end,
// so that every string of bytes is a program, and a case alone is one too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "harness/case/case.h"

namespace twincheck::fuzz {

enum class Op : uint8_t {
  kAppend,      // the same again
  kNewData,     // other data in the same buffers
  kShrink,      // fewer tokens
  kGrow,        // more tokens
  kReallocate,  // a buffer elsewhere: another offset, place or row stride
  kParameters,  // another base id, scale or remap
  kPadding,     // tokens become padding, or padding tokens
  kCapture,     // through a graph that is captured now
  kReplay,      // through the graph that was captured with these very arguments, if one was
  kFault,       // the runtime fails at its n-th call
  kRefused,     // a call that must be refused
  kFirst,       // the first case again
};
inline constexpr int kOps = 12;

struct Step {
  Op op = Op::kAppend;
  uint8_t which = 0;  // an operand, a field: as the op takes it
  uint16_t amount = 0;

  bool operator==(const Step&) const = default;
};

inline constexpr std::size_t kMaxSteps = 24;

struct Program {
  Case first;
  std::vector<Step> steps;
};

Program decode_program(std::span<const uint8_t> bytes);
std::vector<uint8_t> encode_program(const Program& program);  // the first kMaxSteps steps

}  // namespace twincheck::fuzz
