// The model of a session: what happens between two calls over the same buffers, and the case that the next call is then made
// with. The promise is one: a call's outputs are the reference's of its own case, whatever came before. Law sequence draws
// such steps, fuzz_sequence reads them from bytes, and RapidCheck's state testing generates and shrinks them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "harness/case/case.h"

namespace twincheck::session {

enum class Op : uint8_t {
  kAppend,      // the same again
  kNewData,     // other data in the same buffers
  kShrink,      // fewer tokens
  kGrow,        // more tokens
  kReallocate,  // a buffer elsewhere: another offset, place or row stride
  kParameters,  // another base id, scale or remap
  kPadding,     // tokens become padding, or padding tokens
  kCapture,     // through a graph that is captured now
  kReplay,      // through a graph that was captured before
  kFault,       // the runtime fails at its n-th call, then works
  kRefused,     // a call that must be refused, then one that must not
  kFirst,       // the first case again
};
inline constexpr int kOps = 12;

struct Step {
  Op op = Op::kAppend;
  uint8_t which = 0;  // an operand, a field: as the op takes it
  uint16_t amount = 0;

  bool operator==(const Step&) const = default;
};

// "fewer tokens"
const char* words(Op op);

// The case that the step leaves to be called with. Valid where `first` and `now` are; tokens grow to 600 at most, or not at
// all. Ops that are about the call and not its case leave it as it is.
Case changed(const Step& step, const Case& first, Case now);

// kRefused's: the case with a defect.
Case refused(const Step& step, Case now);

// kFault's: which runtime call fails.
inline int64_t failing_call(const Step& step) { return 1 + step.amount % 6; }

// What comes out of a graph that was captured of one case and is replayed when the batch at hand is another, shorter or as
// long: the captured sizes, parameters and layouts, the data at hand, and padding behind its last token. nullopt where there
// are more tokens at hand, another shape, or data that cannot be written down.
std::optional<Case> replayed(const Case& captured, const Case& now);

}  // namespace twincheck::session
