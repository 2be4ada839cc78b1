/* A candidate in C11 for host memory: i32 ids, f32 weights, every source, any stride; nothing in place.
 * cc -std=c11 -O2 -shared -fPIC -I TWINCHECK append.c -o libmine.so -lm     (TWINCHECK: the folder of contract/) */
#include <math.h>
#include <string.h>

#include "contract/candidate.h"

static const int64_t most = 1 << 30; /* of rows, columns and strides: no product of two below overflows */

static int empty(const twincheck_matrix* m) { return m->rows == 0 || m->cols == 0; }       /* its pointer means nothing */
static int64_t step(const twincheck_matrix* m) { return m->rows > 1 ? m->row_stride : 0; } /* one row: stride not read */
static void* row(const twincheck_matrix* m, int64_t t) { return empty(m) ? NULL : (float*)m->data + t * step(m); }
static uintptr_t bytes(const twincheck_matrix* m) { return 4 * (uintptr_t)((m->rows - 1) * step(m) + m->cols); }
static int apart(const twincheck_matrix* a, const twincheck_matrix* b) {
  const uintptr_t p = (uintptr_t)a->data, q = (uintptr_t)b->data;
  return empty(a) || empty(b) || (p < q ? q - p >= bytes(a) : p - q >= bytes(b));
}

static int32_t look_at(const twincheck_matrix* m, int32_t dtype, int64_t rows, int64_t cols) {
  if (m->rows < 0 || m->cols < 0) return TWINCHECK_NEGATIVE_SIZE;
  if (dtype != 0 && m->dtype != dtype) return TWINCHECK_UNSUPPORTED;
  if (m->rows != (dtype != 0 ? rows : 0) || m->cols != (dtype != 0 ? cols : 0)) return TWINCHECK_SHAPE_MISMATCH;
  if (m->rows > most || m->cols > most) return TWINCHECK_UNSUPPORTED;
  if (empty(m)) return TWINCHECK_OK;
  if (m->rows > 1 && m->row_stride < m->cols) return TWINCHECK_BAD_STRIDE;
  if (step(m) > most) return TWINCHECK_UNSUPPORTED;
  if (m->data == NULL) return TWINCHECK_NULL_POINTER;
  return (uintptr_t)m->data % 4 != 0 ? TWINCHECK_MISALIGNED : TWINCHECK_OK;
}

/* TWINCHECK_OK for a valid case that this kernel serves. Everything is looked at before anything is written. */
static int32_t look(const twincheck_append_args* a) {
  if (a->size < sizeof *a || a->source < TWINCHECK_CONSTANT || a->source > TWINCHECK_GATE) return TWINCHECK_BAD_PARAMETER;
  const int64_t T = a->topk_ids.rows, K = a->topk_ids.cols, S = a->num_shared, H = a->hidden.cols;
  if (K < 0 || S < 0) return TWINCHECK_NEGATIVE_SIZE;
  if (K > most || S > most) return TWINCHECK_UNSUPPORTED;
  const int32_t gated = a->source == TWINCHECK_GATE ? TWINCHECK_F32 : 0; /* dtype 0: a matrix that is not used */
  const int32_t listed = a->source == TWINCHECK_WEIGHTS || a->source == TWINCHECK_LOGITS ? TWINCHECK_F32 : 0;
  const twincheck_matrix* m[7] = {&a->topk_ids, &a->topk_weights, &a->shared,     &a->hidden,
                                  &a->gate,     &a->out_ids,      &a->out_weights};
  const int32_t dtypes[7] = {TWINCHECK_I32, TWINCHECK_F32, listed, gated, gated, TWINCHECK_I32, TWINCHECK_F32};
  const int64_t rows[7] = {T, T, T, T, 1, T, T}, cols[7] = {K, K, a->shared.cols == 1 ? 1 : S, H, H, K + S, K + S};
  for (int i = 0; i < 7; ++i) {
    const int32_t status = look_at(m[i], dtypes[i], rows[i], cols[i]);
    if (status != TWINCHECK_OK) return status;
  }
  if (gated != 0 && H == 0 && T > 0 && S > 0) return TWINCHECK_SHAPE_MISMATCH;
  if (!isfinite(a->scale) || (a->source == TWINCHECK_WEIGHTS && a->scale != 1.0f)) return TWINCHECK_BAD_PARAMETER;
  if (a->remap_local_routed < 0 || a->base_id < 0) return TWINCHECK_BAD_PARAMETER;
  if (S > 0 && a->base_id > INT32_MAX - (S - 1)) return TWINCHECK_ID_OVERFLOW;
  for (int i = 0; i < 6; ++i) { /* in place, or an overlap that is a mistake: this kernel serves neither */
    if (!apart(m[6], m[i]) || (i < 5 && !apart(m[5], m[i]))) return TWINCHECK_UNSUPPORTED;
  }
  return TWINCHECK_OK;
}

int32_t twincheck_append(const twincheck_append_args* a) {
  const int32_t status = look(a);
  if (status != TWINCHECK_OK) return status;
  const int64_t T = a->topk_ids.rows, K = a->topk_ids.cols, S = a->num_shared, L = a->remap_local_routed;
  for (int64_t t = 0; t < T; ++t) {
    const int32_t* in = row(&a->topk_ids, t);
    int32_t* ids = row(&a->out_ids, t);
    float* weights = row(&a->out_weights, t);
    for (int64_t k = 0; k < K; ++k) ids[k] = (int32_t)(L > 0 && in[k] >= 0 ? in[k] + in[k] / L * S : in[k]);
    if (K > 0) memcpy(weights, row(&a->topk_weights, t), (size_t)K * sizeof(float)); /* the bits, NaN payloads too */
    const float *shared = row(&a->shared, t), *hidden = row(&a->hidden, t), *gate = row(&a->gate, 0);
    float dot = 0.0f;
    for (int64_t h = 0; S > 0 && h < a->hidden.cols; ++h) dot += hidden[h] * gate[h];
    for (int64_t s = 0; s < S; ++s) {
      const float* x = &a->scale;
      if (a->source == TWINCHECK_GATE) x = &dot;
      if (a->source == TWINCHECK_WEIGHTS || a->source == TWINCHECK_LOGITS) x = shared + (a->shared.cols == 1 ? 0 : s);
      ids[K + s] = (int32_t)(a->base_id + s);
      if (a->source <= TWINCHECK_WEIGHTS) memcpy(&weights[K + s], x, sizeof(float));
      if (a->source >= TWINCHECK_LOGITS) weights[K + s] = a->scale / (1.0f + expf(-*x));
    }
  }
  return TWINCHECK_OK;
}

int32_t twincheck_abi(void) { return TWINCHECK_ABI; }
const char* twincheck_name(void) { return "example.c"; }
int32_t twincheck_memory_kind(void) { return TWINCHECK_HOST; }
