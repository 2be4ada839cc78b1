// What a thread of a kernel knows about itself: threadIdx, blockIdx, blockDim, gridDim, warpSize.
//
// Threads run on stacks that lie in one aligned region a host thread, whose first bytes are that host thread's Execution. So
// it is found from the stack pointer, without thread-local storage, and is the same object for all threads that take turns
// on a host thread. Outside of a kernel these names must not be read.
#pragma once

#include <cstdint>

#include "qualifiers.h"
#include "vector_types.h"

namespace twincheck::hip_cpu {

inline constexpr std::uintptr_t kArenaBytes = std::uintptr_t{256} << 20;

// A thread of a block: its coordinates and its place in x-major order, which lane and wave are counted from.
struct ThreadSlot {
  std::uint16_t x, y, z, linear;
};

struct Execution {
  uint3 thread_idx, block_idx;
  dim3 block_dim, grid_dim;
  std::uint32_t linear;  // of the running thread
  std::uint32_t wave;    // lanes: 32 or 64
  std::uint32_t next, threads;
  const ThreadSlot* order;  // the order in which the block's threads start
  unsigned char* dynamic_shared;
};

inline __attribute__((always_inline)) Execution& execution() {
  return *reinterpret_cast<Execution*>(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) & ~(kArenaBytes - 1));
}

// Moves on to the next block, if the running one is finished and there is another.
bool next_block(Execution& e);

// Becomes the block's next thread that has not started. False when this stack has nothing left to start.
inline __attribute__((always_inline)) bool begin_thread(Execution& e) {
  if (e.next == e.threads && !next_block(e)) return false;
  const ThreadSlot slot = e.order[e.next++];
  e.thread_idx = {slot.x, slot.y, slot.z};
  e.linear = slot.linear;
  return true;
}

struct WaveSize {
  operator int() const { return static_cast<int>(execution().wave); }
};

}  // namespace twincheck::hip_cpu

#define threadIdx (::twincheck::hip_cpu::execution().thread_idx)
#define blockIdx (::twincheck::hip_cpu::execution().block_idx)
#define blockDim (::twincheck::hip_cpu::execution().block_dim)
#define gridDim (::twincheck::hip_cpu::execution().grid_dim)

// An int at run time, not a constant: a kernel that wants it as one assumes a wave size.
inline constexpr ::twincheck::hip_cpu::WaveSize warpSize{};
