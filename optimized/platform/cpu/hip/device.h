// Devices: alike, numbered from 0, as many as the `devices` knob says (one unless told).
//
// A host thread's calls go to its current device, 0 at first. Streams, events and allocations belong to the device that was
// current when they were made.
#pragma once

#include <cstddef>

#include "error.h"

struct hipDeviceProp_t {
  char name[256];
  std::size_t totalGlobalMem;     // bytes
  std::size_t sharedMemPerBlock;  // bytes: 65,536
  int regsPerBlock;
  int warpSize;  // the `wave` knob
  int maxThreadsPerBlock;
  int maxThreadsDim[3];
  int maxGridSize[3];
  int clockRate;        // kHz
  int memoryClockRate;  // kHz
  int memoryBusWidth;   // bits
  std::size_t totalConstMem;
  int major;
  int minor;
  int multiProcessorCount;
  int l2CacheSize;  // bytes
  int maxThreadsPerMultiProcessor;
  int computeMode;
  int clockInstructionRate;  // kHz
  int concurrentKernels;
  int pciDomainID;
  int pciBusID;
  int pciDeviceID;
  std::size_t maxSharedMemoryPerMultiProcessor;
  int isMultiGpuBoard;
  int canMapHostMemory;
  int gcnArch;
  char gcnArchName[256];  // "cpu"
  int integrated;
  int cooperativeLaunch;
  int managedMemory;
};

enum hipDeviceAttribute_t : int {
  hipDeviceAttributeClockRate,
  hipDeviceAttributeComputeCapabilityMajor,
  hipDeviceAttributeComputeCapabilityMinor,
  hipDeviceAttributeConcurrentKernels,
  hipDeviceAttributeIntegrated,
  hipDeviceAttributeL2CacheSize,
  hipDeviceAttributeManagedMemory,
  hipDeviceAttributeMaxBlockDimX,
  hipDeviceAttributeMaxBlockDimY,
  hipDeviceAttributeMaxBlockDimZ,
  hipDeviceAttributeMaxGridDimX,
  hipDeviceAttributeMaxGridDimY,
  hipDeviceAttributeMaxGridDimZ,
  hipDeviceAttributeMaxSharedMemoryPerBlock,
  hipDeviceAttributeMaxThreadsPerBlock,
  hipDeviceAttributeMaxThreadsPerMultiProcessor,
  hipDeviceAttributeMemoryBusWidth,
  hipDeviceAttributeMemoryClockRate,
  hipDeviceAttributeMemoryPoolsSupported,
  hipDeviceAttributeMultiprocessorCount,
  hipDeviceAttributeWarpSize,
};

hipError_t hipInit(unsigned flags);
hipError_t hipGetDeviceCount(int* count);
hipError_t hipSetDevice(int device);
hipError_t hipGetDevice(int* device);
hipError_t hipGetDeviceProperties(hipDeviceProp_t* properties, int device);
hipError_t hipDeviceGetAttribute(int* value, hipDeviceAttribute_t attribute, int device);
hipError_t hipDeviceCanAccessPeer(int* can, int device, int peer);  // always 0
hipError_t hipRuntimeGetVersion(int* version);
hipError_t hipDriverGetVersion(int* version);

// Waits for every stream of the current device.
hipError_t hipDeviceSynchronize();

// Clears the current device's sticky error, frees its allocations and drops what its streams still had to do. Stream and
// event handles stay valid.
hipError_t hipDeviceReset();
