#include "harness/case/generate.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

namespace twincheck {
namespace {

constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();
constexpr int64_t kMinInt64 = std::numeric_limits<int64_t>::min();
constexpr uint32_t kOne = 0x3f800000;

template <typename T, std::size_t N>
T pick(Choices& choices, const T (&alternatives)[N]) {
  return alternatives[choices.below(N)];
}

int64_t max_id(Dtype dtype) { return dtype == Dtype::kI64 ? kMaxInt64 : std::numeric_limits<int32_t>::max(); }

// ---- valid cases

int64_t draw_tokens(Choices& choices, int64_t most) {
  static constexpr int64_t kEdges[] = {15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64};
  static constexpr int64_t kFarEdges[] = {65, 127, 128, 129, 255, 256, 257, 511, 512, 513};
  const uint64_t kind = choices.below(64);
  int64_t tokens;
  if (kind < 2) {
    tokens = 0;
  } else if (kind < 6) {
    tokens = 1;
  } else if (kind < 24) {
    tokens = choices.between(2, 9);
  } else if (kind < 57) {
    tokens = choices.between(2, 40);
  } else if (kind < 63 || most < 64) {
    tokens = pick(choices, kEdges);
  } else if (choices.chance(1, 4)) {
    tokens = choices.chance(1, 2) ? choices.between(65, std::max<int64_t>(most, 600)) : pick(choices, kFarEdges);
  } else {
    tokens = choices.between(41, 64);
  }
  return tokens <= most || most >= 64 ? tokens : tokens % (most + 1);
}

int64_t draw_top_k(Choices& choices) {
  static constexpr int64_t kUsual[] = {1, 2, 4, 6, 8, 8, 10, 16};
  const uint64_t kind = choices.below(8);
  if (kind == 0) return choices.between(0, 3);
  return kind < 5 ? pick(choices, kUsual) : choices.between(0, 22);
}

int64_t draw_shared(Choices& choices) {
  static constexpr int64_t kUsual[] = {1, 1, 1, 2, 2, 4};
  const uint64_t kind = choices.below(8);
  if (kind == 0) return 0;
  return kind < 5 ? pick(choices, kUsual) : choices.between(1, 8);
}

void draw_hidden(Choices& choices, Case& c) {
  static constexpr int64_t kWide[] = {1023, 1024, 1025, 2048, 3584, 4096, 7168, 8191, 8192, 8193};
  constexpr int64_t kElements = 4096;
  const uint64_t kind = choices.below(128);
  if (kind < 4 && (c.tokens == 0 || c.shared == 0)) {
    c.hidden = 0;
  } else if (kind < 56) {
    c.hidden = choices.between(1, 16);
  } else if (kind < 112) {
    c.hidden = choices.between(1, 64);
  } else if (kind < 127) {
    c.hidden = choices.between(65, 300);
  } else {
    c.hidden = pick(choices, kWide);
  }
  if (c.hidden > 64) c.tokens = std::min(c.tokens, std::max<int64_t>(1, kElements / c.hidden));
}

uint32_t draw_scale(Choices& choices) {
  static constexpr float kRanks[] = {1.0f / 2, 1.0f / 4, 1.0f / 8, 1.0f / 3, 1.0f / 6, 1.0f / 16, 1.0f / 64};
  static constexpr float kOdd[] = {0.0f, -0.0f, -1.0f, 2.5f, 1e-30f, 1e10f, -1e-30f, 1e-40f, 3.4028235e38f, 0.99999994f};
  const uint64_t kind = choices.below(16);
  if (kind < 6) return kOne;
  if (kind < 10) return std::bit_cast<uint32_t>(pick(choices, kRanks));
  if (kind < 14) return std::bit_cast<uint32_t>(pick(choices, kOdd));
  const uint32_t bits = static_cast<uint32_t>(choices.below(uint64_t{1} << 32));
  return (bits & 0x7f800000) == 0x7f800000 ? bits ^ 0x40000000 : bits;
}

IdClass draw_id_class(Choices& choices, bool wide) {
  using enum IdClass;
  static constexpr IdClass kAll[] = {kDistinct, kDistinct,   kDistinct,    kDistinct,  kDistinct,  kDistinct,
                                     kDistinct, kDuplicates, kSomePadding, kSentinels, kSentinels, kLimits,
                                     kLimits,   kLarge,      kLarge,       kPadding};
  const IdClass ids = pick(choices, kAll);
  return wide || ids == kPadding ? ids : kDistinct;
}

ValueClass draw_value_class(Choices& choices, int32_t source) {
  using enum ValueClass;
  static constexpr ValueClass kForWeights[] = {kRouter,      kRouter,  kRouter,   kRouter,    kBits, kBits,
                                               kConsecutive, kHalfway, kHalfway,  kSubnormal, kNan,  kInfinite,
                                               kZero,        kSpread,  kNearZero, kSpecials};
  static constexpr ValueClass kForLogits[] = {kNearZero, kNearZero,  kNearZero,    kNearZero, kSpread, kSpread,
                                              kSpread,   kZero,      kConsecutive, kRouter,   kBits,   kHalfway,
                                              kInfinite, kSubnormal, kNan,         kSpecials};
  static constexpr ValueClass kForGate[] = {kNearZero, kNearZero, kNearZero,    kNearZero, kNearZero, kZero,
                                            kRouter,   kRouter,   kConsecutive, kSpread,   kBits,     kSubnormal,
                                            kHalfway,  kInfinite, kSpecials,    kNan};
  if (source == TWINCHECK_LOGITS) return pick(choices, kForLogits);
  return source == TWINCHECK_GATE ? pick(choices, kForGate) : pick(choices, kForWeights);
}

int64_t draw_base_id(Choices& choices, const Case& c) {
  static constexpr int64_t kUsual[] = {8, 16, 60, 64, 128, 160, 256, 384, 512};
  const bool wide = c.ids_dtype == Dtype::kI64;
  const int64_t last = max_id(c.ids_dtype) - std::max<int64_t>(c.shared - 1, 0);
  const uint64_t kind = choices.below(16);
  if (kind == 0) return 0;
  if (kind < 8) return pick(choices, kUsual);
  if (kind < 10) return choices.between(0, 1024);
  if (kind < 12) return choices.between(int64_t{1} << 16, int64_t{1} << 24);
  if (kind < 13) return last - choices.between(0, 3);
  if (kind < 14) return (int64_t{1} << (wide ? 31 : 30)) + choices.between(0, 8) - 4;
  if (kind < 15 && wide) return choices.between(int64_t{1} << 31, int64_t{1} << 62);
  return choices.between(0, last);
}

void draw_remap(Choices& choices, Case& c) {
  static constexpr int64_t kUsual[] = {1, 2, 3, 7, 8, 16, 20, 32, 60, 64, 128, 256};
  static constexpr int64_t kWide[] = {65536, 1 << 20, 2147483647, int64_t{1} << 31, int64_t{1} << 40, kMaxInt64};
  const bool usual = !choices.chance(1, 8);
  c.remap = usual ? pick(choices, kUsual) : pick(choices, kWide);
  if (usual && choices.chance(1, 2)) c.base_id = choices.between(0, 7) * (c.remap + c.shared) + c.remap;
}

int64_t draw_stride(Choices& choices, int64_t cols) {
  switch (choices.below(8)) {
    case 0:
    case 1:
      return cols;
    case 2:
    case 3:
      return cols + choices.between(1, 8);
    case 4:
      return (cols + choices.between(0, 6)) | 1;
    case 5:
      return (cols + 15) / 16 * 16 + 16 * choices.between(0, 2);
    case 6:
      return cols + choices.between(0, 130);
    default:
      return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(cols))) << choices.below(3);
  }
}

