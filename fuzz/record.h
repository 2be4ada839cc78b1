// Golden records (harness/judge/recorded.h) written by another hand than the one that reads them.
#pragma once

#include <string>

#include "harness/case/case.h"
#include "harness/judge/recorded.h"

namespace twincheck::fuzz {

// A record with the case's fields, as far as a record has them: small sizes, literal inputs of the dtypes' bits, and any
// bits as outputs. parse_record(line_of(r)) is r.
Recorded record_of(const Case& c);

// One line of JSON, without a newline. Of any record: sizes and arrays need not agree.
std::string line_of(const Recorded& record);

}  // namespace twincheck::fuzz
