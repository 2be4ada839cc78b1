// The definition of the operation, said once more without the reference: from a case's own data and a call's outputs. Where
// the reference and a candidate are wrong together, these laws show it.
#pragma once

#include "properties/relate.h"

namespace twincheck::relate {

// The weight of one shared expert for one token of a literal case.
struct SharedWeight {
  double lo, hi;        // every v of which it may be the rounding; equal where the result is exact
  bool nan = false;     // some NaN
  bool or_nan = false;  // the interval, or NaN: the dot product leaves f32
  bool copied = false;  // these very bits
  uint32_t bits = 0;
};
SharedWeight shared_weight(const Case& literal, int64_t token, int64_t s);

// Each takes a literal case and the outputs of a call of it, and answers false after naming the first slot in the session's
// report that is not as defined.

// Slots [0, K) hold the routed ids, remapped where L > 0, and the routed weights' very bits.
bool prefix_is_routed(Session& session, const Case& literal, const Outputs& out);

// Slots [K, K + S) hold B, B + 1, ... B + S - 1.
bool ids_are_appended(Session& session, const Case& literal, const Outputs& out);

// Slots [K, K + S) hold the shared weight of their own token and expert, within the operation's bounds.
bool weights_are_appended(Session& session, const Case& literal, const Outputs& out);

}  // namespace twincheck::relate
