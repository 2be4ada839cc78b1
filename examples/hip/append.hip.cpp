// A candidate in HIP: i32 ids, f32 weights, constant, weights and logits, any stride; nothing in place, no remap.
// hipcc -O2 --offload-arch=gfx90a -shared -fPIC -I TWINCHECK append.hip.cpp -o libmine.so
//
// It answers TWINCHECK_UNSUPPORTED to all it does not serve, invalid cases included. That is honest, but proves nothing
// about refusals: c/append.c refuses.
#include <hip/hip_runtime.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>

#include "contract/candidate.h"

namespace {

thread_local const char* last_error = "";

// One thread an output element, in strides of the grid: any number of tokens fits a grid of hardware's size.
__global__ void append(twincheck_append_args a) {
  const int64_t top_k = a.topk_ids.cols, slots = a.out_ids.cols, elements = a.out_ids.rows * slots;
  const int64_t threads = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < elements; i += threads) {
    const int64_t token = i / slots, slot = i % slots, shared = slot - top_k;
    int32_t* id = static_cast<int32_t*>(a.out_ids.data) + token * a.out_ids.row_stride + slot;
    // Weights move as bits, so that a NaN keeps its payload.
    uint32_t* weight = static_cast<uint32_t*>(a.out_weights.data) + token * a.out_weights.row_stride + slot;
    if (slot < top_k) {
      *id = static_cast<const int32_t*>(a.topk_ids.data)[token * a.topk_ids.row_stride + slot];
      *weight = static_cast<const uint32_t*>(a.topk_weights.data)[token * a.topk_weights.row_stride + slot];
      continue;
    }
    *id = static_cast<int32_t>(a.base_id + shared);
    if (a.source == TWINCHECK_CONSTANT) {
      *reinterpret_cast<float*>(weight) = a.scale;
      continue;
    }
    const int64_t at = token * a.shared.row_stride + (a.shared.cols == 1 ? 0 : shared);
    if (a.source == TWINCHECK_WEIGHTS) {
      *weight = static_cast<const uint32_t*>(a.shared.data)[at];
    } else {
      *reinterpret_cast<float*>(weight) = a.scale / (1.0f + expf(-static_cast<const float*>(a.shared.data)[at]));
    }
  }
}

uint64_t bytes(const twincheck_matrix& m) {
  return m.rows == 0 || m.cols == 0 ? 0 : 4 * static_cast<uint64_t>((m.rows - 1) * m.row_stride + m.cols);
}

bool apart(const twincheck_matrix& a, const twincheck_matrix& b) {
  const auto p = reinterpret_cast<uintptr_t>(a.data), q = reinterpret_cast<uintptr_t>(b.data);
  return bytes(a) == 0 || bytes(b) == 0 || (p < q ? q - p >= bytes(a) : p - q >= bytes(b));
}

bool served(const twincheck_matrix& m, int32_t dtype, int64_t rows, int64_t cols) {
  constexpr int64_t kMost = int64_t{1} << 30;
  if (m.dtype != dtype || m.rows != rows || m.cols != cols || rows < 0 || rows > kMost || cols < 0 || cols > kMost)
    return false;
  if (rows == 0 || cols == 0) return true;
  if (rows > 1 && (m.row_stride < cols || m.row_stride > kMost)) return false;
  return m.data != nullptr && reinterpret_cast<uintptr_t>(m.data) % 4 == 0;
}

// Whether the case is valid and one of ours. Looks at nothing but the struct: the pointers are the device's.
bool served(const twincheck_append_args& a) {
  const int64_t tokens = a.topk_ids.rows, top_k = a.topk_ids.cols, shared = a.num_shared;
  const bool listed = a.source == TWINCHECK_WEIGHTS || a.source == TWINCHECK_LOGITS;
  if (a.size < sizeof a || (!listed && a.source != TWINCHECK_CONSTANT) || a.remap_local_routed != 0) return false;
  if (!std::isfinite(a.scale) || (a.source == TWINCHECK_WEIGHTS && a.scale != 1.0f)) return false;
  if (shared < 0 || shared > INT32_MAX || top_k > INT32_MAX) return false;
  if (a.base_id < 0 || (shared > 0 && a.base_id > INT32_MAX - (shared - 1))) return false;
  if (!served(a.topk_ids, TWINCHECK_I32, tokens, top_k) || !served(a.topk_weights, TWINCHECK_F32, tokens, top_k) ||
      !served(a.out_ids, TWINCHECK_I32, tokens, top_k + shared) ||
      !served(a.out_weights, TWINCHECK_F32, tokens, top_k + shared) ||
      (listed && !served(a.shared, TWINCHECK_F32, tokens, a.shared.cols == 1 ? 1 : shared))) {
    return false;
  }
  if (a.hidden.rows != 0 || a.hidden.cols != 0 || a.gate.rows != 0 || a.gate.cols != 0) return false;
  if (!listed && (a.shared.rows != 0 || a.shared.cols != 0)) return false;
  for (const twincheck_matrix* input : {&a.topk_ids, &a.topk_weights, &a.shared}) {
    if (!apart(a.out_ids, *input) || !apart(a.out_weights, *input)) return false;
  }
  return apart(a.out_ids, a.out_weights);
}

}  // namespace

int32_t twincheck_append(const twincheck_append_args* args) {
  last_error = "";
  if (!served(*args)) return TWINCHECK_UNSUPPORTED;
  const int64_t elements = args->out_ids.rows * args->out_ids.cols;
  if (elements == 0) return TWINCHECK_OK;
  const int64_t blocks = elements / 256 + 1;
  const dim3 grid(static_cast<unsigned>(blocks < 65536 ? blocks : 65536));
  (void)hipGetLastError();  // an older error is not this launch's
  hipLaunchKernelGGL(append, grid, dim3(256), 0, static_cast<hipStream_t>(args->stream), *args);
  const hipError_t error = hipGetLastError();
  if (error == hipSuccess) return TWINCHECK_OK;
  last_error = hipGetErrorName(error);
  return TWINCHECK_RUNTIME_ERROR;
}

int32_t twincheck_abi(void) { return TWINCHECK_ABI; }
const char* twincheck_name(void) { return "example.hip"; }
const char* twincheck_last_error(void) { return last_error; }

int32_t twincheck_memory_kind(void) {
#ifdef __HIP_PLATFORM_TWINCHECK_CPU__
  return TWINCHECK_HOST;  // the CPU platform's device memory is the host's
#else
  return TWINCHECK_HIP;
#endif
}
