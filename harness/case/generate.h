// Generators: plain functions of a source of choices. The hot path of `verify`: about a microsecond a case, no allocation
// beyond what Case itself needs.
#pragma once

#include <cstdint>
#include <optional>

#include "harness/case/case.h"
#include "harness/case/choices.h"

namespace twincheck {

enum class Validity : uint8_t {
  kBoth,     // mostly valid; about one case in twelve has a defect
  kValid,    // only cases that the table accepts
  kInvalid,  // only cases with at least one defect, one at a time mostly
};

// What a law asks of the cases it is given.
struct Domain {
  Validity validity = Validity::kBoth;
  bool in_place = true;
  bool remap = true;
  bool odd_layouts = true;     // strides, offsets, places, sparse, inputs that share a buffer; tight otherwise
  bool sparse = true;          // strides past 2^31 elements (needs odd_layouts)
  bool wide_ids = true;        // id classes other than distinct and padding
  bool short_structs = false;  // invalid cases may have an args_size below version 1's: the project's own candidates only
  int64_t max_tokens = 64;     // T of most cases; where at least 64, a few have several hundred
  std::optional<Source> source{};
};

// One case. The default domain has a mean of 150 to 250 output elements a valid case, every source at 15 % or more, and
// every class of classes.h above its floor. The pointers of an invalid case are null or lie in (or up to a few hundred
// bytes past the start of) buffers of the shapes that the case's sizes imply; its sizes may be any numbers.
Case draw_case(Choices& choices, const Domain& domain = {});

}  // namespace twincheck
