// Recorded outputs: what another implementation computed for an input, as one JSON object a line (corpus/golden/README.md
// describes the fields). They try the reference itself, and their inputs try candidates.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "harness/case/case.h"
#include "harness/judge/check.h"
#include "harness/report/verdict.h"

namespace twincheck {

struct Recorded {
  Case input;                         // literal data, tight layouts
  std::string origin;                 // who computed it, e.g. "triton-gpu"; empty where not said
  std::vector<int64_t> out_ids;       // [T, K+S], row-major
  std::vector<uint32_t> out_weights;  // [T, K+S], bits in weights_dtype
};

// "field NAME: found ..., expected ...". The caller adds file and line.
struct RecordError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Reads one line. Throws RecordError. Uses memory in proportion to the line.
Recorded parse_record(std::string_view line);

// Are the recorded outputs what the reference says? kPassed or kFailed, with the mismatching elements, as check() finds them
// in a candidate that answers exactly these outputs; kRefused where the input is one that the table refuses, which a
// recorded output contradicts; kTooLarge where nothing could be compared.
Report check_recorded(const Recorded& record, Bench& bench);

}  // namespace twincheck
