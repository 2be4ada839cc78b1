// examples/code_object/append.cu as the fake driver runs it.
#include <array>
#include <cstdint>
#include <utility>

#include "contract/candidate.h"

#define __global__
namespace {
struct Index {
  uint32_t x;
};
thread_local Index blockIdx, blockDim, threadIdx;
uint32_t __float_as_uint(float f) {
  uint32_t bits;
  __builtin_memcpy(&bits, &f, sizeof bits);
  return bits;
}
}  // namespace

#define append device_append
#include "examples/code_object/append.cu"
#undef append

namespace {

template <typename... Types, std::size_t... At>
void call(void (*function)(Types...), void** parameters, std::index_sequence<At...>) {
  function(*static_cast<Types*>(parameters[At])...);
}

template <typename... Types>
constexpr std::array<uint32_t, sizeof...(Types) + 1> sizes_of(void (*)(Types...)) {
  return {sizeof(Types)..., 0};
}

}  // namespace

extern "C" __attribute__((visibility("default"))) constexpr auto append_parameter_sizes = sizes_of(device_append);

#define FAKE_KERNEL extern "C" __attribute__((visibility("default"))) void

FAKE_KERNEL append(void** parameters, uint32_t block, uint32_t threads, uint32_t thread) {
  blockIdx.x = block;
  blockDim.x = threads;
  threadIdx.x = thread;
  call(device_append, parameters, std::make_index_sequence<16>{});
}

// Takes the struct, then a constant of every type; one block a row.
extern "C" __attribute__((visibility("default"))) constexpr auto append_whole_parameter_sizes =
    sizes_of(static_cast<void (*)(twincheck_append_args, int32_t, int64_t, float, void*)>(nullptr));
FAKE_KERNEL append_whole(void** parameters, uint32_t block, uint32_t, uint32_t thread) {
  const auto& a = *static_cast<const twincheck_append_args*>(parameters[0]);
  const bool right = *static_cast<int32_t*>(parameters[1]) == -7 && *static_cast<int64_t*>(parameters[2]) == 1LL << 40 &&
                     *static_cast<float*>(parameters[3]) == 0.5f && *static_cast<void**>(parameters[4]) == nullptr;
  const int64_t slots = a.out_ids.cols;
  for (int64_t slot = thread; right && slot < slots; slot += 32) {
    const bool routed = slot < a.topk_ids.cols;
    static_cast<int32_t*>(a.out_ids.data)[block * a.out_ids.row_stride + slot] =
        routed ? static_cast<const int32_t*>(a.topk_ids.data)[block * a.topk_ids.row_stride + slot]
               : static_cast<int32_t>(a.base_id + slot - a.topk_ids.cols);
    static_cast<uint32_t*>(a.out_weights.data)[block * a.out_weights.row_stride + slot] =
        routed ? static_cast<const uint32_t*>(a.topk_weights.data)[block * a.topk_weights.row_stride + slot]
               : __float_as_uint(a.scale);
  }
}
