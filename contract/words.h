// The C++ view of candidate.h: the same numbers as enum classes, and the word for each. Types and words, never logic.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "contract/candidate.h"

namespace twincheck {

using Matrix = twincheck_matrix;
using AppendArgs = twincheck_append_args;

enum class Dtype : int32_t {
  kNone = 0,
  kI32 = TWINCHECK_I32,
  kI64 = TWINCHECK_I64,
  kF32 = TWINCHECK_F32,
  kBf16 = TWINCHECK_BF16,
  kF16 = TWINCHECK_F16,
};

enum class Source : int32_t {
  kConstant = TWINCHECK_CONSTANT,
  kWeights = TWINCHECK_WEIGHTS,
  kLogits = TWINCHECK_LOGITS,
  kGate = TWINCHECK_GATE,
};

enum class Status : int32_t {
  kOk = TWINCHECK_OK,
  kNegativeSize = TWINCHECK_NEGATIVE_SIZE,
  kBadDtype = TWINCHECK_BAD_DTYPE,
  kShapeMismatch = TWINCHECK_SHAPE_MISMATCH,
  kBadStride = TWINCHECK_BAD_STRIDE,
  kSizeOverflow = TWINCHECK_SIZE_OVERFLOW,
  kBadParameter = TWINCHECK_BAD_PARAMETER,
  kIdOverflow = TWINCHECK_ID_OVERFLOW,
  kNullPointer = TWINCHECK_NULL_POINTER,
  kMisaligned = TWINCHECK_MISALIGNED,
  kOverlap = TWINCHECK_OVERLAP,
  kRuntimeError = TWINCHECK_RUNTIME_ERROR,
  kUnsupported = TWINCHECK_UNSUPPORTED,
};

enum class MemoryKind : int32_t { kHost = TWINCHECK_HOST, kHip = TWINCHECK_HIP, kCuda = TWINCHECK_CUDA };

// Indexed by the enumerator's value.
inline constexpr std::array<std::string_view, 6> kDtypeNames{"none", "i32", "i64", "f32", "bf16", "f16"};
inline constexpr std::array<std::string_view, 4> kSourceNames{"constant", "weights", "logits", "gate"};
inline constexpr std::array<std::string_view, 13> kStatusNames{
    "ok",          "negative_size", "bad_dtype",  "shape_mismatch", "bad_stride",    "size_overflow", "bad_parameter",
    "id_overflow", "null_pointer",  "misaligned", "overlap",        "runtime_error", "unsupported"};
inline constexpr std::array<std::string_view, 3> kMemoryKindNames{"host", "hip", "cuda"};

// The word for a number that a candidate or a caller gave; "?" where the number has none.
template <std::size_t N>
constexpr std::string_view word(const std::array<std::string_view, N>& names, int32_t value) {
  return value >= 0 && static_cast<std::size_t>(value) < N ? names[static_cast<std::size_t>(value)] : "?";
}
constexpr std::string_view name(Dtype d) { return word(kDtypeNames, static_cast<int32_t>(d)); }
constexpr std::string_view name(Source s) { return word(kSourceNames, static_cast<int32_t>(s)); }
constexpr std::string_view name(Status s) { return word(kStatusNames, static_cast<int32_t>(s)); }
constexpr std::string_view name(MemoryKind m) { return word(kMemoryKindNames, static_cast<int32_t>(m)); }

}  // namespace twincheck
