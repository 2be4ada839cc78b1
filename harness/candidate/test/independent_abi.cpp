// The candidates "independent.plain" and, with INDEPENDENT_EXP2, "independent.exp2".
#include <cstring>

#include "harness/candidate/test/independent.h"

namespace {
thread_local const char* last_reason = "";
}

int32_t twincheck_abi(void) { return TWINCHECK_ABI; }

const char* twincheck_name(void) {
#ifdef INDEPENDENT_EXP2
  return "independent.exp2";
#else
  return "independent.plain";
#endif
}

int32_t twincheck_memory_kind(void) { return TWINCHECK_HOST; }

int32_t twincheck_append(const twincheck_append_args* args) {
  const independent::Answer answer = independent::append(*args);
  last_reason = answer.reason;
  return answer.status;
}

const char* twincheck_last_error(void) { return last_reason; }

int64_t twincheck_get(const char* key) { return std::strcmp(key, "exact_status") == 0 ? 1 : -1; }
