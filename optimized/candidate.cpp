// The candidate ABI over this platform's build. The build defines
//   TWINCHECK_PLATFORM    "cpu", "hip" or "cuda"
//   TWINCHECK_MEMORY      one of twincheck_memory
//   TWINCHECK_UNFUSED     for the baseline, TWINCHECK_EMPTY for the empty kernel; the fused kernel otherwise
//   TWINCHECK_CPU_CONTROL where the CPU runtime's knobs and counters are there
#include "contract/candidate.h"

#include <string_view>

#include "optimized/append.h"

#ifdef TWINCHECK_CPU_CONTROL
#include "optimized/platform/cpu/control.h"
#endif

namespace {

thread_local const char* last_error = "";

}  // namespace

extern "C" {

int32_t twincheck_abi(void) { return TWINCHECK_ABI; }

int32_t twincheck_memory_kind(void) { return TWINCHECK_MEMORY; }

const char* twincheck_last_error(void) { return last_error; }

#if defined(TWINCHECK_UNFUSED)
const char* twincheck_name(void) { return TWINCHECK_PLATFORM ".unfused"; }
#elif defined(TWINCHECK_EMPTY)
const char* twincheck_name(void) { return TWINCHECK_PLATFORM ".empty"; }
#else
const char* twincheck_name(void) { return TWINCHECK_PLATFORM ".fused"; }
#endif

int32_t twincheck_append(const twincheck_append_args* args) {
#if defined(TWINCHECK_UNFUSED)
  const twincheck::optimized::Result result = twincheck::optimized::append_unfused(*args);
#elif defined(TWINCHECK_EMPTY)
  const twincheck::optimized::Result result = twincheck::optimized::append_empty(*args);
#else
  const twincheck::optimized::Result result = twincheck::optimized::append(*args);
#endif
  if (result.status != twincheck::Status::kOk) last_error = result.message;
  return static_cast<int32_t>(result.status);
}

int32_t twincheck_set(const char* key, int64_t value) {
#ifdef TWINCHECK_CPU_CONTROL
  return twincheck::hip_cpu::set(key, value) ? 0 : -1;
#else
  static_cast<void>(key), static_cast<void>(value);
  return -1;
#endif
}

int64_t twincheck_get(const char* key) {
  if (std::string_view(key) == "exact_status") return 1;
#ifdef TWINCHECK_CPU_CONTROL
  return twincheck::hip_cpu::get(key);
#else
  return -1;
#endif
}
}
