// The refusal table of the operation, in its order.
#include <cinttypes>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "optimized/append.h"
#include "optimized/message.h"

namespace twincheck::optimized {
namespace {

using Limits = std::numeric_limits<int64_t>;

struct Named {
  const char* name;
  const Matrix* matrix;
  bool used;
  bool output;
};

constexpr std::size_t kMatrices = 7;
constexpr std::size_t kTopkIds = 0, kTopkWeights = 1, kOutIds = 5, kOutWeights = 6;

// Zero for a number that is no dtype.
int64_t element_bytes(int32_t dtype) {
  switch (static_cast<Dtype>(dtype)) {
    case Dtype::kI64:
      return 8;
    case Dtype::kI32:
    case Dtype::kF32:
      return 4;
    case Dtype::kBf16:
    case Dtype::kF16:
      return 2;
    case Dtype::kNone:
      break;
  }
  return 0;
}

bool is_id(int32_t dtype) { return dtype == TWINCHECK_I32 || dtype == TWINCHECK_I64; }
bool is_float(int32_t dtype) { return dtype == TWINCHECK_F32 || dtype == TWINCHECK_BF16 || dtype == TWINCHECK_F16; }
bool is_empty(const Matrix& m) { return m.rows == 0 || m.cols == 0; }

const char* dtype_name(int32_t dtype) { return word(kDtypeNames, dtype).data(); }

// From the first element's first byte to the last one's last, gaps included; false where that exceeds int64.
bool extent_bytes(const Matrix& m, int64_t* bytes) {
  *bytes = 0;
  if (is_empty(m)) return true;
  int64_t elements = 0;
  if (m.rows > 1 && __builtin_mul_overflow(m.rows - 1, m.row_stride, &elements)) return false;
  if (__builtin_add_overflow(elements, m.cols, &elements)) return false;
  return !__builtin_mul_overflow(elements, element_bytes(m.dtype), bytes);
}

// Whether two byte ranges share a byte. An address plus an extent may pass 2^64, a distance between addresses may not.
bool ranges_overlap(const void* a, int64_t a_bytes, const void* b, int64_t b_bytes) {
  const auto p = reinterpret_cast<std::uintptr_t>(a);
  const auto q = reinterpret_cast<std::uintptr_t>(b);
  return p <= q ? q - p < static_cast<uint64_t>(a_bytes) : p - q < static_cast<uint64_t>(b_bytes);
}

bool is_in_place(const Matrix& in, const Matrix& out) {
  return in.data == out.data && (in.rows <= 1 || in.row_stride == out.row_stride);
}

class Validation {
 public:
  explicit Validation(const AppendArgs& args)
      : args_(args),
        source_(static_cast<Source>(args.source)),
        uses_shared_(source_ == Source::kWeights || source_ == Source::kLogits),
        uses_gate_(source_ == Source::kGate),
        named_{{"topk_ids", &args.topk_ids, true, false},     {"topk_weights", &args.topk_weights, true, false},
               {"shared", &args.shared, uses_shared_, false}, {"hidden", &args.hidden, uses_gate_, false},
               {"gate", &args.gate, uses_gate_, false},       {"out_ids", &args.out_ids, true, true},
               {"out_weights", &args.out_weights, true, true}} {}

  Result run() {
    static_cast<void>(sizes() && dtypes() && shapes() && strides() && extents() && parameters() && shared_ids() &&
                      pointers() && overlaps());
    return result_;
  }

 private:
  bool refuse(Status status, const char* message) {
    result_ = {status, message};
    return false;
  }

  bool sizes() {
    if (args_.num_shared < 0) {
      return refuse(Status::kNegativeSize,
                    format_message("num_shared is %" PRId64 ": it must be 0 or more", args_.num_shared));
    }
    for (const Named& n : named_) {
      if (n.matrix->rows < 0) {
        return refuse(Status::kNegativeSize,
                      format_message("%s.rows is %" PRId64 ": it must be 0 or more", n.name, n.matrix->rows));
      }
      if (n.matrix->cols < 0) {
        return refuse(Status::kNegativeSize,
                      format_message("%s.cols is %" PRId64 ": it must be 0 or more", n.name, n.matrix->cols));
      }
    }
    return true;
  }

