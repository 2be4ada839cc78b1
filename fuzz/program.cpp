#include "fuzz/program.h"

#include <algorithm>

namespace twincheck::fuzz {

Program decode_program(std::span<const uint8_t> bytes) {
  Program program;
  if (!bytes.empty()) {
    const std::size_t steps = std::min<std::size_t>(bytes.back() % (kMaxSteps + 1), (bytes.size() - 1) / 4);
    const std::size_t begin = bytes.size() - 1 - 4 * steps;
    for (std::size_t i = 0; i < steps; ++i) {
      const auto at = bytes.subspan(begin + 4 * i, 4);
      program.steps.push_back({static_cast<Op>(at[0] % kOps), at[1], static_cast<uint16_t>(at[2] | at[3] << 8)});
    }
    bytes = bytes.first(begin);
  }
  program.first = decode(bytes);
  return program;
}

std::vector<uint8_t> encode_program(const Program& program) {
  std::vector<uint8_t> bytes = encode(program.first);
  const std::size_t steps = std::min(program.steps.size(), kMaxSteps);
  for (std::size_t i = 0; i < steps; ++i) {
    const Step& s = program.steps[i];
    bytes.insert(bytes.end(), {static_cast<uint8_t>(s.op), s.which, static_cast<uint8_t>(s.amount & 0xff),
                               static_cast<uint8_t>(s.amount >> 8)});
  }
  bytes.push_back(static_cast<uint8_t>(steps));
  return bytes;
}

}  // namespace twincheck::fuzz
