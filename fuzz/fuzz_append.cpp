// Bytes become a valid case (decode, then valid_case: every field is theirs) that the CPU platform's kernel serves, its
// blocks in random order.
//
// Invariants checked, all by check() and the laws:
// 1. The case is accepted: valid_case gives what the table accepts.
// 2. Every id and weight is what the reference says; every slot is written; two runs agree.
// 3. Nothing else changes: guards, gaps, inputs, the argument struct. Under AddressSanitizer nothing outside is read.
// 4. One input in 32 also holds one of the laws, with the same fields.
#include "fuzz/fuzz.h"
#include "fuzz/mutate.h"
#include "properties/law.h"

using namespace twincheck;

const fuzz::Format fuzz::format = fuzz::Format::kCase;
const bool fuzz::defects = false;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const Case c = fuzz::valid_case(decode({data, size}));
  const uint64_t hash = fuzz::hash({data, size});
  fuzz::show(c);
  fuzz::set_machine(hash);
  const Report report = check(c, fuzz::candidate(), fuzz::bench());
  if (is_bad(report.verdict)) fuzz::fail(c, report);
  if (report.expected_status != Status::kOk) fuzz::fail(c, "valid_case", "the table refuses what valid_case() gave");
  if (hash % 32 != 0) return 0;
  const Law& law = laws()[hash / 32 % laws().size()];
  if (const Report r = run_law(law, c, fuzz::candidate(), fuzz::bench()); is_bad(r.verdict)) fuzz::fail(c, r);
  return 0;
}
