// Atomics on device memory. Each returns what was there before.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

namespace twincheck::hip_cpu {

template <class T>
inline constexpr bool is_atomic_word = (std::is_integral_v<T> || std::is_floating_point_v<T>)&&(sizeof(T) == 4 ||
                                                                                                sizeof(T) == 8);

// Replaces *address by next(*address), bits compared as integers.
template <class T, class Next>
T atomic_update(T* address, Next next) {
  static_assert(is_atomic_word<T>, "atomics take words of 4 or 8 bytes");
  using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;
  auto* word = reinterpret_cast<Bits __attribute__((may_alias))*>(address);
  Bits seen = __atomic_load_n(word, __ATOMIC_RELAXED);
  for (;;) {
    T before, after;
    std::memcpy(&before, &seen, sizeof(T));
    after = next(before);
    Bits wanted;
    std::memcpy(&wanted, &after, sizeof(T));
    if (__atomic_compare_exchange_n(word, &seen, wanted, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) return before;
  }
}

template <class T>
struct SameType {
  using type = T;
};

}  // namespace twincheck::hip_cpu

template <class T>
T atomicAdd(T* address, typename ::twincheck::hip_cpu::SameType<T>::type value) {
  if constexpr (std::is_integral_v<T>) {
    static_assert(::twincheck::hip_cpu::is_atomic_word<T>);
    return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
  } else {
    return ::twincheck::hip_cpu::atomic_update(address, [=](T old) { return old + value; });
  }
}
template <class T>
T atomicSub(T* address, typename ::twincheck::hip_cpu::SameType<T>::type value) {
  static_assert(std::is_integral_v<T> && ::twincheck::hip_cpu::is_atomic_word<T>);
  return __atomic_fetch_sub(address, value, __ATOMIC_RELAXED);
}
template <class T>
T atomicExch(T* address, typename ::twincheck::hip_cpu::SameType<T>::type value) {
  return ::twincheck::hip_cpu::atomic_update(address, [=](T) { return value; });
}
template <class T>
T atomicCAS(T* address, typename ::twincheck::hip_cpu::SameType<T>::type compare,
            typename ::twincheck::hip_cpu::SameType<T>::type value) {
  static_assert(std::is_integral_v<T>);
  return ::twincheck::hip_cpu::atomic_update(address, [=](T old) { return old == compare ? value : old; });
}
template <class T>
T atomicMin(T* address, typename ::twincheck::hip_cpu::SameType<T>::type value) {
  return ::twincheck::hip_cpu::atomic_update(address, [=](T old) { return value < old ? value : old; });
}
template <class T>
T atomicMax(T* address, typename ::twincheck::hip_cpu::SameType<T>::type value) {
  return ::twincheck::hip_cpu::atomic_update(address, [=](T old) { return old < value ? value : old; });
}
template <class T>
T atomicAnd(T* address, typename ::twincheck::hip_cpu::SameType<T>::type value) {
  static_assert(std::is_integral_v<T> && ::twincheck::hip_cpu::is_atomic_word<T>);
  return __atomic_fetch_and(address, value, __ATOMIC_RELAXED);
}
template <class T>
T atomicOr(T* address, typename ::twincheck::hip_cpu::SameType<T>::type value) {
  static_assert(std::is_integral_v<T> && ::twincheck::hip_cpu::is_atomic_word<T>);
  return __atomic_fetch_or(address, value, __ATOMIC_RELAXED);
}
template <class T>
T atomicXor(T* address, typename ::twincheck::hip_cpu::SameType<T>::type value) {
  static_assert(std::is_integral_v<T> && ::twincheck::hip_cpu::is_atomic_word<T>);
  return __atomic_fetch_xor(address, value, __ATOMIC_RELAXED);
}