bool has_own_rows(const Case& c, Operand o) { return is_used(c, o) && o != Operand::kGate && !is_in_place(c, o); }

void draw_strides(Choices& choices, Case& c) {
  for (int i = 0; i < kOperands; ++i) {
    const Operand o = static_cast<Operand>(i);
    if (!has_own_rows(c, o)) continue;
    const int64_t cols = implied_matrix_of(c, o).cols;
    const int64_t stride = draw_stride(choices, cols);
    if (stride != cols) c.of(o).row_stride = stride;
  }
}

// Strides with which the last row starts past 2^31 elements.
void draw_sparse(Choices& choices, int64_t max_tokens, Case& c) {
  if (c.tokens < 2 || c.top_k + c.shared == 0) return;
  c.tokens = std::min(max_tokens, 2 + c.tokens % 8);
  std::array<Operand, kOperands> candidates{};
  std::size_t count = 0;
  for (int i = 0; i < kOperands; ++i) {
    const Operand o = static_cast<Operand>(i);
    if (has_own_rows(c, o) && implied_matrix_of(c, o).cols > 0) candidates[count++] = o;
  }
  const int64_t far = int64_t{1} << (choices.chance(1, 4) ? 32 : 31);
  const int64_t stride = (far + c.tokens - 2) / (c.tokens - 1) + choices.between(0, 9);
  const bool all = choices.chance(1, 8);
  const uint64_t one = choices.below(count);
  for (uint64_t i = 0; i < count; ++i) {
    if (all || i == one) c.of(candidates[i]).row_stride = stride;
  }
}

