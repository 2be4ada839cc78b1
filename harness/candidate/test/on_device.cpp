// The candidate "fake.on_device", in CUDA memory, for the driver of machines without a GPU (fake_cuda.cpp): what it enqueues
// is a host function that computes as the independent candidate does. Right unless the environment's ON_DEVICE names a
// mistake.
#include <dlfcn.h>

#include <cstdlib>
#include <cstring>
#include <string>

#include "harness/candidate/test/independent.h"

namespace {

thread_local std::string last_reason;

struct Driver {
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  int (*launch)(void* stream, void (*function)(void*), void* data) = find<decltype(launch)>("cuLaunchHostFunc");
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

bool is(const char* mistake) {
  static const char* const chosen = std::getenv("ON_DEVICE");
  return chosen != nullptr && std::strcmp(chosen, mistake) == 0;
}

// The kernel: owns its arguments.
void compute(void* data) {
  const auto* args = static_cast<const twincheck_append_args*>(data);
  if (is("faults") && args->base_id == 666) driver().fault();
  independent::append(*args);
}

int32_t answer(int error) {
  if (error == 0) return TWINCHECK_OK;
  const char* name = nullptr;
  driver().error_name(error, &name);
  last_reason = name;
  return TWINCHECK_RUNTIME_ERROR;
}

}  // namespace

int32_t twincheck_abi(void) { return TWINCHECK_ABI; }
const char* twincheck_name(void) { return "fake.on_device"; }
int32_t twincheck_memory_kind(void) { return TWINCHECK_CUDA; }
const char* twincheck_last_error(void) { return last_reason.c_str(); }
int64_t twincheck_get(const char* key) { return std::strcmp(key, "exact_status") == 0 ? 1 : -1; }

int32_t twincheck_append(const twincheck_append_args* args) {
  const independent::Answer refused = independent::refusal(*args);
  last_reason = refused.reason;
  if (refused.status != TWINCHECK_OK) return refused.status;
  if (args->out_ids.rows == 0 || args->out_ids.cols == 0) return TWINCHECK_OK;
  return answer(driver().launch(args->stream, compute, new twincheck_append_args(*args)));
}
