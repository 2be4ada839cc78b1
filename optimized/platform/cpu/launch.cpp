#include <cstring>

#include "runtime.h"

namespace twincheck::hip_cpu {
namespace {

hipError_t check(const Launch& launch) {
  const dim3& grid = launch.grid;
  const dim3& block = launch.block;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || block.x == 0 || block.y == 0 || block.z == 0) {
    return hipErrorInvalidConfiguration;
  }
  if (block.x > kMaxBlockThreads || block.y > kMaxBlockThreads || block.z > kMaxBlockThreads ||
      block.x * block.y * block.z > kMaxBlockThreads) {
    return hipErrorInvalidConfiguration;
  }
  if (std::uint64_t{grid.x} * block.x > 0xFFFF'FFFF || grid.y > kMaxGridYz || grid.z > kMaxGridYz) {
    return hipErrorInvalidConfiguration;
  }
  return launch.shared_bytes > kMaxSharedBytes ? hipErrorInvalidValue : hipSuccess;
}

// The device of an allocation, other than the launch's, that a word of the arguments points into; -1 for none. Where the
// host's memory has a device, every kernel is taken to be given some.
int foreign_device(const Launch& launch, int device) {
  State& s = state();
  if (s.devices == 1) return -1;
  if (s.host_device > 0 && s.host_device - 1 != device) return s.host_device - 1;
  Lock guard(s.lock);
  const auto* bytes = static_cast<const unsigned char*>(launch.call);
  for (std::size_t at = 0; at + sizeof(std::uintptr_t) <= launch.call_bytes; at += sizeof(std::uintptr_t)) {
    std::uintptr_t word;
    std::memcpy(&word, bytes + at, sizeof(word));
    auto it = s.allocations.upper_bound(word);
    if (it == s.allocations.begin()) continue;
    --it;
    const Allocation& allocation = it->second;
    if (word - it->first < allocation.bytes && allocation.type == hipMemoryTypeDevice && allocation.device != device) {
      return allocation.device;
    }
  }
  return -1;
}

// A seed for one launch, never 0 where order_seed is not. The first has order_seed itself, each later one another: what
// depends on the order gives other bits when the same call is made again.
std::uint64_t next_order(State& s) {
  const std::uint64_t seed = s.order_seed.load(std::memory_order_relaxed);
  if (seed == 0) return 0;
  const std::uint64_t n = s.orders.fetch_add(1, std::memory_order_relaxed);
  return n == 0 ? seed : mix(seed ^ mix(n)) | 1;
}

}  // namespace

void run_kernel(const Launch& launch, int device) {
  State& s = state();
  if (s.sticky[device].load(std::memory_order_relaxed) != hipSuccess) return;
  s.launches.fetch_add(1, std::memory_order_relaxed);
  remember_shape(launch);
  if (!s.execute.load(std::memory_order_relaxed)) return;
  const int foreign = foreign_device(launch, device);
  if (foreign >= 0) {
    fail_device(device, hipErrorIllegalAddress,
                "a kernel on device " + std::to_string(device) + " was given memory of device " + std::to_string(foreign));
    return;
  }
  std::string why;
  const std::uint64_t seed = next_order(s);
  const int wave = s.wave.load(std::memory_order_relaxed);
  hipError_t error;
  if (launch.one_at_a_time) {
    static std::mutex turn;
    const std::lock_guard<std::mutex> guard(turn);
    error = execute_blocks(launch, seed, wave, &why);
  } else {
    error = execute_blocks(launch, seed, wave, &why);
  }
  if (error != hipSuccess) fail_device(device, error, why);
}

void submit(const Launch& launch, hipStream_t handle) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorLaunchOutOfResources);
  if (error == hipSuccess) error = find_stream_for_work(handle, &stream);
  if (error == hipSuccess) error = check(launch);
  if (error != hipSuccess) {
    (void)finish(error);
    return;
  }
  const int device = stream->device;
  error = enqueue(
      *stream, [&] { run_kernel(launch, device); },
      [&]() -> Body {
        const auto* bytes = static_cast<const std::byte*>(launch.call);
        return [later = launch, call = std::vector<std::byte>(bytes, bytes + launch.call_bytes), device]() mutable {
          later.call = call.data();
          run_kernel(later, device);
        };
      });
  (void)finish(error);
}

}  // namespace twincheck::hip_cpu