void draw_offsets(Choices& choices, Case& c) {
  const uint64_t kind = choices.below(4);
  if (kind == 0) return;
  const uint64_t most = kind == 3 && choices.chance(1, 4) ? 256 : 16;
  const uint64_t common = kind == 1 ? choices.below(most) : 0;
  for (int i = 0; i < kOperands; ++i) {
    const Operand o = static_cast<Operand>(i);
    if (is_used(c, o) && !is_in_place(c, o))
      c.of(o).offset = static_cast<uint32_t>(kind == 1 ? common : choices.below(most));
  }
}

void draw_places(Choices& choices, Case& c) {
  const uint64_t kind = choices.below(15);
  if (kind < 13) return;
  const Place place = kind == 13 ? Place::kEnd : Place::kBegin;
  const auto put = [&](Operand o) {
    if (!is_used(c, o) || is_in_place(c, o)) return false;
    c.of(o).place = place;
    c.of(o).offset = 0;
    return true;
  };
  if (choices.chance(1, 2)) {
    for (int i = 0; i < kOperands; ++i) put(static_cast<Operand>(i));
  } else if (!put(static_cast<Operand>(choices.below(kOperands)))) {
    put(Operand::kOutWeights);
  }
}

// Puts `inner` inside the buffer of another input with elements of the same size, rows at the same stride.
void share_buffer(Choices& choices, Case& c, Operand inner, Operand outer) {
  const Matrix in = implied_matrix_of(c, inner);
  const Matrix out = implied_matrix_of(c, outer);
  const int64_t bytes = dtype_bytes(in.dtype);
  if (is_in_place(c, inner) || is_in_place(c, outer) || !is_used(c, outer)) return;
  if (bytes != dtype_bytes(out.dtype) || is_empty(in) || is_empty(out) || in.rows > out.rows || in.cols > out.cols) return;
  Layout& layout = c.of(inner);
  layout = {};
  if (in.rows > 1 && in.cols != out.row_stride) layout.row_stride = out.row_stride;
  layout.pointer = Pointer::kInto;
  layout.pointer_operand = outer;
  layout.pointer_bytes = choices.between(0, out.cols - in.cols) * bytes;
  if (inner == Operand::kGate && c.of(outer).row_stride.value_or(0) < int64_t{1} << 20) {
    layout.pointer_bytes += choices.between(0, out.rows - 1) * out.row_stride * bytes;
  }
}

void draw_shared_buffer(Choices& choices, Case& c) {
  static constexpr Operand kInners[] = {Operand::kShared, Operand::kTopkWeights, Operand::kTopkIds};
  if (c.source == TWINCHECK_GATE && choices.chance(1, 2)) return share_buffer(choices, c, Operand::kGate, Operand::kHidden);
  const Operand inner = pick(choices, kInners);
  if (!is_used(c, inner)) return;
  const Operand outer = inner == Operand::kTopkWeights || (inner == Operand::kShared && choices.chance(1, 4))
                            ? Operand::kTopkIds
                            : Operand::kTopkWeights;
  share_buffer(choices, c, inner, outer);
}

void draw_pointer_that_is_not_read(Choices& choices, Layout& layout) {
  static constexpr Pointer kPointers[] = {Pointer::kNull, Pointer::kSkewed, Pointer::kInto};
  layout.pointer = pick(choices, kPointers);
  if (layout.pointer == Pointer::kSkewed) layout.pointer_bytes = choices.between(1, 9);
  if (layout.pointer == Pointer::kInto) layout.pointer_operand = Operand::kOutIds;
}

