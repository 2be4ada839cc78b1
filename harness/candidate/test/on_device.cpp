// The candidate "fake.on_device", in CUDA memory, for the driver of machines without a GPU (fake_cuda.cpp): what it enqueues
// is a host function that computes as the independent candidate does. Right unless told to make a mistake (on_device.h).
#include "harness/candidate/test/on_device.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "harness/candidate/test/independent.h"

namespace {

using on_device::Mistake;
using Args = twincheck_append_args;

thread_local std::string last_reason;

struct Driver {
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  int (*launch)(void* stream, void (*function)(void*), void* data) = find<decltype(launch)>("cuLaunchHostFunc");
  int (*synchronize)(void* stream) = find<decltype(synchronize)>("cuStreamSynchronize");
  int (*capturing)(void* stream, int* status) = find<decltype(capturing)>("cuStreamIsCapturing");
  int (*pointer)(void* value, int attribute, unsigned long long p) = find<decltype(pointer)>("cuPointerGetAttribute");
  int (*context_of)(void** context, int device) = find<decltype(context_of)>("cuDevicePrimaryCtxRetain");
  int (*set_current)(void* context) = find<decltype(set_current)>("cuCtxSetCurrent");
  int (*get_current)(void** context) = find<decltype(get_current)>("cuCtxGetCurrent");
  int (*error_name)(int error, const char** name) = find<decltype(error_name)>("cuGetErrorName");
  void (*fault)() = find<decltype(fault)>("fake_cuda_fault");

  template <typename Function>
  Function find(const char* name) const {
    return library != nullptr ? reinterpret_cast<Function>(dlsym(library, name)) : nullptr;
  }
};
const Driver& driver() {
  static const Driver only;
  return only;
}

Mistake chosen() {
  const char* const name = std::getenv("ON_DEVICE");
  for (const on_device::Row& row : on_device::kMistakes)
    if (name != nullptr && row.name == name) return row.mistake;
  return Mistake::kNone;
}
Mistake mistake = chosen();
void* first_stream = nullptr;
int kept_error = 0;
std::atomic<int> pending = 0;  // kernels

bool is(Mistake m) { return mistake == m; }

// Arguments whose inputs are copies of what is there now; they are never given back.
void take_inputs(Args& a) {
  for (twincheck_matrix* m : {&a.topk_ids, &a.topk_weights, &a.shared, &a.hidden, &a.gate}) {
    if (m->rows == 0 || m->cols == 0) continue;
    const int64_t elements = (m->rows - 1) * m->row_stride + m->cols;
    const std::size_t bytes = static_cast<std::size_t>(elements) * (m->dtype == TWINCHECK_I64 ? 8 : 4);
    auto* const copy = new std::vector<char>(bytes);
    const std::size_t element = m->dtype == TWINCHECK_I64                                ? 8
                                : m->dtype == TWINCHECK_I32 || m->dtype == TWINCHECK_F32 ? 4
                                                                                         : 2;
    std::memcpy(copy->data(), m->data, static_cast<std::size_t>(elements) * element);
    m->data = copy->data();
  }
}

void drop_rows(Args& a, int64_t rows) {
  for (twincheck_matrix* m : {&a.topk_ids, &a.topk_weights, &a.shared, &a.hidden, &a.out_ids, &a.out_weights})
    if (m->rows > rows) m->rows = rows;
}

// The kernel.
void compute(void* data) {
  const struct Done {
    ~Done() { --pending; }
  } done;
  Args a = *static_cast<const Args*>(data);
  if (is(Mistake::kFaults) && a.base_id == 666) driver().fault();
  const int64_t rows = a.out_ids.rows;
  if (is(Mistake::kLastRow) && rows > 1 && (rows - 1) * a.out_ids.row_stride > INT32_MAX) drop_rows(a, rows - 1);
  if (is(Mistake::kLastRow32) && rows > 1 && (rows - 1) * a.out_weights.row_stride > UINT32_MAX) drop_rows(a, rows - 1);
  std::vector<char> first_rows;
  if (is(Mistake::kFarShared) && a.shared.rows > 1 && (a.shared.rows - 1) * a.shared.row_stride > INT32_MAX) {
    const std::size_t row = static_cast<std::size_t>(a.shared.cols) * (a.shared.dtype == TWINCHECK_F32 ? 4 : 2);
    const char* const first = static_cast<const char*>(a.shared.data);
    for (int64_t t = 0; t < a.shared.rows; ++t) first_rows.insert(first_rows.end(), first, first + row);
    a.shared.data = first_rows.data();
    a.shared.row_stride = a.shared.cols;
  }
  if (is(Mistake::kRowsIn18Bits)) drop_rows(a, int64_t{1} << 18);
  if (a.out_ids.rows == 0) return;
  independent::append(a);
  if (is(Mistake::kNanIsZero) && a.source == TWINCHECK_WEIGHTS && a.out_weights.dtype == TWINCHECK_F32)
    for (int64_t t = 0; t < a.out_weights.rows; ++t)
      for (int64_t s = a.topk_weights.cols; s < a.out_weights.cols; ++s) {
        float& weight = static_cast<float*>(a.out_weights.data)[t * a.out_weights.row_stride + s];
        if (weight != weight) weight = 0;
      }
  if (is(Mistake::kOtherBits) && a.source == TWINCHECK_LOGITS && a.num_shared > 0 && a.out_weights.dtype == TWINCHECK_F32) {
    // The least bit of the first shared weight, where it is neither 0 nor 1.
    uint32_t* const weight = static_cast<uint32_t*>(a.out_weights.data) + a.topk_weights.cols;
    if ((*weight & 0x7fffff) != 0 && (*weight & 0x7f800000) != 0x7f800000) *weight ^= 1;
  }
}

int32_t answer(int error) {
  if (error == 0) return TWINCHECK_OK;
  const char* name = nullptr;
  driver().error_name(error, &name);
  last_reason = is(Mistake::kErrorUnnamed) ? "it failed" : name;
  return TWINCHECK_RUNTIME_ERROR;
}

// Whether a kernel on the current device reaches the outputs; in a stream of their device it is there.
bool reaches_outputs(const Args& args) {
  int device = 0;
  void *there = nullptr, *here = nullptr;
  return args.stream != nullptr || driver().pointer(&device, 9, reinterpret_cast<uintptr_t>(args.out_ids.data)) != 0 ||
         driver().context_of(&there, device) != 0 || driver().get_current(&here) != 0 || there == here;
}

int launch(const Args& args) {
  if (!reaches_outputs(args)) return 0;
  void* stream = args.stream;
  if (first_stream == nullptr) first_stream = stream;
  if (is(Mistake::kFirstStream)) stream = first_stream;
  static Args one;
  Args* const own = is(Mistake::kOneStruct) ? &one : new Args;  // a graph may still need it, so it is never given back
  *own = args;
  int status = 0;
  if (is(Mistake::kCapturedInputs) && driver().capturing(stream, &status) == 0 && status != 0) take_inputs(*own);
  if (pending++ > 0 && is(Mistake::kBeginsEarly)) take_inputs(*own);
  int error = driver().launch(stream, compute, own);
  if (error != 0) --pending;
  if (is(Mistake::kSynchronizes) && error == 0) error = driver().synchronize(stream);
  return error;
}

}  // namespace