  bool dtypes() {
    for (std::size_t i = 0; i < kMatrices; ++i) {
      const Named& n = named_[i];
      if (!n.used) continue;
      const bool id = i == kTopkIds || i == kOutIds;
      if (id ? !is_id(n.matrix->dtype) : !is_float(n.matrix->dtype)) {
        return refuse(Status::kBadDtype,
                      format_message("%s.dtype is %d (%s): it must be %s", n.name, n.matrix->dtype,
                                     dtype_name(n.matrix->dtype), id ? "i32 or i64" : "f32, bf16 or f16"));
      }
    }
    return same_dtype("out_ids", args_.out_ids, "topk_ids", args_.topk_ids) &&
           same_dtype("out_weights", args_.out_weights, "topk_weights", args_.topk_weights) &&
           (!uses_gate_ || same_dtype("gate", args_.gate, "hidden", args_.hidden));
  }

  bool same_dtype(const char* name, const Matrix& m, const char* other_name, const Matrix& other) {
    if (m.dtype == other.dtype) return true;
    return refuse(Status::kBadDtype, format_message("%s.dtype is %s: it must be %s's, %s", name, dtype_name(m.dtype),
                                                    other_name, dtype_name(other.dtype)));
  }

  bool rows_are(const char* name, const Matrix& m, int64_t rows) {
    if (m.rows == rows) return true;
    return refuse(Status::kShapeMismatch, format_message("%s.rows is %" PRId64 ": it must be %" PRId64, name, m.rows, rows));
  }

  bool cols_are(const char* name, const Matrix& m, int64_t cols) {
    if (m.cols == cols) return true;
    return refuse(Status::kShapeMismatch, format_message("%s.cols is %" PRId64 ": it must be %" PRId64, name, m.cols, cols));
  }

  bool shapes() {
    const int64_t tokens = args_.topk_ids.rows, top_k = args_.topk_ids.cols, shared = args_.num_shared;
    if (!rows_are("topk_weights", args_.topk_weights, tokens) || !cols_are("topk_weights", args_.topk_weights, top_k) ||
        !rows_are("out_ids", args_.out_ids, tokens) || !rows_are("out_weights", args_.out_weights, tokens)) {
      return false;
    }
    int64_t columns = 0;
    if (!__builtin_add_overflow(top_k, shared, &columns) &&
        !(cols_are("out_ids", args_.out_ids, columns) && cols_are("out_weights", args_.out_weights, columns))) {
      return false;
    }
    if (uses_shared_) {
      if (!rows_are("shared", args_.shared, tokens)) return false;
      if (args_.shared.cols != shared && args_.shared.cols != 1) {
        return refuse(Status::kShapeMismatch,
                      format_message("shared.cols is %" PRId64 ": it must be num_shared, %" PRId64 ", or 1",
                                     args_.shared.cols, shared));
      }
    }
    if (uses_gate_) {
      if (!rows_are("hidden", args_.hidden, tokens) || !rows_are("gate", args_.gate, 1) ||
          !cols_are("gate", args_.gate, args_.hidden.cols)) {
        return false;
      }
      if (args_.hidden.cols == 0 && tokens > 0 && shared > 0) {
        return refuse(Status::kShapeMismatch,
                      format_message("hidden.cols is 0: it must be 1 or more where there are tokens and shared experts"));
      }
    }
    for (const Named& n : named_) {
      if (!n.used && (n.matrix->rows != 0 || n.matrix->cols != 0)) {
        return refuse(Status::kShapeMismatch,
                      format_message("%s is [%" PRId64 ", %" PRId64 "]: source %s does not use it, so it must be [0, 0]",
                                     n.name, n.matrix->rows, n.matrix->cols, name(source_).data()));
      }
    }
    return true;
  }

  bool strides() {
    for (const Named& n : named_) {
      const Matrix& m = *n.matrix;
      if (n.used && !is_empty(m) && m.rows > 1 && m.row_stride < m.cols) {
        return refuse(Status::kBadStride,
                      format_message("%s.row_stride is %" PRId64 ": it must be %s.cols, %" PRId64 ", or more", n.name,
                                     m.row_stride, n.name, m.cols));
      }
    }
    return true;
  }

  bool extents() {
    int64_t columns = 0;
    if (__builtin_add_overflow(args_.topk_ids.cols, args_.num_shared, &columns)) {
      return refuse(Status::kSizeOverflow,
                    format_message("topk_ids.cols + num_shared, %" PRId64 " + %" PRId64 ", must be below 2^63",
                                   args_.topk_ids.cols, args_.num_shared));
    }
    for (std::size_t i = 0; i < kMatrices; ++i) {
      const Named& n = named_[i];
      if (n.used && !extent_bytes(*n.matrix, &bytes_[i])) {
        return refuse(Status::kSizeOverflow,
                      format_message("%s spans %" PRId64 " rows at a stride of %" PRId64 " elements, and %" PRId64
                                     " columns: its bytes must be below 2^63",
                                     n.name, n.matrix->rows, n.matrix->row_stride, n.matrix->cols));
      }
    }
    return true;
  }

