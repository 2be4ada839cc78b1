#include "harness/candidate/test/independent.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace independent {
namespace {

constexpr int64_t kMaxI64 = std::numeric_limits<int64_t>::max();

double widen(uint32_t f32_bits) {
  float value;
  std::memcpy(&value, &f32_bits, sizeof value);
  return value;
}

// Rounds once, to nearest even, into a 16-bit format with the given fields.
uint16_t narrow(double value, int exponent_bits, int fraction_bits) {
  uint64_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t sign = static_cast<uint32_t>(bits >> 63) << 15;
  const uint32_t infinity = ((1u << exponent_bits) - 1) << fraction_bits;
  const uint64_t magnitude = bits & ~(uint64_t{1} << 63);
  const uint64_t fraction = magnitude & ((uint64_t{1} << 52) - 1);
  const int exponent = static_cast<int>(magnitude >> 52) - 1023;
  if (exponent == 1024) {
    const uint32_t quiet = fraction != 0 ? 1u << (fraction_bits - 1) : 0;
    return static_cast<uint16_t>(sign | infinity | quiet);
  }
  const int smallest = 2 - (1 << (exponent_bits - 1));
  const int scale = exponent > smallest ? exponent : smallest;
  const int drop = 52 - fraction_bits + (scale - exponent);
  if (drop > 53) return static_cast<uint16_t>(sign);
  const uint64_t significand = fraction | (uint64_t{1} << 52);
  const uint64_t rest = significand & ((uint64_t{1} << drop) - 1);
  const uint64_t half = uint64_t{1} << (drop - 1);
  uint64_t kept = significand >> drop;
  if (rest > half || (rest == half && (kept & 1) != 0)) ++kept;
  // The leading bit of a normal number, and a carry out of the fraction, both step the exponent field.
  const uint64_t encoded = (static_cast<uint64_t>(scale - smallest) << fraction_bits) + kept;
  return static_cast<uint16_t>(sign | (encoded < infinity ? encoded : infinity));
}

struct F32 {
  using Bits = uint32_t;
  static double decode(Bits bits) { return widen(bits); }
  static Bits encode(double value) {
    const float rounded = static_cast<float>(value);
    Bits bits;
    std::memcpy(&bits, &rounded, sizeof bits);
    return bits;
  }
};

struct Bf16 {
  using Bits = uint16_t;
  static double decode(Bits bits) { return widen(uint32_t{bits} << 16); }
  static Bits encode(double value) { return narrow(value, /*exponent_bits=*/8, /*fraction_bits=*/7); }
};

struct F16 {
  using Bits = uint16_t;
  static double decode(Bits bits) {
    // The fields read as an f32 are 2^112 too small, subnormals included; only infinity and NaN need another exponent.
    const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
    const uint32_t fields = uint32_t{bits & 0x7fffu} << 13;
    if ((bits & 0x7c00u) == 0x7c00u) return widen(sign | 0x7f800000u | fields);
    return widen(sign | fields) * 0x1p112;
  }
  static Bits encode(double value) { return narrow(value, /*exponent_bits=*/5, /*fraction_bits=*/10); }
};

bool is_float(int32_t dtype) { return dtype == TWINCHECK_F32 || dtype == TWINCHECK_BF16 || dtype == TWINCHECK_F16; }

// Calls `use` with the format of a dtype that has passed is_float.
template <class Use>
void with_format(int32_t dtype, Use use) {
  if (dtype == TWINCHECK_F32) return use(F32{});
  if (dtype == TWINCHECK_BF16) return use(Bf16{});
  return use(F16{});
}

#ifdef INDEPENDENT_EXP2
float fast_exp2(float a) {
  if (a != a) return a;
  if (a >= 128.0f) return std::numeric_limits<float>::infinity();
  if (a < -149.0f) return 0.0f;
  const int whole = static_cast<int>(a < 0 ? a - 0.5f : a + 0.5f);
  const float f = a - static_cast<float>(whole);
  float p = 1.540353e-4f;
  p = p * f + 1.3333558e-3f;
  p = p * f + 9.618129e-3f;
  p = p * f + 5.5504109e-2f;
  p = p * f + 2.4022651e-1f;
  p = p * f + 6.9314718e-1f;
  p = p * f + 1.0f;
  const auto power = [](int e) { return static_cast<float>(widen(static_cast<uint32_t>(e + 127) << 23)); };
  return p * power(whole / 2) * power(whole - whole / 2);
}

double shared_weight(double x, float scale) {
  // The argument is rounded to f32, which costs up to |x| * 2^-24 of the result; the constant's own error does not add to
  // it, as it would with an f32 constant.
  const float argument = static_cast<float>(-x * 1.4426950408889634);
  return 1.0f / (1.0f + fast_exp2(argument)) * scale;
}
#else
double shared_weight(double x, float scale) { return 1.0 / (1.0 + std::exp(-x)) * scale; }
#endif

// Bytes from the first element to past the last; -1 where that does not fit in 64 bits. Zero for an empty matrix.
int64_t extent_bytes(const twincheck_matrix& m, int64_t element) {
  if (m.rows == 0 || m.cols == 0) return 0;
  int64_t elements = 0, bytes = 0;
  const int64_t jump = m.rows > 1 ? m.row_stride : 0;
  if (__builtin_mul_overflow(m.rows - 1, jump, &elements) || __builtin_add_overflow(elements, m.cols, &elements) ||
      __builtin_mul_overflow(elements, element, &bytes)) {
    return -1;
  }
  return bytes;
}

int64_t element_bytes(int32_t dtype) {
  if (dtype == TWINCHECK_I64) return 8;
  return dtype == TWINCHECK_I32 || dtype == TWINCHECK_F32 ? 4 : 2;
}

struct View {
  const twincheck_matrix* matrix;
  bool used;
  int64_t element, bytes;
  uintptr_t begin() const { return reinterpret_cast<uintptr_t>(matrix->data); }
};

bool overlap(const View& a, const View& b) {
  if (a.bytes == 0 || b.bytes == 0) return false;
  // Distances, not ends: an end may lie past the last address.
  return a.begin() <= b.begin() ? b.begin() - a.begin() < static_cast<uint64_t>(a.bytes)
                                : a.begin() - b.begin() < static_cast<uint64_t>(b.bytes);
}

// The same elements at the same addresses: the input is the left part of the output.
bool in_place(const twincheck_matrix& input, const twincheck_matrix& output) {
  return input.data == output.data && (input.rows <= 1 || input.row_stride == output.row_stride);
}

template <class T>
T* row_of(const twincheck_matrix& m, int64_t row) {
  return static_cast<T*>(m.data) + (row > 0 ? row * m.row_stride : 0);
}

// Id is unsigned: an id that leaves its dtype wraps.
template <class Id>
void append_ids(const twincheck_append_args& a) {
  const int64_t tokens = a.topk_ids.rows, top_k = a.topk_ids.cols, shared = a.num_shared, block = a.remap_local_routed;
  for (int64_t t = 0; t < tokens; ++t) {
    Id* out = row_of<Id>(a.out_ids, t);
    if (top_k > 0) {
      const Id* in = row_of<const Id>(a.topk_ids, t);
      for (int64_t k = 0; k < top_k && (in != out || block > 0); ++k) {
        const int64_t id = static_cast<std::make_signed_t<Id>>(in[k]);
        const uint64_t slots = block > 0 && id >= 0 ? static_cast<uint64_t>(id / block) * static_cast<uint64_t>(shared) : 0;
        out[k] = static_cast<Id>(static_cast<uint64_t>(id) + slots);
      }
    }
    for (int64_t s = 0; s < shared; ++s) out[top_k + s] = static_cast<Id>(a.base_id + s);
  }
}

template <class Out>
void copy_weights(const twincheck_append_args& a) {
  const int64_t tokens = a.topk_weights.rows, top_k = a.topk_weights.cols;
  using Bits = typename Out::Bits;
  for (int64_t t = 0; t < tokens && top_k > 0; ++t) {
    const Bits* in = row_of<const Bits>(a.topk_weights, t);
    Bits* out = row_of<Bits>(a.out_weights, t);
    if (in != out) std::memcpy(out, in, static_cast<size_t>(top_k) * sizeof(Bits));
  }
}

template <class Out>
void append_constant(const twincheck_append_args& a) {
  const auto weight = Out::encode(static_cast<double>(a.scale));
  for (int64_t t = 0; t < a.out_weights.rows; ++t) {
    auto* out = row_of<typename Out::Bits>(a.out_weights, t) + a.topk_weights.cols;
    for (int64_t s = 0; s < a.num_shared; ++s) out[s] = weight;
  }
}

template <class In, class Out>
void append_listed(const twincheck_append_args& a) {
  const int64_t step = a.shared.cols == a.num_shared ? 1 : 0;
  for (int64_t t = 0; t < a.out_weights.rows; ++t) {
    const auto* in = row_of<const typename In::Bits>(a.shared, t);
    auto* out = row_of<typename Out::Bits>(a.out_weights, t) + a.topk_weights.cols;
    for (int64_t s = 0; s < a.num_shared; ++s) {
      if (a.source == TWINCHECK_LOGITS) {
        out[s] = Out::encode(shared_weight(In::decode(in[s * step]), a.scale));
      } else if constexpr (std::is_same_v<In, Out>) {
        out[s] = in[s * step];
      } else {
        out[s] = Out::encode(In::decode(in[s * step]));
      }
    }
  }
}

template <class In, class Out>
void append_gated(const twincheck_append_args& a) {
  const auto* gate = row_of<const typename In::Bits>(a.gate, 0);
  for (int64_t t = 0; t < a.out_weights.rows; ++t) {
    const auto* hidden = row_of<const typename In::Bits>(a.hidden, t);
    // Products of two f32 are exact in double, and no sum of them overflows.
    double dot = 0.0;
    for (int64_t h = 0; h < a.hidden.cols; ++h) dot += In::decode(hidden[h]) * In::decode(gate[h]);
    const auto weight = Out::encode(shared_weight(dot, a.scale));
    auto* out = row_of<typename Out::Bits>(a.out_weights, t) + a.topk_weights.cols;
    for (int64_t s = 0; s < a.num_shared; ++s) out[s] = weight;
  }
}

}  // namespace

