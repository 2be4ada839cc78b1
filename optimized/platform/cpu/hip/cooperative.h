// Barriers and cross-lane operations: the places where threads meet.
//
// A thread that meets others is suspended until they are there. Lanes of a wave are 32 or 64 threads in x-major order.
//
// A cross-lane operation is done by those lanes of the wave that wait at the same operation on the same source line when no
// lane of the wave can go on; of several lines the first goes first. All others are inactive: reading one gives
// kInactiveLane, whose every 16, 32 and 64 bits are NaN.
//
// A barrier is passed when every thread of the block that has not returned waits at it (threads that returned do not count,
// as on AMD hardware). If they wait at barriers on different lines the launch fails: hipErrorLaunchFailure, sticky.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "execution.h"
#include "qualifiers.h"

namespace twincheck::hip_cpu {

inline constexpr std::uint64_t kInactiveLane = 0xFFF5FFA5FFA5FFA5;

enum class Meeting : std::uint8_t { kBarrier, kBarrierCount, kBarrierAnd, kBarrierOr, kShuffle, kBallot };

// Suspends the running thread until its meeting is held. A shuffle gives the value that lane `source` of the wave brought, a
// ballot the mask of lanes whose value is not 0, a barrier what its name says of the values.
std::uint64_t meet(Meeting kind, int line, std::uint64_t value, std::uint32_t source);

template <class T>
T shuffle(T value, int source, int line) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 8, "a lane hands over at most 8 bytes");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = meet(Meeting::kShuffle, line, bits, static_cast<std::uint32_t>(source));
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

inline int lane() { return static_cast<int>(execution().linear & (execution().wave - 1)); }
inline int wave_or(int width) { return width != 0 ? width : static_cast<int>(execution().wave); }

}  // namespace twincheck::hip_cpu

inline void __syncthreads(int line = __builtin_LINE()) {
  ::twincheck::hip_cpu::meet(::twincheck::hip_cpu::Meeting::kBarrier, line, 0, 0);
}
inline int __syncthreads_count(int predicate, int line = __builtin_LINE()) {
  return static_cast<int>(::twincheck::hip_cpu::meet(::twincheck::hip_cpu::Meeting::kBarrierCount, line, predicate != 0, 0));
}
inline int __syncthreads_and(int predicate, int line = __builtin_LINE()) {
  return static_cast<int>(::twincheck::hip_cpu::meet(::twincheck::hip_cpu::Meeting::kBarrierAnd, line, predicate != 0, 0));
}
inline int __syncthreads_or(int predicate, int line = __builtin_LINE()) {
  return static_cast<int>(::twincheck::hip_cpu::meet(::twincheck::hip_cpu::Meeting::kBarrierOr, line, predicate != 0, 0));
}

// width: a power of two up to the wave (0 stands for the wave); each group of width lanes is apart. Up and down give a lane
// its own value where the source would leave the group, xor where it would lie beyond the group's end.
template <class T>
T __shfl(T value, int source, int width = 0, int line = __builtin_LINE()) {
  width = ::twincheck::hip_cpu::wave_or(width);
  const int self = ::twincheck::hip_cpu::lane();
  return ::twincheck::hip_cpu::shuffle(value, (source & (width - 1)) + (self & ~(width - 1)), line);
}
template <class T>
T __shfl_up(T value, unsigned delta, int width = 0, int line = __builtin_LINE()) {
  width = ::twincheck::hip_cpu::wave_or(width);
  const int self = ::twincheck::hip_cpu::lane();
  const int within = self & (width - 1);
  return ::twincheck::hip_cpu::shuffle(value, delta <= static_cast<unsigned>(within) ? self - static_cast<int>(delta) : self,
                                       line);
}
template <class T>
T __shfl_down(T value, unsigned delta, int width = 0, int line = __builtin_LINE()) {
  width = ::twincheck::hip_cpu::wave_or(width);
  const int self = ::twincheck::hip_cpu::lane();
  const int within = self & (width - 1);
  return ::twincheck::hip_cpu::shuffle(
      value, delta < static_cast<unsigned>(width - within) ? self + static_cast<int>(delta) : self, line);
}
template <class T>
T __shfl_xor(T value, int mask, int width = 0, int line = __builtin_LINE()) {
  width = ::twincheck::hip_cpu::wave_or(width);
  const int self = ::twincheck::hip_cpu::lane();
  const int source = self ^ mask;
  return ::twincheck::hip_cpu::shuffle(value, source >= ((self + width) & ~(width - 1)) ? self : source, line);
}

// Bit i: lane i is active and its predicate is not 0.
inline unsigned long long __ballot(int predicate, int line = __builtin_LINE()) {
  return ::twincheck::hip_cpu::meet(::twincheck::hip_cpu::Meeting::kBallot, line, predicate != 0, 0);
}
inline int __any(int predicate, int line = __builtin_LINE()) { return __ballot(predicate, line) != 0; }
inline int __all(int predicate, int line = __builtin_LINE()) { return __ballot(predicate == 0, line) == 0; }

inline unsigned __lane_id() { return static_cast<unsigned>(::twincheck::hip_cpu::lane()); }

// Threads of a launch take turns on one host thread: every access is already in order.
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_system() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
