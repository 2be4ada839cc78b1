// Memory: heap memory that belongs to a device, and copies.
//
// Any other host memory is as good as device memory to a kernel or a copy; what the runtime has handed out is checked: a
// range that leaves its allocation, or a device's allocation given as host memory, is hipErrorInvalidValue, and a launch
// whose arguments hold a pointer into another device's allocation is an illegal access. Fresh memory is painted, 1 MiB at
// each end.
#pragma once

#include <cstddef>

#include "error.h"
#include "stream.h"

enum hipMemcpyKind : int {
  hipMemcpyHostToHost = 0,
  hipMemcpyHostToDevice = 1,
  hipMemcpyDeviceToHost = 2,
  hipMemcpyDeviceToDevice = 3,
  hipMemcpyDefault = 4,
};
enum hipMemoryType : int { hipMemoryTypeHost, hipMemoryTypeDevice, hipMemoryTypeArray, hipMemoryTypeUnified };
struct hipPointerAttribute_t {
  hipMemoryType memoryType;
  int device;
  void* devicePointer;
  void* hostPointer;
  int isManaged;
  unsigned allocationFlags;
};

inline constexpr unsigned hipHostMallocDefault = 0;

// 256-byte aligned. 0 bytes give a null pointer. hipErrorOutOfMemory beyond the machine's memory.
hipError_t hipMalloc(void** pointer, std::size_t bytes);
hipError_t hipMallocAsync(void** pointer, std::size_t bytes, hipStream_t stream);
hipError_t hipHostMalloc(void** pointer, std::size_t bytes, unsigned flags = hipHostMallocDefault);

// A null pointer is nothing to do; any other must be what the allocation returned, and once (hipErrorInvalidValue). hipFree
// waits for the device. All release even when told to fail.
hipError_t hipFree(void* pointer);
hipError_t hipFreeAsync(void* pointer, hipStream_t stream);
hipError_t hipHostFree(void* pointer);

// Attributes of a pointer into an allocation, first byte or not. Memory that is not the runtime's: hipErrorInvalidValue, as
// ROCm 5 has it.
hipError_t hipPointerGetAttributes(hipPointerAttribute_t* attributes, const void* pointer);
hipError_t hipMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes);

// The synchronous forms run on the null stream and wait for it. 0 bytes are nothing to do, whatever the pointers.
hipError_t hipMemcpy(void* dst, const void* src, std::size_t bytes, hipMemcpyKind kind);
hipError_t hipMemcpyAsync(void* dst, const void* src, std::size_t bytes, hipMemcpyKind kind, hipStream_t stream = nullptr);
hipError_t hipMemcpy2D(void* dst, std::size_t dst_pitch, const void* src, std::size_t src_pitch, std::size_t width,
                       std::size_t height, hipMemcpyKind kind);
hipError_t hipMemcpy2DAsync(void* dst, std::size_t dst_pitch, const void* src, std::size_t src_pitch, std::size_t width,
                            std::size_t height, hipMemcpyKind kind, hipStream_t stream = nullptr);
hipError_t hipMemset(void* dst, int value, std::size_t bytes);
hipError_t hipMemsetAsync(void* dst, int value, std::size_t bytes, hipStream_t stream = nullptr);

// Typed forms, as C++ programs call them.
template <class T>
hipError_t hipMalloc(T** pointer, std::size_t bytes) {
  return hipMalloc(reinterpret_cast<void**>(pointer), bytes);
}
template <class T>
hipError_t hipMallocAsync(T** pointer, std::size_t bytes, hipStream_t stream) {
  return hipMallocAsync(reinterpret_cast<void**>(pointer), bytes, stream);
}
template <class T>
hipError_t hipHostMalloc(T** pointer, std::size_t bytes, unsigned flags = hipHostMallocDefault) {
  return hipHostMalloc(reinterpret_cast<void**>(pointer), bytes, flags);
}
