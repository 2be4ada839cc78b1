#include "harness/case/case.h"

#include <limits>

namespace twincheck {
namespace {

int64_t saturating_sum(int64_t a, int64_t b) {
  int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a < 0 ? std::numeric_limits<int64_t>::min() : std::numeric_limits<int64_t>::max();
}

Matrix dense(const Case& c, Operand o, int64_t rows, int64_t cols, Dtype dtype) {
  return {nullptr, rows, cols, c.of(o).row_stride.value_or(cols), static_cast<int32_t>(dtype), 0};
}

}  // namespace

bool is_used(const Case& c, Operand o) {
  switch (o) {
    case Operand::kShared:
      return c.source == TWINCHECK_WEIGHTS || c.source == TWINCHECK_LOGITS;
    case Operand::kHidden:
    case Operand::kGate:
      return c.source == TWINCHECK_GATE;
    default:
      return true;
  }
}

Matrix implied_matrix_of(const Case& c, Operand o) {
  if (!is_used(c, o)) return {};
  switch (o) {
    case Operand::kTopkIds:
    case Operand::kTopkWeights: {
      const bool ids = o == Operand::kTopkIds;
      Matrix m = dense(c, o, c.tokens, c.top_k, ids ? c.ids_dtype : c.weights_dtype);
      const InPlace half = ids ? InPlace::kIds : InPlace::kWeights;
      const bool in_place = (static_cast<int>(c.in_place) & static_cast<int>(half)) != 0;
      if (in_place && !c.of(o).row_stride) {
        m.row_stride = implied_matrix_of(c, ids ? Operand::kOutIds : Operand::kOutWeights).row_stride;
      }
      return m;
    }
    case Operand::kShared:
      return dense(c, o, c.tokens, c.broadcast ? 1 : c.shared, c.shared_dtype);
    case Operand::kHidden:
      return dense(c, o, c.tokens, c.hidden, c.shared_dtype);
    case Operand::kGate:
      return dense(c, o, 1, c.hidden, c.shared_dtype);
    case Operand::kOutIds:
      return dense(c, o, c.tokens, saturating_sum(c.top_k, c.shared), c.ids_dtype);
    case Operand::kOutWeights:
      return dense(c, o, c.tokens, saturating_sum(c.top_k, c.shared), c.weights_dtype);
  }
  return {};
}

Matrix matrix_of(const Case& c, Operand o) {
  Matrix m = implied_matrix_of(c, o);
  const Layout& layout = c.of(o);
  if (layout.row_stride) m.row_stride = *layout.row_stride;
  if (layout.rows) m.rows = *layout.rows;
  if (layout.cols) m.cols = *layout.cols;
  if (layout.dtype) m.dtype = *layout.dtype;
  return m;
}

}  // namespace twincheck
