// One case in full, for people: what was asked, what was expected, what came, where they differ.
#pragma once

#include <string>

#include "harness/case/case.h"
#include "harness/judge/check.h"
#include "harness/report/message.h"

namespace twincheck {

// The expected and the received matrix, cell by cell, wrong cells marked with '!'. Empty where the case is refused or has
// more than 400 elements an output. `outputs` is what check() gave.
std::string matrices(const Case& c, const Outputs& outputs, Style style);

// The sizes and parameters in words.
std::string description(const Case& c);

// Outputs as bytes, to cross from a worker.
std::string to_bytes(const Outputs& outputs);
Outputs outputs_from(std::string_view bytes);

}  // namespace twincheck
