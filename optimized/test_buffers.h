// Test asset: a call's matrices in vectors, with offsets and strides, and what the call must give.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "contract/words.h"

namespace twincheck::optimized {

inline int64_t bytes_of_dtype(int32_t dtype) {
  if (dtype == TWINCHECK_I64) return 8;
  return dtype == TWINCHECK_BF16 || dtype == TWINCHECK_F16 ? 2 : 4;
}

// A matrix with its memory, 16-byte aligned but for `offset` elements. Every byte is 0xa5 at first. A copy keeps the bytes,
// for same_bytes; its matrix is still the original's.
class Buffer {
 public:
  Buffer(int64_t rows, int64_t cols, int32_t dtype, int64_t row_stride = 0, int64_t offset = 0) {
    const int64_t bytes = bytes_of_dtype(dtype);
    const int64_t stride = row_stride == 0 ? cols : row_stride;
    const auto units = static_cast<std::size_t>(((rows * stride + offset) * bytes + 31) / 16 + 1);
    memory_.assign(units, Unit{});
    std::memset(memory_.data(), 0xa5, units * sizeof(Unit));
    auto* const data = reinterpret_cast<unsigned char*>(memory_.data()) + offset * bytes;
    matrix_ = {data, rows, cols, stride, dtype, 0};
  }

  const Matrix& matrix() const { return matrix_; }

  uint64_t get(int64_t row, int64_t col) const {
    uint64_t bits = 0;
    std::memcpy(&bits, at(row, col), static_cast<std::size_t>(bytes_of_dtype(matrix_.dtype)));
    return bits;
  }
  void set(int64_t row, int64_t col, uint64_t bits) {
    std::memcpy(at(row, col), &bits, static_cast<std::size_t>(bytes_of_dtype(matrix_.dtype)));
  }

  bool same_bytes(const Buffer& other) const {
    return memory_.size() == other.memory_.size() &&
           std::memcmp(memory_.data(), other.memory_.data(), memory_.size() * sizeof(Unit)) == 0;
  }

 private:
  struct alignas(16) Unit {
    unsigned char byte[16];
  };

  unsigned char* at(int64_t row, int64_t col) const {
    return static_cast<unsigned char*>(matrix_.data) + (row * matrix_.row_stride + col) * bytes_of_dtype(matrix_.dtype);
  }

  std::vector<Unit> memory_;
  Matrix matrix_{};
};

// A valid call: T tokens, K top-k, S shared experts from `shared` weights, i32 ids and f32 weights unless told. Every routed
// id and weight tells its place.
struct Call {
  Call(int64_t tokens, int64_t top_k, int64_t num_shared, int32_t ids_dtype = TWINCHECK_I32,
       int32_t weights_dtype = TWINCHECK_F32, int64_t stride_slack = 0, int64_t offset = 0)
      : ids(tokens, top_k, ids_dtype, top_k + stride_slack, offset),
        weights(tokens, top_k, weights_dtype, top_k + stride_slack, offset),
        shared(tokens, num_shared, weights_dtype, num_shared + stride_slack, offset),
        out_ids(tokens, top_k + num_shared, ids_dtype, top_k + num_shared + stride_slack, offset),
        out_weights(tokens, top_k + num_shared, weights_dtype, top_k + num_shared + stride_slack, offset) {
    for (int64_t t = 0; t < tokens; ++t) {
      for (int64_t k = 0; k < top_k; ++k) {
        ids.set(t, k, static_cast<uint64_t>(t * 131 + k));
        weights.set(t, k, static_cast<uint64_t>(t * 257 + k + 1));
      }
      for (int64_t s = 0; s < num_shared; ++s) shared.set(t, s, static_cast<uint64_t>(0x4000 + t * 17 + s));
    }
    args.size = sizeof args;
    args.source = TWINCHECK_WEIGHTS;
    args.topk_ids = ids.matrix();
    args.topk_weights = weights.matrix();
    args.shared = shared.matrix();
    args.out_ids = out_ids.matrix();
    args.out_weights = out_weights.matrix();
    args.num_shared = num_shared;
    args.base_id = 1000000;
    args.scale = 1.0F;
  }

  // What `weights` and no remap must give.
  bool is_appended() const {
    for (int64_t t = 0; t < args.topk_ids.rows; ++t) {
      const int64_t top_k = args.topk_ids.cols;
      for (int64_t c = 0; c < top_k + args.num_shared; ++c) {
        const uint64_t id = c < top_k ? ids.get(t, c) : static_cast<uint64_t>(args.base_id + c - top_k);
        const uint64_t weight = c < top_k ? weights.get(t, c) : shared.get(t, c - top_k);
        if (out_ids.get(t, c) != id || out_weights.get(t, c) != weight) return false;
      }
    }
    return true;
  }

  Buffer ids, weights, shared, out_ids, out_weights;
  AppendArgs args{};
};

}  // namespace twincheck::optimized