// Fields that the operation promises not to read get values that would be refused elsewhere.
void draw_unread_fields(Choices& choices, Case& c) {
  static constexpr int64_t kStrides[] = {0, 1, -1, kMaxInt64, kMinInt64, int64_t{1} << 40};
  static constexpr int32_t kNumbers[] = {1, 5, 6, -1, 2147483647};
  for (int i = 0; i < kOperands; ++i) {
    const Operand o = static_cast<Operand>(i);
    Layout& layout = c.of(o);
    if (layout.pointer != Pointer::kOwn) continue;
    const Matrix m = implied_matrix_of(c, o);
    if (!is_used(c, o)) {
      layout.row_stride = pick(choices, kStrides);
      layout.dtype = pick(choices, kNumbers);
      draw_pointer_that_is_not_read(choices, layout);
    } else if (is_empty(m) && choices.chance(1, 2)) {
      if (choices.chance(1, 2)) layout.row_stride = pick(choices, kStrides);
      draw_pointer_that_is_not_read(choices, layout);
    } else if (m.rows <= 1) {
      layout.row_stride = pick(choices, kStrides);
    }
  }
}

void draw_layouts(Choices& choices, const Domain& domain, Case& c) {
  if (choices.below(8) >= 3) draw_strides(choices, c);
  draw_offsets(choices, c);
  draw_places(choices, c);
  const uint64_t rare = choices.below(256);
  if (rare >= 254) {
    if (domain.sparse) draw_sparse(choices, domain.max_tokens, c);
  } else if (rare >= 246) {
    draw_shared_buffer(choices, c);
  } else if (rare >= 230) {
    draw_unread_fields(choices, c);
  }
}

void draw_valid(Choices& choices, const Domain& domain, Case& c) {
  static constexpr Dtype kFloats[] = {Dtype::kF32, Dtype::kBf16, Dtype::kF16};
  c.source = domain.source ? static_cast<int32_t>(*domain.source) : static_cast<int32_t>(choices.below(4));
  c.tokens = draw_tokens(choices, domain.max_tokens);
  c.top_k = draw_top_k(choices);
  c.shared = draw_shared(choices);
  c.ids_dtype = choices.chance(1, 2) ? Dtype::kI64 : Dtype::kI32;
  c.weights_dtype = pick(choices, kFloats);
  if (c.source != TWINCHECK_CONSTANT) {
    c.shared_dtype = pick(choices, kFloats);
    c.shared_values = draw_value_class(choices, c.source);
  }
  if (c.source == TWINCHECK_GATE) draw_hidden(choices, c);
  if (c.source == TWINCHECK_WEIGHTS || c.source == TWINCHECK_LOGITS) c.broadcast = choices.chance(1, 4);
  if (c.source != TWINCHECK_WEIGHTS) c.scale_bits = draw_scale(choices);
  c.ids = draw_id_class(choices, domain.wide_ids);
  c.weights = draw_value_class(choices, TWINCHECK_WEIGHTS);
  c.seed = choices.below(uint64_t{1} << 32);
  c.base_id = draw_base_id(choices, c);
  if (domain.remap && choices.chance(1, 8)) {
    draw_remap(choices, c);
  } else if (domain.in_place) {
    const uint64_t form = choices.below(8);
    if (form >= 5) c.in_place = static_cast<InPlace>(form - 4);
  }
  if (domain.odd_layouts) draw_layouts(choices, domain, c);
  if (choices.chance(1, 64)) {
    static constexpr uint32_t kLarger[] = {8, 1, 64, 4096, 0xffffffff - sizeof(AppendArgs)};
    c.args_size = static_cast<uint32_t>(sizeof(AppendArgs)) + pick(choices, kLarger);
  }
}

// ---- defects

enum class Defect {
  kNegativeSize,
  kNegativeRowsOrCols,
  kOneDtype,
  kDtypePair,
  kRows,
  kCols,
  kEmptyHidden,
  kUnusedShape,
  kStride,
  kSum,
  kExtentByStride,
  kExtentByRows,
  kExtentByCols,
  kScale,
  kScaleOfWeights,
  kNegativeRemap,
  kNegativeBase,
  kUnknownSource,
  kShortStruct,
  kIdOverflow,
  kNull,
  kMisaligned,
  kOutputs,
  kInterleaved,
  kOutputAndInput,
  kInPlaceStride,
  kInPlaceRemap
};

