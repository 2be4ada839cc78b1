// The reference's conversions and sigmoid (scale 1) on a GPU, for sweeps: libtwincheck_PLATFORM_oracle.so. Its arithmetic is
// the CPU reference's own text (rounding.h, double_sigmoid.h), compiled for the device; what double cannot decide there is
// handed back. Plain C, so that the library is found and loaded like a candidate's.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TWINCHECK_ORACLE_ABI 1

// Bit patterns [first, first + count) of `from`, through a conversion (source TWINCHECK_WEIGHTS) or the sigmoid
// (TWINCHECK_LOGITS) into `to`; twincheck_dtype, f32, bf16 or f16. They end at 2^32 at most.
typedef struct twincheck_oracle_range {
  int32_t source, from, to, reserved;
  uint64_t first, count;
} twincheck_oracle_range;

enum {
  TWINCHECK_ORACLE_BINS = 35,  // distances from the correctly rounded value in units in the last place of `to`: 0 to 31;
                               // then 32 and more; NaN for NaN; a NaN for a number or a number for a NaN
  TWINCHECK_ORACLE_LEFT = 1024
};

// What compare() finds. It adds to what is there: zeros at first.
typedef struct twincheck_oracle_found {
  uint64_t values;                      // that are decided
  uint64_t wrong;                       // of those: not acceptable
  uint64_t first_wrong;                 // 2^32 minus the first wrong input; 0: none
  uint64_t farthest;                    // the largest distance * 2^32, plus 2^32 - 1 minus the first input that has it
  uint64_t ulp[TWINCHECK_ORACLE_BINS];  // of the decided values
  uint64_t left;                        // values that are not decided; the first TWINCHECK_ORACLE_LEFT of them stand below
  struct {
    uint32_t input, got;
  } undecided[TWINCHECK_ORACLE_LEFT];
} twincheck_oracle_found;

// What is right for one input: `middle` is correctly rounded, [low, high] acceptable, of a NaN none. known: bit 0 for low,
// 1 for middle, 2 for high.
typedef struct twincheck_oracle_answer {
  uint32_t low, middle, high, known;
} twincheck_oracle_answer;

// All pointers are the device's, all work is enqueued on the stream, which is of the current device. 0, or the runtime's
// error, whose name is twincheck_oracle_error()'s until the thread's next call.
int32_t twincheck_oracle_abi(void);
int32_t twincheck_oracle_inputs(const twincheck_oracle_range* range, void* inputs, void* stream);
int32_t twincheck_oracle_compare(const twincheck_oracle_range* range, const void* got, twincheck_oracle_found* found,
                                 void* stream);
// Of the range only source, from and to are read.
int32_t twincheck_oracle_answers(const twincheck_oracle_range* range, const uint32_t* inputs, uint64_t count,
                                 twincheck_oracle_answer* answers, void* stream);
const char* twincheck_oracle_error(void);

#ifdef __cplusplus
}
#endif
