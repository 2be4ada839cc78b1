#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include "runtime_test.h"

namespace twincheck::hip_cpu {
namespace {

__global__ void append_digit(int* number, int digit) { *number = *number * 10 + digit; }
__global__ void add(const int* a, const int* b, int* sum) { sum[threadIdx.x] = a[threadIdx.x] + b[threadIdx.x]; }

class Graphs : public Runtime {
 protected:
  void SetUp() override {
    Runtime::SetUp();
    ASSERT_EQ(hipStreamCreate(&s_), hipSuccess);
    ASSERT_EQ(hipStreamCreateWithFlags(&t_, hipStreamNonBlocking), hipSuccess);
    ASSERT_EQ(hipEventCreate(&fork_), hipSuccess);
    ASSERT_EQ(hipEventCreate(&join_), hipSuccess);
  }
  void TearDown() override {
    EXPECT_EQ(hipEventDestroy(join_), hipSuccess);
    EXPECT_EQ(hipEventDestroy(fork_), hipSuccess);
    EXPECT_EQ(hipStreamDestroy(t_), hipSuccess);
    EXPECT_EQ(hipStreamDestroy(s_), hipSuccess);
    Runtime::TearDown();
  }

  static void put(hipStream_t stream, int* number, int digit) {
    hipLaunchKernelGGL(append_digit, 1, 1, 0, stream, number, digit);
    EXPECT_EQ(hipGetLastError(), hipSuccess);
  }
  void begin(hipStreamCaptureMode mode = hipStreamCaptureModeGlobal) {
    ASSERT_EQ(hipStreamBeginCapture(s_, mode), hipSuccess);
  }
  hipGraphExec_t end_and_instantiate() {
    hipGraph_t graph = nullptr;
    hipGraphExec_t exec = nullptr;
    EXPECT_EQ(hipStreamEndCapture(s_, &graph), hipSuccess);
    EXPECT_EQ(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0), hipSuccess);
    EXPECT_EQ(hipGraphDestroy(graph), hipSuccess);
    return exec;
  }
  void expect_end(hipError_t error) {
    hipGraph_t graph = nullptr;
    EXPECT_EQ(hipStreamEndCapture(s_, &graph), error);
    EXPECT_EQ(graph, nullptr);
    (void)hipGetLastError();
  }

  hipStream_t s_ = nullptr, t_ = nullptr;
  hipEvent_t fork_ = nullptr, join_ = nullptr;
};
class Captures : public Graphs {};

TEST_F(Graphs, RunWhatWasCapturedEachTimeTheyAreLaunchedAndNotBefore) {
  std::vector<int> a{1, 2, 3}, b{10, 20, 30}, sum(3, 0), copy(3, 0);
  begin();
  hipLaunchKernelGGL(add, 1, 3, 0, s_, a.data(), b.data(), sum.data());
  EXPECT_EQ(hipMemcpyAsync(copy.data(), sum.data(), 12, hipMemcpyDeviceToDevice, s_), hipSuccess);
  EXPECT_EQ(hipMemsetAsync(sum.data(), 0, 4, s_), hipSuccess);
  const hipGraphExec_t exec = end_and_instantiate();
  EXPECT_EQ(sum, std::vector<int>(3, 0));
  EXPECT_EQ(get("launches"), 0);

  ASSERT_EQ(hipGraphLaunch(exec, s_), hipSuccess);
  EXPECT_EQ(copy, (std::vector<int>{11, 22, 33}));
  EXPECT_EQ(sum, (std::vector<int>{0, 22, 33}));
  a = {5, 5, 5};  // the same buffer with other contents
  ASSERT_EQ(hipGraphLaunch(exec, t_), hipSuccess);
  EXPECT_EQ(copy, (std::vector<int>{15, 25, 35}));
  EXPECT_EQ(get("launches"), 2);
  EXPECT_EQ(hipGraphExecDestroy(exec), hipSuccess);
}

TEST_F(Graphs, KeepTheArgumentsThatTheyWereCapturedWith) {
  int number = 0;
  std::vector<int> digit{1};
  begin();
  put(s_, &number, digit[0]);
  const hipGraphExec_t exec = end_and_instantiate();
  digit[0] = 2;
  for (int i = 0; i < 3; ++i) ASSERT_EQ(hipGraphLaunch(exec, s_), hipSuccess);
  EXPECT_EQ(number, 111);
  EXPECT_EQ(hipGraphExecDestroy(exec), hipSuccess);
}

TEST_F(Graphs, KeepForksAndJoinsAndNothingElseOfTheOrder) {
  int first = 0, left = 0, right = 0, order = 0, last = 0;
  begin();
  put(s_, &first, 1);
  ASSERT_EQ(hipEventRecord(fork_, s_), hipSuccess);
  ASSERT_EQ(hipStreamWaitEvent(t_, fork_), hipSuccess);
  put(s_, &left, 1);
  put(s_, &order, 1);
  put(t_, &right, 1);
  put(t_, &order, 2);
  ASSERT_EQ(hipEventRecord(join_, t_), hipSuccess);
  ASSERT_EQ(hipStreamWaitEvent(s_, join_), hipSuccess);
  hipLaunchKernelGGL(add, 1, 1, 0, s_, &left, &right, &last);
  hipGraph_t graph = nullptr;
  hipGraphExec_t exec = nullptr;
  ASSERT_EQ(hipStreamEndCapture(s_, &graph), hipSuccess);
  std::size_t nodes = 0;
  EXPECT_EQ(hipGraphGetNodes(graph, nullptr, &nodes), hipSuccess);
  EXPECT_EQ(nodes, 6u);
  ASSERT_EQ(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0), hipSuccess);
  ASSERT_EQ(hipGraphDestroy(graph), hipSuccess);
  std::set<int> orders;
  for (int seed = 0; seed <= 40; ++seed) {
    set("order_seed", seed);
    first = left = right = order = last = 0;
    ASSERT_EQ(hipGraphLaunch(exec, s_), hipSuccess);
    ASSERT_EQ(last, 2);
    orders.insert(order);
  }
  EXPECT_EQ(orders, (std::set<int>{12, 21}));
  EXPECT_EQ(hipGraphExecDestroy(exec), hipSuccess);
}