// The rows of the refusal table, each with its ways in. Two of one row are not combined: they could cancel out.
struct Row {
  Defect first, last;
};
constexpr std::array<Row, 10> kRows{{{Defect::kNegativeSize, Defect::kNegativeRowsOrCols},
                                     {Defect::kOneDtype, Defect::kDtypePair},
                                     {Defect::kRows, Defect::kUnusedShape},
                                     {Defect::kStride, Defect::kStride},
                                     {Defect::kSum, Defect::kExtentByCols},
                                     {Defect::kScale, Defect::kShortStruct},
                                     {Defect::kIdOverflow, Defect::kIdOverflow},
                                     {Defect::kNull, Defect::kNull},
                                     {Defect::kMisaligned, Defect::kMisaligned},
                                     {Defect::kOutputs, Defect::kInPlaceRemap}}};

class Spoiler {
 public:
  Spoiler(Choices& choices, const Domain& domain, Case& c) : choices_(choices), domain_(domain), case_(c) {}

  void run() {
    // What was empty may not stay so, and a pointer that was not read could then hide the defect.
    for (std::size_t i = 0; i < kOperands; ++i) {
      if (!is_used(case_, static_cast<Operand>(i)) || !is_empty(implied_matrix_of(case_, static_cast<Operand>(i)))) continue;
      Layout& layout = case_.layout[i];
      layout.pointer = Pointer::kOwn;
      layout.pointer_operand = Operand::kTopkIds;
      layout.pointer_bytes = 0;
    }
    const int defects = choices_.chance(1, 8) ? static_cast<int>(choices_.between(2, 3)) : 1;
    uint32_t used = 0;
    for (int i = 0; i < defects; ++i) {
      uint64_t row = choices_.below(kRows.size());
      while (used >> row & 1) row = (row + 1) % kRows.size();
      used |= 1u << row;
      apply(static_cast<Defect>(choices_.between(static_cast<int>(kRows[row].first), static_cast<int>(kRows[row].last))));
    }
  }

 private:
  void at_least(int64_t& size, int64_t least) { size = std::max(size, least); }

  Operand used_operand() {
    std::array<Operand, kOperands> used{};
    std::size_t count = 0;
    for (int i = 0; i < kOperands; ++i) {
      if (is_used(case_, static_cast<Operand>(i))) used[count++] = static_cast<Operand>(i);
    }
    return used[choices_.below(count)];
  }

  // A used operand that is not empty, with at least `rows` rows; its sizes are raised to that.
  Operand filled_operand(int64_t rows) {
    Operand o = used_operand();
    if (o == Operand::kGate && rows > 1) o = Operand::kHidden;
    at_least(case_.tokens, std::max<int64_t>(rows, 1));
    at_least(case_.top_k, 1);
    at_least(case_.shared, 1);
    if (case_.source == TWINCHECK_GATE) at_least(case_.hidden, 1);
    return o;
  }

  void set_source(Source source) {
    case_.source = static_cast<int32_t>(source);
    if (source != Source::kGate) case_.hidden = 0;
  }