  bool parameters() {
    if (!std::isfinite(args_.scale))
      return refuse(Status::kBadParameter, format_message("scale is %g: it must be finite", double{args_.scale}));
    if (source_ == Source::kWeights && args_.scale != 1.0F) {
      return refuse(Status::kBadParameter,
                    format_message("scale is %.9g: source weights takes 1 only", double{args_.scale}));
    }
    if (args_.remap_local_routed < 0) {
      return refuse(
          Status::kBadParameter,
          format_message("remap_local_routed is %" PRId64 ": it must be 0 (no remap) or more", args_.remap_local_routed));
    }
    if (args_.base_id < 0)
      return refuse(Status::kBadParameter, format_message("base_id is %" PRId64 ": it must be 0 or more", args_.base_id));
    return true;
  }

  bool shared_ids() {
    if (args_.num_shared == 0) return true;
    const bool narrow = args_.topk_ids.dtype == TWINCHECK_I32;
    const int64_t largest = narrow ? std::numeric_limits<int32_t>::max() : Limits::max();
    if (args_.base_id <= largest && args_.num_shared - 1 <= largest - args_.base_id) return true;
    return refuse(Status::kIdOverflow, format_message("base_id + num_shared - 1, %" PRId64 " + %" PRId64 " - 1, must fit %s",
                                                      args_.base_id, args_.num_shared, narrow ? "i32" : "i64"));
  }

  bool pointers() {
    for (const Named& n : named_) {
      if (n.used && !is_empty(*n.matrix) && n.matrix->data == nullptr) {
        return refuse(Status::kNullPointer,
                      format_message("%s.data is null: it must point to [%" PRId64 ", %" PRId64 "] elements", n.name,
                                     n.matrix->rows, n.matrix->cols));
      }
    }
    for (const Named& n : named_) {
      if (!n.used || is_empty(*n.matrix)) continue;
      const int64_t bytes = element_bytes(n.matrix->dtype);
      if (reinterpret_cast<std::uintptr_t>(n.matrix->data) % static_cast<std::uintptr_t>(bytes) != 0) {
        return refuse(Status::kMisaligned, format_message("%s.data is %p: it must be a multiple of %s's %" PRId64 " bytes",
                                                          n.name, n.matrix->data, dtype_name(n.matrix->dtype), bytes));
      }
    }
    return true;
  }

  bool overlaps() {
    for (const std::size_t out : {kOutIds, kOutWeights}) {
      if (is_empty(*named_[out].matrix)) continue;
      for (std::size_t other = 0; other < kMatrices; ++other) {
        const Named& n = named_[other];
        if (other == out || !n.used || is_empty(*n.matrix)) continue;
        if (!ranges_overlap(named_[out].matrix->data, bytes_[out], n.matrix->data, bytes_[other])) continue;
        const bool own_input = other == (out == kOutIds ? kTopkIds : kTopkWeights);
        const bool in_place = own_input && is_in_place(*n.matrix, *named_[out].matrix);
        if (in_place && args_.remap_local_routed == 0) continue;
        if (in_place) {
          return refuse(Status::kOverlap,
                        format_message("%s is %s in place and remap_local_routed is %" PRId64 ": it must be 0 in place",
                                       n.name, named_[out].name, args_.remap_local_routed));
        }
        return refuse(Status::kOverlap, format_message("%s overlaps %s: they must be apart%s", named_[out].name, n.name,
                                                       own_input ? ", or share pointer and row stride" : ""));
      }
    }
    return true;
  }

  const AppendArgs& args_;
  const Source source_;
  const bool uses_shared_, uses_gate_;
  const Named named_[kMatrices];
  int64_t bytes_[kMatrices] = {};
  Result result_{Status::kOk, ""};
};

}  // namespace

Result validate(const AppendArgs& args) {
  if (args.size < sizeof(AppendArgs)) {
    return {Status::kBadParameter,
            format_message("size is %u: version 1's struct has %zu bytes", args.size, sizeof(AppendArgs))};
  }
  if (args.source < TWINCHECK_CONSTANT || args.source > TWINCHECK_GATE) {
    return {Status::kBadParameter,
            format_message("source is %d: it must be 0 (constant), 1 (weights), 2 (logits) or 3 (gate)", args.source)};
  }
  return Validation(args).run();
}

}  // namespace twincheck::optimized
