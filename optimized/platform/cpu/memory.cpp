#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "runtime.h"

using namespace twincheck::hip_cpu;

namespace {

constexpr std::size_t kAlignment = 256;
constexpr std::size_t kPaintedBytes = std::size_t{1} << 20;
constexpr int kPaint = 0xA5;

std::size_t machine_bytes() {
  return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

void paint(void* memory, std::size_t bytes) {
  const std::size_t part = bytes < kPaintedBytes ? bytes : kPaintedBytes;
  std::memset(memory, kPaint, part);
  std::memset(static_cast<char*>(memory) + (bytes - part), kPaint, part);
}

hipError_t allocate(void** pointer, std::size_t bytes, hipMemoryType type) {
  if (pointer == nullptr) return hipErrorInvalidValue;
  *pointer = nullptr;
  if (bytes == 0) return hipSuccess;
  void* memory = nullptr;
  if (bytes > machine_bytes() || posix_memalign(&memory, kAlignment, bytes) != 0) return hipErrorOutOfMemory;
  paint(memory, bytes);
  State& s = state();
  Lock guard(s.lock);
  s.allocations[reinterpret_cast<std::uintptr_t>(memory)] = {bytes, current_device(), type};
  s.live_bytes += static_cast<std::int64_t>(bytes);
  *pointer = memory;
  return hipSuccess;
}

bool is_start(const void* pointer, bool host) {
  State& s = state();
  Lock guard(s.lock);
  const auto it = s.allocations.find(reinterpret_cast<std::uintptr_t>(pointer));
  return it != s.allocations.end() && (it->second.type == hipMemoryTypeHost) == host;
}

void release(void* pointer) {
  State& s = state();
  Lock guard(s.lock);
  const auto it = s.allocations.find(reinterpret_cast<std::uintptr_t>(pointer));
  if (it == s.allocations.end()) return;
  s.live_bytes -= static_cast<std::int64_t>(it->second.bytes);
  s.allocations.erase(it);
  std::free(pointer);
}

// The allocation that a byte lies in; null if it is nobody's. Under the lock.
const std::pair<const std::uintptr_t, Allocation>* find(const void* pointer) {
  const State& s = state();
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  auto it = s.allocations.upper_bound(address);
  if (it == s.allocations.begin()) return nullptr;
  --it;
  return address - it->first < it->second.bytes ? &*it : nullptr;
}

hipError_t check_range(const void* pointer, std::size_t bytes, bool claimed_host) {
  if (pointer == nullptr) return hipErrorInvalidValue;
  Lock guard(state().lock);
  const auto* found = find(pointer);
  if (found == nullptr) return hipSuccess;
  if (claimed_host && found->second.type == hipMemoryTypeDevice) return hipErrorInvalidValue;
  const std::size_t left = found->second.bytes - (reinterpret_cast<std::uintptr_t>(pointer) - found->first);
  return bytes <= left ? hipSuccess : hipErrorInvalidValue;
}

// height rows of width bytes, pitches apart.
struct Copy {
  void* dst;
  std::size_t dst_pitch;
  const void* src;
  std::size_t src_pitch, width, height;
  int device;

  void operator()() const {
    if (state().sticky[device] != hipSuccess) return;
    for (std::size_t row = 0; row < height; ++row) {
      std::memmove(static_cast<char*>(dst) + row * dst_pitch, static_cast<const char*>(src) + row * src_pitch, width);
    }
  }
};

hipError_t enqueue_copy(Copy copy, hipMemcpyKind kind, ihipStream_t& stream) {
  if (kind < hipMemcpyHostToHost || kind > hipMemcpyDefault) return hipErrorInvalidMemcpyDirection;
  if (copy.width == 0 || copy.height == 0) return hipSuccess;
  if (copy.height > 1 && (copy.dst_pitch < copy.width || copy.src_pitch < copy.width)) return hipErrorInvalidPitchValue;
  const bool from_host = kind == hipMemcpyHostToHost || kind == hipMemcpyHostToDevice;
  const bool to_host = kind == hipMemcpyHostToHost || kind == hipMemcpyDeviceToHost;
  hipError_t error = check_range(copy.dst, (copy.height - 1) * copy.dst_pitch + copy.width, to_host);
  if (error == hipSuccess) error = check_range(copy.src, (copy.height - 1) * copy.src_pitch + copy.width, from_host);
  if (error != hipSuccess) return error;
  copy.device = stream.device;
  return enqueue(stream, copy);
}

hipError_t copy_async(const Copy& copy, hipMemcpyKind kind, hipStream_t handle) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorOperatingSystem);
  if (error == hipSuccess) error = find_stream_for_work(handle, &stream);
  if (error == hipSuccess) error = enqueue_copy(copy, kind, *stream);
  return finish(error);
}

hipError_t synchronize_legacy(ihipStream_t& stream) {
  drain(stream);
  return state().sticky[stream.device];
}

hipError_t copy_and_wait(const Copy& copy, hipMemcpyKind kind) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorOperatingSystem);
  if (error == hipSuccess) error = unless_capturing();
  if (error == hipSuccess) error = find_stream(nullptr, &stream);
  if (error == hipSuccess) error = enqueue_copy(copy, kind, *stream);
  if (error == hipSuccess) error = synchronize_legacy(*stream);
  return finish(error);
}

hipError_t enqueue_fill(void* dst, int value, std::size_t bytes, ihipStream_t& stream) {
  if (bytes == 0) return hipSuccess;
  const hipError_t error = check_range(dst, bytes, /*claimed_host=*/false);
  if (error != hipSuccess) return error;
  const int device = stream.device;
  return enqueue(stream, [=] {
    if (state().sticky[device] == hipSuccess) std::memset(dst, value, bytes);
  });
}

}  // namespace