  void apply(Defect defect) {
    static constexpr int64_t kNegative[] = {-1, -2, -64, kMinInt64, -2147483648};
    Case& c = case_;
    switch (defect) {
      case Defect::kNegativeSize: {
        int64_t* const sizes[] = {&c.shared, &c.tokens, &c.top_k, &c.hidden};
        const bool gate = c.source == TWINCHECK_GATE;
        *sizes[choices_.below(gate ? 4 : 3)] = pick(choices_, kNegative);
        break;
      }
      case Defect::kNegativeRowsOrCols: {
        Layout& layout = c.layout[choices_.below(kOperands)];
        (choices_.chance(1, 2) ? layout.rows : layout.cols) = pick(choices_, kNegative);
        break;
      }
      case Defect::kOneDtype:
        one_dtype();
        break;
      case Defect::kDtypePair:
        dtype_pair();
        break;
      case Defect::kRows:
        other_size(used_operand(), /*rows=*/true);
        break;
      case Defect::kCols:
        other_size(used_operand(), /*rows=*/false);
        break;
      case Defect::kEmptyHidden:
        if (domain_.source && *domain_.source != Source::kGate) return apply(Defect::kRows);
        set_source(Source::kGate);
        at_least(c.tokens, 1);
        at_least(c.shared, 1);
        c.hidden = 0;
        c.of(Operand::kHidden) = {};
        c.of(Operand::kGate) = {};
        break;
      case Defect::kUnusedShape:
        unused_shape();
        break;
      case Defect::kStride: {
        const Operand o = filled_operand(2);
        const int64_t cols = implied_matrix_of(c, o).cols;
        const int64_t strides[] = {cols - 1, 0, -1, -cols, kMinInt64};
        c.of(o).row_stride = pick(choices_, strides);
        break;
      }
      case Defect::kSum: {
        static constexpr int64_t kBelowMax[] = {0, 1, 7};
        const int64_t less = pick(choices_, kBelowMax);
        if (choices_.chance(1, 2)) {
          at_least(c.top_k, less + 1);
          c.shared = kMaxInt64 - less;
        } else {
          at_least(c.shared, less + 1);
          c.of(Operand::kTopkIds).cols = c.of(Operand::kTopkWeights).cols = kMaxInt64 - less;
        }
        break;
      }
      case Defect::kExtentByStride: {
        const Operand o = filled_operand(2);
        const Matrix m = implied_matrix_of(c, o);
        const int64_t least = (kMaxInt64 / std::max<int64_t>(1, dtype_bytes(m.dtype)) - m.cols) / (m.rows - 1) + 1;
        const int64_t strides[] = {least, kMaxInt64, least + 1, kMaxInt64 - 1};
        c.of(o).row_stride = pick(choices_, strides);
        break;
      }
      case Defect::kExtentByRows:
        extent_by_rows();
        break;
      case Defect::kExtentByCols: {
        if (c.source != TWINCHECK_GATE) return extent_by_rows();
        static constexpr int64_t kCols[] = {kMaxInt64, kMaxInt64 / 2 + 1, kMaxInt64 - 1};
        at_least(c.tokens, 1);
        c.of(Operand::kHidden).row_stride = c.of(Operand::kGate).row_stride = std::nullopt;
        const int64_t cols = pick(choices_, kCols);
        for (const Operand o : {Operand::kHidden, Operand::kGate}) {
          c.of(o).cols = cols;
          c.of(o).row_stride = cols;
        }
        break;
      }
      case Defect::kScale: {
        static constexpr uint32_t kNotFinite[] = {0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0xffffffff};
        c.scale_bits = pick(choices_, kNotFinite);
        break;
      }
      case Defect::kScaleOfWeights: {
        if (domain_.source && *domain_.source != Source::kWeights) return apply(Defect::kScale);
        static constexpr uint32_t kNotOne[] = {0x3f000000, 0x3f800001, 0x3f7fffff, 0x00000000,
                                               0x80000000, 0xbf800000, 0x40000000};
        set_source(Source::kWeights);
        c.scale_bits = pick(choices_, kNotOne);
        break;
      }
      case Defect::kNegativeRemap:
        c.remap = pick(choices_, kNegative);
        break;
      case Defect::kNegativeBase:
        c.base_id = pick(choices_, kNegative);
        break;
      case Defect::kUnknownSource: {
        if (domain_.source) return apply(Defect::kNegativeBase);
        static constexpr int32_t kUnknown[] = {4, -1, 5, 255, 2147483647, std::numeric_limits<int32_t>::min()};
        c.source = pick(choices_, kUnknown);
        break;
      }
      case Defect::kShortStruct:
        if (!domain_.short_structs) return apply(Defect::kNegativeRemap);
        c.args_size = static_cast<uint32_t>(choices_.below(sizeof(AppendArgs)));
        break;
      case Defect::kIdOverflow: {
        at_least(c.shared, c.ids_dtype == Dtype::kI64 ? 2 : 1);
        const int64_t last = max_id(c.ids_dtype) - c.shared + 1;
        const int64_t bases[] = {last + 1, max_id(c.ids_dtype), kMaxInt64};
        c.base_id = pick(choices_, bases);
        if (c.base_id <= last) c.base_id = last + 1;
        break;
      }
      case Defect::kNull:
        c.of(filled_operand(1)).pointer = Pointer::kNull;
        break;
      case Defect::kMisaligned: {
        const Operand o = filled_operand(1);
        const int64_t bytes = std::max<int64_t>(2, dtype_bytes(matrix_of(c, o).dtype));
        Layout& layout = c.of(o);
        layout.pointer = Pointer::kSkewed;
        layout.pointer_bytes = choices_.between(1, bytes - 1) + (choices_.chance(1, 4) ? bytes : 0);
        break;
      }
      case Defect::kOutputs: {
        filled_operand(1);
        const bool ids = choices_.chance(1, 2);
        put_into(ids ? Operand::kOutIds : Operand::kOutWeights, ids ? Operand::kOutWeights : Operand::kOutIds, 0);
        break;
      }
      case Defect::kInterleaved:
        interleaved();
        break;
      case Defect::kOutputAndInput: {
        static constexpr Operand kOutputs[] = {Operand::kOutIds, Operand::kOutWeights};
        const Operand output = pick(choices_, kOutputs);
        Operand input = filled_operand(1);
        if (static_cast<int>(input) >= kInputs) input = Operand::kTopkIds;
        // The in-place form starts at the same element; one element further it is none.
        const bool twins = (input == Operand::kTopkIds) == (output == Operand::kOutIds) &&
                           (input == Operand::kTopkIds || input == Operand::kTopkWeights);
        if (twins) c.in_place = InPlace::kNone;
        const bool reverse = choices_.chance(1, 2);
        put_into(reverse ? output : input, reverse ? input : output, twins ? 1 : 0);
        break;
      }
      case Defect::kInPlaceStride: {
        if (!domain_.in_place) return apply(Defect::kOutputs);
        at_least(c.tokens, 2);
        at_least(c.top_k, 1);
        const Operand input = take_in_place();
        const int64_t stride = matrix_of(c, input == Operand::kTopkIds ? Operand::kOutIds : Operand::kOutWeights).row_stride;
        c.of(input).row_stride = stride < kMaxInt64 ? stride + 1 : stride - 1;
        break;
      }
      case Defect::kInPlaceRemap:
        if (!domain_.in_place || !domain_.remap) return apply(Defect::kOutputs);
        at_least(c.tokens, 1);
        at_least(c.top_k, 1);
        take_in_place();
        c.remap = choices_.between(1, 64);
        break;
    }
  }

