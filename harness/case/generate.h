// Generators: plain functions of a source of choices. The hot path of `verify`: about a microsecond a case, no allocation
// beyond what Case itself needs.
#pragma once

#include "harness/case/case.h"
#include "harness/case/choices.h"

namespace twincheck {

// What a law asks of the cases it is given.
struct Domain {
  bool valid = true;       // only cases that the table accepts
  bool invalid = false;    // only cases with at least one defect (valid is then ignored)
  bool in_place = true;
  bool remap = true;
  bool odd_layouts = true; // strides, offsets, places, sparse; tight otherwise
  bool sparse = true;      // strides past 2^31 elements
  bool wide_ids = true;    // id classes other than distinct and padding
  int64_t max_tokens = 64;
  std::optional<Source> source;
};

// One case. The default domain has a mean of at least 150 output elements, every source at 15 % or more, and every class of
// classes.h above its floor.
Case draw_case(Choices& choices, const Domain& domain = {});

}  // namespace twincheck
