// HIP's names over CUDA's runtime: exactly those that the kernel and its wrapper use, so that nvcc builds the same source.
// Their meaning is CUDA's, and so are the names that hipGetErrorName gives.
#pragma once

#include <cuda_runtime.h>

using hipError_t = cudaError_t;
using hipStream_t = cudaStream_t;
using hipPointerAttribute_t = cudaPointerAttributes;

inline constexpr hipError_t hipSuccess = cudaSuccess;
inline constexpr hipError_t hipErrorInvalidValue = cudaErrorInvalidValue;

inline hipError_t hipGetLastError() { return cudaGetLastError(); }
inline const char* hipGetErrorName(hipError_t error) { return cudaGetErrorName(error); }
inline const char* hipGetErrorString(hipError_t error) { return cudaGetErrorString(error); }

inline hipError_t hipGetDeviceCount(int* count) { return cudaGetDeviceCount(count); }
inline hipError_t hipGetDevice(int* device) { return cudaGetDevice(device); }
inline hipError_t hipSetDevice(int device) { return cudaSetDevice(device); }
inline hipError_t hipPointerGetAttributes(hipPointerAttribute_t* attributes, const void* pointer) {
  return cudaPointerGetAttributes(attributes, pointer);
}
inline hipError_t hipMallocAsync(void** pointer, size_t bytes, hipStream_t stream) {
  return cudaMallocAsync(pointer, bytes, stream);
}
inline hipError_t hipFreeAsync(void* pointer, hipStream_t stream) { return cudaFreeAsync(pointer, stream); }

#define hipLaunchKernelGGL(kernel, grid, block, shared_bytes, stream, ...) \
  kernel<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__)

// What HIP has not: a kernel that begins while the one before it in its stream still runs, and waits for it itself
// ("programmatic dependent launch", from compute capability 9.0 on). Behind anything but a kernel it begins as any other.
#if __CUDA_ARCH_LIST__ >= 900
#define TWINCHECK_BEGINS_EARLY
template <class... Parameters>
void launch_early(void (*kernel)(Parameters...), dim3 grid, dim3 block, cudaStream_t stream,
                  const Parameters&... arguments) {
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = 1;
  static_cast<void>(cudaLaunchKernelEx(&config, kernel, arguments...));  // cudaGetLastError() has its error
}
#endif