  void one_dtype() {
    static constexpr int32_t kNumbers[] = {
        0, 6, -1, 99, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min(), 1, 2, 3, 4, 5};
    const Operand o = used_operand();
    int32_t number = pick(choices_, kNumbers);
    if (number == matrix_of(case_, o).dtype) number = 0;
    if (o == Operand::kShared && dtype_bytes(number) != 0 && number >= TWINCHECK_F32) number = TWINCHECK_I32;
    case_.of(o).dtype = number;
  }

  // An input and what must agree with it, alike and both wrong.
  void dtype_pair() {
    static constexpr Dtype kForIds[] = {Dtype::kF32, Dtype::kBf16, Dtype::kNone};
    static constexpr Dtype kForValues[] = {Dtype::kI32, Dtype::kI64, Dtype::kNone};
    switch (choices_.below(case_.source == TWINCHECK_CONSTANT ? 2 : 3)) {
      case 0:
        case_.ids_dtype = pick(choices_, kForIds);
        break;
      case 1:
        case_.weights_dtype = pick(choices_, kForValues);
        break;
      default:
        case_.shared_dtype = pick(choices_, kForValues);
        break;
    }
  }

  void other_size(Operand o, bool rows) {
    const Matrix m = implied_matrix_of(case_, o);
    const int64_t own = rows ? m.rows : m.cols;
    const int64_t sizes[] = {
        own + (own < kMaxInt64 ? 1 : -1), std::max<int64_t>(own, 1) - 1, 0, 1, own / 2, int64_t{1} << 40};
    int64_t size = pick(choices_, sizes);
    const bool allowed = size == own || (o == Operand::kShared && !rows && (size == 1 || size == case_.shared));
    if (allowed) size = std::clamp<int64_t>(std::max(own, case_.shared), 1, int64_t{1} << 40) + 1;
    (rows ? case_.of(o).rows : case_.of(o).cols) = size;
  }

