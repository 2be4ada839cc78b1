#include <cstdint>
#include <string>
#include <thread>

#include "runtime_test.h"

namespace twincheck::hip_cpu {
namespace {

class Devices : public Runtime {};
class Knobs : public Runtime {};

struct Pair {
  std::int32_t first;
  int* pointer;
};

__global__ void store(int* out, int value) { *out = value; }
__global__ void store_through(Pair pair) { *pair.pointer = pair.first; }

TEST_F(Devices, AreAsManyAsTheKnobSays) {
  int count = 0;
  EXPECT_EQ(hipGetDeviceCount(&count), hipSuccess);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(hipSetDevice(1), hipErrorInvalidDevice);
  set("devices", 3);
  EXPECT_EQ(hipGetDeviceCount(&count), hipSuccess);
  EXPECT_EQ(count, 3);
  EXPECT_EQ(hipSetDevice(2), hipSuccess);
  int device = -1;
  EXPECT_EQ(hipGetDevice(&device), hipSuccess);
  EXPECT_EQ(device, 2);
  EXPECT_EQ(hipSetDevice(3), hipErrorInvalidDevice);
  EXPECT_EQ(hipSetDevice(-1), hipErrorInvalidDevice);
  EXPECT_EQ(hipGetDevice(&device), hipSuccess);
  EXPECT_EQ(device, 2);
}

TEST_F(Devices, TheCurrentOneIsTheHostThreadsOwn) {
  set("devices", 2);
  ASSERT_EQ(hipSetDevice(1), hipSuccess);
  int other = -1;
  std::thread([&] { EXPECT_EQ(hipGetDevice(&other), hipSuccess); }).join();
  EXPECT_EQ(other, 0);
}

TEST_F(Devices, PropertiesAndAttributesTellTheLimitsAndTheWave) {
  for (int wave : {32, 64}) {
    set("wave", wave);
    hipDeviceProp_t p{};
    ASSERT_EQ(hipGetDeviceProperties(&p, 0), hipSuccess);
    EXPECT_EQ(p.warpSize, wave);
    EXPECT_EQ(p.maxThreadsPerBlock, 1024);
    EXPECT_EQ(p.maxGridSize[1], 65'535);
    EXPECT_EQ(p.sharedMemPerBlock, 65'536u);
    EXPECT_GT(p.multiProcessorCount, 0);
    EXPECT_STREQ(p.gcnArchName, "cpu");
    int value = 0;
    EXPECT_EQ(hipDeviceGetAttribute(&value, hipDeviceAttributeWarpSize, 0), hipSuccess);
    EXPECT_EQ(value, wave);
    EXPECT_EQ(hipDeviceGetAttribute(&value, hipDeviceAttributeMaxGridDimZ, 0), hipSuccess);
    EXPECT_EQ(value, 65'535);
  }
  hipDeviceProp_t p{};
  EXPECT_EQ(hipGetDeviceProperties(&p, 1), hipErrorInvalidDevice);
  EXPECT_EQ(hipGetDeviceProperties(nullptr, 0), hipErrorInvalidValue);
  int value = 0;
  EXPECT_EQ(hipDeviceGetAttribute(&value, static_cast<hipDeviceAttribute_t>(999), 0), hipErrorInvalidValue);
}

TEST_F(Devices, WorkForAStreamOfAnotherDeviceIsRefused) {
  set("devices", 2);
  hipStream_t stream = nullptr;
  hipEvent_t event = nullptr;
  ASSERT_EQ(hipEventCreate(&event), hipSuccess);
  ASSERT_EQ(hipSetDevice(1), hipSuccess);
  ASSERT_EQ(hipStreamCreate(&stream), hipSuccess);
  int device = -1, out = 0;
  EXPECT_EQ(hipStreamGetDevice(stream, &device), hipSuccess);
  EXPECT_EQ(device, 1);
  EXPECT_EQ(hipEventRecord(event, stream), hipErrorInvalidHandle);
  ASSERT_EQ(hipSetDevice(0), hipSuccess);
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidHandle);
  hipLaunchKernelGGL(store, 1, 1, 0, stream, &out, 5);
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidHandle);
  EXPECT_EQ(hipMemsetAsync(&out, 1, 4, stream), hipErrorInvalidHandle);
  EXPECT_EQ(out, 0);
  EXPECT_EQ(hipStreamSynchronize(stream), hipSuccess);
  EXPECT_EQ(hipStreamDestroy(stream), hipSuccess);
  EXPECT_EQ(hipEventDestroy(event), hipSuccess);
}

TEST_F(Devices, AKernelGivenAnotherDevicesMemoryIsAnIllegalAccess) {
  set("devices", 2);
  int* theirs = nullptr;
  int* ours = nullptr;
  ASSERT_EQ(hipMalloc(&ours, 16), hipSuccess);
  ASSERT_EQ(hipSetDevice(1), hipSuccess);
  ASSERT_EQ(hipMalloc(&theirs, 16), hipSuccess);
  hipLaunchKernelGGL(store, 1, 1, 0, nullptr, theirs, 5);
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
  EXPECT_EQ(*theirs, 5);

  hipLaunchKernelGGL(store_through, 1, 1, 0, nullptr, Pair{6, ours + 1});
  EXPECT_EQ(hipDeviceSynchronize(), hipErrorIllegalAddress);
  EXPECT_EQ(last_fault(), "a kernel on device 1 was given memory of device 0");
  EXPECT_NE(ours[1], 6);
  // Device 1 is lost, device 0 is not.
  EXPECT_EQ(hipMemset(theirs, 0, 4), hipErrorIllegalAddress);
  ASSERT_EQ(hipSetDevice(0), hipSuccess);
  hipLaunchKernelGGL(store, 1, 1, 0, nullptr, ours, 7);
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
  EXPECT_EQ(*ours, 7);
  EXPECT_EQ(hipFree(ours), hipSuccess);
  ASSERT_EQ(hipSetDevice(1), hipSuccess);
  EXPECT_EQ(hipDeviceReset(), hipSuccess);
  EXPECT_EQ(get("live_bytes"), 0);
}

TEST_F(Devices, OwnTheHostsMemoryOnRequest) {
  set("devices", 2);
  set("host_device", 2);
  int host = 0;
  hipPointerAttribute_t attributes{};
  ASSERT_EQ(hipPointerGetAttributes(&attributes, &host), hipSuccess);
  EXPECT_EQ(attributes.device, 1);
  ASSERT_EQ(hipSetDevice(1), hipSuccess);
  EXPECT_EQ(get("device"), 1);
  hipLaunchKernelGGL(store, 1, 1, 0, nullptr, &host, 7);
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
  EXPECT_EQ(host, 7);

  ASSERT_EQ(hipSetDevice(0), hipSuccess);
  hipLaunchKernelGGL(store, 1, 1, 0, nullptr, &host, 8);
  EXPECT_EQ(hipDeviceSynchronize(), hipErrorIllegalAddress);
  EXPECT_EQ(last_fault(), "a kernel on device 0 was given memory of device 1");
  EXPECT_EQ(host, 7);
}

TEST_F(Devices, PeersHaveNoAccess) {
  set("devices", 2);
  int can = 1;
  EXPECT_EQ(hipDeviceCanAccessPeer(&can, 0, 1), hipSuccess);
  EXPECT_EQ(can, 0);
  EXPECT_EQ(hipDeviceCanAccessPeer(&can, 0, 2), hipErrorInvalidDevice);
}

TEST_F(Knobs, TakeTheirValuesAndNothingElse) {
  EXPECT_TRUE(set("wave", 32));
  EXPECT_FALSE(set("wave", 48));
  EXPECT_EQ(get("wave"), 32);
  EXPECT_FALSE(set("devices", 0));
  EXPECT_FALSE(set("devices", 17));
  EXPECT_FALSE(set("host_device", 17));
  EXPECT_FALSE(set("fail_nth", -1));
  EXPECT_FALSE(set("deferred", 2));
  EXPECT_FALSE(set("execute", -1));
  EXPECT_FALSE(set("live_bytes", 0));
  EXPECT_FALSE(set("colour", 1));
  EXPECT_EQ(get("colour"), -1);
  EXPECT_TRUE(set("order_seed", -5));
  EXPECT_EQ(get("order_seed"), -5);
  reset();
  EXPECT_EQ(get("wave"), 64);
  EXPECT_EQ(get("order_seed"), 0);
}

}  // namespace
}  // namespace twincheck::hip_cpu