hipError_t hipMalloc(void** pointer, std::size_t bytes) {
  hipError_t error = enter_device(hipErrorOutOfMemory);
  if (error == hipSuccess) error = unless_capturing();
  if (error == hipSuccess) error = allocate(pointer, bytes, hipMemoryTypeDevice);
  return finish(error);
}

hipError_t hipMallocAsync(void** pointer, std::size_t bytes, hipStream_t handle) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorOutOfMemory);
  if (error == hipSuccess) error = find_stream_for_work(handle, &stream);
  if (error == hipSuccess) error = unless_capturing(*stream);
  if (error == hipSuccess) error = allocate(pointer, bytes, hipMemoryTypeDevice);
  return finish(error);
}

hipError_t hipHostMalloc(void** pointer, std::size_t bytes, unsigned) {
  hipError_t error = enter_device(hipErrorOutOfMemory);
  if (error == hipSuccess) error = unless_capturing();
  if (error == hipSuccess) error = allocate(pointer, bytes, hipMemoryTypeHost);
  return finish(error);
}

namespace {

hipError_t free_and_wait(void* pointer, bool host) {
  const hipError_t told = enter_device(hipErrorOperatingSystem);
  hipError_t error = unless_capturing();
  if (error != hipSuccess || pointer == nullptr) return finish(told != hipSuccess ? told : error);
  drain_device(current_device());
  if (is_start(pointer, host)) {
    release(pointer);
  } else {
    error = hipErrorInvalidValue;
  }
  if (error == hipSuccess) error = state().sticky[current_device()];
  return finish(told != hipSuccess ? told : error);
}

}  // namespace

hipError_t hipFree(void* pointer) { return free_and_wait(pointer, /*host=*/false); }
hipError_t hipHostFree(void* pointer) { return free_and_wait(pointer, /*host=*/true); }

hipError_t hipFreeAsync(void* pointer, hipStream_t handle) {
  const hipError_t told = enter_device(hipErrorOperatingSystem);
  ihipStream_t* stream = nullptr;
  hipError_t error = find_stream_for_work(handle, &stream);
  if (error == hipSuccess) error = unless_capturing(*stream);
  if (error == hipSuccess && pointer != nullptr) {
    error = is_start(pointer, /*host=*/false) ? enqueue(*stream, [=] { release(pointer); }) : hipErrorInvalidValue;
  }
  return finish(told != hipSuccess ? told : error);
}

hipError_t hipPointerGetAttributes(hipPointerAttribute_t* attributes, const void* pointer) {
  hipError_t error = enter(hipErrorInvalidDevicePointer);
  if (error == hipSuccess && attributes == nullptr) error = hipErrorInvalidValue;
  if (error != hipSuccess) return finish(error);
  Lock guard(state().lock);
  const auto* found = find(pointer);
  void* const address = const_cast<void*>(pointer);
  if (found == nullptr && state().host_device > 0) {
    *attributes = {hipMemoryTypeDevice, state().host_device - 1, address, nullptr, 0, 0};
    return hipSuccess;
  }
  if (found == nullptr) return finish(hipErrorInvalidValue);
  const bool host = found->second.type == hipMemoryTypeHost;
  *attributes = {found->second.type, found->second.device, address, host ? address : nullptr, 0, 0};
  return hipSuccess;
}

hipError_t hipMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  hipError_t error = enter_device(hipErrorInvalidDevice);
  if (error == hipSuccess && (free_bytes == nullptr || total_bytes == nullptr)) error = hipErrorInvalidValue;
  if (error != hipSuccess) return finish(error);
  *total_bytes = machine_bytes();
  *free_bytes = *total_bytes - static_cast<std::size_t>(state().live_bytes);
  return hipSuccess;
}

hipError_t hipMemcpy(void* dst, const void* src, std::size_t bytes, hipMemcpyKind kind) {
  return copy_and_wait({dst, bytes, src, bytes, bytes, 1, 0}, kind);
}

hipError_t hipMemcpyAsync(void* dst, const void* src, std::size_t bytes, hipMemcpyKind kind, hipStream_t stream) {
  return copy_async({dst, bytes, src, bytes, bytes, 1, 0}, kind, stream);
}

hipError_t hipMemcpy2D(void* dst, std::size_t dst_pitch, const void* src, std::size_t src_pitch, std::size_t width,
                       std::size_t height, hipMemcpyKind kind) {
  return copy_and_wait({dst, dst_pitch, src, src_pitch, width, height, 0}, kind);
}

hipError_t hipMemcpy2DAsync(void* dst, std::size_t dst_pitch, const void* src, std::size_t src_pitch, std::size_t width,
                            std::size_t height, hipMemcpyKind kind, hipStream_t stream) {
  return copy_async({dst, dst_pitch, src, src_pitch, width, height, 0}, kind, stream);
}

hipError_t hipMemset(void* dst, int value, std::size_t bytes) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorOperatingSystem);
  if (error == hipSuccess) error = unless_capturing();
  if (error == hipSuccess) error = find_stream(nullptr, &stream);
  if (error == hipSuccess) error = enqueue_fill(dst, value, bytes, *stream);
  if (error == hipSuccess) error = synchronize_legacy(*stream);
  return finish(error);
}

hipError_t hipMemsetAsync(void* dst, int value, std::size_t bytes, hipStream_t handle) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorOperatingSystem);
  if (error == hipSuccess) error = find_stream_for_work(handle, &stream);
  if (error == hipSuccess) error = enqueue_fill(dst, value, bytes, *stream);
  return finish(error);
}