TEST_F(Graphs, MayBePartOfAnother) {
  int number = 0;
  begin();
  put(s_, &number, 1);
  const hipGraphExec_t inner = end_and_instantiate();
  begin();
  ASSERT_EQ(hipGraphLaunch(inner, s_), hipSuccess);
  put(s_, &number, 2);
  ASSERT_EQ(hipGraphLaunch(inner, s_), hipSuccess);
  EXPECT_EQ(number, 0);
  const hipGraphExec_t outer = end_and_instantiate();
  EXPECT_EQ(hipGraphExecDestroy(inner), hipSuccess);
  ASSERT_EQ(hipGraphLaunch(outer, s_), hipSuccess);
  EXPECT_EQ(number, 121);
  EXPECT_EQ(hipGraphExecDestroy(outer), hipSuccess);
}

TEST_F(Graphs, RefuseHandlesThatAreNoGraphs) {
  begin();
  const hipGraphExec_t exec = end_and_instantiate();
  ASSERT_EQ(hipGraphLaunch(exec, s_), hipSuccess);
  ASSERT_EQ(hipGraphExecDestroy(exec), hipSuccess);
  EXPECT_EQ(hipGraphLaunch(exec, s_), hipErrorInvalidValue);
  EXPECT_EQ(hipGraphExecDestroy(exec), hipErrorInvalidValue);
  EXPECT_EQ(hipGraphDestroy(nullptr), hipErrorInvalidValue);
  hipGraphExec_t other = nullptr;
  EXPECT_EQ(hipGraphInstantiate(&other, nullptr, nullptr, nullptr, 0), hipErrorInvalidValue);
}

TEST_F(Graphs, AFailedKernelStopsTheReplay) {
  int number = 0;
  int* theirs = nullptr;
  set("devices", 2);
  ASSERT_EQ(hipSetDevice(1), hipSuccess);
  ASSERT_EQ(hipMalloc(&theirs, 4), hipSuccess);
  ASSERT_EQ(hipSetDevice(0), hipSuccess);
  begin();
  put(s_, &number, 1);
  put(s_, theirs, 1);
  put(s_, &number, 2);
  const hipGraphExec_t exec = end_and_instantiate();
  ASSERT_EQ(hipGraphLaunch(exec, s_), hipSuccess);
  EXPECT_EQ(hipStreamSynchronize(s_), hipErrorIllegalAddress);
  EXPECT_EQ(number, 1);
  EXPECT_EQ(hipGraphExecDestroy(exec), hipSuccess);
  EXPECT_EQ(hipDeviceReset(), hipSuccess);
  ASSERT_EQ(hipSetDevice(1), hipSuccess);
  EXPECT_EQ(hipFree(theirs), hipSuccess);
  ASSERT_EQ(hipSetDevice(0), hipSuccess);
}

