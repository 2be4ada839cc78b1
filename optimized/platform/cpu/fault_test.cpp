#include <cstdint>
#include <string>
#include <vector>

#include "runtime_test.h"

namespace twincheck::hip_cpu {
namespace {

class Faults : public Runtime {};

__global__ void fill(int* out, int value) { out[threadIdx.x] = value; }

// The error of the call that failed first, and which one it was.
struct Outcome {
  hipError_t error = hipSuccess;
  std::string call;

  bool note(const char* name, hipError_t e) {
    if (error == hipSuccess && e != hipSuccess) {
      error = e;
      call = name;
    }
    return e == hipSuccess;
  }
};

// A careful host program: stops at the first error, releases everything.
Outcome fill_through_everything(std::vector<int>& result) {
  Outcome o;
  int device = -1;
  o.note("hipGetDevice", hipGetDevice(&device));
  hipStream_t stream = nullptr;
  int* p = nullptr;
  hipGraph_t graph = nullptr;
  hipGraphExec_t exec = nullptr;
  hipEvent_t event = nullptr;
  if (o.error == hipSuccess) o.note("hipSetDevice", hipSetDevice(device));
  if (o.error == hipSuccess) o.note("hipStreamCreate", hipStreamCreate(&stream));
  if (o.error == hipSuccess) o.note("hipEventCreate", hipEventCreate(&event));
  if (o.error == hipSuccess) o.note("hipMalloc", hipMalloc(&p, 64 * sizeof(int)));
  if (o.error == hipSuccess && o.note("hipStreamBeginCapture", hipStreamBeginCapture(stream, hipStreamCaptureModeGlobal))) {
    hipLaunchKernelGGL(fill, 1, 64, 0, stream, p, 5);
    o.note("launch", hipGetLastError());
    if (!o.note("hipStreamEndCapture", hipStreamEndCapture(stream, &graph))) {
      // A capture that cannot be ended ends with its stream.
    }
  }
  if (o.error == hipSuccess) o.note("hipGraphInstantiate", hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
  if (o.error == hipSuccess) o.note("hipGraphLaunch", hipGraphLaunch(exec, stream));
  if (o.error == hipSuccess) o.note("hipEventRecord", hipEventRecord(event, stream));
  if (o.error == hipSuccess) o.note("hipEventSynchronize", hipEventSynchronize(event));
  if (o.error == hipSuccess)
    o.note("hipMemcpyAsync", hipMemcpyAsync(result.data(), p, 64 * sizeof(int), hipMemcpyDeviceToHost, stream));
  if (o.error == hipSuccess) o.note("hipStreamSynchronize", hipStreamSynchronize(stream));
  if (exec != nullptr) o.note("hipGraphExecDestroy", hipGraphExecDestroy(exec));
  if (graph != nullptr) o.note("hipGraphDestroy", hipGraphDestroy(graph));
  if (event != nullptr) o.note("hipEventDestroy", hipEventDestroy(event));
  if (stream != nullptr) o.note("hipStreamDestroy", hipStreamDestroy(stream));
  if (p != nullptr) o.note("hipFree", hipFree(p));
  (void)hipGetLastError();
  return o;
}

TEST_F(Faults, StrikeTheNthCallOnceByARealNameAndNothingLeaks) {
  std::vector<int> result(64);
  ASSERT_EQ(fill_through_everything(result).error, hipSuccess);
  ASSERT_EQ(result, std::vector<int>(64, 5));
  const std::int64_t calls = get("calls");
  ASSERT_EQ(calls, 19);
  std::vector<std::string> struck;
  for (std::int64_t n = 1; n <= calls; ++n) {
    set("fail_nth", n);
    const Outcome o = fill_through_everything(result);
    EXPECT_NE(o.error, hipSuccess) << "call " << n;
    EXPECT_EQ(std::string(hipGetErrorName(o.error)).rfind("hipError", 0), 0u);
    EXPECT_EQ(get("fail_nth"), 0) << "call " << n;
    EXPECT_EQ(get("live_bytes"), 0) << "call " << n << " " << o.call;
    EXPECT_EQ(get("live_handles"), 0) << "call " << n << " " << o.call;
    struck.push_back(o.call);
    // The next run works.
    std::fill(result.begin(), result.end(), 0);
    EXPECT_EQ(fill_through_everything(result).error, hipSuccess);
    EXPECT_EQ(result, std::vector<int>(64, 5));
  }
  const std::vector<std::string> want{"hipGetDevice",
                                      "hipSetDevice",
                                      "hipStreamCreate",
                                      "hipEventCreate",
                                      "hipMalloc",
                                      "hipStreamBeginCapture",
                                      "launch",
                                      "hipStreamEndCapture",
                                      "hipGraphInstantiate",
                                      "hipGraphLaunch",
                                      "hipEventRecord",
                                      "hipEventSynchronize",
                                      "hipMemcpyAsync",
                                      "hipStreamSynchronize",
                                      "hipGraphExecDestroy",
                                      "hipGraphDestroy",
                                      "hipEventDestroy",
                                      "hipStreamDestroy",
                                      "hipFree"};
  EXPECT_EQ(struck, want);
}

TEST_F(Faults, ALaunchThatIsToldToFailRunsNothingAndIsNotSticky) {
  int out[4] = {};
  set("fail_nth", 1);
  hipLaunchKernelGGL(fill, 1, 4, 0, nullptr, out, 5);
  EXPECT_EQ(hipGetLastError(), hipErrorLaunchOutOfResources);
  EXPECT_EQ(out[0], 0);
  EXPECT_EQ(get("launches"), 0);
  hipLaunchKernelGGL(fill, 1, 4, 0, nullptr, out, 5);
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  EXPECT_EQ(out[3], 5);
}

TEST_F(Faults, ACallThatIsToldToFailChangesNothing) {
  set("devices", 2);
  set("fail_nth", 1);
  EXPECT_EQ(hipSetDevice(1), hipErrorInvalidDevice);
  int device = -1;
  EXPECT_EQ(hipGetDevice(&device), hipSuccess);
  EXPECT_EQ(device, 0);
  int word = 3;
  set("fail_nth", 1);
  EXPECT_EQ(hipMemset(&word, 0, 4), hipErrorOperatingSystem);
  EXPECT_EQ(word, 3);
}

TEST_F(Faults, CountDownOverCallsAndNotOverLastErrors) {
  set("fail_nth", 3);
  int device = -1;
  EXPECT_EQ(hipGetDevice(&device), hipSuccess);
  EXPECT_EQ(hipGetLastError(), hipSuccess);
  EXPECT_EQ(hipPeekAtLastError(), hipSuccess);
  EXPECT_EQ(get("fail_nth"), 2);
  EXPECT_EQ(hipGetDevice(&device), hipSuccess);
  EXPECT_EQ(hipGetDevice(&device), hipErrorInvalidDevice);
  EXPECT_EQ(hipGetDevice(&device), hipSuccess);
}

}  // namespace
}  // namespace twincheck::hip_cpu
