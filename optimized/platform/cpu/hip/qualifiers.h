// The words that mark device code. __noinline__ is absent: libstdc++'s headers use it as an attribute's name.
#pragma once

#define __HIP_PLATFORM_TWINCHECK_CPU__ 1

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define HIP_KERNEL_NAME(...) __VA_ARGS__

#if defined(__SANITIZE_ADDRESS__)
#define TWINCHECK_HIP_CPU_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TWINCHECK_HIP_CPU_ASAN 1
#endif
#endif
#ifndef TWINCHECK_HIP_CPU_ASAN
#define TWINCHECK_HIP_CPU_ASAN 0
#endif

// Static shared memory: one copy a host thread, since a host thread runs one block at a time. AddressSanitizer puts no red
// zones around thread_local variables, so under it there is one copy a process and launches take turns. What an earlier
// block left stays, as on hardware. Dynamic shared memory: HIP_DYNAMIC_SHARED in launch.h; `extern __shared__` does not
// exist here.
#if TWINCHECK_HIP_CPU_ASAN
#define __shared__ static
#else
#define __shared__ static thread_local
#endif