  void unused_shape() {
    static constexpr int64_t kSizes[] = {1, 2, 64, kMaxInt64};
    Operand o = Operand::kShared;
    if (is_used(case_, Operand::kShared)) o = choices_.chance(1, 2) ? Operand::kGate : Operand::kHidden;
    if (case_.source == TWINCHECK_CONSTANT) o = static_cast<Operand>(2 + choices_.below(3));
    Layout& layout = case_.of(o);
    const uint64_t which = choices_.below(3);
    if (which != 1) layout.rows = pick(choices_, kSizes);
    if (which != 0) layout.cols = pick(choices_, kSizes);
  }

  // Every matrix of T rows claims the same T, so large that an extent leaves 64 bits.
  void extent_by_rows() {
    filled_operand(1);
    const Matrix m = implied_matrix_of(case_, Operand::kOutIds);
    const int64_t bytes = std::max<int64_t>(1, dtype_bytes(m.dtype));
    const int64_t least = kMaxInt64 / bytes / std::max<int64_t>(1, m.cols) + 1;
    const int64_t rows[] = {least, kMaxInt64, kMaxInt64 - 1};
    const int64_t tokens = std::max<int64_t>(2, pick(choices_, rows));
    for (int i = 0; i < kOperands; ++i) {
      const Operand o = static_cast<Operand>(i);
      if (!is_used(case_, o) || o == Operand::kGate) continue;
      case_.of(o).rows = tokens;
      if (case_.of(o).row_stride.value_or(0) < matrix_of(case_, o).cols) case_.of(o).row_stride.reset();
    }
  }

  Operand take_in_place() {
    case_.in_place = static_cast<InPlace>(choices_.between(1, 3));
    const Operand input = case_.in_place == InPlace::kWeights ? Operand::kTopkWeights : Operand::kTopkIds;
    for (const Operand o : {Operand::kTopkIds, Operand::kTopkWeights}) {
      if (is_in_place(case_, o)) case_.of(o) = {};
    }
    return input;
  }

  // Makes `inner` start inside the extent of `outer`, at a multiple of both elements' sizes, `least` elements in or later.
  void put_into(Operand inner, Operand outer, int64_t least) {
    const Matrix in = implied_matrix_of(case_, inner);
    const Matrix out = implied_matrix_of(case_, outer);
    const int64_t bytes = std::max<int64_t>({1, dtype_bytes(in.dtype), dtype_bytes(out.dtype)});
    const int64_t cols = std::clamp<int64_t>(out.cols, 1, int64_t{1} << 20);
    const int64_t last = std::max<int64_t>(cols * dtype_bytes(out.dtype) - 1, 0) / bytes;
    if (last < least) at_least(case_.tokens, 2);
    Layout& layout = case_.of(inner);
    layout.pointer = Pointer::kInto;
    layout.pointer_operand = outer;
    layout.pointer_bytes = (last < least ? least : choices_.between(least, last)) * bytes;
    case_.of(outer).pointer = Pointer::kOwn;
    case_.of(outer).offset = 0;
  }

  // Rows of out_ids and out_weights alternate in one allocation: no element is shared, but the extents overlap.
  void interleaved() {
    Case& c = case_;
    filled_operand(2);
    const Matrix ids = implied_matrix_of(c, Operand::kOutIds);
    const int64_t bytes = std::max<int64_t>(1, dtype_bytes(ids.dtype));
    const int64_t cols = std::min<int64_t>(ids.cols, int64_t{1} << 20);
    const int64_t scale =
        std::max<int64_t>(1, bytes / std::max<int64_t>(1, dtype_bytes(static_cast<int32_t>(c.weights_dtype))));
    c.of(Operand::kOutIds) = {};
    c.of(Operand::kOutIds).row_stride = 2 * cols;
    Layout& weights = c.of(Operand::kOutWeights);
    weights = {};
    weights.row_stride = 2 * cols * scale;
    weights.pointer = Pointer::kInto;
    weights.pointer_operand = Operand::kOutIds;
    weights.pointer_bytes = cols * bytes;
  }

  Choices& choices_;
  const Domain& domain_;
  Case& case_;
};

}  // namespace

Case draw_case(Choices& choices, const Domain& domain) {
  Case c;
  const bool spoil = domain.validity == Validity::kInvalid || (domain.validity == Validity::kBoth && choices.chance(1, 12));
  draw_valid(choices, domain, c);
  if (spoil) Spoiler(choices, domain, c).run();
  return c;
}

}  // namespace twincheck
