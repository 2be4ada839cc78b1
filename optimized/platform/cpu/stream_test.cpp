#include <cstdint>
#include <vector>

#include "runtime_test.h"

namespace twincheck::hip_cpu {
namespace {

class Streams : public Runtime {};
class Events : public Runtime {};
class DeferredStreams : public Runtime {
 protected:
  void SetUp() override {
    Runtime::SetUp();
    set("deferred", 1);
  }
};

__global__ void append_digit(int* number, int digit) { *number = *number * 10 + digit; }

struct Stream {
  hipStream_t handle = nullptr;
  explicit Stream(unsigned flags = hipStreamDefault) { EXPECT_EQ(hipStreamCreateWithFlags(&handle, flags), hipSuccess); }
  ~Stream() { EXPECT_EQ(hipStreamDestroy(handle), hipSuccess); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
};

struct Event {
  hipEvent_t handle = nullptr;
  explicit Event(unsigned flags = hipEventDefault) { EXPECT_EQ(hipEventCreateWithFlags(&handle, flags), hipSuccess); }
  ~Event() { EXPECT_EQ(hipEventDestroy(handle), hipSuccess); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
};

void put(hipStream_t stream, int* number, int digit) {
  hipLaunchKernelGGL(append_digit, 1, 1, 0, stream, number, digit);
  EXPECT_EQ(hipGetLastError(), hipSuccess);
}

TEST_F(Streams, DoTheirWorkAtOnceAndInOrder) {
  Stream s;
  int number = 0;
  for (int digit : {1, 2, 3}) put(s.handle, &number, digit);
  EXPECT_EQ(number, 123);
  EXPECT_EQ(hipStreamQuery(s.handle), hipSuccess);
  EXPECT_EQ(hipStreamSynchronize(s.handle), hipSuccess);
}

TEST_F(Streams, RefuseHandlesThatAreNoStreams) {
  hipStream_t gone = nullptr;
  ASSERT_EQ(hipStreamCreate(&gone), hipSuccess);
  ASSERT_EQ(hipStreamDestroy(gone), hipSuccess);
  int number = 0;
  hipLaunchKernelGGL(append_digit, 1, 1, 0, gone, &number, 1);
  EXPECT_EQ(hipGetLastError(), hipErrorInvalidHandle);
  EXPECT_EQ(number, 0);
  EXPECT_EQ(hipStreamSynchronize(gone), hipErrorInvalidHandle);
  EXPECT_EQ(hipStreamQuery(gone), hipErrorInvalidHandle);
  EXPECT_EQ(hipStreamDestroy(gone), hipErrorInvalidHandle);
  EXPECT_EQ(hipStreamDestroy(nullptr), hipErrorInvalidHandle);
  EXPECT_EQ(hipMemsetAsync(&number, 0, 4, gone), hipErrorInvalidHandle);
  EXPECT_EQ(hipStreamCreateWithFlags(&gone, 2), hipErrorInvalidValue);
  EXPECT_EQ(hipStreamCreate(nullptr), hipErrorInvalidValue);
}

TEST_F(Streams, RunHostFunctionsInTheirOrder) {
  Stream s;
  int number = 1;
  put(s.handle, &number, 2);
  EXPECT_EQ(hipLaunchHostFunc(
                s.handle, [](void* p) { *static_cast<int*>(p) *= 100; }, &number),
            hipSuccess);
  put(s.handle, &number, 3);
  EXPECT_EQ(hipStreamSynchronize(s.handle), hipSuccess);
  EXPECT_EQ(number, 12003);
  EXPECT_EQ(hipLaunchHostFunc(s.handle, nullptr, nullptr), hipErrorInvalidValue);
}

TEST_F(Events, MeasureTimeFromOneToTheNext) {
  Event start, stop, untimed(hipEventDisableTiming), unrecorded;
  float ms = -1;
  ASSERT_EQ(hipEventRecord(start.handle), hipSuccess);
  ASSERT_EQ(hipEventRecord(stop.handle), hipSuccess);
  ASSERT_EQ(hipEventRecord(untimed.handle), hipSuccess);
  EXPECT_EQ(hipEventSynchronize(stop.handle), hipSuccess);
  EXPECT_EQ(hipEventElapsedTime(&ms, start.handle, stop.handle), hipSuccess);
  EXPECT_GE(ms, 0);
  EXPECT_EQ(hipEventElapsedTime(&ms, start.handle, untimed.handle), hipErrorInvalidHandle);
  EXPECT_EQ(hipEventElapsedTime(&ms, start.handle, unrecorded.handle), hipErrorInvalidHandle);
  EXPECT_EQ(hipEventElapsedTime(nullptr, start.handle, stop.handle), hipErrorInvalidValue);
  EXPECT_EQ(hipEventQuery(unrecorded.handle), hipSuccess);
  EXPECT_EQ(hipEventSynchronize(unrecorded.handle), hipSuccess);
}

TEST_F(Events, RefuseHandlesThatAreNoEvents) {
  hipEvent_t gone = nullptr;
  ASSERT_EQ(hipEventCreate(&gone), hipSuccess);
  ASSERT_EQ(hipEventDestroy(gone), hipSuccess);
  EXPECT_EQ(hipEventRecord(gone), hipErrorInvalidHandle);
  EXPECT_EQ(hipEventSynchronize(gone), hipErrorInvalidHandle);
  EXPECT_EQ(hipEventQuery(gone), hipErrorInvalidHandle);
  EXPECT_EQ(hipStreamWaitEvent(nullptr, gone), hipErrorInvalidHandle);
  EXPECT_EQ(hipEventDestroy(gone), hipErrorInvalidHandle);
  EXPECT_EQ(hipEventCreateWithFlags(&gone, 64), hipErrorInvalidValue);
}

TEST_F(DeferredStreams, DoNothingUntilSomebodyWaits) {
  Stream s;
  int number = 0;
  put(s.handle, &number, 1);
  EXPECT_EQ(hipMemsetAsync(&number, 0, sizeof(number), s.handle), hipSuccess);
  put(s.handle, &number, 2);
  EXPECT_EQ(number, 0);
  EXPECT_EQ(get("launches"), 0);
  EXPECT_EQ(hipStreamSynchronize(s.handle), hipSuccess);
  EXPECT_EQ(number, 2);
  EXPECT_EQ(get("launches"), 2);
}

TEST_F(DeferredStreams, KeepTheArgumentsOfTheCall) {
  Stream s;
  int number = 0;
  std::vector<int> digit{4};
  put(s.handle, &number, digit[0]);
  digit[0] = 5;
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
  EXPECT_EQ(number, 4);
}

TEST_F(DeferredStreams, AreNotReadyUntilDoneAndQueriesGetThereInTheEnd) {
  Stream s;
  Event e;
  int number = 0;
  for (int i = 0; i < 3; ++i) put(s.handle, &number, 1);
  ASSERT_EQ(hipEventRecord(e.handle, s.handle), hipSuccess);
  EXPECT_EQ(hipEventQuery(e.handle), hipErrorNotReady);
  int queries = 1;
  while (hipStreamQuery(s.handle) == hipErrorNotReady) ++queries;
  EXPECT_EQ(number, 111);
  EXPECT_LE(queries, 5);
  EXPECT_EQ(hipEventQuery(e.handle), hipSuccess);
  EXPECT_EQ(hipGetLastError(), hipErrorNotReady);
}

TEST_F(DeferredStreams, RunInAnyOrderWithoutAnEventBetweenThemAndInItsOrderWithOne) {
  bool seen_wrong = false;
  for (int seed = 0; seed <= 40; ++seed) {
    set("order_seed", seed);
    Stream producer(hipStreamNonBlocking), consumer(hipStreamNonBlocking);
    Event done;
    int number = 0;
    put(producer.handle, &number, 1);
    put(consumer.handle, &number, 2);
    ASSERT_EQ(hipDeviceSynchronize(), hipSuccess);
    seen_wrong = seen_wrong || number == 21;

    number = 0;
    put(producer.handle, &number, 1);
    ASSERT_EQ(hipEventRecord(done.handle, producer.handle), hipSuccess);
    ASSERT_EQ(hipStreamWaitEvent(consumer.handle, done.handle), hipSuccess);
    put(consumer.handle, &number, 2);
    ASSERT_EQ(hipStreamSynchronize(consumer.handle), hipSuccess);
    ASSERT_EQ(number, 12) << "seed " << seed;
  }
  EXPECT_TRUE(seen_wrong);
}

TEST_F(DeferredStreams, WaitForOneStreamDoesNotWaitForAnother) {
  int number = 0, late = 0;
  Stream mine(hipStreamNonBlocking), other(hipStreamNonBlocking);
  put(other.handle, &late, 1);
  put(mine.handle, &number, 1);
  EXPECT_EQ(hipStreamSynchronize(mine.handle), hipSuccess);
  EXPECT_EQ(number, 1);
  EXPECT_EQ(late, 0);
  EXPECT_EQ(hipStreamSynchronize(nullptr), hipSuccess);
  EXPECT_EQ(late, 0) << "a non-blocking stream is apart from the null stream";
}

TEST_F(DeferredStreams, TheNullStreamAndBlockingStreamsWaitForEachOther) {
  for (int seed = 0; seed <= 30; ++seed) {
    set("order_seed", seed);
    Stream a, b;
    int number = 0;
    put(a.handle, &number, 1);
    put(nullptr, &number, 2);
    put(b.handle, &number, 3);
    put(nullptr, &number, 4);
    ASSERT_EQ(hipStreamSynchronize(nullptr), hipSuccess);
    ASSERT_EQ(number, 1234) << "seed " << seed;
  }
}

TEST_F(DeferredStreams, SynchronousCopiesAndFreeingWait) {
  int* p = nullptr;
  int out = 0;
  ASSERT_EQ(hipMalloc(&p, sizeof(int)), hipSuccess);
  ASSERT_EQ(hipMemsetAsync(p, 0, sizeof(int)), hipSuccess);
  put(nullptr, p, 7);
  EXPECT_EQ(hipMemcpy(&out, p, sizeof(int), hipMemcpyDeviceToHost), hipSuccess);
  EXPECT_EQ(out, 7);
  put(nullptr, p, 8);
  EXPECT_EQ(hipFree(p), hipSuccess);
  EXPECT_EQ(get("launches"), 2) << "the kernel ran before its buffer was gone";
  ASSERT_EQ(hipMallocAsync(&p, sizeof(int), nullptr), hipSuccess);
  ASSERT_EQ(hipMemsetAsync(p, 0, sizeof(int)), hipSuccess);
  put(nullptr, p, 9);
  EXPECT_EQ(hipFreeAsync(p, nullptr), hipSuccess);
  EXPECT_EQ(get("live_bytes"), 4);
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
  EXPECT_EQ(get("live_bytes"), 0);
}

TEST_F(DeferredStreams, AreFinishedWhenTheKnobIsTurnedBack) {
  Stream s;
  int number = 0;
  put(s.handle, &number, 1);
  set("deferred", 0);
  EXPECT_EQ(number, 1);
}

}  // namespace
}  // namespace twincheck::hip_cpu
