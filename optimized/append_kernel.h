// The fused kernel: one instantiation a combination of dtypes and source.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>
#include <type_traits>

#include "contract/words.h"
#include "optimized/arithmetic.h"
#include "optimized/gate.h"
#include "optimized/plan.h"
#include "optimized/side.h"

namespace twincheck::optimized {

// Ids as they lie in memory: uint32_t for i32, uint64_t for i64. `Id` is the signed type.
template <class Id>
struct RoutedId {
  using Element = std::make_unsigned_t<Id>;
  const Arguments& a;

  __device__ Element operator()(Element e) const {
    const int64_t id = static_cast<Id>(e);
    if (a.has_remap == 0 || id < 0) return e;
    // Unsigned, so that an id that leaves the dtype wraps.
    const uint64_t block = quotient(static_cast<uint64_t>(id), a.remap);
    return static_cast<Element>(static_cast<uint64_t>(id) + block * static_cast<uint64_t>(a.num_shared));
  }
};

template <class Id>
__device__ inline void write_ids(const Side& side, uint32_t unit, const Arguments& a) {
  using Element = std::make_unsigned_t<Id>;
  const auto shared = [&a](int64_t, int64_t s) { return static_cast<Element>(a.base_id + s); };
  write_side<Element>(side, unit, RoutedId<Id>{a}, shared);
}

// `Value` is the dtype of `shared`; not looked at for kConstant.
template <class Weight, class Value, Source kSource>
__device__ inline void write_weights(const Side& side, uint32_t unit, const Arguments& a) {
  using Element = typename Weight::Bits;
  const auto routed = [](Element e) { return e; };
  const auto shared = [&a](int64_t row, int64_t s) -> Element {
    if constexpr (kSource == Source::kConstant) {
      return Weight::round(bits_of(a.scale));
    } else {
      const auto bits = static_cast<const typename Value::Bits*>(a.shared)[row * a.shared_stride + s * a.shared_step];
      if constexpr (kSource == Source::kLogits) {
        return Weight::round(bits_of(gated(float_of(Value::widen(bits)), a.scale)));
      } else if constexpr (std::is_same_v<Weight, Value>) {
        return bits;
      } else {
        return Weight::round(Value::widen(bits));
      }
    }
  };
  write_side<Element>(side, unit, routed, shared);
}

// Blocks: first the gate's, then the ids', then the weights'.
template <class Id, class Weight, class Value, Source kSource>
__global__ void __launch_bounds__(kMaxBlock) append_kernel(Arguments a) {
  uint32_t block = blockIdx.x;
  if constexpr (kSource == Source::kGate) {
    if (block < a.gate.blocks) {
      write_gate<Value, Weight>(a.gate, block, a.num_shared, a.scale);
      return;
    }
    block -= a.gate.blocks;
  }
  if (block < a.ids.blocks) {
    write_ids<Id>(a.ids, block * blockDim.x + threadIdx.x, a);
    return;
  }
  block -= a.ids.blocks;
  // Of a gate's weights only the routed ones are left: kConstant's code, never run for a shared one.
  constexpr Source kRest = kSource == Source::kGate ? Source::kConstant : kSource;
  write_weights<Weight, Value, kRest>(a.weights, block * blockDim.x + threadIdx.x, a);
}

}  // namespace twincheck::optimized
