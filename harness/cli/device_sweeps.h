// Sweeps where the candidate's memory is a device's.
#pragma once

#include <functional>
#include <string>

#include "harness/candidate/worker.h"
#include "harness/cli/options.h"
#include "harness/cli/session.h"
#include "harness/judge/sweep.h"

namespace twincheck {

// Where the results of a piece go, cleared.
using ResultOf = std::function<SweepResult&(Sweep::Piece)>;

// What piece a sweep's item is.
Sweep::Piece sweep_piece_of(const Item& item);

// The library with the reference for a platform's devices. LoadError where there is none.
std::string oracle_library(const std::string& platform);

// Holds the oracle on the device against the CPU's, in a process of its own, and says how in a line: every input of a 16-bit
// dtype, options.oracle_samples of f32. LoadError where it cannot be used, or is not the reference.
std::string prove_oracle(const Sweep& sweep, const Participant& participant, const Options& options);

// Judges items of a sweep, as many as DeviceSweepBench::kPieces at once, in a worker.
MakeJudge sweep_judge_on_device(const Sweep& sweep, const Participant& participant, const Options& options,
                                ResultOf result_of);

}  // namespace twincheck