int32_t twincheck_abi(void) { return TWINCHECK_ABI; }
const char* twincheck_name(void) { return "fake.on_device"; }
int32_t twincheck_memory_kind(void) { return TWINCHECK_CUDA; }
const char* twincheck_last_error(void) { return last_reason.c_str(); }
int64_t twincheck_get(const char* key) { return std::strcmp(key, "exact_status") == 0 ? 1 : -1; }
int32_t twincheck_set(const char* key, int64_t value) {
  if (std::strcmp(key, "mistake") != 0) return 1;
  mistake = on_device::kMistakes.at(static_cast<std::size_t>(value)).mistake;
  first_stream = nullptr;
  kept_error = 0;
  pending = 0;
  return 0;
}

int32_t twincheck_append(const twincheck_append_args* args) {
  const independent::Answer refused = independent::refusal(*args);
  last_reason = refused.reason;
  if (refused.status != TWINCHECK_OK) return refused.status;
  if (args->out_ids.rows == 0 || args->out_ids.cols == 0) return TWINCHECK_OK;
  if (kept_error != 0) return answer(std::exchange(kept_error, 0));

  int device = 0;
  void *there = nullptr, *before = nullptr;
  driver().get_current(&before);
  if (!is(Mistake::kCurrentDevice) && driver().pointer(&device, 9, reinterpret_cast<uintptr_t>(args->out_ids.data)) == 0 &&
      driver().context_of(&there, device) == 0)
    driver().set_current(there);
  const int error = launch(*args);
  if (!is(Mistake::kDeviceLeft)) driver().set_current(before);
  if (is(Mistake::kErrorUnread)) return TWINCHECK_OK;
  if (is(Mistake::kErrorKept)) kept_error = error;
  return answer(error);
}
