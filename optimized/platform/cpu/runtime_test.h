// What the tests of the runtime share.
#pragma once

#include <gtest/gtest.h>
#include <hip/hip_runtime.h>

#include <ostream>
#include <string>

#include "control.h"

inline void PrintTo(hipError_t error, std::ostream* out) { *out << hipGetErrorName(error); }

namespace twincheck::hip_cpu {

// A fresh runtime before, and nothing leaked after.
class Runtime : public testing::Test {
 protected:
  void SetUp() override {
    reset();
    bytes_ = get("live_bytes");
    handles_ = get("live_handles");
  }
  void TearDown() override {
    reset();
    EXPECT_EQ(get("live_bytes"), bytes_);
    EXPECT_EQ(get("live_handles"), handles_);
  }

 private:
  std::int64_t bytes_ = 0, handles_ = 0;
};

}  // namespace twincheck::hip_cpu
