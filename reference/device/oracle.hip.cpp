#include "reference/device/oracle.h"

#include <hip/hip_runtime.h>

#include <cmath>
#include <cstdlib>
#include <type_traits>

#include "contract/words.h"
#include "reference/double_sigmoid.h"
#include "reference/rounding.h"

namespace twincheck::reference {
namespace {

using Range = twincheck_oracle_range;
using Found = twincheck_oracle_found;
using Answer = twincheck_oracle_answer;

constexpr unsigned kThreads = 256;
constexpr unsigned kEach = 16;  // values a thread, so that a block has few sums to add
constexpr int kFarther = 32, kNan = 33, kNanOrNumber = 34;

template <Dtype dtype>
using Bits = std::conditional_t<dtype == Dtype::kF32, uint32_t, uint16_t>;

template <Dtype from, Dtype to, bool sigmoid>
__device__ Answer answer_to(uint32_t input) {
  constexpr Format kFrom = format_of(from), kTo = format_of(to);
  const double x = widen(kFrom, input);
  if (x != x) {
    const uint32_t nan = quiet_nan(kTo);
    return {nan, nan, nan, 7};
  }
  if constexpr (!sigmoid) {
    const uint32_t bits = round(kTo, x);
    return {bits, bits, bits, 7};
  } else {
    const double y = 1.0 / (1 + std::exp(-x));
    const End low = double_end<kLow, kTo>(x, y, 1.0);
    const End middle = double_end<kMiddle, kTo>(x, y, 1.0);
    const End high = double_end<kHigh, kTo>(x, y, 1.0);
    return {low.bits, middle.bits, high.bits, (low.known ? 1u : 0u) | (middle.known ? 2u : 0u) | (high.known ? 4u : 0u)};
  }
}

template <Dtype from>
__global__ void inputs_kernel(uint32_t first, uint64_t count, Bits<from>* inputs) {
  const uint64_t i = uint64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) inputs[i] = static_cast<Bits<from>>(first + static_cast<uint32_t>(i));
}

template <Dtype from, Dtype to, bool sigmoid>
__global__ void compare_kernel(uint32_t first, uint64_t count, const Bits<to>* results, Found* found) {
  constexpr Format kTo = format_of(to);
  __shared__ unsigned bins[TWINCHECK_ORACLE_BINS];
  for (unsigned b = threadIdx.x; b < TWINCHECK_ORACLE_BINS; b += kThreads) bins[b] = 0;
  __syncthreads();

  unsigned exact = 0, values = 0, wrong = 0;
  for (unsigned n = 0; n < kEach; ++n) {
    const uint64_t i = (uint64_t{blockIdx.x} * kEach + n) * kThreads + threadIdx.x;
    if (i >= count) break;
    const uint32_t input = first + static_cast<uint32_t>(i), got = results[i];
    const Answer right = answer_to<from, to, sigmoid>(input);
    const bool got_nan = is_nan(kTo, got), right_nan = is_nan(kTo, right.middle);
    const bool equal = (right.known & 2) != 0 && (got == right.middle || (got_nan && right_nan));
    if (!equal && right.known != 7) {
      const uint64_t place = atomicAdd(reinterpret_cast<unsigned long long*>(&found->left), 1ull);
      if (place < TWINCHECK_ORACLE_LEFT) {
        found->undecided[place].input = input;
        found->undecided[place].got = got;
      }
      continue;
    }
    ++values;
    if (equal) {
      if (right_nan) {
        atomicAdd(&bins[kNan], 1u);
      } else {
        ++exact;
      }
      continue;
    }
    bool acceptable = false;
    if (got_nan || right_nan) {
      atomicAdd(&bins[kNanOrNumber], 1u);
    } else {
      const int64_t at = ordinal(kTo, got), off = at - ordinal(kTo, right.middle);
      const auto distance = static_cast<uint64_t>(off < 0 ? -off : off);
      atomicAdd(&bins[distance < kFarther ? distance : kFarther], 1u);
      atomicMax(reinterpret_cast<unsigned long long*>(&found->farthest),
                static_cast<unsigned long long>(distance << 32 | (0xffffffffu - input)));
      acceptable = sigmoid && ordinal(kTo, right.low) <= at && at <= ordinal(kTo, right.high);
    }
    if (!acceptable) {
      ++wrong;
      atomicMax(reinterpret_cast<unsigned long long*>(&found->first_wrong), (1ull << 32) - input);
    }
  }
  if (exact > 0) atomicAdd(&bins[0], exact);
  if (values > 0) atomicAdd(reinterpret_cast<unsigned long long*>(&found->values), static_cast<unsigned long long>(values));
  if (wrong > 0) atomicAdd(reinterpret_cast<unsigned long long*>(&found->wrong), static_cast<unsigned long long>(wrong));
  __syncthreads();
  for (unsigned b = threadIdx.x; b < TWINCHECK_ORACLE_BINS; b += kThreads)
    if (bins[b] > 0)
      atomicAdd(reinterpret_cast<unsigned long long*>(&found->ulp[b]), static_cast<unsigned long long>(bins[b]));
}

template <Dtype from, Dtype to, bool sigmoid>
__global__ void answers_kernel(const uint32_t* inputs, uint64_t count, Answer* answers) {
  const uint64_t i = uint64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) answers[i] = answer_to<from, to, sigmoid>(inputs[i]);
}

