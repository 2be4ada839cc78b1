// Knobs and counters of the CPU HIP runtime, for tests and for a candidate's twincheck_set and twincheck_get.
//
// They are the library copy's: a program and each candidate that it loads have their own. Set them while no other host
// thread is in the runtime; reading is always safe.
#pragma once

#include <cstdint>
#include <string>

namespace twincheck::hip_cpu {

// Knobs, with their defaults:
//   order_seed 0   blocks and threads run in random order, in another one at each launch since the seed was set; 0 is the
//                  fixed order, x first
//   wave       64  lanes: 32 or 64
//   devices    1   1 to 16
//   host_device 0  n from 1 to 16: memory that the runtime did not hand out belongs to device n - 1; 0: to no device
//   fail_nth   0   the n-th runtime call from now fails, once, without doing its work (calls that release do it all the
//   same);
//                  0 for none. Launches fail with hipErrorLaunchOutOfResources, allocations and whatever makes a handle with
//                  hipErrorOutOfMemory, questions about devices and pointers with hipErrorInvalidDevice and
//                  hipErrorInvalidDevicePointer, everything else with hipErrorOperatingSystem
//   deferred   0   1: work of a stream waits until something synchronizes with it, and streams interleave
//   execute    1   0: launches are validated and counted and their kernels not run
// False, and nothing changed, for an unknown key or a value that is not named here.
bool set(const char* key, std::int64_t value);

// A knob (fail_nth: the calls left), or a counter:
//   live_bytes     bytes handed out and not freed, host allocations included
//   live_handles   streams, events, graphs and executable graphs not destroyed
//   launches       kernels run, replays included, since the last reset
//   calls          runtime calls since the last reset: launches and every hip function but hipGetLastError,
//                  hipPeekAtLastError, hipGetErrorName, hipGetErrorString
//   device         the calling thread's current device
//   grid_x grid_y grid_z block_x block_y block_z shared_bytes   of the latest launch that the calling thread ran or, with
//                  execute 0, would have run
// -1 for an unknown key.
std::int64_t get(const char* key);

// Every knob at its default, sticky errors and the calling thread's last error cleared, its device 0, captures ended, queued
// work dropped, launches and calls 0. What is allocated stays, and stays counted.
void reset();

// Why the latest kernel failed ("block (0,0,0): 128 of 256 threads wait at the barrier of line 12, 128 at line 15"); empty
// if none has since the last reset.
std::string last_fault();

}  // namespace twincheck::hip_cpu
