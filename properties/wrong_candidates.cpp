#include "properties/wrong_candidates.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "harness/candidate/test/independent.h"

namespace twincheck::wrong {
namespace {

using Sight = Wrong::Sight;

thread_local const char* last_words = "";

int32_t right(const AppendArgs* a) {
  const independent::Answer answer = independent::append(*a);
  last_words = answer.reason;
  return answer.status;
}
const char* words() { return last_words; }
int64_t own(const char* key) { return std::strcmp(key, "exact_status") == 0 ? 1 : -1; }

// What the stateful ones remember.
struct State {
  int64_t calls = 0;
  std::map<std::tuple<const void*, const void*, int64_t, int64_t, int64_t>, std::vector<std::byte>> kept;
  int64_t order_seed = 0, wave = 64, fail_nth = 0, live_bytes = 0, live_handles = 0, devices = 1, host_device = 0,
          device = 0;
  bool broken = false;
};
State state;

std::size_t width(int32_t dtype) {
  return dtype == TWINCHECK_I64 ? 8 : dtype == TWINCHECK_I32 || dtype == TWINCHECK_F32 ? 4 : 2;
}

std::byte* at(const Matrix& m, int64_t row, int64_t col) {
  return static_cast<std::byte*>(m.data) +
         ((m.rows > 1 ? row * m.row_stride : 0) + col) * static_cast<int64_t>(width(m.dtype));
}

// One unit in the last place away from zero: for a computed f32 weight, whose bounds are four wide and more.
void nudge(const AppendArgs& a, int64_t t, int64_t s) {
  if (a.out_weights.dtype != TWINCHECK_F32 || (a.source != TWINCHECK_LOGITS && a.source != TWINCHECK_GATE)) return;
  std::byte* p = at(a.out_weights, t, a.topk_ids.cols + s);
  uint32_t bits;
  std::memcpy(&bits, p, 4);
  const uint32_t exponent = bits >> 23 & 0xff;
  if (exponent < 0x20 || exponent > 0xd0) return;
  ++bits;
  std::memcpy(p, &bits, 4);
}

// Right but for computed weights where `when(token)` says so.
template <typename When>
int32_t nudged(const AppendArgs* a, When when) {
  const int32_t status = right(a);
  if (status != TWINCHECK_OK) return status;
  for (int64_t t = 0; t < a->out_weights.rows; ++t)
    for (int64_t s = 0; s < a->num_shared; ++s)
      if (when(t)) nudge(*a, t, s);
  return status;
}

// Right, then `damage(token)` of every token.
template <typename Damage>
int32_t damaged(const AppendArgs* a, Damage damage) {
  const int32_t status = right(a);
  for (int64_t t = 0; status == TWINCHECK_OK && t < a->out_ids.rows; ++t) damage(t);
  return status;
}

void store_id(const AppendArgs& a, int64_t t, int64_t slot, int64_t id) {
  std::memcpy(at(a.out_ids, t, slot), &id, width(a.out_ids.dtype));
}

int64_t load_id(const Matrix& m, int64_t t, int64_t k) {
  if (m.dtype == TWINCHECK_I64) {
    int64_t id;
    std::memcpy(&id, at(m, t, k), 8);
    return id;
  }
  int32_t id;
  std::memcpy(&id, at(m, t, k), 4);
  return id;
}

uint32_t load_weight(const AppendArgs& a, int64_t t, int64_t slot) {
  uint32_t bits = 0;
  std::memcpy(&bits, at(a.out_weights, t, slot), width(a.out_weights.dtype));
  return bits;
}
void store_weight(const AppendArgs& a, int64_t t, int64_t slot, uint32_t bits) {
  std::memcpy(at(a.out_weights, t, slot), &bits, width(a.out_weights.dtype));
}

bool ids_in_place(const AppendArgs& a) { return a.topk_ids.data == a.out_ids.data; }

bool is_nan(const AppendArgs& a, uint32_t bits) {
  if (a.out_weights.dtype == TWINCHECK_F32) return (bits & 0x7fffffff) > 0x7f800000;
  return (bits & 0x7fff) > (a.out_weights.dtype == TWINCHECK_BF16 ? 0x7f80 : 0x7c00);
}

// The shared columns of the first call with these pointers and this shape, whatever is there now.
int32_t cached(const AppendArgs* a) {
  const int32_t status = right(a);
  if (status != TWINCHECK_OK) return status;
  const std::size_t row = static_cast<std::size_t>(a->num_shared) * width(a->out_weights.dtype);
  const void* read = a->source == TWINCHECK_GATE ? a->hidden.data : a->shared.data;
  std::vector<std::byte>& kept = state.kept[{a->out_weights.data, read, a->out_ids.rows, a->topk_ids.cols, a->num_shared}];
  const bool first = kept.size() != row * static_cast<std::size_t>(a->out_ids.rows);
  if (first) kept.resize(row * static_cast<std::size_t>(a->out_ids.rows));
  for (int64_t t = 0; row > 0 && t < a->out_ids.rows; ++t) {
    std::byte* out = at(a->out_weights, t, a->topk_ids.cols);
    std::byte* in = kept.data() + static_cast<std::size_t>(t) * row;
    if (first)
      std::memcpy(in, out, row);
    else
      std::memcpy(out, in, row);
  }
  return status;
}

// ---- a runtime of three calls an append, that fails on request

int32_t set_knob(const char* key, int64_t value) {
  const std::string_view k = key;
  if (k == "order_seed")
    state.order_seed = value;
  else if (k == "wave")
    state.wave = value;
  else if (k == "fail_nth")
    state.fail_nth = value;
  else if (k == "devices")
    state.devices = value;
  else if (k == "host_device")
    state.host_device = value;
  else
    return -1;
  return 0;
}

int64_t get_knob(const char* key) {
  const std::string_view k = key;
  if (k == "order_seed") return state.order_seed;
  if (k == "wave") return state.wave;
  if (k == "fail_nth") return state.fail_nth;
  if (k == "live_bytes") return state.live_bytes;
  if (k == "live_handles") return state.live_handles;
  if (k == "devices") return state.devices;
  if (k == "host_device") return state.host_device;
  if (k == "device") return state.device;
  return own(key);
}

bool runtime_call_fails() { return state.fail_nth > 0 && --state.fail_nth == 0; }

enum class Fault { kNone, kSwallowed, kNameless, kLeak, kLosesHandle, kKeepsMemory, kNextCallFails, kStray, kKeepsOutput };

template <Fault kFault>
int32_t failing(const AppendArgs* a) {
  if (kFault == Fault::kNextCallFails && state.broken) {
    state.broken = false;
    last_words = "hipErrorLaunchFailure";
    return TWINCHECK_RUNTIME_ERROR;
  }
  for (int call = 0; call < 3; ++call) {
    if (!runtime_call_fails()) continue;
    last_words = "hipLaunchKernelGGL: hipErrorLaunchOutOfResources (too many resources requested for launch)";
    if (kFault == Fault::kSwallowed) return TWINCHECK_OK;
    if (kFault == Fault::kNameless) last_words = "something went wrong";
    if (kFault == Fault::kLeak && call == 1) state.live_bytes += 4096;
    if (kFault == Fault::kLosesHandle && call == 2) ++state.live_handles;
    if (kFault == Fault::kNextCallFails) state.broken = true;
    if (kFault == Fault::kStray && a->out_ids.rows > 0 && a->out_ids.cols > 0) *(at(a->out_ids, 0, 0) - 1) ^= std::byte{1};
    if (kFault == Fault::kKeepsOutput) state.broken = true;
    return TWINCHECK_RUNTIME_ERROR;
  }
  const int32_t status = right(a);
  if (kFault == Fault::kKeepsMemory && status == TWINCHECK_OK)
    state.live_bytes = std::max(state.live_bytes, a->out_ids.rows * a->num_shared * 4);
  if (kFault == Fault::kKeepsOutput && state.broken && status == TWINCHECK_OK && a->out_ids.rows > 0 && a->num_shared > 0)
    store_id(*a, 0, a->topk_ids.cols, a->base_id + 1);
  return status;
}

constexpr auto kBlind = Sight::kBlind;
constexpr auto kSeeing = Sight::kWithReference;

const Wrong kWrong[] = {
    {"truncates", "equals_reference", "appended_weights", kSeeing, false, "narrows a constant by cutting its bits off",
     [](const AppendArgs* a) {
       return damaged(a, [&](int64_t t) {
         if (a->source != TWINCHECK_CONSTANT || a->out_weights.dtype != TWINCHECK_BF16) return;
         const uint32_t bits = std::bit_cast<uint32_t>(a->scale) >> 16;
         for (int64_t s = 0; s < a->num_shared; ++s) store_weight(*a, t, a->topk_ids.cols + s, bits);
       });
     }},
    {"negative_base_accepted", "refuses_like_reference", "refusal", kSeeing, false,
     "takes a negative base_id for a valid one",
     [](const AppendArgs* a) { return a->size >= sizeof *a && a->base_id < 0 ? TWINCHECK_OK : right(a); }},
    {"refusal_writes", "refuses_like_reference", "refusal_touches_nothing", kSeeing, false, "writes an id, then refuses",
     [](const AppendArgs* a) {
       const int32_t status = right(a);
       if (status == TWINCHECK_ID_OVERFLOW && a->out_ids.rows > 0 && a->out_ids.cols > 0 && a->out_ids.data != nullptr)
         *at(a->out_ids, 0, 0) ^= std::byte{1};
       return status;
     }},
    {"other_refusal", "refuses_like_reference", "refusal_status", kSeeing, false, "calls an overlap a null pointer",
     [](const AppendArgs* a) {
       const int32_t status = right(a);
       return status == TWINCHECK_OVERLAP ? int32_t{TWINCHECK_NULL_POINTER} : status;
     }},
    {"sorts_ids", "routed_prefix_preserved", "routed_prefix_preserved", kBlind, false,
     "exchanges two routed ids that are not sorted",
     [](const AppendArgs* a) {
       return damaged(a, [&](int64_t t) {
         if (a->topk_ids.cols < 2 || ids_in_place(*a)) return;
         const int64_t x = load_id(a->out_ids, t, 0), y = load_id(a->out_ids, t, 1);
         if (x <= y) return;
         store_id(*a, t, 0, y);
         store_id(*a, t, 1, x);
       });
     }},
    {"replaces_last_routed", "moe_layer", "moe_layer", kBlind, false, "puts the shared expert where the last routed one was",
     [](const AppendArgs* a) {
       return damaged(a, [&](int64_t t) {
         if (a->topk_ids.cols > 0 && a->num_shared > 0 && !ids_in_place(*a))
           store_id(*a, t, a->topk_ids.cols - 1, a->base_id);
       });
     }},
    {"one_id_for_all", "appended_ids_consecutive", "appended_ids_consecutive", kBlind, false,
     "gives every shared expert base_id",
     [](const AppendArgs* a) {
       return damaged(a, [&](int64_t t) {
         for (int64_t s = 0; s < a->num_shared; ++s) store_id(*a, t, a->topk_ids.cols + s, a->base_id);
       });
     }},
    {"one_weight_for_all", "every_slot_written", "every_slot_written", kBlind, false,
     "gives every shared expert the first one's weight",
     [](const AppendArgs* a) {
       return damaged(a, [&](int64_t t) {
         for (int64_t s = 1; s < a->num_shared; ++s)
           store_weight(*a, t, a->topk_ids.cols + s, load_weight(*a, t, a->topk_ids.cols));
       });
     }},
    {"never_written_again", "every_slot_written", "every_slot_written", kBlind, true,
     "leaves the shared columns of the first call", cached},
    {"odd_rows", "rows_permute", "rows_permute", kSeeing, true, "rounds every second token in its own way",
     [](const AppendArgs* a) { return nudged(a, [](int64_t t) { return t % 2 != 0; }); }},
    {"batches_of_three", "batches_concatenate", "batches_concatenate", kSeeing, true,
     "takes another path for a multiple of three tokens",
     [](const AppendArgs* a) { return nudged(a, [&](int64_t) { return a->out_ids.rows % 3 == 0; }); }},
    {"large_batches", "row_independent_of_tokens", "row_independent_of_tokens", kSeeing, true,
     "takes another path from 1,024 tokens on",
     [](const AppendArgs* a) { return nudged(a, [&](int64_t) { return a->out_ids.rows >= 1024; }); }},
    {"strided_rows", "layout_invariant", "layout_invariant", kSeeing, true,
     "takes another path for rows that are not adjacent",
     [](const AppendArgs* a) {
       return nudged(a,
                     [&](int64_t) { return a->out_weights.rows > 1 && a->out_weights.row_stride != a->out_weights.cols; });
     }},
    {"aligned_rows", "layout_invariant", "layout_invariant", kSeeing, true, "takes another path for an aligned output",
     [](const AppendArgs* a) {
       return nudged(a, [&](int64_t) { return reinterpret_cast<uintptr_t>(a->out_weights.data) % 16 == 0; });
     }},
    {"many_shared", "shared_splits", "shared_splits", kSeeing, true, "rounds in its own way from two shared experts on",
     [](const AppendArgs* a) { return nudged(a, [&](int64_t) { return a->num_shared >= 2; }); }},
    {"quiets_nans", "no_shared_is_identity", "no_shared_is_identity", kBlind, false,
     "computes instead of copying where there is no shared expert",
     [](const AppendArgs* a) {
       return damaged(a, [&](int64_t t) {
         if (a->num_shared > 0 || a->topk_weights.data == a->out_weights.data) return;
         for (int64_t k = 0; k < a->topk_ids.cols; ++k)
           if (is_nan(*a, load_weight(*a, t, k)))
             store_weight(*a, t, k, a->out_weights.dtype == TWINCHECK_F32 ? 0x7fc00000 : 0x7fff);
       });
     }},
    {"no_routed", "no_top_k_is_fill", "no_top_k_is_fill", kSeeing, true,
     "rounds in its own way where there is no routed expert",
     [](const AppendArgs* a) { return nudged(a, [&](int64_t) { return a->topk_ids.cols == 0; }); }},
    {"narrow_logits", "widening_commutes", "widening_commutes", kSeeing, true, "rounds in its own way for 16-bit logits",
     [](const AppendArgs* a) {
       return nudged(a, [&](int64_t) { return a->source == TWINCHECK_LOGITS && a->shared.dtype != TWINCHECK_F32; });
     }},
    {"narrows_first", "widening_commutes", "widening_commutes", kBlind, false,
     "narrows the sigmoid to the logit's bf16 before it is stored as f32",
     [](const AppendArgs* a) {
       return damaged(a, [&](int64_t t) {
         if (a->source != TWINCHECK_LOGITS || a->shared.dtype != TWINCHECK_BF16 || a->out_weights.dtype != TWINCHECK_F32)
           return;
         for (int64_t s = 0; s < a->num_shared; ++s) {
           const uint32_t bits = load_weight(*a, t, a->topk_ids.cols + s);
           if (!is_nan(*a, bits)) store_weight(*a, t, a->topk_ids.cols + s, (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000);
         }
       });
     }},
    {"rounds_up", "rounding_idempotent", "rounding_idempotent", kBlind, false,
     "steps to the next number although none is lost",
     [](const AppendArgs* a) {
       return damaged(a, [&](int64_t t) {
         for (int64_t s = 0; s < a->num_shared && a->source == TWINCHECK_WEIGHTS; ++s)
           store_weight(*a, t, a->topk_ids.cols + s, load_weight(*a, t, a->topk_ids.cols + s) + 1);
       });
     }},
    {"small_scales", "shared_counts_once", "shared_counts_once", kSeeing, true, "rounds in its own way for a divided scale",
     [](const AppendArgs* a) { return nudged(a, [&](int64_t) { return std::fabs(a->scale) < 0.2f; }); }},
    {"counts_once_a_rank", "shared_counts_once", "shared_counts_once", kBlind, false,
     "forgets the scale, so that every rank counts",
     [](const AppendArgs* a) {
       if (right(a) != TWINCHECK_OK || a->source == TWINCHECK_WEIGHTS) return right(a);
       AppendArgs whole = *a;
       whole.scale = 1;
       return right(&whole);
     }},
    {"scales_twice", "moe_layer", "moe_layer", kBlind, false, "multiplies by a factor that is folded in already",
     [](const AppendArgs* a) {
       if (right(a) != TWINCHECK_OK || a->source == TWINCHECK_WEIGHTS) return right(a);
       AppendArgs twice = *a;
       twice.scale *= a->scale;
       return right(&twice);
     }},
    {"one_slot_a_rank", "remap_tiles", "remap_tiles", kBlind, false, "makes room for one shared expert a rank instead of S",
     [](const AppendArgs* a) {
       return damaged(a, [&](int64_t t) {
         for (int64_t k = 0; k < a->topk_ids.cols && a->remap_local_routed > 0; ++k)
           if (const int64_t e = load_id(a->topk_ids, t, k); e >= 0) store_id(*a, t, k, e + e / a->remap_local_routed);
       });
     }},
    {"remaps_sentinels", "remap_tiles", "remap_tiles", kBlind, false, "remaps a sentinel like an id",
     [](const AppendArgs* a) {
       return damaged(a, [&](int64_t t) {
         for (int64_t k = 0; k < a->topk_ids.cols && a->remap_local_routed > 0; ++k)
           if (const int64_t e = load_id(a->topk_ids, t, k); e < 0) store_id(*a, t, k, e - 1);
       });
     }},
    {"tired", "deterministic", "deterministic", kSeeing, true, "rounds in another way from its fifth call on",
     [](const AppendArgs* a) {
       const bool other = ++state.calls > 4;
       return nudged(a, [&](int64_t) { return other; });
     }},
    {"order_matters", "deterministic", "deterministic", kSeeing, true, "adds in the order in which blocks happen to run",
     [](const AppendArgs* a) { return nudged(a, [](int64_t) { return state.order_seed != 0; }); }, set_knob, get_knob},
    {"wave_matters", "deterministic", "deterministic", kSeeing, true, "adds in an order that depends on the wave's width",
     [](const AppendArgs* a) { return nudged(a, [](int64_t) { return state.wave == 32; }); }, set_knob, get_knob},
    {"cached_by_pointer", "sequence", "appended_weights", kSeeing, true,
     "answers the shared weights of the first call with these pointers and this shape", cached},
    {"swallows_errors", "faults", "faults", kSeeing, true, "goes on after a runtime call failed", failing<Fault::kSwallowed>,
     set_knob, get_knob},
    {"nameless_error", "faults", "faults", kSeeing, true, "does not say which error it was", failing<Fault::kNameless>,
     set_knob, get_knob},
    {"keeps_memory", "faults", "faults", kBlind, true, "keeps a workspace until a larger batch comes",
     failing<Fault::kKeepsMemory>, set_knob, get_knob},
    {"leaks", "faults", "faults", kSeeing, true, "keeps its scratch when the launch fails", failing<Fault::kLeak>, set_knob,
     get_knob},
    {"loses_a_handle", "faults", "faults", kSeeing, true, "keeps an event when its record fails",
     failing<Fault::kLosesHandle>, set_knob, get_knob},
    {"never_recovers", "faults", "faults", kSeeing, true, "reports the error once more", failing<Fault::kNextCallFails>,
     set_knob, get_knob},
    {"stray_write", "faults", "faults", kSeeing, true, "writes before its output on the way out", failing<Fault::kStray>,
     set_knob, get_knob},
    {"half_initialized", "faults", "faults", kSeeing, true, "computes something else after an error",
     failing<Fault::kKeepsOutput>, set_knob, get_knob},
    {"stays_on_the_device", "device_follows_outputs", "device_follows_outputs", kSeeing, true,
     "leaves the outputs' device current",
     [](const AppendArgs* a) {
       if (state.host_device > 0) state.device = state.host_device - 1;
       return right(a);
     },
     set_knob, get_knob},
    {"launches_where_it_is", "device_follows_outputs", "appended_ids", kSeeing, true,
     "runs on the current device, which has other memory",
     [](const AppendArgs* a) {
       if (state.host_device <= 1) return right(a);
       AppendArgs other = *a;
       other.base_id += other.base_id > 0 ? -1 : 1;
       return right(&other);
     },
     set_knob, get_knob},
};

}  // namespace

std::span<const Wrong> candidates() { return kWrong; }

const Wrong& candidate(std::string_view name) {
  for (const Wrong& w : kWrong)
    if (w.name == name) return w;
  throw std::invalid_argument("no wrong candidate of that name");
}

namespace {
std::vector<std::vector<std::byte>> staged;
}

void stage_shared(AppendArgs& args) {
  constexpr int64_t kMostStride = 4096;
  Matrix& m = args.shared;
  if (independent::refusal(args).status != TWINCHECK_OK || m.rows == 0 || m.cols == 0) return;
  if (m.rows > 1 && m.row_stride > kMostStride) return;
  staged.emplace_back(at(m, 0, 0), at(m, m.rows - 1, m.cols - 1) + width(m.dtype));
  m.data = staged.back().data();
}

void forget_staged() { staged.clear(); }

Candidate fresh(const Wrong& wrong) {
  state = {};
  Candidate c;
  c.name = "wrong." + std::string(wrong.name);
  c.path = "(linked)";
  c.exact_status = true;
  c.append = wrong.append;
  c.last_error = words;
  c.set = wrong.set;
  c.get = wrong.get != nullptr ? wrong.get : own;
  return c;
}

Candidate independent_candidate() { return fresh({"", "", "", Sight::kBlind, true, "", right}); }

}  // namespace twincheck::wrong
