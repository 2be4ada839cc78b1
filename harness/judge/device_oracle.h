// The reference on a device: libtwincheck_PLATFORM_oracle.so, loaded and tried against the CPU's.
#pragma once

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

#include "harness/judge/device.h"
#include "harness/judge/sweep.h"
#include "reference/device/oracle.h"

namespace twincheck {

// It is not there, cannot be loaded, its runtime refuses, or it is not the reference.
struct OracleError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class DeviceOracle {
 public:
  // `path`: the library. Its work goes to the device's own stream, which must be the current device.
  DeviceOracle(Device& device, const std::string& path);

  // What twincheck_oracle_inputs() and _compare() do.
  void inputs(const twincheck_oracle_range& range, void* where);
  void compare(const twincheck_oracle_range& range, const void* got, twincheck_oracle_found* found);

  // Holds it against the CPU's reference: every bit pattern of a 16-bit dtype, `samples` of f32, on as many threads. What it
  // knows must be equal, and it must know all but few. Throws OracleError, naming the first input that differs.
  struct Proof {
    uint64_t inputs = 0, left = 0;  // left: it does not know, and the CPU is asked
  };
  Proof prove(const Sweep& sweep, uint64_t samples, int threads);

 private:
  template <typename... A>
  void call(int32_t (*function)(A...), A... arguments);

  Device& device_;
  decltype(&twincheck_oracle_inputs) inputs_;
  decltype(&twincheck_oracle_compare) compare_;
  decltype(&twincheck_oracle_answers) answers_;
  decltype(&twincheck_oracle_error) error_;
};

}  // namespace twincheck
