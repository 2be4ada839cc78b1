// Host helpers around HIP calls: errors read where they happen, dtypes made types, the buffers' device made current.
#pragma once

#include <hip/hip_runtime.h>

#include <cstdint>

#include "optimized/append.h"
#include "optimized/arithmetic.h"
#include "optimized/message.h"
#include "optimized/plan.h"

namespace twincheck::optimized {

// A kRuntimeError with the runtime's own name of `error` and the call that reported it; kOk for hipSuccess.
inline Result result_of(hipError_t error, const char* call) {
  if (error == hipSuccess) return {Status::kOk, ""};
  return {Status::kRuntimeError, format_message("%s: %s (%s)", call, hipGetErrorName(error), hipGetErrorString(error))};
}

// On a function that launches a kernel and has its template arguments: a symbol of its own in every library, by which a test
// sees that no platform lacks an instantiation.
#define TWINCHECK_LAUNCHES [[gnu::noinline]]

// Calls `launch`, a function of a Plan that returns Result, for every chunk, until one fails.
template <class Launch>
Result for_each_chunk(const Chunks& chunks, const Launch& launch) {
  Result result{Status::kOk, ""};
  for (int64_t chunk = 0; chunk < chunks.count() && result.status == Status::kOk; ++chunk)
    result = launch(chunks.plan(chunk));
  return result;
}

// Launches a kernel that takes a plan's arguments and reads the launch's own error. One that some earlier call left unread
// is not this launch's: it is dropped first.
#define TWINCHECK_LAUNCH(kernel, plan, stream)                                                                 \
  (                                                                                                            \
      static_cast<void>(hipGetLastError()),                                                                    \
      [&] {                                                                                                    \
        hipLaunchKernelGGL(kernel, dim3((plan).grid), dim3((plan).block), 0, static_cast<hipStream_t>(stream), \
                           (plan).arguments);                                                                  \
      }(),                                                                                                     \
      ::twincheck::optimized::result_of(hipGetLastError(), "hipLaunchKernelGGL"))

// The same of a kernel that waits itself for the stream's earlier work (arithmetic.h): where the runtime can, it begins
// before that is done.
#if defined(TWINCHECK_BEGINS_EARLY)
#define TWINCHECK_LAUNCH_EARLY(kernel, plan, stream)                                                                \
  (static_cast<void>(hipGetLastError()),                                                                            \
   launch_early(kernel, dim3((plan).grid), dim3((plan).block), static_cast<hipStream_t>(stream), (plan).arguments), \
   ::twincheck::optimized::result_of(hipGetLastError(), "hipLaunchKernelGGL"))
#else
#define TWINCHECK_LAUNCH_EARLY TWINCHECK_LAUNCH
#endif

// Runs `work`, a function that returns Result, with the device that owns `buffer` current, and leaves the current device as
// it was. Memory that no device owns is the current device's.
template <class Work>
Result on_device_of(const void* buffer, const Work& work) {
  int devices = 0;
  if (const Result r = result_of(hipGetDeviceCount(&devices), "hipGetDeviceCount"); r.status != Status::kOk) return r;
  if (devices == 1) return work();

  int current = 0;
  if (const Result r = result_of(hipGetDevice(&current), "hipGetDevice"); r.status != Status::kOk) return r;
  hipPointerAttribute_t attributes{};
  const hipError_t error = hipPointerGetAttributes(&attributes, buffer);
  if (error == hipErrorInvalidValue) {
    static_cast<void>(hipGetLastError());
    return work();
  }
  if (error != hipSuccess) return result_of(error, "hipPointerGetAttributes");
  if (attributes.device < 0 || attributes.device == current) return work();
  if (const Result r = result_of(hipSetDevice(attributes.device), "hipSetDevice"); r.status != Status::kOk) return r;
  const Result done = work();
  const Result back = result_of(hipSetDevice(current), "hipSetDevice");
  return done.status != Status::kOk ? done : back;
}

template <class T>
struct Type {
  using type = T;
};

// Calls `work` with Type<...> of a dtype that validate() has accepted.
template <class Work>
Result with_id(int32_t dtype, const Work& work) {
  return dtype == TWINCHECK_I32 ? work(Type<int32_t>{}) : work(Type<int64_t>{});
}
template <class Work>
Result with_weight(int32_t dtype, const Work& work) {
  if (dtype == TWINCHECK_BF16) return work(Type<Bf16>{});
  return dtype == TWINCHECK_F16 ? work(Type<F16>{}) : work(Type<F32>{});
}

}  // namespace twincheck::optimized
