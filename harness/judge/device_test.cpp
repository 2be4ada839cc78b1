// A device by its runtime, on a driver for machines without a GPU: what is enqueued, captured and timed.
#include "harness/judge/device.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <vector>

namespace twincheck {
namespace {

class OnFakeDriver : public testing::Test {
 protected:
  void SetUp() override {
    // By its soname it is then the libcuda.so.1 of this process.
    ASSERT_NE(dlopen(TWINCHECK_FAKE_CUDA "/libcuda.so.1", RTLD_NOW | RTLD_GLOBAL), nullptr) << dlerror();
    device = open_device(MemoryKind::kCuda, 0);
    memory = static_cast<unsigned char*>(device->allocate(kBytes));
    ASSERT_NE(memory, nullptr);
    host.resize(kBytes);
  }
  void TearDown() override { device->release(memory); }

  unsigned char at(std::size_t i) {
    device->download(host.data(), memory, kBytes);
    device->synchronize();
    return host[i];
  }

  static constexpr std::size_t kBytes = 64;
  std::unique_ptr<Device> device;
  unsigned char* memory = nullptr;
  std::vector<unsigned char> host;
};

TEST_F(OnFakeDriver, PropertiesThatTheDriverDoesNotKnowAreZero) {
  const DeviceProperties p = device->properties();
  EXPECT_EQ(p.name, "a fake device");
  EXPECT_EQ(p.wave, 32);
  EXPECT_EQ(p.multiprocessors, 1);
  EXPECT_EQ(p.l2_bytes, 0);
  EXPECT_EQ(p.memory_bytes, device->free_bytes() + kBytes);
}

TEST_F(OnFakeDriver, FillsAndCopies) {
  device->fill(memory, 7, 32);
  device->copy(memory + 32, memory, 32);
  EXPECT_EQ(at(0), 7);
  EXPECT_EQ(at(63), 7);
}

TEST_F(OnFakeDriver, AGraphRunsWhenItIsLaunchedAndOnWhatIsThereThen) {
  void* const stream = device->create_stream();
  device->fill(memory, 1, kBytes);
  device->begin_capture(stream);
  device->copy(memory + 32, memory, 32, stream);
  device->fill(memory, 9, 1, stream);
  void* const graph = device->end_capture(stream);
  EXPECT_EQ(at(0), 1) << "captured, not run";
  device->fill(memory, 2, 32);
  device->synchronize();
  device->launch_graph(graph, stream);
  device->synchronize(stream);
  EXPECT_EQ(at(32), 2);
  EXPECT_EQ(at(0), 9);
  device->destroy_graph(graph);
  device->destroy_stream(stream);
}

TEST_F(OnFakeDriver, WhatCannotBeCapturedIsRefusedByItsName) {
  device->begin_capture();
  EXPECT_THROW(device->synchronize(), DeviceError);
  try {
    (void)device->end_capture();
    FAIL() << "a graph of a synchronization";
  } catch (const DeviceError& e) {
    EXPECT_STREQ(e.what(), "cuStreamEndCapture: CUDA_ERROR_STREAM_CAPTURE_INVALIDATED");
  }
  device->fill(memory, 3, kBytes);
  EXPECT_EQ(at(5), 3) << "the stream is as before";
}

TEST_F(OnFakeDriver, EventsTellTheTimeBetweenThem) {
  void* const first = device->create_event();
  void* const last = device->create_event();
  device->record(first);
  device->fill(memory, 0, kBytes);
  device->record(last);
  device->wait_for(last);
  device->synchronize_event(last);
  EXPECT_TRUE(device->is_done(last));
  const double us = device->microseconds_between(first, last);
  EXPECT_GT(us, 0);
  EXPECT_LT(us, 1e6);
  device->destroy_event(first);
  device->destroy_event(last);
}

}  // namespace
}  // namespace twincheck
