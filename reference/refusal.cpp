#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "reference/oracle.h"

namespace twincheck::reference {
namespace {

__extension__ using Wide = __int128;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

constexpr Matrix AppendArgs::*kMatrices[] = {&AppendArgs::topk_ids,   &AppendArgs::topk_weights, &AppendArgs::shared,
                                             &AppendArgs::hidden,     &AppendArgs::gate,         &AppendArgs::out_ids,
                                             &AppendArgs::out_weights};
constexpr Matrix AppendArgs::*kInputs[] = {&AppendArgs::topk_ids, &AppendArgs::topk_weights, &AppendArgs::shared,
                                           &AppendArgs::hidden, &AppendArgs::gate};
constexpr Matrix AppendArgs::*kOutputs[] = {&AppendArgs::out_ids, &AppendArgs::out_weights};

bool uses_shared(const AppendArgs& a) { return a.source == TWINCHECK_WEIGHTS || a.source == TWINCHECK_LOGITS; }
bool uses_gate(const AppendArgs& a) { return a.source == TWINCHECK_GATE; }

bool is_ids(int32_t dtype) { return dtype == TWINCHECK_I32 || dtype == TWINCHECK_I64; }
bool is_values(int32_t dtype) { return dtype == TWINCHECK_F32 || dtype == TWINCHECK_BF16 || dtype == TWINCHECK_F16; }

bool is_empty(const Matrix& m) { return m.rows == 0 || m.cols == 0; }
bool has_shape(const Matrix& m, int64_t rows, int64_t cols) { return m.rows == rows && m.cols == cols; }

std::size_t element_bytes(int32_t dtype) {
  return dtype == TWINCHECK_I64 ? 8 : dtype == TWINCHECK_I32 || dtype == TWINCHECK_F32 ? 4 : 2;
}

// In elements. Below 2^127: rows and row_stride are below 2^63.
Wide extent(const Matrix& m) {
  if (is_empty(m)) return 0;
  return m.rows == 1 ? Wide{m.cols} : Wide{m.rows - 1} * m.row_stride + m.cols;
}

bool negative_size(const AppendArgs& a) {
  if (a.num_shared < 0) return true;
  for (const auto matrix : kMatrices)
    if ((a.*matrix).rows < 0 || (a.*matrix).cols < 0) return true;
  return false;
}

bool bad_dtype(const AppendArgs& a) {
  if (!is_ids(a.topk_ids.dtype) || !is_values(a.topk_weights.dtype)) return true;
  if (uses_shared(a) && !is_values(a.shared.dtype)) return true;
  if (uses_gate(a) && (!is_values(a.hidden.dtype) || a.gate.dtype != a.hidden.dtype)) return true;
  return a.out_ids.dtype != a.topk_ids.dtype || a.out_weights.dtype != a.topk_weights.dtype;
}

bool shape_mismatch(const AppendArgs& a) {
  const int64_t T = a.topk_ids.rows, K = a.topk_ids.cols, S = a.num_shared, H = a.hidden.cols;
  if (!has_shape(a.topk_weights, T, K)) return true;

  if (uses_shared(a)) {
    if (!has_shape(a.shared, T, S) && !has_shape(a.shared, T, 1)) return true;
  } else {
    if (!has_shape(a.shared, 0, 0)) return true;
  }
  if (uses_gate(a)) {
    if (a.hidden.rows != T || !has_shape(a.gate, 1, H)) return true;
    if (H == 0 && T > 0 && S > 0) return true;
  } else {
    if (!has_shape(a.hidden, 0, 0) || !has_shape(a.gate, 0, 0)) return true;
  }

  if (a.out_ids.rows != T || a.out_weights.rows != T) return true;
  const Wide columns = Wide{K} + S;
  return columns <= kMost && (a.out_ids.cols != columns || a.out_weights.cols != columns);
}

bool bad_stride(const AppendArgs& a) {
  for (const auto matrix : kMatrices) {
    const Matrix& m = a.*matrix;
    if (!is_empty(m) && m.rows > 1 && m.row_stride < m.cols) return true;
  }
  return false;
}

bool size_overflow(const AppendArgs& a) {
  if (Wide{a.topk_ids.cols} + a.num_shared > kMost) return true;
  for (const auto matrix : kMatrices) {
    const Matrix& m = a.*matrix;
    if (extent(m) > kMost / static_cast<int64_t>(element_bytes(m.dtype))) return true;
  }
  return false;
}

bool bad_parameter(const AppendArgs& a) {
  if (!std::isfinite(a.scale) || (a.source == TWINCHECK_WEIGHTS && a.scale != 1)) return true;
  return a.remap_local_routed < 0 || a.base_id < 0;
}

bool id_overflow(const AppendArgs& a) {
  const int64_t most = a.topk_ids.dtype == TWINCHECK_I32 ? std::numeric_limits<int32_t>::max() : kMost;
  return a.num_shared > 0 && Wide{a.base_id} + a.num_shared - 1 > most;
}

bool null_pointer(const AppendArgs& a) {
  for (const auto matrix : kMatrices)
    if (!is_empty(a.*matrix) && (a.*matrix).data == nullptr) return true;
  return false;
}

bool misaligned(const AppendArgs& a) {
  for (const auto matrix : kMatrices) {
    const Matrix& m = a.*matrix;
    if (!is_empty(m) && reinterpret_cast<uintptr_t>(m.data) % element_bytes(m.dtype) != 0) return true;
  }
  return false;
}

// An extent may end past the end of the address space: the ends are taken exactly.
bool overlap(const Matrix& x, const Matrix& y) {
  if (is_empty(x) || is_empty(y)) return false;
  const Wide x_begin = reinterpret_cast<uintptr_t>(x.data), y_begin = reinterpret_cast<uintptr_t>(y.data);
  const Wide x_end = x_begin + extent(x) * static_cast<Wide>(element_bytes(x.dtype));
  const Wide y_end = y_begin + extent(y) * static_cast<Wide>(element_bytes(y.dtype));
  return x_begin < y_end && y_begin < x_end;
}

// Whether `input` is the left columns of `output`, element upon element.
bool is_left_part(const Matrix& input, const Matrix& output) {
  return input.data == output.data && (input.rows <= 1 || input.row_stride == output.row_stride);
}

bool overlap(const AppendArgs& a) {
  if (overlap(a.out_ids, a.out_weights)) return true;
  const bool may_be_in_place = a.remap_local_routed == 0;
  for (const auto output : kOutputs) {
    const auto in_place_input = output == &AppendArgs::out_ids ? &AppendArgs::topk_ids : &AppendArgs::topk_weights;
    for (const auto input : kInputs) {
      if (may_be_in_place && input == in_place_input && is_left_part(a.*input, a.*output)) continue;
      if (overlap(a.*input, a.*output)) return true;
    }
  }
  return false;
}

}  // namespace

// A matrix that the source does not use has passed shape_mismatch only with rows = cols = 0: it is empty, and the later rows
// read nothing else of it.
Status refusal(const AppendArgs& args) {
  if (args.size < sizeof(AppendArgs)) return Status::kBadParameter;
  if (args.source < TWINCHECK_CONSTANT || args.source > TWINCHECK_GATE) return Status::kBadParameter;
  if (negative_size(args)) return Status::kNegativeSize;
  if (bad_dtype(args)) return Status::kBadDtype;
  if (shape_mismatch(args)) return Status::kShapeMismatch;
  if (bad_stride(args)) return Status::kBadStride;
  if (size_overflow(args)) return Status::kSizeOverflow;
  if (bad_parameter(args)) return Status::kBadParameter;
  if (id_overflow(args)) return Status::kIdOverflow;
  if (null_pointer(args)) return Status::kNullPointer;
  if (misaligned(args)) return Status::kMisaligned;
  if (overlap(args)) return Status::kOverlap;
  return Status::kOk;
}

}  // namespace twincheck::reference
