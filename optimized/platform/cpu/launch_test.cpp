#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <thread>
#include <vector>

#include "runtime_test.h"

namespace twincheck::hip_cpu {
namespace {

class Launches : public Runtime {};
class LaunchLimits : public Runtime {};
class LaunchErrors : public Runtime {};
class Order : public Runtime {};

__global__ void nothing() {}

__global__ void count_visits(int* visits) {
  const std::uint32_t block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const std::uint32_t thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  atomicAdd(&visits[block * (blockDim.x * blockDim.y * blockDim.z) + thread], 1);
}

__global__ void note_order(std::uint32_t* order, std::uint32_t* next) {
  order[atomicAdd(next, 1u)] = blockIdx.x * blockDim.x + threadIdx.x;
}

template <class A, class B>
__global__ void store_arguments(A a, B b, A* out_a, B* out_b) {
  *out_a = a;
  *out_b = b;
  a = A{};  // a thread's own copy
}

__global__ void store_dynamic(unsigned char* seen, std::uint32_t bytes) {
  HIP_DYNAMIC_SHARED(unsigned char, shared)
  if (threadIdx.x != 0) return;
  for (std::uint32_t i = 0; i < bytes; ++i) {
    seen[blockIdx.x * bytes + i] = shared[i];
    shared[i] = 1;
  }
}

std::vector<std::uint32_t> order_of(std::uint64_t seed, std::uint32_t blocks, std::uint32_t threads) {
  std::vector<std::uint32_t> order(std::size_t{blocks} * threads);
  std::uint32_t next = 0;
  set("order_seed", static_cast<std::int64_t>(seed));
  hipLaunchKernelGGL(note_order, blocks, threads, 0, nullptr, order.data(), &next);
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  EXPECT_EQ(next, order.size());
  return order;
}

TEST_F(Launches, EachHasAnOrderOfItsOwnAndTheSameOnesWhenTheSeedIsSetAgain) {
  const auto orders = [](std::int64_t seed) {
    std::vector<std::vector<std::uint32_t>> seen;
    set("order_seed", seed);
    for (int i = 0; i < 3; ++i) {
      std::uint32_t next = 0;
      hipLaunchKernelGGL(note_order, 7, 64, 0, nullptr, seen.emplace_back(7 * 64).data(), &next);
      EXPECT_EQ(hipGetLastError(), hipSuccess);
    }
    return seen;
  };
  const auto first = orders(5);
  EXPECT_NE(first[0], first[1]);
  EXPECT_NE(first[1], first[2]);
  EXPECT_EQ(orders(5), first);
  const auto fixed = orders(0);
  EXPECT_EQ(fixed[0], fixed[1]);
  EXPECT_EQ(fixed[1], fixed[2]);
}

TEST_F(Launches, EveryThreadOfEveryBlockRunsOnceInEveryOrder) {
  const std::array<std::pair<dim3, dim3>, 5> shapes{
      {{1, 1}, {7, 1024}, {dim3(3, 5, 2), dim3(8, 4, 3)}, {1000, 33}, {dim3(1, 1, 9), dim3(1, 1, 64)}}};
  for (const auto& [grid, block] : shapes) {
    for (int seed = 0; seed < 20; ++seed) {
      set("order_seed", seed);
      std::vector<int> visits(std::size_t{grid.x} * grid.y * grid.z * block.x * block.y * block.z);
      hipLaunchKernelGGL(count_visits, grid, block, 0, nullptr, visits.data());
      ASSERT_EQ(hipGetLastError(), hipSuccess);
      ASSERT_EQ(std::count(visits.begin(), visits.end(), 1), static_cast<std::ptrdiff_t>(visits.size()))
          << "grid.x " << grid.x << ", block.x " << block.x << ", seed " << seed;
    }
  }
}

TEST_F(Launches, ArgumentsAreConvertedToTheKernelsParameters) {
  double a = 0;
  long long b = 0;
  hipLaunchKernelGGL((store_arguments<double, long long>), 1, 1, 0, nullptr, 3, 4, &a, &b);
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  EXPECT_EQ(a, 3.0);
  EXPECT_EQ(b, 4);
  hipLaunchKernelGGL(HIP_KERNEL_NAME(store_arguments<double, long long>), 1, 2, 0, nullptr, 5.5f, 6, &a, &b);
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  EXPECT_EQ(a, 5.5);
}

TEST_F(Launches, AKernelMayBeNamedByAPointer) {
  using Kernel = void (*)(double, long long, double*, long long*);
  const Kernel kernels[] = {store_arguments<double, long long>};
  double a = 0;
  long long b = 0;
  const Kernel kernel = kernels[0];
  hipLaunchKernelGGL(kernel, 1, 1, 0, nullptr, 1.5, 2, &a, &b);
  EXPECT_EQ(a, 1.5);
  EXPECT_EQ(b, 2);
}

TEST_F(Launches, DynamicSharedMemoryIsGarbageInEveryBlock) {
  std::vector<unsigned char> seen(4 * 100, 0);
  hipLaunchKernelGGL(store_dynamic, 4, 64, 100, nullptr, seen.data(), 100);
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 0xA5), 400);
}

