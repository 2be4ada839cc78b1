/* Libraries that are no candidates, each for the one reason that its macro names. */
#include <stdlib.h>
#include <unistd.h>

#include "contract/candidate.h"

#ifdef BAD_NO_SYMBOLS
TWINCHECK_EXPORT int32_t not_a_candidate(void);
int32_t not_a_candidate(void) { return 0; }
#else

#ifdef BAD_DIES_AT_LOAD
__attribute__((constructor)) static void die(void) { abort(); }
#endif

#ifdef BAD_SLEEPS_AT_LOAD
__attribute__((constructor)) static void sleep_on(void) {
  while (1) pause();
}
#endif

int32_t twincheck_abi(void) {
#ifdef BAD_VERSION
  return 2;
#else
  return TWINCHECK_ABI;
#endif
}

const char* twincheck_name(void) {
#ifdef BAD_NULL_NAME
  return NULL;
#else
  return "bad.candidate";
#endif
}

int32_t twincheck_memory_kind(void) {
#ifdef BAD_MEMORY_KIND
  return 7;
#else
  return TWINCHECK_HOST;
#endif
}

#ifdef BAD_UNRESOLVED
int32_t twincheck_test_defined_nowhere(void);
#endif

#ifndef BAD_NO_APPEND
int32_t twincheck_append(const twincheck_append_args* args) {
  (void)args;
#ifdef BAD_UNRESOLVED
  return twincheck_test_defined_nowhere();
#else
  return TWINCHECK_UNSUPPORTED;
#endif
}
#endif

#endif
