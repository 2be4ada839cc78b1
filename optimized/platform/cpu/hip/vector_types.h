// dim3 and the short vectors, with the alignment that the hardware's wide accesses need: 2 and 4 lanes are aligned to their
// size (at most 16 bytes), 1 and 3 lanes to one lane.
#pragma once

#include <cstdint>

struct dim3 {
  std::uint32_t x, y, z;
  constexpr dim3(std::uint32_t vx = 1, std::uint32_t vy = 1, std::uint32_t vz = 1) : x(vx), y(vy), z(vz) {}
};

#define TWINCHECK_HIP_CPU_VECTORS(name, lane)                                    \
  struct name##1 {                                                               \
    lane x;                                                                      \
  };                                                                             \
  struct alignas(2 * sizeof(lane)) name##2 {                                     \
    lane x, y;                                                                   \
  };                                                                             \
  struct name##3 {                                                               \
    lane x, y, z;                                                                \
  };                                                                             \
  struct alignas(4 * sizeof(lane) < 16 ? 4 * sizeof(lane) : 16) name##4 {        \
    lane x, y, z, w;                                                             \
  };                                                                             \
  constexpr name##1 make_##name##1(lane x) { return {x}; }                       \
  constexpr name##2 make_##name##2(lane x, lane y) { return {x, y}; }            \
  constexpr name##3 make_##name##3(lane x, lane y, lane z) { return {x, y, z}; } \
  constexpr name##4 make_##name##4(lane x, lane y, lane z, lane w) { return {x, y, z, w}; }

TWINCHECK_HIP_CPU_VECTORS(char, signed char)
TWINCHECK_HIP_CPU_VECTORS(uchar, unsigned char)
TWINCHECK_HIP_CPU_VECTORS(short, short)
TWINCHECK_HIP_CPU_VECTORS(ushort, unsigned short)
TWINCHECK_HIP_CPU_VECTORS(int, int)
TWINCHECK_HIP_CPU_VECTORS(uint, unsigned int)
TWINCHECK_HIP_CPU_VECTORS(long, long)
TWINCHECK_HIP_CPU_VECTORS(ulong, unsigned long)
TWINCHECK_HIP_CPU_VECTORS(longlong, long long)
TWINCHECK_HIP_CPU_VECTORS(ulonglong, unsigned long long)
TWINCHECK_HIP_CPU_VECTORS(float, float)
TWINCHECK_HIP_CPU_VECTORS(double, double)
#undef TWINCHECK_HIP_CPU_VECTORS
