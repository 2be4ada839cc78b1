// One case in full, for people: what was asked, what was expected, what came, where they differ.
#pragma once

#include <string>
#include <vector>

#include "harness/case/case.h"
#include "harness/judge/check.h"
#include "harness/report/message.h"
#include "harness/report/run_report.h"

namespace twincheck {

// out_ids and out_weights, as expected and as received: `outputs` is what check() gave. Empty where the case is refused,
// and where an output has no element or more than 400.
std::vector<MatrixRecord> matrix_records(const Case& c, const Outputs& outputs);

// The same as text, wrong cells between '!'.
std::string matrices(const Case& c, const Outputs& outputs, Style style);

// The sizes and parameters in words.
std::string description(const Case& c);

// Outputs as bytes, to cross from a worker.
std::string to_bytes(const Outputs& outputs);
Outputs outputs_from(std::string_view bytes);

}  // namespace twincheck
