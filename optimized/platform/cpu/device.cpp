#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "runtime.h"

using namespace twincheck::hip_cpu;

namespace {

hipError_t check_device(int device) { return device >= 0 && device < state().devices ? hipSuccess : hipErrorInvalidDevice; }

std::size_t machine_bytes() {
  static const std::size_t bytes =
      static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

hipDeviceProp_t properties_of(int device) {
  hipDeviceProp_t p{};
  std::snprintf(p.name, sizeof(p.name), "twincheck CPU device %d", device);
  std::snprintf(p.gcnArchName, sizeof(p.gcnArchName), "cpu");
  p.totalGlobalMem = machine_bytes();
  p.sharedMemPerBlock = kMaxSharedBytes;
  p.regsPerBlock = 65'536;
  p.warpSize = state().wave;
  p.maxThreadsPerBlock = kMaxBlockThreads;
  for (int& d : p.maxThreadsDim) d = kMaxBlockThreads;
  p.maxGridSize[0] = 2'147'483'647;
  p.maxGridSize[1] = p.maxGridSize[2] = kMaxGridYz;
  p.clockRate = 1'000'000;
  p.memoryClockRate = 1'000'000;
  p.memoryBusWidth = 64;
  p.totalConstMem = 65'536;
  p.major = 9;
  p.multiProcessorCount = 4;
  p.l2CacheSize = 1 << 20;
  p.maxThreadsPerMultiProcessor = 2'048;
  p.clockInstructionRate = 1'000'000;
  p.concurrentKernels = 1;
  p.pciBusID = device;
  p.maxSharedMemoryPerMultiProcessor = kMaxSharedBytes;
  p.integrated = 1;
  return p;
}

int attribute_of(const hipDeviceProp_t& p, hipDeviceAttribute_t attribute) {
  switch (attribute) {
    case hipDeviceAttributeClockRate:
      return p.clockRate;
    case hipDeviceAttributeComputeCapabilityMajor:
      return p.major;
    case hipDeviceAttributeComputeCapabilityMinor:
      return p.minor;
    case hipDeviceAttributeConcurrentKernels:
      return p.concurrentKernels;
    case hipDeviceAttributeIntegrated:
      return p.integrated;
    case hipDeviceAttributeL2CacheSize:
      return p.l2CacheSize;
    case hipDeviceAttributeManagedMemory:
      return p.managedMemory;
    case hipDeviceAttributeMaxBlockDimX:
      return p.maxThreadsDim[0];
    case hipDeviceAttributeMaxBlockDimY:
      return p.maxThreadsDim[1];
    case hipDeviceAttributeMaxBlockDimZ:
      return p.maxThreadsDim[2];
    case hipDeviceAttributeMaxGridDimX:
      return p.maxGridSize[0];
    case hipDeviceAttributeMaxGridDimY:
      return p.maxGridSize[1];
    case hipDeviceAttributeMaxGridDimZ:
      return p.maxGridSize[2];
    case hipDeviceAttributeMaxSharedMemoryPerBlock:
      return static_cast<int>(p.sharedMemPerBlock);
    case hipDeviceAttributeMaxThreadsPerBlock:
      return p.maxThreadsPerBlock;
    case hipDeviceAttributeMaxThreadsPerMultiProcessor:
      return p.maxThreadsPerMultiProcessor;
    case hipDeviceAttributeMemoryBusWidth:
      return p.memoryBusWidth;
    case hipDeviceAttributeMemoryClockRate:
      return p.memoryClockRate;
    case hipDeviceAttributeMemoryPoolsSupported:
      return 1;
    case hipDeviceAttributeMultiprocessorCount:
      return p.multiProcessorCount;
    case hipDeviceAttributeWarpSize:
      return p.warpSize;
  }
  return -1;
}

hipError_t give_version(int* version) {
  hipError_t error = enter(hipErrorInvalidDevice);
  if (error == hipSuccess && version == nullptr) error = hipErrorInvalidValue;
  if (error == hipSuccess) *version = 50'221'153;
  return finish(error);
}

}  // namespace

hipError_t hipInit(unsigned flags) {
  hipError_t error = enter(hipErrorInvalidDevice);
  if (error == hipSuccess && flags != 0) error = hipErrorInvalidValue;
  return finish(error);
}

hipError_t hipGetDeviceCount(int* count) {
  hipError_t error = enter(hipErrorInvalidDevice);
  if (error == hipSuccess && count == nullptr) error = hipErrorInvalidValue;
  if (error == hipSuccess) *count = state().devices;
  return finish(error);
}

hipError_t hipSetDevice(int device) {
  hipError_t error = enter(hipErrorInvalidDevice);
  if (error == hipSuccess) error = check_device(device);
  if (error == hipSuccess) set_current_device(device);
  return finish(error);
}

hipError_t hipGetDevice(int* device) {
  hipError_t error = enter(hipErrorInvalidDevice);
  if (error == hipSuccess && device == nullptr) error = hipErrorInvalidValue;
  if (error == hipSuccess) *device = current_device();
  return finish(error);
}

hipError_t hipGetDeviceProperties(hipDeviceProp_t* properties, int device) {
  hipError_t error = enter(hipErrorInvalidDevice);
  if (error == hipSuccess && properties == nullptr) error = hipErrorInvalidValue;
  if (error == hipSuccess) error = check_device(device);
  if (error == hipSuccess) *properties = properties_of(device);
  return finish(error);
}

hipError_t hipDeviceGetAttribute(int* value, hipDeviceAttribute_t attribute, int device) {
  hipError_t error = enter(hipErrorInvalidDevice);
  if (error == hipSuccess && value == nullptr) error = hipErrorInvalidValue;
  if (error == hipSuccess) error = check_device(device);
  const int found = error == hipSuccess ? attribute_of(properties_of(device), attribute) : -1;
  if (error == hipSuccess && found < 0) error = hipErrorInvalidValue;
  if (error == hipSuccess) *value = found;
  return finish(error);
}

hipError_t hipDeviceCanAccessPeer(int* can, int device, int peer) {
  hipError_t error = enter(hipErrorInvalidDevice);
  if (error == hipSuccess && can == nullptr) error = hipErrorInvalidValue;
  if (error == hipSuccess) error = check_device(device);
  if (error == hipSuccess) error = check_device(peer);
  if (error == hipSuccess) *can = 0;
  return finish(error);
}

hipError_t hipRuntimeGetVersion(int* version) { return give_version(version); }
hipError_t hipDriverGetVersion(int* version) { return give_version(version); }

hipError_t hipDeviceSynchronize() {
  hipError_t error = enter_device(hipErrorOperatingSystem);
  if (error == hipSuccess) error = unless_capturing();
  if (error == hipSuccess) {
    drain_device(current_device());
    error = state().sticky[current_device()];
  }
  return finish(error);
}

hipError_t hipDeviceReset() {
  hipError_t error = enter(hipErrorOperatingSystem);
  if (error == hipSuccess) error = unless_capturing();
  if (error != hipSuccess) return finish(error);
  State& s = state();
  Lock guard(s.lock);
  const int device = current_device();
  drop_queues(device);
  for (auto it = s.allocations.begin(); it != s.allocations.end();) {
    if (it->second.device != device) {
      ++it;
      continue;
    }
    s.live_bytes -= static_cast<std::int64_t>(it->second.bytes);
    std::free(reinterpret_cast<void*>(it->first));
    it = s.allocations.erase(it);
  }
  s.sticky[device].store(hipSuccess);
  return hipSuccess;
}