TEST_F(Launches, SeveralHostThreadsMayLaunchAtOnce) {
  set("order_seed", 3);
  std::array<std::vector<int>, 4> visits;
  std::vector<std::thread> threads;
  for (auto& mine : visits) {
    mine.assign(40 * 256, 0);
    threads.emplace_back([&mine] {
      for (int i = 0; i < 50; ++i) hipLaunchKernelGGL(count_visits, 40, 256, 0, nullptr, mine.data());
    });
  }
  for (std::thread& t : threads) t.join();
  for (const auto& mine : visits) EXPECT_EQ(std::count(mine.begin(), mine.end(), 50), 40 * 256);
  EXPECT_EQ(get("launches"), 200);
}

TEST_F(Launches, AreCountedAndTheirShapeIsRemembered) {
  hipLaunchKernelGGL(nothing, dim3(3, 4, 5), dim3(6, 7, 8), 9, nullptr);
  EXPECT_EQ(get("launches"), 1);
  EXPECT_EQ(get("calls"), 1);
  const std::array<std::pair<const char*, int>, 7> shape{
      {{"grid_x", 3}, {"grid_y", 4}, {"grid_z", 5}, {"block_x", 6}, {"block_y", 7}, {"block_z", 8}, {"shared_bytes", 9}}};
  for (const auto& [key, value] : shape) EXPECT_EQ(get(key), value) << key;
}

struct Shape {
  dim3 grid, block;
  std::size_t shared;
  hipError_t error;
};

