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
#include "properties/steps.h"

namespace twincheck::fuzz {

using session::kOps;
using session::Op;
using session::Step;

inline constexpr std::size_t kMaxSteps = 24;

struct Program {
  Case first;
  std::vector<Step> steps;
};

Program decode_program(std::span<const uint8_t> bytes);
std::vector<uint8_t> encode_program(const Program& program);  // the first kMaxSteps steps

}  // namespace twincheck::fuzz