TEST_F(Captures, TellTheirStatus) {
  hipStreamCaptureStatus status{};
  EXPECT_EQ(hipStreamIsCapturing(s_, &status), hipSuccess);
  EXPECT_EQ(status, hipStreamCaptureStatusNone);
  begin();
  EXPECT_EQ(hipStreamIsCapturing(s_, &status), hipSuccess);
  EXPECT_EQ(status, hipStreamCaptureStatusActive);
  EXPECT_EQ(hipStreamBeginCapture(s_, hipStreamCaptureModeGlobal), hipErrorIllegalState);
  EXPECT_EQ(hipStreamSynchronize(s_), hipErrorStreamCaptureUnsupported);
  EXPECT_EQ(hipStreamIsCapturing(s_, &status), hipSuccess);
  EXPECT_EQ(status, hipStreamCaptureStatusInvalidated);
  int number = 0;
  hipLaunchKernelGGL(append_digit, 1, 1, 0, s_, &number, 1);
  EXPECT_EQ(hipGetLastError(), hipErrorStreamCaptureInvalidated);
  expect_end(hipErrorStreamCaptureInvalidated);
  put(s_, &number, 1);
  EXPECT_EQ(number, 1);
}

TEST_F(Captures, AreSpoiledByCallsThatCannotBeRecorded) {
  void* p = nullptr;
  int word = 0;
  const std::vector<std::pair<const char*, hipError_t (*)(void**, int*, hipStream_t)>> calls{
      {"hipMalloc", [](void** q, int*, hipStream_t) { return hipMalloc(q, 8); }},
      {"hipMallocAsync", [](void** q, int*, hipStream_t s) { return hipMallocAsync(q, 8, s); }},
      {"hipHostMalloc", [](void** q, int*, hipStream_t) { return hipHostMalloc(q, 8); }},
      {"hipMemcpy", [](void**, int* w, hipStream_t) { return hipMemcpy(w, w, 4, hipMemcpyDefault); }},
      {"hipMemset", [](void**, int* w, hipStream_t) { return hipMemset(w, 1, 4); }},
      {"hipDeviceSynchronize", [](void**, int*, hipStream_t) { return hipDeviceSynchronize(); }},
      {"hipStreamSynchronize", [](void**, int*, hipStream_t s) { return hipStreamSynchronize(s); }},
      {"hipStreamQuery", [](void**, int*, hipStream_t s) { return hipStreamQuery(s); }},
  };
  for (const auto& [name, call] : calls) {
    begin();
    EXPECT_EQ(call(&p, &word, s_), hipErrorStreamCaptureUnsupported) << name;
    EXPECT_EQ(p, nullptr) << name;
    EXPECT_EQ(word, 0) << name;
    expect_end(hipErrorStreamCaptureInvalidated);
  }
}

TEST_F(Captures, ForbidTheNullStreamWhereItWouldWaitForThem) {
  int number = 0;
  begin();
  hipLaunchKernelGGL(append_digit, 1, 1, 0, nullptr, &number, 1);
  EXPECT_EQ(hipGetLastError(), hipErrorStreamCaptureImplicit);
  EXPECT_EQ(number, 0);
  expect_end(hipErrorStreamCaptureInvalidated);
  EXPECT_EQ(hipStreamBeginCapture(nullptr, hipStreamCaptureModeGlobal), hipErrorStreamCaptureUnsupported);
  EXPECT_EQ(hipGetLastError(), hipErrorStreamCaptureUnsupported);
  // A non-blocking stream does not wait for the null stream.
  ASSERT_EQ(hipStreamBeginCapture(t_, hipStreamCaptureModeGlobal), hipSuccess);
  put(nullptr, &number, 1);
  EXPECT_EQ(number, 1);
  hipGraph_t graph = nullptr;
  ASSERT_EQ(hipStreamEndCapture(t_, &graph), hipSuccess);
  EXPECT_EQ(hipGraphDestroy(graph), hipSuccess);
}

