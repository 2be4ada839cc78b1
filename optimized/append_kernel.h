// The fused kernel: one instantiation a combination of dtypes and source.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>
#include <type_traits>

#include "contract/words.h"
#include "optimized/arithmetic.h"
#include "optimized/elements.h"
#include "optimized/gate.h"
#include "optimized/plan.h"

namespace twincheck::optimized {

// The rules of the ids (elements.h). As they lie in memory i32 is uint32_t and i64 uint64_t; `Id` is the signed type.
template <class Id>
struct IdRules {
  using Element = std::make_unsigned_t<Id>;
  using Raw = Element;
  static constexpr bool kAppends = true;
  const Arguments& a;

  __device__ const Side& side() const { return a.ids; }
  __device__ Raw load_shared(uint32_t, uint32_t s) const { return static_cast<Element>(a.first_id) + s; }
  __device__ Element shared(Raw raw) const { return raw; }
  __device__ bool maps_routed() const { return a.has_remap != 0; }
  __device__ Element routed(Element e) const {
    const int64_t id = static_cast<Id>(e);
    // Unsigned, so that an id that leaves the dtype wraps.
    const uint64_t block = quotient(static_cast<uint64_t>(id), a.remap);
    const auto mapped = static_cast<Element>(static_cast<uint64_t>(id) + block * static_cast<uint64_t>(a.num_shared));
    return id < 0 ? e : mapped;
  }
};

// The rules of the weights. `Value` is the dtype of `shared`; not looked at for kConstant and kGate. A gate's shared columns
// are written by blocks of their own (gate.h).
template <class Weight, class Value, Source kSource>
struct WeightRules {
  using Element = typename Weight::Bits;
  using Raw = typename Value::Bits;
  static constexpr bool kAppends = kSource != Source::kGate;
  static constexpr bool kReads = kSource == Source::kWeights || kSource == Source::kLogits;
  const Arguments& a;

  __device__ const Side& side() const { return a.weights; }
  __device__ Raw load_shared(uint32_t row, uint32_t s) const {
    if constexpr (!kReads) {
      return 0;
    } else {
      return static_cast<const Raw*>(a.shared)[row * a.shared_stride + s * a.shared_step];
    }
  }
  __device__ Element shared(Raw raw) const {
    if constexpr (!kReads) {
      return Weight::round(bits_of(a.scale));
    } else if constexpr (kSource == Source::kLogits) {
      return Weight::round(bits_of(gated(float_of(Value::widen(raw)), a.scale)));
    } else if constexpr (std::is_same_v<Weight, Value>) {
      return raw;
    } else {
      return Weight::round(Value::widen(raw));
    }
  }
  __device__ bool maps_routed() const { return false; }
  __device__ Element routed(Element e) const { return e; }
};

// Blocks: first the gate's, then the elements'. May be launched early.
template <class Id, class Weight, class Value, Source kSource>
__global__ void __launch_bounds__(kMaxBlock, kSource == Source::kGate ? kGateOccupancy : 1) append_kernel(Arguments a) {
  TWINCHECK_LET_NEXT_BEGIN();
  uint32_t block = blockIdx.x;
  if constexpr (kSource == Source::kGate) {
    if (block < a.gate.blocks) {
      write_gate<Value, Weight>(a.gate, block, a.num_shared, a.scale);
      return;
    }
    block -= a.gate.blocks;
  }
  using Ids = IdRules<Id>;
  using Weights = WeightRules<Weight, Value, kSource>;
  write_elements(a, block, Output<Ids>(Ids{a}), Output<Weights>(Weights{a}));
}

}  // namespace twincheck::optimized
