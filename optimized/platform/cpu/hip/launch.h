// Launches.
//
// hipLaunchKernelGGL(kernel, grid, block, dynamic shared bytes, stream, arguments...) as in HIP, with a kernel or a pointer
// to one (a template's name with commas in parentheses or HIP_KERNEL_NAME). It returns nothing: hipGetLastError has the
// error.
//   hipErrorInvalidConfiguration  a grid or block dimension is 0; more than 1,024 threads a block; gridDim.x * blockDim.x
//                                 >= 2^32; grid.y or z > 65,535
//   hipErrorInvalidValue          more than 65,536 bytes of dynamic shared memory
//   hipErrorInvalidHandle         not a live stream, or one of a device that is not current
// Nothing runs after one of these. Static shared memory is not counted into the limit, and __launch_bounds__ is not looked
// at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "error.h"
#include "execution.h"
#include "qualifiers.h"
#include "stream.h"
#include "vector_types.h"

// The kernel becomes part of the loop over threads, so that a thread that returns at once copies no arguments. Not where
// stack traces and compile time count more.
#if defined(__OPTIMIZE__) && !TWINCHECK_HIP_CPU_ASAN
#define TWINCHECK_HIP_CPU_FLATTEN __attribute__((flatten))
#else
#define TWINCHECK_HIP_CPU_FLATTEN
#endif

// On what hands a kernel its arguments, thread by thread: AddressSanitizer would look at every byte of both copies.
#if TWINCHECK_HIP_CPU_ASAN
#define TWINCHECK_HIP_CPU_HANDS_OVER __attribute__((no_sanitize_address))
#else
#define TWINCHECK_HIP_CPU_HANDS_OVER
#endif

namespace twincheck::hip_cpu {

// A launch with its arguments, the kernel's type erased. `call` belongs to the caller; its bytes may be copied for later, to
// an address aligned for std::max_align_t.
struct Launch {
  dim3 grid, block;
  std::size_t shared_bytes;
  void (*run)(const void* call);
  const void* call;
  std::size_t call_bytes;
  bool one_at_a_time;  // static shared memory is the process's, not the host thread's
};

// Runs, records or queues it; the error is left as the host thread's last.
void submit(const Launch& launch, hipStream_t stream);

template <class Call>
TWINCHECK_HIP_CPU_FLATTEN void run_threads(const void* call) {
  Execution& e = execution();
  const Call own =
      *static_cast<const Call*>(call);  // nobody else can write to it, so it is read once and not by each thread
  while (begin_thread(e)) own();
}

template <class Kernel>
struct Launcher;
template <class... Params>
struct Launcher<void (*)(Params...)> {
  static_assert((std::is_trivially_copyable_v<Params> && ...), "kernel parameters are copied as bytes");
  static_assert(!(std::is_reference_v<Params> || ...), "kernel parameters are values");

  // Arguments become parameters as in a call of the kernel.
  template <class Invoke>
  static void launch(Invoke invoke, dim3 grid, dim3 block, std::size_t shared_bytes, hipStream_t stream, Params... args) {
    const auto call = [=] { invoke(args...); };
    static_assert(alignof(decltype(call)) <= alignof(std::max_align_t),
                  "kernel parameters are aligned as operator new aligns");
    submit({grid, block, shared_bytes, run_threads<decltype(call)>, &call, sizeof(call), TWINCHECK_HIP_CPU_ASAN != 0},
           stream);
  }
};

}  // namespace twincheck::hip_cpu

#define hipLaunchKernelGGL(kernel, ...)                                                                               \
  ::twincheck::hip_cpu::Launcher<::std::decay_t<decltype(kernel)>>::launch(                                           \
      [=](const auto&... twincheck_hip_cpu_arg) TWINCHECK_HIP_CPU_HANDS_OVER { (kernel)(twincheck_hip_cpu_arg...); }, \
      __VA_ARGS__)

// Painted before each block and exactly as long as the launch says.
#define HIP_DYNAMIC_SHARED(type, variable) \
  type* const variable = reinterpret_cast<type*>(::twincheck::hip_cpu::execution().dynamic_shared);

// The machine holds 2,048 threads a multiprocessor, whatever the kernel.
template <class Kernel>
hipError_t hipOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, Kernel, int block_threads, std::size_t) {
  if (blocks == nullptr || block_threads < 1 || block_threads > 1024) return hipErrorInvalidValue;
  *blocks = 2048 / block_threads;
  return hipSuccess;
}
