#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "runtime_test.h"

namespace twincheck::hip_cpu {
namespace {

class Memory : public Runtime {};
class Copies : public Runtime {};

TEST_F(Memory, IsAlignedPaintedAndCountedUntilFreed) {
  unsigned char* p = nullptr;
  ASSERT_EQ(hipMalloc(&p, 1000), hipSuccess);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 256, 0u);
  EXPECT_EQ(std::count(p, p + 1000, 0xA5), 1000);
  EXPECT_EQ(get("live_bytes"), 1000);
  void* pinned = nullptr;
  ASSERT_EQ(hipHostMalloc(&pinned, 24), hipSuccess);
  void* ordered = nullptr;
  ASSERT_EQ(hipMallocAsync(&ordered, 100, nullptr), hipSuccess);
  EXPECT_EQ(get("live_bytes"), 1124);
  EXPECT_EQ(hipFree(p), hipSuccess);
  EXPECT_EQ(hipHostFree(pinned), hipSuccess);
  EXPECT_EQ(hipFreeAsync(ordered, nullptr), hipSuccess);
  EXPECT_EQ(get("live_bytes"), 0);
}

TEST_F(Memory, OfNoBytesIsANullPointer) {
  void* p = &p;
  EXPECT_EQ(hipMalloc(&p, 0), hipSuccess);
  EXPECT_EQ(p, nullptr);
  EXPECT_EQ(hipFree(nullptr), hipSuccess);
  EXPECT_EQ(hipHostFree(nullptr), hipSuccess);
  EXPECT_EQ(hipFreeAsync(nullptr, nullptr), hipSuccess);
}

TEST_F(Memory, BeyondTheMachinesIsRefused) {
  void* p = &p;
  EXPECT_EQ(hipMalloc(&p, std::size_t{1} << 60), hipErrorOutOfMemory);
  EXPECT_EQ(p, nullptr);
  EXPECT_EQ(hipMalloc(static_cast<void**>(nullptr), 8), hipErrorInvalidValue);
}

TEST_F(Memory, IsFreedOnceByTheRightCallAndByItsStart) {
  char* p = nullptr;
  char* pinned = nullptr;
  int local = 0;
  ASSERT_EQ(hipMalloc(&p, 64), hipSuccess);
  ASSERT_EQ(hipHostMalloc(&pinned, 64), hipSuccess);
  EXPECT_EQ(hipFree(p + 1), hipErrorInvalidValue);
  EXPECT_EQ(hipFree(&local), hipErrorInvalidValue);
  EXPECT_EQ(hipFree(pinned), hipErrorInvalidValue);
  EXPECT_EQ(hipHostFree(p), hipErrorInvalidValue);
  EXPECT_EQ(hipFree(p), hipSuccess);
  EXPECT_EQ(hipFree(p), hipErrorInvalidValue);
  EXPECT_EQ(hipFreeAsync(p, nullptr), hipErrorInvalidValue);
  EXPECT_EQ(hipHostFree(pinned), hipSuccess);
}

TEST_F(Memory, AttributesNameDeviceAndKindAnywhereInAnAllocation) {
  set("devices", 2);
  char* p = nullptr;
  char* pinned = nullptr;
  ASSERT_EQ(hipSetDevice(1), hipSuccess);
  ASSERT_EQ(hipMalloc(&p, 64), hipSuccess);
  ASSERT_EQ(hipSetDevice(0), hipSuccess);
  ASSERT_EQ(hipHostMalloc(&pinned, 64), hipSuccess);
  hipPointerAttribute_t a{};
  ASSERT_EQ(hipPointerGetAttributes(&a, p + 63), hipSuccess);
  EXPECT_EQ(a.memoryType, hipMemoryTypeDevice);
  EXPECT_EQ(a.device, 1);
  ASSERT_EQ(hipPointerGetAttributes(&a, pinned), hipSuccess);
  EXPECT_EQ(a.memoryType, hipMemoryTypeHost);
  EXPECT_EQ(a.hostPointer, pinned);
  EXPECT_EQ(hipPointerGetAttributes(&a, &a), hipErrorInvalidValue);
  EXPECT_EQ(hipPointerGetAttributes(nullptr, p), hipErrorInvalidValue);
  EXPECT_EQ(hipFree(p), hipSuccess);
  EXPECT_EQ(hipHostFree(pinned), hipSuccess);
}

TEST_F(Memory, InfoAddsUp) {
  void* p = nullptr;
  std::size_t before = 0, after = 0, total = 0;
  ASSERT_EQ(hipMemGetInfo(&before, &total), hipSuccess);
  ASSERT_EQ(hipMalloc(&p, 12345), hipSuccess);
  ASSERT_EQ(hipMemGetInfo(&after, &total), hipSuccess);
  EXPECT_EQ(before - after, 12345u);
  EXPECT_LE(before, total);
  EXPECT_EQ(hipFree(p), hipSuccess);
}

TEST_F(Copies, MoveBytesBetweenAnyTwoPlaces) {
  std::vector<int> in(100), out(100);
  std::iota(in.begin(), in.end(), 0);
  int* p = nullptr;
  ASSERT_EQ(hipMalloc(&p, 400), hipSuccess);
  EXPECT_EQ(hipMemcpy(p, in.data(), 400, hipMemcpyHostToDevice), hipSuccess);
  EXPECT_EQ(hipMemcpyAsync(out.data(), p, 400, hipMemcpyDeviceToHost), hipSuccess);
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
  EXPECT_EQ(in, out);
  EXPECT_EQ(hipMemset(p, 0xFF, 400), hipSuccess);
  EXPECT_EQ(hipMemsetAsync(p, 0, 4), hipSuccess);
  EXPECT_EQ(hipMemcpy(out.data(), p, 400, hipMemcpyDefault), hipSuccess);
  EXPECT_EQ(out[0], 0);
  EXPECT_EQ(std::count(out.begin(), out.end(), -1), 99);
  EXPECT_EQ(hipFree(p), hipSuccess);
}

TEST_F(Copies, OfRowsLeaveTheGapsAlone) {
  const std::vector<char> in{'a', 'b', '-', 'c', 'd', '-'};
  std::vector<char> out(8, '.');
  EXPECT_EQ(hipMemcpy2D(out.data(), 4, in.data(), 3, 2, 2, hipMemcpyDeviceToDevice), hipSuccess);
  EXPECT_EQ(std::string(out.begin(), out.end()), "ab..cd..");
  EXPECT_EQ(hipMemcpy2DAsync(out.data(), 1, in.data(), 3, 2, 2, hipMemcpyDeviceToDevice), hipErrorInvalidPitchValue);
}

TEST_F(Copies, LeavingAnAllocationAreRefusedAndWriteNothing) {
  char* p = nullptr;
  ASSERT_EQ(hipMalloc(&p, 64), hipSuccess);
  std::vector<char> host(128, 'h');
  EXPECT_EQ(hipMemcpy(p, host.data(), 65, hipMemcpyHostToDevice), hipErrorInvalidValue);
  EXPECT_EQ(hipMemcpy(host.data(), p + 1, 64, hipMemcpyDeviceToHost), hipErrorInvalidValue);
  EXPECT_EQ(hipMemset(p + 32, 0, 33), hipErrorInvalidValue);
  EXPECT_EQ(hipMemcpy2D(host.data(), 64, p, 63, 2, 2, hipMemcpyDeviceToHost), hipErrorInvalidValue);
  EXPECT_EQ(std::count(host.begin(), host.end(), 'h'), 128);
  EXPECT_EQ(hipFree(p), hipSuccess);
}

TEST_F(Copies, WithAWrongDirectionOrANullPointerAreRefused) {
  char* p = nullptr;
  char host[64] = {};
  ASSERT_EQ(hipMalloc(&p, 64), hipSuccess);
  EXPECT_EQ(hipMemcpy(host, p, 64, hipMemcpyHostToDevice), hipErrorInvalidValue);
  EXPECT_EQ(hipMemcpy(p, host, 64, hipMemcpyDeviceToHost), hipErrorInvalidValue);
  EXPECT_EQ(hipMemcpy(p, host, 64, static_cast<hipMemcpyKind>(9)), hipErrorInvalidMemcpyDirection);
  EXPECT_EQ(hipMemcpy(p, nullptr, 64, hipMemcpyHostToDevice), hipErrorInvalidValue);
  EXPECT_EQ(hipMemset(nullptr, 0, 1), hipErrorInvalidValue);
  EXPECT_EQ(hipMemcpy(nullptr, nullptr, 0, hipMemcpyHostToDevice), hipSuccess);
  EXPECT_EQ(hipMemset(nullptr, 0, 0), hipSuccess);
  EXPECT_EQ(hipFree(p), hipSuccess);
}

}  // namespace
}  // namespace twincheck::hip_cpu
