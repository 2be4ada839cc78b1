/* The candidate ABI, version 1: what a shared library exports to stand trial.
 *
 * A candidate appends S shared experts to the K routed experts of each of T tokens (docs/operation.md defines the
 * operation and the refusals). It is written against this header alone, in C or anything with a C ABI; the symbols are
 * looked up by the exact names below.
 *
 * Sizes: T = topk_ids.rows, K = topk_ids.cols, H = hidden.cols, S = num_shared. Strides count elements.
 * Ownership: the struct and every pointer in it are the caller's; nothing is kept after the call (on a device: after the
 * stream has drained). Calls may come from several threads on disjoint outputs. The current device is left as found. */
#ifndef TWINCHECK_CONTRACT_CANDIDATE_H
#define TWINCHECK_CONTRACT_CANDIDATE_H

#include <stdint.h>

#define TWINCHECK_ABI 1

#ifdef __cplusplus
extern "C" {
#endif

enum twincheck_dtype { TWINCHECK_I32 = 1, TWINCHECK_I64 = 2, TWINCHECK_F32 = 3, TWINCHECK_BF16 = 4, TWINCHECK_F16 = 5 };

/* Where a shared expert's weight comes from. */
enum twincheck_source {
  TWINCHECK_CONSTANT = 0, /* scale */
  TWINCHECK_WEIGHTS = 1,  /* shared[t, s], or shared[t, 0] for all s; scale must be 1 */
  TWINCHECK_LOGITS = 2,   /* sigmoid(shared[t, s] or shared[t, 0]) * scale */
  TWINCHECK_GATE = 3      /* sigmoid(dot(hidden[t, :], gate[0, :])) * scale */
};

/* Refusals, in the order in which they are looked for; nothing is written or launched after one. */
enum twincheck_status {
  TWINCHECK_OK = 0,
  TWINCHECK_NEGATIVE_SIZE,
  TWINCHECK_BAD_DTYPE,
  TWINCHECK_SHAPE_MISMATCH,
  TWINCHECK_BAD_STRIDE,
  TWINCHECK_SIZE_OVERFLOW,
  TWINCHECK_BAD_PARAMETER,
  TWINCHECK_ID_OVERFLOW,
  TWINCHECK_NULL_POINTER,
  TWINCHECK_MISALIGNED,
  TWINCHECK_OVERLAP,
  TWINCHECK_RUNTIME_ERROR,
  TWINCHECK_UNSUPPORTED /* this candidate does not serve the case; outputs untouched */
};

/* Whose memory the pointers are in. */
enum twincheck_memory { TWINCHECK_HOST = 0, TWINCHECK_HIP = 1, TWINCHECK_CUDA = 2 };

typedef struct twincheck_matrix { /* row-major, unit column stride */
  void* data;
  int64_t rows, cols;
  int64_t row_stride; /* elements from one row to the next */
  int32_t dtype;      /* twincheck_dtype; 0 for a matrix that is not used */
  int32_t reserved;   /* 0 */
} twincheck_matrix;

typedef struct twincheck_append_args {
  uint32_t size;  /* sizeof(twincheck_append_args): later versions only append fields */
  int32_t source; /* twincheck_source */
  twincheck_matrix topk_ids, topk_weights, shared, hidden, gate, out_ids, out_weights;
  int64_t num_shared;         /* S */
  int64_t base_id;            /* B, the id of the first shared expert */
  int64_t remap_local_routed; /* L, 0 for none */
  float scale;
  int32_t reserved; /* 0 */
  void* stream;     /* hipStream_t or cudaStream_t; null for host memory */
} twincheck_append_args;

#if defined(_WIN32)
#define TWINCHECK_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define TWINCHECK_EXPORT __attribute__((visibility("default")))
#else
#define TWINCHECK_EXPORT
#endif

TWINCHECK_EXPORT int32_t twincheck_abi(void);         /* TWINCHECK_ABI */
TWINCHECK_EXPORT const char* twincheck_name(void);    /* "platform.algorithm", e.g. "hip.fused" */
TWINCHECK_EXPORT int32_t twincheck_memory_kind(void); /* twincheck_memory */

/* Returns a twincheck_status. With host memory the work is finished when it returns; on a device it is enqueued on
 * args->stream and should neither synchronize nor allocate. */
TWINCHECK_EXPORT int32_t twincheck_append(const twincheck_append_args* args);

/* Optional. Text for the calling thread's last nonzero status; valid until that thread's next call. */
TWINCHECK_EXPORT const char* twincheck_last_error(void);

/* Optional. Sets a knob and returns 0 if it is known. The CPU platform knows order_seed, wave, devices, fail_nth. */
TWINCHECK_EXPORT int32_t twincheck_set(const char* key, int64_t value);

/* Optional. Reads a knob or counter; -1 if unknown. The CPU platform knows live_bytes, launches, calls. A candidate that
 * answers 1 for exact_status is held to the very status of the refusal table; the project's own all do. One that answers 1
 * for takes_turns has calls that do not run side by side in one process: it is judged in several. */
TWINCHECK_EXPORT int64_t twincheck_get(const char* key);

#ifdef __cplusplus
}
#endif

#endif