Answer refusal(const twincheck_append_args& a) {
  if (a.size < sizeof(twincheck_append_args)) return {TWINCHECK_BAD_PARAMETER, "size is below version 1's"};
  const bool gated = a.source == TWINCHECK_GATE;
  const bool listed = a.source == TWINCHECK_WEIGHTS || a.source == TWINCHECK_LOGITS;
  if (a.source != TWINCHECK_CONSTANT && !listed && !gated) return {TWINCHECK_BAD_PARAMETER, "no such source"};

  enum { kTopkIds, kTopkWeights, kShared, kHidden, kGate, kOutIds, kOutWeights, kViews };
  View views[kViews] = {{&a.topk_ids, true, 0, 0},   {&a.topk_weights, true, 0, 0}, {&a.shared, listed, 0, 0},
                        {&a.hidden, gated, 0, 0},    {&a.gate, gated, 0, 0},        {&a.out_ids, true, 0, 0},
                        {&a.out_weights, true, 0, 0}};
  const int64_t tokens = a.topk_ids.rows, top_k = a.topk_ids.cols, shared = a.num_shared;

  if (shared < 0) return {TWINCHECK_NEGATIVE_SIZE, "num_shared < 0"};
  for (const View& v : views) {
    if (v.matrix->rows < 0 || v.matrix->cols < 0) return {TWINCHECK_NEGATIVE_SIZE, "rows or cols < 0"};
  }

  const int32_t ids_dtype = a.topk_ids.dtype;
  if (ids_dtype != TWINCHECK_I32 && ids_dtype != TWINCHECK_I64) return {TWINCHECK_BAD_DTYPE, "topk_ids: not i32 or i64"};
  if (!is_float(a.topk_weights.dtype)) return {TWINCHECK_BAD_DTYPE, "topk_weights: not f32, bf16 or f16"};
  if (listed && !is_float(a.shared.dtype)) return {TWINCHECK_BAD_DTYPE, "shared: not f32, bf16 or f16"};
  if (gated && !is_float(a.hidden.dtype)) return {TWINCHECK_BAD_DTYPE, "hidden: not f32, bf16 or f16"};
  if (gated && a.gate.dtype != a.hidden.dtype) return {TWINCHECK_BAD_DTYPE, "gate: not hidden's dtype"};
  if (a.out_ids.dtype != ids_dtype) return {TWINCHECK_BAD_DTYPE, "out_ids: not topk_ids' dtype"};
  if (a.out_weights.dtype != a.topk_weights.dtype) return {TWINCHECK_BAD_DTYPE, "out_weights: not topk_weights' dtype"};

  int64_t columns = 0;
  const bool columns_fit = !__builtin_add_overflow(top_k, shared, &columns);
  if (a.topk_weights.rows != tokens || a.topk_weights.cols != top_k) {
    return {TWINCHECK_SHAPE_MISMATCH, "topk_weights: not topk_ids' shape"};
  }
  if (a.out_ids.rows != tokens || a.out_weights.rows != tokens) {
    return {TWINCHECK_SHAPE_MISMATCH, "an output's rows are not topk_ids'"};
  }
  if (columns_fit && (a.out_ids.cols != columns || a.out_weights.cols != columns)) {
    return {TWINCHECK_SHAPE_MISMATCH, "an output's cols are not top_k + num_shared"};
  }
  if (listed && (a.shared.rows != tokens || (a.shared.cols != shared && a.shared.cols != 1))) {
    return {TWINCHECK_SHAPE_MISMATCH, "shared: not [tokens, num_shared] or [tokens, 1]"};
  }
  if (gated && a.hidden.rows != tokens) return {TWINCHECK_SHAPE_MISMATCH, "hidden: rows are not topk_ids'"};
  if (gated && (a.gate.rows != 1 || a.gate.cols != a.hidden.cols)) {
    return {TWINCHECK_SHAPE_MISMATCH, "gate: not [1, hidden.cols]"};
  }
  if (gated && a.hidden.cols == 0 && tokens > 0 && shared > 0) return {TWINCHECK_SHAPE_MISMATCH, "hidden: no columns"};
  for (const View& v : views) {
    if (!v.used && (v.matrix->rows != 0 || v.matrix->cols != 0)) {
      return {TWINCHECK_SHAPE_MISMATCH, "a matrix that the source does not use is not empty"};
    }
  }

  for (const View& v : views) {
    if (v.matrix->rows > 1 && v.matrix->cols > 0 && v.matrix->row_stride < v.matrix->cols) {
      return {TWINCHECK_BAD_STRIDE, "row_stride < cols"};
    }
  }

  if (!columns_fit) return {TWINCHECK_SIZE_OVERFLOW, "top_k + num_shared does not fit in 64 bits"};
  for (View& v : views) {
    if (!v.used) continue;
    v.element = element_bytes(v.matrix->dtype);
    v.bytes = extent_bytes(*v.matrix, v.element);
    if (v.bytes < 0) return {TWINCHECK_SIZE_OVERFLOW, "a matrix's bytes do not fit in 64 bits"};
  }

  if (!std::isfinite(a.scale)) return {TWINCHECK_BAD_PARAMETER, "scale is not finite"};
  if (a.source == TWINCHECK_WEIGHTS && a.scale != 1.0f) return {TWINCHECK_BAD_PARAMETER, "weights take scale 1"};
  if (a.remap_local_routed < 0) return {TWINCHECK_BAD_PARAMETER, "remap_local_routed < 0"};
  if (a.base_id < 0) return {TWINCHECK_BAD_PARAMETER, "base_id < 0"};

  const int64_t largest_id = ids_dtype == TWINCHECK_I32 ? std::numeric_limits<int32_t>::max() : kMaxI64;
  if (shared > 0 && (shared - 1 > largest_id || a.base_id > largest_id - (shared - 1))) {
    return {TWINCHECK_ID_OVERFLOW, "base_id + num_shared - 1 does not fit the ids' dtype"};
  }

  for (const View& v : views) {
    if (v.bytes > 0 && v.matrix->data == nullptr) return {TWINCHECK_NULL_POINTER, "null pointer"};
  }
  for (const View& v : views) {
    if (v.bytes > 0 && v.begin() % static_cast<uint64_t>(v.element) != 0) {
      return {TWINCHECK_MISALIGNED, "pointer not aligned to its element"};
    }
  }

  const View& out_ids = views[kOutIds];
  const View& out_weights = views[kOutWeights];
  if (overlap(out_ids, out_weights)) return {TWINCHECK_OVERLAP, "out_ids and out_weights"};
  const bool may_alias = a.remap_local_routed == 0;
  for (int input = kTopkIds; input <= kGate; ++input) {
    const bool ids_alias = input == kTopkIds && may_alias && in_place(a.topk_ids, a.out_ids);
    const bool weights_alias = input == kTopkWeights && may_alias && in_place(a.topk_weights, a.out_weights);
    if (!ids_alias && overlap(out_ids, views[input])) return {TWINCHECK_OVERLAP, "out_ids and an input"};
    if (!weights_alias && overlap(out_weights, views[input])) return {TWINCHECK_OVERLAP, "out_weights and an input"};
  }
  return {TWINCHECK_OK, ""};
}

Answer append(const twincheck_append_args& args) {
  const Answer refused = refusal(args);
  if (refused.status != TWINCHECK_OK || args.out_ids.rows == 0 || args.out_ids.cols == 0) return refused;

  if (args.topk_ids.dtype == TWINCHECK_I32) {
    append_ids<uint32_t>(args);
  } else {
    append_ids<uint64_t>(args);
  }
  with_format(args.out_weights.dtype, [&](auto out) {
    using Out = decltype(out);
    copy_weights<Out>(args);
    if (args.num_shared == 0) return;
    if (args.source == TWINCHECK_CONSTANT) return append_constant<Out>(args);
    const bool gated = args.source == TWINCHECK_GATE;
    with_format(gated ? args.hidden.dtype : args.shared.dtype, [&](auto in) {
      using In = decltype(in);
      return gated ? append_gated<In, Out>(args) : append_listed<In, Out>(args);
    });
  });
  return refused;
}

}  // namespace independent
