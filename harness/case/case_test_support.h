// Cases that reach every field, for this room's tests.
#pragma once

#include <array>
#include <limits>

#include "harness/case/case.h"
#include "harness/case/choices.h"

namespace twincheck {

// Any case at all: every field at its default, at an end, or anywhere.
inline Case any_case(Choices& choices) {
  const auto integer = [&]() -> int64_t {
    switch (choices.below(5)) {
      case 0:
        return 0;
      case 1:
        return choices.between(-9, 9);
      case 2:
        return std::numeric_limits<int64_t>::max() - choices.between(0, 2);
      case 3:
        return std::numeric_limits<int64_t>::min() + choices.between(0, 2);
      default:
        return static_cast<int64_t>(choices.below(0));
    }
  };
  const auto number = [&] { return static_cast<int32_t>(static_cast<uint32_t>(integer())); };
  const auto dtype = [&] { return static_cast<Dtype>(choices.below(6)); };
  Case c;
  c.source = choices.chance(1, 4) ? number() : static_cast<int32_t>(choices.below(4));
  for (int64_t* field : {&c.tokens, &c.top_k, &c.shared, &c.hidden, &c.base_id, &c.remap}) *field = integer();
  c.ids_dtype = dtype();
  c.weights_dtype = dtype();
  c.shared_dtype = dtype();
  c.broadcast = choices.chance(1, 2);
  c.in_place = static_cast<InPlace>(choices.below(4));
  if (choices.chance(1, 2)) c.scale_bits = static_cast<uint32_t>(choices.below(0));
  if (choices.chance(1, 4)) c.args_size = static_cast<uint32_t>(choices.below(0));
  c.seed = static_cast<uint64_t>(integer());
  c.ids = static_cast<IdClass>(choices.below(kIdClasses));
  c.weights = static_cast<ValueClass>(choices.below(kValueClasses));
  c.shared_values = static_cast<ValueClass>(choices.below(kValueClasses));
  for (Layout& l : c.layout) {
    if (choices.chance(1, 2)) continue;
    if (choices.chance(1, 2)) l.row_stride = integer();
    if (choices.chance(1, 2))
      l.offset = static_cast<uint32_t>(choices.below(choices.chance(1, 8) ? uint64_t{1} << 32 : 256));
    l.place = static_cast<Place>(choices.below(3));
    if (choices.chance(1, 3)) l.rows = integer();
    if (choices.chance(1, 3)) l.cols = integer();
    if (choices.chance(1, 3)) l.dtype = choices.chance(1, 2) ? number() : static_cast<int32_t>(choices.below(6));
    l.pointer = static_cast<Pointer>(choices.below(4));
    l.pointer_operand = static_cast<Operand>(choices.below(kOperands));
    l.pointer_bytes = integer();
  }
  for (std::vector<uint64_t>& literal : c.literal) {
    if (choices.chance(1, 2)) continue;
    const uint64_t width = choices.below(65);
    literal.resize(choices.below(9));
    for (uint64_t& bits : literal) bits = width == 64 ? choices.below(0) : choices.below(uint64_t{1} << width);
  }
  return c;
}

}  // namespace twincheck
