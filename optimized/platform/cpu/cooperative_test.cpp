#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <thread>
#include <vector>

#include "runtime_test.h"

namespace twincheck::hip_cpu {
namespace {

class Barriers : public Runtime {};
class CrossLane : public Runtime {};
class BrokenKernels : public Runtime {};

constexpr int kThreads = 256;

// --- wrong on purpose ---

// Reads its neighbour's element without waiting for it.
__global__ void pair_sums_without_barrier(const int* in, int* out) {
  __shared__ int shared[kThreads];
  const std::uint32_t t = threadIdx.x;
  shared[t] = in[t];
  out[t] = shared[t] + (t > 0 ? shared[t - 1] : 0);
}

__global__ void pair_sums(const int* in, int* out) {
  __shared__ int shared[kThreads];
  const std::uint32_t t = threadIdx.x;
  shared[t] = in[t];
  __syncthreads();
  out[t] = shared[t] + (t > 0 ? shared[t - 1] : 0);
}

// Sums a block by waves of 64, whatever the machine's are.
__global__ void sum_in_waves_of_64(const int* in, int* out) {
  __shared__ int partial[kThreads / 64];
  int sum = in[threadIdx.x];
  for (unsigned step = 32; step > 0; step /= 2) sum += __shfl_down(sum, step);
  if (threadIdx.x % 64 == 0) partial[threadIdx.x / 64] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  *out = 0;
  for (int p : partial) *out += p;
}

__global__ void sum_in_waves(const int* in, int* out) {
  __shared__ int partial[kThreads / 32];
  int sum = in[threadIdx.x];
  for (unsigned step = static_cast<unsigned>(warpSize) / 2; step > 0; step /= 2) sum += __shfl_down(sum, step);
  if (__lane_id() == 0) partial[threadIdx.x / static_cast<unsigned>(warpSize)] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  *out = 0;
  for (int p = 0; p < static_cast<int>(blockDim.x) / warpSize; ++p) *out += partial[p];
}

// Waits on both sides of a branch, at barriers of their own.
__global__ void barrier_in_a_branch(int* reached) {
  if (threadIdx.x < 100) {
    __syncthreads();
  }
  __syncthreads();
  atomicAdd(reached, 1);
}

// --- right ---

// A float sum whose tree depends on neither the order nor the wave.
__global__ void float_sum(const float* in, float* out) {
  __shared__ float partial[kThreads / 32];
  float sum = in[blockIdx.x * kThreads + threadIdx.x];
  for (unsigned step = 16; step > 0; step /= 2) sum += __shfl_down(sum, step, 32);
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = sum;
  __syncthreads();
  for (std::uint32_t step = kThreads / 64; step > 0; step /= 2) {
    if (threadIdx.x < step) partial[threadIdx.x] += partial[threadIdx.x + step];
    __syncthreads();
  }
  if (threadIdx.x == 0) out[blockIdx.x] = partial[0];
}

__global__ void rotate_many_times(int* out, int rounds) {
  HIP_DYNAMIC_SHARED(int, shared)
  const std::uint32_t t = threadIdx.x, n = blockDim.x;
  int mine = static_cast<int>(t);
  for (int r = 0; r < rounds; ++r) {
    shared[t] = mine;
    __syncthreads();
    mine = shared[(t + 1) % n];
    __syncthreads();
  }
  out[blockIdx.x * n + t] = mine;
}

__global__ void barrier_after_some_returned(int* passed, std::uint32_t stay) {
  if (threadIdx.x >= stay) return;
  __syncthreads();
  atomicAdd(passed, 1);
}

__global__ void counted_barriers(int* out) {
  const int odd = threadIdx.x % 2;
  const int count = __syncthreads_count(odd);
  const int all = __syncthreads_and(odd), any = __syncthreads_or(odd), every = __syncthreads_and(1),
            none = __syncthreads_or(0);
  if (threadIdx.x == 0) {
    const int values[] = {count, all, any, every, none};
    std::memcpy(out, values, sizeof(values));
  }
}

__global__ void barrier_of_those_left(int* all) {
  if (threadIdx.x >= 10) return;
  const int result = __syncthreads_and(1);
  if (threadIdx.x == 0) *all = result;
}

struct Shuffled {
  int direct, up, down, exchanged;
};

__global__ void shuffle_all_ways(Shuffled* out, int width) {
  const int t = static_cast<int>(threadIdx.x);
  out[t] = {__shfl(t, 5, width), __shfl_up(t, 3, width), __shfl_down(t, 3, width), __shfl_xor(t, 1, width)};
}

__global__ void read_inactive_lanes(float* f32, std::uint64_t* u64) {
  if (__lane_id() >= 16) return;
  f32[threadIdx.x] = __shfl(1.0f, 20);
  u64[threadIdx.x] = __shfl(std::uint64_t{1}, 3);
}

__global__ void votes(unsigned long long* out) {
  const std::uint32_t lane = __lane_id();
  if (lane % 2 == 0) {
    const unsigned long long third = __ballot(lane % 3 == 0);
    const int all = __all(1), not_all = __all(lane == 0), any = __any(lane == 2), not_any = __any(lane == 1);
    if (threadIdx.x == 0) {
      const unsigned long long seen[] = {third, static_cast<unsigned>(all), static_cast<unsigned>(not_all),
                                         static_cast<unsigned>(any), static_cast<unsigned>(not_any)};
      std::memcpy(out, seen, sizeof(seen));
    }
  } else {
    const unsigned long long others = __ballot(1);
    if (threadIdx.x == 1) out[5] = others;
  }
}

// Lane i goes round i + 1 times; then all meet again.
__global__ void diverge_and_meet_again(int* rounds_together, int* met) {
  const int lane = static_cast<int>(__lane_id());
  int together = 0;
  for (int i = 0; i <= lane; ++i) together += __popcll(__ballot(1));
  rounds_together[threadIdx.x] = together;
  met[threadIdx.x] = static_cast<int>(__popcll(__ballot(1)));
}

__global__ void deep(int* out, int depth) {
  struct Recursion {
    static int sum(int n) {
      volatile char frame[256];
      frame[0] = static_cast<char>(n);
      __syncthreads();
      return n == 0 ? frame[0] : 1 + sum(n - 1);
    }
  };
  out[threadIdx.x] = Recursion::sum(depth);
}

// Other values every time: what an earlier launch left in shared memory is no right answer.
std::vector<int> fresh_values() {
  static std::atomic<int> first{0};
  std::vector<int> v(kThreads);
  std::iota(v.begin(), v.end(), first += 1000);
  return v;
}

bool pairs_are_right(void (*kernel)(const int*, int*)) {
  const std::vector<int> in = fresh_values();
  std::vector<int> out(kThreads, -1);
  hipLaunchKernelGGL(kernel, 1, kThreads, 0, nullptr, in.data(), out.data());
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
  for (std::size_t t = 0; t < kThreads; ++t) {
    if (out[t] != in[t] + (t > 0 ? in[t - 1] : 0)) return false;
  }
  return true;
}

bool sum_is_right(void (*kernel)(const int*, int*)) {
  const std::vector<int> in = fresh_values();
  int out = -1, want = 0;
  for (int v : in) want += v;
  hipLaunchKernelGGL(kernel, 1, kThreads, 0, nullptr, in.data(), &out);
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
  return out == want;
}

std::vector<std::uint32_t> bits_of(const std::vector<float>& values) {
  std::vector<std::uint32_t> bits(values.size());
  std::memcpy(bits.data(), values.data(), values.size() * sizeof(float));
  return bits;
}

TEST_F(BrokenKernels, AMissingBarrierPassesInFixedOrderAndFailsInRandomOrder) {
  for (int wave : {64, 32}) {
    set("wave", wave);
    set("order_seed", 0);
    EXPECT_TRUE(pairs_are_right(pair_sums_without_barrier));
    EXPECT_TRUE(pairs_are_right(pair_sums));
    for (int seed = 1; seed <= 50; ++seed) {
      set("order_seed", seed);
      EXPECT_FALSE(pairs_are_right(pair_sums_without_barrier)) << "seed " << seed;
      EXPECT_TRUE(pairs_are_right(pair_sums)) << "seed " << seed;
    }
  }
}

TEST_F(BrokenKernels, AnAssumedWaveOf64PassesAtWave64AndFailsAtWave32) {
  for (int seed = 0; seed <= 20; ++seed) {
    set("order_seed", seed);
    set("wave", 64);
    EXPECT_TRUE(sum_is_right(sum_in_waves_of_64)) << "seed " << seed;
    EXPECT_TRUE(sum_is_right(sum_in_waves)) << "seed " << seed;
    set("wave", 32);
    EXPECT_FALSE(sum_is_right(sum_in_waves_of_64)) << "seed " << seed;
    EXPECT_TRUE(sum_is_right(sum_in_waves)) << "seed " << seed;
  }
}

TEST_F(BrokenKernels, ThreadsAtDifferentBarriersFailTheLaunchForGoodAndNeverHang) {
  for (int seed : {0, 1, 2, 3}) {
    reset();
    set("order_seed", seed);
    int reached = 0;
    hipLaunchKernelGGL(barrier_in_a_branch, 4, kThreads, 0, nullptr, &reached);
    EXPECT_EQ(hipGetLastError(), hipSuccess) << "a kernel's failure belongs to the next call that waits";
    EXPECT_EQ(hipDeviceSynchronize(), hipErrorLaunchFailure);
    EXPECT_EQ(reached, 0);
    EXPECT_NE(last_fault().find(" of 256 threads wait at the barrier of line "), std::string::npos) << last_fault();
    // Sticky: everything that reaches the device fails the same way and runs nothing.
    EXPECT_EQ(hipGetLastError(), hipErrorLaunchFailure);
    void* p = nullptr;
    EXPECT_EQ(hipMalloc(&p, 8), hipErrorLaunchFailure);
    hipLaunchKernelGGL(barrier_after_some_returned, 1, 8, 0, nullptr, &reached, 8);
    EXPECT_EQ(hipGetLastError(), hipErrorLaunchFailure);
    EXPECT_EQ(reached, 0);
    EXPECT_EQ(hipDeviceReset(), hipSuccess);
    EXPECT_TRUE(pairs_are_right(pair_sums));
  }
}

TEST_F(BrokenKernels, AFailedLaunchLeavesNothingBehindForTheNext) {
  for (int i = 0; i < 100; ++i) {
    set("order_seed", i);
    int reached = 0;
    hipLaunchKernelGGL(barrier_in_a_branch, 1, kThreads, 0, nullptr, &reached);
    ASSERT_EQ(hipDeviceSynchronize(), hipErrorLaunchFailure);
    ASSERT_EQ(hipDeviceReset(), hipSuccess);
    ASSERT_TRUE(pairs_are_right(pair_sums));
    ASSERT_TRUE(sum_is_right(sum_in_waves));
  }
}

TEST_F(Barriers, ARightReductionGivesTheSameBitsInEveryOrderAndWave) {
  constexpr int kBlocks = 5;
  std::vector<float> in(kBlocks * kThreads);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = std::sin(static_cast<float>(i)) * 1e3f;
  std::vector<float> first(kBlocks);
  hipLaunchKernelGGL(float_sum, kBlocks, kThreads, 0, nullptr, in.data(), first.data());
  for (int wave : {32, 64}) {
    for (int seed = 0; seed < 100; ++seed) {
      set("wave", wave);
      set("order_seed", seed);
      std::vector<float> again(kBlocks);
      hipLaunchKernelGGL(float_sum, kBlocks, kThreads, 0, nullptr, in.data(), again.data());
      ASSERT_EQ(hipDeviceSynchronize(), hipSuccess);
      ASSERT_EQ(bits_of(again), bits_of(first)) << "wave " << wave << ", seed " << seed;
    }
  }
}

TEST_F(Barriers, KeepEveryRoundOfEveryBlockApart) {
  for (int threads : {1, 2, 63, 64, 65, 1000, 1024}) {
    for (int seed : {0, 7}) {
      set("order_seed", seed);
      std::vector<int> out(static_cast<std::size_t>(3 * threads));
      hipLaunchKernelGGL(rotate_many_times, 3, threads, static_cast<std::size_t>(threads) * sizeof(int), nullptr, out.data(),
                         17);
      ASSERT_EQ(hipDeviceSynchronize(), hipSuccess);
      for (int i = 0; i < 3 * threads; ++i) ASSERT_EQ(out[static_cast<std::size_t>(i)], (i % threads + 17) % threads);
    }
  }
}

TEST_F(Barriers, ThreadsThatReturnedDoNotCount) {
  for (int seed : {0, 1, 2}) {
    set("order_seed", seed);
    for (std::uint32_t stay : {0u, 1u, 100u, 256u}) {
      int passed = 0;
      hipLaunchKernelGGL(barrier_after_some_returned, 2, 256, 0, nullptr, &passed, stay);
      EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
      EXPECT_EQ(passed, static_cast<int>(2 * stay));
    }
  }
}

TEST_F(Barriers, CountAndCombinePredicates) {
  int out[5] = {};
  hipLaunchKernelGGL(counted_barriers, 1, 100, 0, nullptr, out);
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
  EXPECT_EQ(std::vector<int>(out, out + 5), (std::vector<int>{50, 0, 1, 1, 0}));
  int all = 0;
  hipLaunchKernelGGL(barrier_of_those_left, 1, 100, 0, nullptr, &all);
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
  EXPECT_EQ(all, 1);
}

TEST_F(Barriers, MayLieDeepInCalls) {
  std::vector<int> out(1024);
  hipLaunchKernelGGL(deep, 1, 1024, 0, nullptr, out.data(), 50);
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
  EXPECT_EQ(std::count(out.begin(), out.end(), 50), 1024);
}

TEST_F(Barriers, WorkOnSeveralHostThreadsAtOnce) {
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  threads.reserve(wrong.size());
  for (int& mine : wrong) {
    threads.emplace_back([&mine] {
      for (int i = 0; i < 50; ++i) mine += pairs_are_right(pair_sums) && sum_is_right(sum_in_waves) ? 0 : 1;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST_F(CrossLane, ShufflesFollowTheirDefinitionForEveryWidthAndWave) {
  for (int wave : {32, 64}) {
    for (int width = 1; width <= wave; width *= 2) {
      for (int seed : {0, 11}) {
        set("wave", wave);
        set("order_seed", seed);
        std::vector<Shuffled> out(192);
        hipLaunchKernelGGL(shuffle_all_ways, 1, 192, 0, nullptr, out.data(), width);
        ASSERT_EQ(hipDeviceSynchronize(), hipSuccess);
        for (int t = 0; t < 192; ++t) {
          const Shuffled& s = out[static_cast<std::size_t>(t)];
          const int group = t / width * width;
          ASSERT_EQ(s.direct, group + 5 % width);
          ASSERT_EQ(s.up, t - 3 >= group ? t - 3 : t);
          ASSERT_EQ(s.down, t + 3 < group + width ? t + 3 : t);
          ASSERT_EQ(s.exchanged, width == 1 ? t & ~1 : t ^ 1);  // an earlier group may be read
        }
      }
    }
  }
}

TEST_F(CrossLane, AnInactiveLaneReadsAsNaN) {
  std::vector<float> f32(128, 0.0f);
  std::vector<std::uint64_t> u64(128, 0);
  hipLaunchKernelGGL(read_inactive_lanes, 1, 128, 0, nullptr, f32.data(), u64.data());
  ASSERT_EQ(hipDeviceSynchronize(), hipSuccess);
  EXPECT_TRUE(std::isnan(f32[0]) && std::isnan(f32[79]));
  EXPECT_EQ(u64[15], 1u);
  EXPECT_EQ(f32[16], 0.0f);
  double as_double = 0;
  std::memcpy(&as_double, &kInactiveLane, sizeof(as_double));
  EXPECT_TRUE(std::isnan(as_double));
}

TEST_F(CrossLane, LanesPastTheEndOfTheBlockAreInactive) {
  std::vector<Shuffled> out(36);
  hipLaunchKernelGGL(shuffle_all_ways, 1, 36, 0, nullptr, out.data(), 64);
  ASSERT_EQ(hipDeviceSynchronize(), hipSuccess);
  EXPECT_EQ(out[32].down, 35);
  EXPECT_EQ(static_cast<std::uint32_t>(out[33].down), static_cast<std::uint32_t>(kInactiveLane));
}

TEST_F(CrossLane, VotesAreOfTheLanesThatAreThere) {
  for (int seed : {0, 1, 2, 3}) {
    set("order_seed", seed);
    unsigned long long out[6] = {};
    hipLaunchKernelGGL(votes, 1, 64, 0, nullptr, out);
    ASSERT_EQ(hipDeviceSynchronize(), hipSuccess);
    unsigned long long third = 0;
    for (int lane = 0; lane < 64; lane += 6) third |= 1ull << lane;
    EXPECT_EQ(out[0], third);
    EXPECT_EQ(out[1], 1u);
    EXPECT_EQ(out[2], 0u);
    EXPECT_EQ(out[3], 1u);
    EXPECT_EQ(out[4], 0u);
    EXPECT_EQ(out[5], 0xAAAA'AAAA'AAAA'AAAAull);
  }
}

TEST_F(CrossLane, LanesThatLeaveALoopEarlierMeetAgainAfterIt) {
  for (int wave : {32, 64}) {
    for (int seed : {0, 5}) {
      set("wave", wave);
      set("order_seed", seed);
      std::vector<int> together(128), met(128);
      hipLaunchKernelGGL(diverge_and_meet_again, 1, 128, 0, nullptr, together.data(), met.data());
      ASSERT_EQ(hipDeviceSynchronize(), hipSuccess);
      EXPECT_EQ(std::count(met.begin(), met.end(), wave), 128);
      for (int t = 0; t < 128; ++t) {
        int want = 0;
        for (int i = 0; i <= t % wave; ++i) want += wave - i;
        ASSERT_EQ(together[static_cast<std::size_t>(t)], want) << "thread " << t;
      }
    }
  }
}

#if TWINCHECK_HIP_CPU_ASAN
__global__ void overrun_static_shared(int* out, int index) {
  __shared__ int shared[16];
  shared[threadIdx.x % 16] = 1;
  __syncthreads();
  int* const p = shared;
  out[threadIdx.x] = p[index];
}
__global__ void overrun_dynamic_shared(int* out, int index) {
  HIP_DYNAMIC_SHARED(int, shared)
  shared[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = shared[index];
}
__global__ void overrun_stack(int* out, int index) {
  int local[4] = {1, 2, 3, 4};
  int* volatile p = local;
  __syncthreads();
  out[threadIdx.x] = p[index];
}

TEST_F(BrokenKernels, AddressSanitizerSeesOverrunsOfSharedMemoryAndOfFibresStacks) {
  std::vector<int> out(64);
  EXPECT_DEATH(hipLaunchKernelGGL(overrun_static_shared, 1, 64, 0, nullptr, out.data(), 16),
               "global-buffer-overflow|insufficient space");
  EXPECT_DEATH(hipLaunchKernelGGL(overrun_dynamic_shared, 1, 64, 256, nullptr, out.data(), 64),
               "heap-buffer-overflow|insufficient space");
  EXPECT_DEATH(hipLaunchKernelGGL(overrun_stack, 1, 64, 0, nullptr, out.data(), 4),
               "stack-buffer-overflow|insufficient space");
  EXPECT_DEATH(hipLaunchKernelGGL(pair_sums, 1, 64, 0, nullptr, out.data(), out.data() + 1),
               "heap-buffer-overflow|insufficient space");
}
#endif

}  // namespace
}  // namespace twincheck::hip_cpu
