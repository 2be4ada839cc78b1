// Sweeps where the candidate's memory is a device's: inputs are made there, the candidate runs there, and the oracle there
// compares; the CPU is asked about the few values that it leaves undecided.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "harness/candidate/candidate.h"
#include "harness/judge/check.h"
#include "harness/judge/device_oracle.h"
#include "harness/judge/sweep.h"

namespace twincheck {

class DeviceSweepBench {
 public:
  static constexpr std::size_t kPieces = 32;  // that are on their way at once

  // bench: of the device's memory. DeviceError, OracleError.
  DeviceSweepBench(Bench& bench, const std::string& oracle);
  ~DeviceSweepBench();
  DeviceSweepBench(const DeviceSweepBench&) = delete;
  DeviceSweepBench& operator=(const DeviceSweepBench&) = delete;

  DeviceOracle& oracle() { return oracle_; }

  // SweepBench::run() for up to kPieces pieces; what was compared of piece i is added to *results[i].
  std::vector<Report> run(const Sweep& sweep, std::span<const Sweep::Piece> pieces, const Candidate& candidate,
                          std::span<SweepResult* const> results);

 private:
  struct Buffers {  // of a piece; on the device
    std::byte *inputs, *ids, *weights;
    twincheck_oracle_found* found;
  };
  Buffers buffers(std::size_t i) const;
  void compare_here(const Sweep& sweep, uint64_t first, std::size_t count, const std::byte* got, SweepResult& result);

  Bench& bench_;
  Device& device_;
  DeviceOracle oracle_;
  std::byte* memory_;
  twincheck_oracle_found* found_;  // pinned
  int wrong_pieces_ = 0;
};

}  // namespace twincheck
