#include "reference/oracle.h"

#include <Eigen/Core>
#include <algorithm>
#include <cstddef>
#include <limits>
#include <type_traits>

#include "reference/rounding.h"
#include "reference/sigmoid.h"

namespace twincheck::reference {
namespace {

// 16-bit values are read as uint16_t, f32 as uint32_t: always bits.
template <typename Element>
using View = Eigen::Map<const Eigen::Matrix<Element, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, Eigen::Unaligned,
                        Eigen::OuterStride<>>;

// Of an empty matrix, where pointer and row stride may be anything, there is no element to ask for.
template <typename Element>
View<Element> view(const Matrix& m) {
  const auto* data = static_cast<const Element*>(m.data);
  return {data, m.rows, m.cols, Eigen::OuterStride<>(m.rows > 1 ? m.row_stride : m.cols)};
}

// Calls `use` with a zero of the unsigned type that holds the dtype's bits.
template <typename Use>
void with_bits_of(int32_t dtype, Use use) {
  dtype == TWINCHECK_F32 ? use(uint32_t{}) : use(uint16_t{});
}

template <typename Int>
Id routed_id(Int e, int64_t remap, int64_t shared) {
  if (remap == 0 || e < 0) return {e, false};
  __extension__ using Wide = __int128;
  const Wide image = e + Wide{e / remap} * shared;
  return image > std::numeric_limits<Int>::max() ? Id{0, true} : Id{static_cast<int64_t>(image), false};
}

template <typename Int>
void append_ids(const AppendArgs& a, Expected& out) {
  const View<Int> topk = view<Int>(a.topk_ids);
  const int64_t K = a.topk_ids.cols, S = a.num_shared, L = a.remap_local_routed;
  Id* id = out.ids.data();
  for (int64_t t = out.first; t < out.first + out.rows; ++t) {
    for (int64_t k = 0; k < K; ++k) *id++ = routed_id<Int>(topk.coeff(t, k), L, S);
    for (int64_t s = 0; s < S; ++s) *id++ = {a.base_id + s, false};
  }
}

Weight exactly(uint32_t bits) { return {Weight::Kind::kBits, bits, bits}; }

Weight converted(Dtype from, uint32_t bits, Dtype to) {
  if (from == to) return exactly(bits);
  const Format source = format_of(from), target = format_of(to);
  if (is_nan(source, bits)) return {Weight::Kind::kNan, quiet_nan(target), quiet_nan(target)};
  return exactly(round(target, widen(source, bits)));
}

// Writes the routed columns, and `shared_weight(t, s)` into the others: once a token where one serves all S.
template <typename Bits, typename SharedWeight>
void append_weights(const AppendArgs& a, bool one_serves_all, Expected& out, SharedWeight shared_weight) {
  const View<Bits> topk = view<Bits>(a.topk_weights);
  const int64_t K = a.topk_weights.cols, S = a.num_shared;
  Weight* weight = out.weights.data();
  for (int64_t t = out.first; t < out.first + out.rows; ++t) {
    for (int64_t k = 0; k < K; ++k) *weight++ = exactly(topk.coeff(t, k));
    if (one_serves_all && S > 0) {
      weight = std::fill_n(weight, S, shared_weight(t, 0));
    } else {
      for (int64_t s = 0; s < S; ++s) *weight++ = shared_weight(t, s);
    }
  }
}

template <typename Bits>
void append_constant(const AppendArgs& a, Expected& out) {
  const Weight weight = exactly(round(format_of(Dtype{a.out_weights.dtype}), a.scale));
  append_weights<Bits>(a, true, out, [&](int64_t, int64_t) { return weight; });
}

// Sources `weights` and `logits`.
template <typename Bits, typename SharedBits>
void append_shared(const AppendArgs& a, Expected& out) {
  const View<SharedBits> shared = view<SharedBits>(a.shared);
  const Dtype from = Dtype{a.shared.dtype}, to = Dtype{a.out_weights.dtype};
  const bool one_column = a.shared.cols == 1;
  if (a.source == TWINCHECK_WEIGHTS) {
    append_weights<Bits>(a, one_column, out, [&](int64_t t, int64_t s) { return converted(from, shared.coeff(t, s), to); });
  } else {
    append_weights<Bits>(a, one_column, out, [&](int64_t t, int64_t s) {
      return sigmoid_interval(widen(format_of(from), shared.coeff(t, s)), a.scale, to);
    });
  }
}

template <typename Bits>
void widen_row(const View<Bits>& matrix, int64_t t, const Format& f, std::vector<double>& row) {
  row.resize(static_cast<std::size_t>(matrix.cols()));
  for (int64_t i = 0; i < matrix.cols(); ++i) row[static_cast<std::size_t>(i)] = widen(f, matrix.coeff(t, i));
}

template <typename Bits, typename HiddenBits>
void append_gate(const AppendArgs& a, Expected& out) {
  const View<HiddenBits> hidden = view<HiddenBits>(a.hidden), gate = view<HiddenBits>(a.gate);
  const Format from = format_of(Dtype{a.hidden.dtype});
  const Dtype to = Dtype{a.out_weights.dtype};
  const bool promised = a.hidden.cols < kUnpromisedHidden;
  thread_local std::vector<double> row, gate_row;  // a case has many rows, and a run many cases
  if (promised && out.rows > 0 && a.num_shared > 0) widen_row(gate, 0, from, gate_row);
  append_weights<Bits>(a, true, out, [&](int64_t t, int64_t) {
    if (!promised) return unpromised(to);
    widen_row(hidden, t, from, row);
    return gate_interval(row, gate_row, a.scale, to);
  });
}

}  // namespace

bool accepts(const Weight& expected, Dtype dtype, uint32_t bits) {
  const Format f = format_of(dtype);
  switch (expected.kind) {
    case Weight::Kind::kBits:
      return bits == expected.lo;
    case Weight::Kind::kNan:
      return is_nan(f, bits);
    case Weight::Kind::kRangeOrNan:
      if (is_nan(f, bits)) return true;
      [[fallthrough]];
    case Weight::Kind::kRange:
      return !is_nan(f, bits) && ordinal(f, expected.lo) <= ordinal(f, bits) && ordinal(f, bits) <= ordinal(f, expected.hi);
  }
  return false;
}

void append(const AppendArgs& a, int64_t first, int64_t rows, Expected& out) {
  out.first = first;
  out.rows = rows;
  out.columns = a.topk_ids.cols + a.num_shared;
  const auto elements = static_cast<std::size_t>(rows * out.columns);
  out.ids.resize(elements);
  out.weights.resize(elements);

  a.topk_ids.dtype == TWINCHECK_I32 ? append_ids<int32_t>(a, out) : append_ids<int64_t>(a, out);
  with_bits_of(a.topk_weights.dtype, [&]<typename Bits>(Bits) {
    switch (Source{a.source}) {
      case Source::kConstant:
        return append_constant<Bits>(a, out);
      case Source::kWeights:
      case Source::kLogits:
        return with_bits_of(a.shared.dtype, [&]<typename S>(S) { append_shared<Bits, S>(a, out); });
      case Source::kGate:
        return with_bits_of(a.hidden.dtype, [&]<typename H>(H) { append_gate<Bits, H>(a, out); });
    }
  });
}

}  // namespace twincheck::reference