TEST_F(LaunchLimits, AreTheHardwaresToTheLastThread) {
  set("execute", 0);
  const Shape shapes[] = {
      {0, 1, 0, hipErrorInvalidConfiguration},
      {dim3(1, 0), 1, 0, hipErrorInvalidConfiguration},
      {dim3(1, 1, 0), 1, 0, hipErrorInvalidConfiguration},
      {1, 0, 0, hipErrorInvalidConfiguration},
      {1, dim3(1, 0), 0, hipErrorInvalidConfiguration},
      {1, dim3(1, 1, 0), 0, hipErrorInvalidConfiguration},
      {1, 1024, 0, hipSuccess},
      {1, 1025, 0, hipErrorInvalidConfiguration},
      {1, dim3(32, 32), 0, hipSuccess},
      {1, dim3(32, 33), 0, hipErrorInvalidConfiguration},
      {1, dim3(65'536, 65'536), 0, hipErrorInvalidConfiguration},  // 2^32 threads: 0 in 32 bits
      {0xFFFF'FFFF, 1, 0, hipSuccess},
      {(1u << 24) - 1, 256, 0, hipSuccess},
      {1u << 24, 256, 0, hipErrorInvalidConfiguration},
      {1u << 31, 2, 0, hipErrorInvalidConfiguration},
      {dim3(1, 65'535), 1, 0, hipSuccess},
      {dim3(1, 65'536), 1, 0, hipErrorInvalidConfiguration},
      {dim3(1, 1, 65'535), 1, 0, hipSuccess},
      {dim3(1, 1, 65'536), 1, 0, hipErrorInvalidConfiguration},
      {1, 1, 65'536, hipSuccess},
      {1, 1, 65'537, hipErrorInvalidValue},
  };
  for (const Shape& s : shapes) {
    const std::int64_t before = get("launches");
    hipLaunchKernelGGL(nothing, s.grid, s.block, s.shared, nullptr);
    EXPECT_EQ(hipGetLastError(), s.error) << s.grid.x << "," << s.grid.y << "," << s.grid.z << " x " << s.block.x << ","
                                          << s.block.y << "," << s.block.z << " shared " << s.shared;
    EXPECT_EQ(get("launches") - before, s.error == hipSuccess ? 1 : 0);
  }
}

TEST_F(LaunchLimits, ARefusedLaunchRunsNothing) {
  int visits[2] = {};
  hipLaunchKernelGGL(count_visits, dim3(1, 65'536), 1, 0, nullptr, visits);
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidConfiguration);
  EXPECT_EQ(visits[0] + visits[1], 0);
}

TEST_F(LaunchLimits, WithoutExecutionALaunchTouchesNothing) {
  set("execute", 0);
  hipLaunchKernelGGL(count_visits, 1u << 20, 1024, 0, nullptr, static_cast<int*>(nullptr));
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  EXPECT_EQ(get("launches"), 1);
}

TEST_F(LaunchErrors, StayWithTheHostThreadUntilReadAndOtherCallsDoNotClearThem) {
  hipLaunchKernelGGL(nothing, 0, 1, 0, nullptr);
  int device = -1;
  EXPECT_EQ(hipGetDevice(&device), hipSuccess);
  hipLaunchKernelGGL(nothing, 1, 1, 0, nullptr);
  EXPECT_EQ(hipPeekAtLastError(), hipErrorInvalidConfiguration);
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidConfiguration);
  EXPECT_EQ(hipGetLastError(), hipSuccess);
}

TEST_F(LaunchErrors, AreTheHostThreadsOwn) {
  std::thread([] { hipLaunchKernelGGL(nothing, 0, 1, 0, nullptr); }).join();
  EXPECT_EQ(hipGetLastError(), hipSuccess);
}

TEST_F(LaunchErrors, AFailedCallIsTheLastErrorToo) {
  EXPECT_EQ(hipSetDevice(7), hipErrorInvalidDevice);
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidDevice);
}

TEST_F(LaunchErrors, HaveHipsNamesAndSentences) {
  EXPECT_STREQ(hipGetErrorName(hipSuccess), "hipSuccess");
  EXPECT_STREQ(hipGetErrorName(hipErrorLaunchFailure), "hipErrorLaunchFailure");
  EXPECT_STREQ(hipGetErrorName(hipErrorMemoryAllocation), "hipErrorOutOfMemory");
  EXPECT_STREQ(hipGetErrorName(static_cast<hipError_t>(4321)), "hipErrorUnknown");
  EXPECT_STREQ(hipGetErrorString(hipErrorInvalidConfiguration), "invalid configuration argument");
  EXPECT_EQ(static_cast<int>(hipErrorStreamCaptureUnsupported), 900);
}

TEST_F(Order, WithoutASeedIsXFirst) {
  const std::vector<std::uint32_t> order = order_of(0, 5, 100);
  std::vector<std::uint32_t> sequence(order.size());
  std::iota(sequence.begin(), sequence.end(), 0);
  EXPECT_EQ(order, sequence);
}

TEST_F(Order, OfASeedIsAlwaysTheSame) {
  for (std::uint64_t seed : {1ull, 2ull, 0xFFFF'FFFF'FFFF'FFFFull}) EXPECT_EQ(order_of(seed, 9, 77), order_of(seed, 9, 77));
}

TEST_F(Order, DiffersBetweenSeedsAndMixesBlocksAndThreads) {
  const auto first_blocks = [](const std::vector<std::uint32_t>& order) {
    std::vector<std::uint32_t> blocks;
    for (std::size_t i = 0; i < order.size(); i += 64) blocks.push_back(order[i] / 64);
    return blocks;
  };
  int first_thread_last = 0, blocks_sorted = 0;
  for (std::uint64_t seed = 1; seed <= 64; ++seed) {
    const std::vector<std::uint32_t> order = order_of(seed, 8, 64);
    EXPECT_NE(order, order_of(seed + 1, 8, 64));
    const auto place = [&](std::uint32_t thread) { return std::find(order.begin(), order.end(), thread) - order.begin(); };
    first_thread_last += place(0) > place(63) ? 1 : 0;
    const std::vector<std::uint32_t> blocks = first_blocks(order);
    blocks_sorted += std::is_sorted(blocks.begin(), blocks.end()) ? 1 : 0;
  }
  EXPECT_GT(first_thread_last, 16);
  EXPECT_LT(first_thread_last, 48);
  EXPECT_LE(blocks_sorted, 1);
}

}  // namespace
}  // namespace twincheck::hip_cpu