dim3 blocks(uint64_t count, unsigned each) { return dim3(static_cast<unsigned>((count + each - 1) / each)); }

template <class Use>
void with_dtype(int32_t dtype, Use use) {
  if (dtype == TWINCHECK_F32) return use(std::integral_constant<Dtype, Dtype::kF32>{});
  if (dtype == TWINCHECK_BF16) return use(std::integral_constant<Dtype, Dtype::kBf16>{});
  if (dtype == TWINCHECK_F16) return use(std::integral_constant<Dtype, Dtype::kF16>{});
}

template <class Use>
void with_range(const Range& range, Use use) {
  with_dtype(range.from, [&](auto from) {
    with_dtype(range.to, [&](auto to) {
      if (range.source == TWINCHECK_LOGITS) {
        use(from, to, std::true_type{});
      } else {
        use(from, to, std::false_type{});
      }
    });
  });
}

// Where another driver than this runtime's stands for the device, its streams are not ours to use, and its memory is the
// host's: then everything is done when it is asked for.
hipStream_t stream_of([[maybe_unused]] void* stream) {
#ifdef TWINCHECK_ORACLE_AT_ONCE
  return nullptr;
#else
  return static_cast<hipStream_t>(stream);
#endif
}

thread_local hipError_t last_error = hipSuccess;

int32_t launched() {
  last_error = hipGetLastError();
#ifdef TWINCHECK_ORACLE_AT_ONCE
  if (last_error == hipSuccess) last_error = hipStreamSynchronize(nullptr);
#endif
  return static_cast<int32_t>(last_error);
}

}  // namespace
}  // namespace twincheck::reference

using namespace twincheck::reference;

#define TWINCHECK_ORACLE extern "C" __attribute__((visibility("default")))

TWINCHECK_ORACLE int32_t twincheck_oracle_abi(void) { return TWINCHECK_ORACLE_ABI; }

TWINCHECK_ORACLE const char* twincheck_oracle_error(void) { return hipGetErrorName(last_error); }

TWINCHECK_ORACLE int32_t twincheck_oracle_inputs(const Range* range, void* inputs, void* stream) {
  if (range->count == 0) return 0;
  with_dtype(range->from, [&](auto from) {
    hipLaunchKernelGGL((inputs_kernel<from()>), blocks(range->count, kThreads), dim3(kThreads), 0, stream_of(stream),
                       static_cast<uint32_t>(range->first), range->count, static_cast<Bits<from()>*>(inputs));
  });
  return launched();
}

TWINCHECK_ORACLE int32_t twincheck_oracle_compare(const Range* range, const void* got, Found* found, void* stream) {
  if (range->count == 0) return 0;
  with_range(*range, [&](auto from, auto to, auto sigmoid) {
    hipLaunchKernelGGL((compare_kernel<from(), to(), sigmoid()>), blocks(range->count, kThreads * kEach), dim3(kThreads), 0,
                       stream_of(stream), static_cast<uint32_t>(range->first), range->count,
                       static_cast<const Bits<to()>*>(got), found);
  });
  return launched();
}

TWINCHECK_ORACLE int32_t twincheck_oracle_answers(const Range* range, const uint32_t* inputs, uint64_t count,
                                                  Answer* answers, void* stream) {
  if (count == 0) return 0;
  with_range(*range, [&](auto from, auto to, auto sigmoid) {
    hipLaunchKernelGGL((answers_kernel<from(), to(), sigmoid()>), blocks(count, kThreads), dim3(kThreads), 0,
                       stream_of(stream), inputs, count, answers);
  });
  return launched();
}