TEST_F(Captures, OfAThreadOrRelaxedLeaveOtherThreadsAlone) {
  begin(hipStreamCaptureModeThreadLocal);
  std::thread([] {
    void* p = nullptr;
    EXPECT_EQ(hipMalloc(&p, 8), hipSuccess);
    EXPECT_EQ(hipFree(p), hipSuccess);
  }).join();
  EXPECT_EQ(hipGraphExecDestroy(end_and_instantiate()), hipSuccess);
  begin(hipStreamCaptureModeGlobal);
  std::thread([] {
    void* p = nullptr;
    EXPECT_EQ(hipMalloc(&p, 8), hipErrorStreamCaptureUnsupported);
  }).join();
  expect_end(hipErrorStreamCaptureInvalidated);
  begin(hipStreamCaptureModeRelaxed);
  void* p = nullptr;
  EXPECT_EQ(hipMalloc(&p, 8), hipSuccess);
  EXPECT_EQ(hipFree(p), hipSuccess);
  EXPECT_EQ(hipGraphExecDestroy(end_and_instantiate()), hipSuccess);
}

TEST_F(Captures, MustEndWhereAndOnTheThreadThatTheyBegan) {
  hipGraph_t graph = nullptr;
  EXPECT_EQ(hipStreamEndCapture(s_, &graph), hipErrorIllegalState);
  begin();
  std::thread([this] {
    hipGraph_t other = nullptr;
    EXPECT_EQ(hipStreamEndCapture(s_, &other), hipErrorStreamCaptureWrongThread);
  }).join();
  ASSERT_EQ(hipEventRecord(fork_, s_), hipSuccess);
  ASSERT_EQ(hipStreamWaitEvent(t_, fork_), hipSuccess);
  EXPECT_EQ(hipStreamEndCapture(t_, &graph), hipErrorStreamCaptureUnmatched);
  expect_end(hipErrorStreamCaptureInvalidated);
}

TEST_F(Captures, MustJoinWhatTheyForked) {
  int number = 0;
  begin();
  ASSERT_EQ(hipEventRecord(fork_, s_), hipSuccess);
  ASSERT_EQ(hipStreamWaitEvent(t_, fork_), hipSuccess);
  put(t_, &number, 1);
  expect_end(hipErrorStreamCaptureUnjoined);
  put(t_, &number, 2);
  EXPECT_EQ(number, 2);
}

TEST_F(Captures, AllowNoDependencyAcrossTheirBorder) {
  ASSERT_EQ(hipEventRecord(fork_, t_), hipSuccess);
  begin();
  EXPECT_EQ(hipStreamWaitEvent(s_, fork_), hipErrorStreamCaptureIsolation);
  expect_end(hipErrorStreamCaptureInvalidated);

  begin();
  ASSERT_EQ(hipEventRecord(fork_, s_), hipSuccess);
  EXPECT_EQ(hipEventSynchronize(fork_), hipErrorCapturedEvent);
  EXPECT_EQ(hipEventQuery(fork_), hipErrorCapturedEvent);
  EXPECT_EQ(hipStreamWaitEvent(nullptr, fork_), hipErrorStreamCaptureImplicit);
  expect_end(hipErrorStreamCaptureInvalidated);

  begin();
  ASSERT_EQ(hipStreamBeginCapture(t_, hipStreamCaptureModeGlobal), hipSuccess);
  ASSERT_EQ(hipEventRecord(fork_, s_), hipSuccess);
  EXPECT_EQ(hipStreamWaitEvent(t_, fork_), hipErrorStreamCaptureMerge);
  hipGraph_t graph = nullptr;
  EXPECT_EQ(hipStreamEndCapture(t_, &graph), hipErrorStreamCaptureInvalidated);
  expect_end(hipErrorStreamCaptureInvalidated);
}

TEST_F(Captures, EndWithTheirStream) {
  hipStream_t gone = nullptr;
  ASSERT_EQ(hipStreamCreate(&gone), hipSuccess);
  ASSERT_EQ(hipStreamBeginCapture(gone, hipStreamCaptureModeGlobal), hipSuccess);
  ASSERT_EQ(hipStreamDestroy(gone), hipSuccess);
  void* p = nullptr;
  EXPECT_EQ(hipMalloc(&p, 8), hipSuccess);
  EXPECT_EQ(hipFree(p), hipSuccess);
}

TEST_F(Graphs, AreDeferredWithTheirStream) {
  int number = 0;
  begin();
  put(s_, &number, 1);
  const hipGraphExec_t exec = end_and_instantiate();
  set("deferred", 1);
  ASSERT_EQ(hipGraphLaunch(exec, s_), hipSuccess);
  EXPECT_EQ(hipGraphExecDestroy(exec), hipSuccess);
  EXPECT_EQ(number, 0);
  EXPECT_EQ(hipStreamSynchronize(s_), hipSuccess);
  EXPECT_EQ(number, 1);
}

}  // namespace
}  // namespace twincheck::hip_cpu
