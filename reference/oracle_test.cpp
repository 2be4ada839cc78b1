#include "reference/oracle.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "reference/rounding.h"
#include "reference/sigmoid.h"

namespace twincheck::reference {
namespace {

using Kind = Weight::Kind;

constexpr Dtype kValueDtypes[] = {Dtype::kF32, Dtype::kBf16, Dtype::kF16};

std::size_t bytes_of(Dtype dtype) { return dtype == Dtype::kI64 ? 8 : dtype == Dtype::kI32 || dtype == Dtype::kF32 ? 4 : 2; }

// A matrix that owns its elements, given as bits in row-major order; every byte around its rows is 0x5a.
struct Owned {
  std::vector<int64_t> memory;  // aligned for every dtype
  Matrix matrix{};

  Owned() = default;
  Owned(Dtype dtype, int64_t rows, int64_t cols, const std::vector<uint64_t>& bits, int64_t row_stride = 0,
        int64_t offset = 0) {
    const int64_t stride = row_stride == 0 ? cols : row_stride;
    const auto bytes = static_cast<int64_t>(bytes_of(dtype));
    memory.assign(static_cast<std::size_t>((offset + rows * stride) * bytes / 8 + 1), 0x5a5a5a5a5a5a5a5a);
    auto* first = reinterpret_cast<char*>(memory.data()) + offset * bytes;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c)
        std::memcpy(first + (r * stride + c) * bytes, &bits.at(static_cast<std::size_t>(r * cols + c)), bytes_of(dtype));
    matrix = {first, rows, cols, stride, static_cast<int32_t>(dtype), 0};
  }
};

// A call that owns its inputs; the outputs are never read, so they only have to be there.
struct Call {
  Owned ids, weights, shared, hidden, gate, out_ids, out_weights;
  Source source = Source::kConstant;
  int64_t S = 1, B = 100, L = 0;
  float scale = 1;

  AppendArgs args() {
    const int64_t T = ids.matrix.rows, columns = ids.matrix.cols + S;
    const auto cells = std::vector<uint64_t>(static_cast<std::size_t>(T * columns));
    if (out_ids.memory.empty()) out_ids = Owned(Dtype{ids.matrix.dtype}, T, columns, cells);
    if (out_weights.memory.empty()) out_weights = Owned(Dtype{weights.matrix.dtype}, T, columns, cells);
    AppendArgs a{};
    a.size = sizeof a;
    a.source = static_cast<int32_t>(source);
    a.topk_ids = ids.matrix;
    a.topk_weights = weights.matrix;
    a.shared = shared.matrix;
    a.hidden = hidden.matrix;
    a.gate = gate.matrix;
    a.out_ids = out_ids.matrix;
    a.out_weights = out_weights.matrix;
    a.num_shared = S;
    a.base_id = B;
    a.remap_local_routed = L;
    a.scale = scale;
    return a;
  }

  Expected expect() {
    const AppendArgs a = args();
    EXPECT_EQ(name(refusal(a)), "ok");
    Expected out;
    append(a, 0, a.topk_ids.rows, out);
    return out;
  }
};

uint64_t id(int64_t value) { return static_cast<uint64_t>(value); }

std::vector<int64_t> values(const Expected& e) {
  std::vector<int64_t> all;
  for (const Id& i : e.ids) all.push_back(i.any ? -999 : i.value);
  return all;
}

testing::AssertionResult is(const Weight& got, const Weight& expected) {
  if (got.kind == expected.kind && got.lo == expected.lo && got.hi == expected.hi) return testing::AssertionSuccess();
  return testing::AssertionFailure() << std::hex << static_cast<int>(got.kind) << " [" << got.lo << ", " << got.hi << "]";
}
Weight bits(uint32_t b) { return {Kind::kBits, b, b}; }

testing::AssertionResult same(const Expected& x, const Expected& y) {
  if (x.first != y.first || x.rows != y.rows || x.columns != y.columns || x.ids.size() != y.ids.size())
    return testing::AssertionFailure() << "another shape";
  for (std::size_t i = 0; i < x.ids.size(); ++i) {
    if (x.ids[i].value != y.ids[i].value || x.ids[i].any != y.ids[i].any) return testing::AssertionFailure() << "id " << i;
    if (!is(x.weights[i], y.weights[i])) return testing::AssertionFailure() << "weight " << i;
  }
  return testing::AssertionSuccess();
}

TEST(RoutedIds, AreCopied) {
  for (const Dtype dtype : {Dtype::kI32, Dtype::kI64}) {
    Call c;
    c.ids = Owned(dtype, 2, 3, {7, 3, id(-1), 0x7fffffff, id(std::numeric_limits<int32_t>::min()), 0});
    c.weights = Owned(Dtype::kF32, 2, 3, {1, 2, 3, 4, 5, 6});
    EXPECT_EQ(values(c.expect()),
              (std::vector<int64_t>{7, 3, -1, 100, 0x7fffffff, std::numeric_limits<int32_t>::min(), 0, 100}));
  }
}

TEST(AppendedIds, AreConsecutiveFromBaseId) {
  Call c;
  c.S = 3;
  c.B = (int64_t{1} << 40) + 5;
  c.ids = Owned(Dtype::kI64, 2, 1, {9, 8});
  c.weights = Owned(Dtype::kF16, 2, 1, {0, 0});
  EXPECT_EQ(values(c.expect()), (std::vector<int64_t>{9, c.B, c.B + 1, c.B + 2, 8, c.B, c.B + 1, c.B + 2}));
}

TEST(RoutedIds, MoveUpBySharedSlotsABlock) {
  Call c;
  c.S = 2;
  c.L = 4;
  c.B = 4;
  c.ids = Owned(Dtype::kI32, 1, 8, {0, 3, 4, 7, 8, 11, id(-1), id(-4)});
  c.weights = Owned(Dtype::kBf16, 1, 8, std::vector<uint64_t>(8));
  EXPECT_EQ(values(c.expect()), (std::vector<int64_t>{0, 3, 6, 9, 12, 15, -1, -4, 4, 5}));
}

TEST(RoutedIds, ThatLeaveTheirDtypeAreNotCompared) {
  const int64_t i32 = std::numeric_limits<int32_t>::max(), i64 = std::numeric_limits<int64_t>::max();
  Call c;
  c.S = 1;
  c.L = 1;  // e becomes 2e
  c.B = 0;
  c.ids = Owned(Dtype::kI32, 1, 4, {id(i32), id(i32 / 2), id(i32 / 2 + 1), id(std::numeric_limits<int32_t>::min())});
  c.weights = Owned(Dtype::kF32, 1, 4, std::vector<uint64_t>(4));
  EXPECT_EQ(values(c.expect()), (std::vector<int64_t>{-999, i32 - 1, -999, std::numeric_limits<int32_t>::min(), 0}));
  c.L = i32;
  c.ids = Owned(Dtype::kI32, 1, 4, {id(i32 - 1), id(i32), id(-1), 0});
  EXPECT_EQ(values(c.expect()), (std::vector<int64_t>{i32 - 1, -999, -1, 0, 0}));
  c.L = i32 + 1;
  EXPECT_EQ(values(c.expect()), (std::vector<int64_t>{i32 - 1, i32, -1, 0, 0})) << "the last value that fits";
  c.L = 1;
  EXPECT_EQ(values(c.expect())[2], -1);
  Call d;
  d.S = 1;
  d.L = 1;
  d.B = 0;
  d.ids =
      Owned(Dtype::kI64, 1, 5, {id(i64), id(i64 / 2), id(i64 / 2 + 1), id(std::numeric_limits<int64_t>::min()), id(i32)});
  d.weights = Owned(Dtype::kF32, 1, 5, std::vector<uint64_t>(5));
  EXPECT_EQ(values(d.expect()),
            (std::vector<int64_t>{-999, i64 - 1, -999, std::numeric_limits<int64_t>::min(), 2 * i32, 0}));
  d.L = i64;  // e / L is 1 for the largest id alone
  d.S = 1;
  EXPECT_EQ(values(d.expect())[0], -999);
  EXPECT_EQ(values(d.expect())[1], i64 / 2);
  Call wide;  // e / L * S alone is past 64 bits, and modulo 2^64 would come out small
  wide.S = 4;
  wide.L = 1;
  wide.ids = Owned(Dtype::kI64, 1, 3, {id(int64_t{1} << 62), id(i64), id(i64 / 5)});
  wide.weights = Owned(Dtype::kF32, 1, 3, std::vector<uint64_t>(3));
  EXPECT_EQ(values(wide.expect()), (std::vector<int64_t>{-999, -999, i64 / 5 * 5, 100, 101, 102, 103}));
}

TEST(RoutedWeights, AreCopiedBitForBit) {
  const std::vector<uint64_t> f32{0x7f800001, 0xffc12345, 0x80000000, 0x00000001, 0x7f800000, 0xff7fffff};
  const std::vector<uint64_t> half{0x7f81, 0xffff, 0x8000, 0x0001, 0x7c01, 0xfbff};
  for (const Dtype dtype : kValueDtypes) {
    Call c;
    const auto& in = dtype == Dtype::kF32 ? f32 : half;
    c.ids = Owned(Dtype::kI32, 2, 3, std::vector<uint64_t>(6));
    c.weights = Owned(dtype, 2, 3, in);
    const Expected e = c.expect();
    for (std::size_t t = 0; t < 2; ++t)
      for (std::size_t k = 0; k < 3; ++k) EXPECT_TRUE(is(e.weights[t * 4 + k], bits(static_cast<uint32_t>(in[t * 3 + k]))));
  }
}

TEST(AppendedWeights, OfAConstantAreScaleRoundedOnce) {
  const auto constant = [](float scale, Dtype dtype) {
    Call c;
    c.S = 2;
    c.scale = scale;
    c.ids = Owned(Dtype::kI32, 1, 0, {});
    c.weights = Owned(dtype, 1, 0, {});
    const Expected e = c.expect();
    EXPECT_TRUE(is(e.weights.at(1), e.weights.at(0)));
    EXPECT_EQ(e.weights[0].kind, Kind::kBits);
    return e.weights[0].lo;
  };
  EXPECT_EQ(constant(2.5f, Dtype::kF32), 0x40200000u);
  EXPECT_EQ(constant(-0.0f, Dtype::kF32), 0x80000000u);
  EXPECT_EQ(constant(-0.0f, Dtype::kBf16), 0x8000u);
  EXPECT_EQ(constant(0x1.01p0f, Dtype::kBf16), 0x3f80u);      // a tie, to even
  EXPECT_EQ(constant(0x1.03p0f, Dtype::kBf16), 0x3f82u);      // the next one
  EXPECT_EQ(constant(0x1.010002p0f, Dtype::kBf16), 0x3f81u);  // just above the tie
  EXPECT_EQ(constant(0x1.002p0f, Dtype::kF16), 0x3c00u);
  EXPECT_EQ(constant(0x1.006p0f, Dtype::kF16), 0x3c02u);
  EXPECT_EQ(constant(65520.0f, Dtype::kF16), 0x7c00u);
  EXPECT_EQ(constant(-65519.0f, Dtype::kF16), 0xfbffu);
  EXPECT_EQ(constant(0x1p-25f, Dtype::kF16), 0x0000u);
  EXPECT_EQ(constant(-0x1.8p-25f, Dtype::kF16), 0x8001u);
  EXPECT_EQ(constant(0x1.fffffep127f, Dtype::kBf16), 0x7f80u);
  EXPECT_EQ(constant(0x1p-149f, Dtype::kF32), 0x00000001u);
}

// What `weights` makes of one shared value.
Weight converted(Dtype from, uint32_t value, Dtype to) {
  Call c;
  c.source = Source::kWeights;
  c.ids = Owned(Dtype::kI32, 1, 0, {});
  c.weights = Owned(to, 1, 0, {});
  c.shared = Owned(from, 1, 1, {value});
  return c.expect().weights.at(0);
}

TEST(AppendedWeights, OfTheSameDtypeAreABitCopy) {
  for (const uint32_t value : {0x7f800001u, 0xffc12345u, 0x80000000u, 0x00000001u, 0x3f800000u})
    EXPECT_TRUE(is(converted(Dtype::kF32, value, Dtype::kF32), bits(value)));
  for (const Dtype dtype : {Dtype::kBf16, Dtype::kF16})
    for (const uint32_t value : {0x7f81u, 0x7c01u, 0xffffu, 0x8000u, 0x0001u, 0x3c00u})
      EXPECT_TRUE(is(converted(dtype, value, dtype), bits(value)));
}

TEST(AppendedWeights, OfAnotherDtypeAreConverted) {
  EXPECT_TRUE(is(converted(Dtype::kF32, 0x3f808000, Dtype::kBf16), bits(0x3f80)));
  EXPECT_TRUE(is(converted(Dtype::kF32, 0x3f808001, Dtype::kBf16), bits(0x3f81)));
  EXPECT_TRUE(is(converted(Dtype::kF32, 0x80000001, Dtype::kBf16), bits(0x8000)));
  EXPECT_TRUE(is(converted(Dtype::kF32, 0x477ff000, Dtype::kF16), bits(0x7c00)));
  EXPECT_TRUE(is(converted(Dtype::kBf16, 0x7467, Dtype::kF16), bits(0x7c00)));
  EXPECT_TRUE(is(converted(Dtype::kBf16, 0xc020, Dtype::kF32), bits(0xc0200000)));
  EXPECT_TRUE(is(converted(Dtype::kBf16, 0xff80, Dtype::kF16), bits(0xfc00)));
  EXPECT_TRUE(is(converted(Dtype::kF16, 0x0001, Dtype::kF32), bits(0x33800000)));
  EXPECT_TRUE(is(converted(Dtype::kF16, 0x3c03, Dtype::kBf16), bits(0x3f80)));
  EXPECT_TRUE(is(converted(Dtype::kF16, 0x3c04, Dtype::kBf16), bits(0x3f80)));  // a tie
  EXPECT_TRUE(is(converted(Dtype::kF16, 0x3c0c, Dtype::kBf16), bits(0x3f82)));
  EXPECT_TRUE(is(converted(Dtype::kF16, 0x8000, Dtype::kF32), bits(0x80000000)));
  EXPECT_EQ(converted(Dtype::kF32, 0x7f800001, Dtype::kBf16).kind, Kind::kNan) << "its upper half alone is infinity";
  EXPECT_EQ(converted(Dtype::kF16, 0xfe00, Dtype::kF32).kind, Kind::kNan);
  EXPECT_EQ(converted(Dtype::kBf16, 0x7fff, Dtype::kF16).kind, Kind::kNan);
}

TEST(AppendedWeights, OfLogitsAreSigmoidIntervals) {
  Call c;
  c.source = Source::kLogits;
  c.S = 4;
  c.ids = Owned(Dtype::kI32, 1, 1, {5});
  c.weights = Owned(Dtype::kF32, 1, 1, {0x3f800000});
  c.shared = Owned(Dtype::kF16, 1, 4, {0x0000, 0x7c00, 0xfc00, 0xfe01});
  const Expected e = c.expect();
  EXPECT_TRUE(is(e.weights.at(1), {Kind::kRange, 0x3f000000 - 8, 0x3f000000 + 4}));
  EXPECT_TRUE(is(e.weights.at(2), {Kind::kRange, 0x3f800000 - 8, 0x3f800000 + 4}));
  EXPECT_TRUE(is(e.weights.at(3), {Kind::kRange, 0, 0x00800000}));
  EXPECT_EQ(e.weights.at(4).kind, Kind::kNan);
}

TEST(AppendedWeights, OfAGateAreTheSameForEveryShared) {
  Call c;
  c.source = Source::kGate;
  c.S = 3;
  c.scale = -0.5f;
  c.ids = Owned(Dtype::kI64, 3, 1, {1, 2, 3});
  c.weights = Owned(Dtype::kBf16, 3, 1, {1, 2, 3});
  c.hidden = Owned(Dtype::kBf16, 3, 2, {0x3f80, 0x4000, 0x7f80, 0x3f80, 0x3f80, 0xffc1}, /*row_stride=*/5);
  c.gate = Owned(Dtype::kBf16, 1, 2, {0x4000, 0xbf80}, 0, /*offset=*/1);
  const Expected e = c.expect();
  const std::vector<double> row{1, 2}, gate{2, -1};
  for (std::size_t s = 1; s < 4; ++s) {
    EXPECT_TRUE(is(e.weights.at(s), gate_interval(row, gate, -0.5f, Dtype::kBf16)));
    EXPECT_TRUE(is(e.weights.at(4 + s), {Kind::kRangeOrNan, 0xbf00, 0x8000}));
    EXPECT_EQ(e.weights.at(8 + s).kind, Kind::kNan);
  }
}

TEST(AppendedWeights, OfAnUnpromisedGateNeedNoHiddenRow) {
  // H = 2^40: what is not promised is not read either.
  Call c;
  c.source = Source::kGate;
  c.ids = Owned(Dtype::kI32, 1, 0, {});
  c.weights = Owned(Dtype::kF32, 1, 0, {});
  c.hidden = Owned(Dtype::kF32, 1, 1, {0});
  c.gate = Owned(Dtype::kF32, 1, 1, {0});
  AppendArgs a = c.args();
  a.hidden.cols = a.gate.cols = int64_t{1} << 40;
  Expected out;
  append(a, 0, 1, out);
  EXPECT_TRUE(is(out.weights.at(0), unpromised(Dtype::kF32)));
}

// Random calls of every source, in one layout and in another.
Call draw(std::mt19937_64& random, bool tight) {
  Call c;
  const int64_t T = 1 + static_cast<int64_t>(random() % 5), K = static_cast<int64_t>(random() % 4),
                H = 1 + static_cast<int64_t>(random() % 5);
  c.S = static_cast<int64_t>(random() % 4);
  c.source = Source{static_cast<int32_t>(random() % 4)};
  const Dtype ids = random() % 2 == 0 ? Dtype::kI32 : Dtype::kI64, weights = kValueDtypes[random() % 3],
              shared = kValueDtypes[random() % 3];
  const bool broadcast = random() % 2 == 0;
  const auto fill = [&](Dtype dtype, int64_t rows, int64_t cols) {
    std::vector<uint64_t> cells;
    for (int64_t i = 0; i < rows * cols; ++i) {
      const bool near = random() % 2 == 0;
      const bool number = dtype != Dtype::kI32 && dtype != Dtype::kI64;
      const double x = std::normal_distribution<double>()(random);
      cells.push_back(near && number ? round(format_of(dtype), x) : random());
    }
    const auto pad = static_cast<int64_t>(random() % 4), offset = static_cast<int64_t>(random() % 4);
    return Owned(dtype, rows, cols, cells, tight ? cols : cols + pad, tight ? 0 : offset);
  };
  c.ids = fill(ids, T, K);
  c.weights = fill(weights, T, K);
  if (c.source == Source::kWeights || c.source == Source::kLogits) c.shared = fill(shared, T, broadcast ? 1 : c.S);
  if (c.source == Source::kGate) {
    c.hidden = fill(shared, T, H);
    c.gate = fill(shared, 1, H);
  }
  c.L = static_cast<int64_t>(random() % 3) * 5;
  const float scale = random() % 2 == 0 ? 0.25f : -3.0f;
  if (c.source != Source::kWeights) c.scale = scale;
  return c;
}

TEST(Layout, DoesNotMatter) {
  std::mt19937_64 one(1), other(1);
  for (int i = 0; i < 3000; ++i) {
    Call tight = draw(one, true), loose = draw(other, false);
    ASSERT_TRUE(same(tight.expect(), loose.expect())) << i;
  }
}

TEST(InPlace, ReadsTheRoutedColumnsOfTheOutputs) {
  std::mt19937_64 one(2), other(2);
  for (int i = 0; i < 1000; ++i) {
    Call apart = draw(one, true), in_place = draw(other, true);
    apart.L = in_place.L = 0;
    const Expected expected = apart.expect();
    // Places each routed matrix at the left of its output.
    const auto place = [&](Owned& input, Owned& output) {
      const Matrix m = input.matrix;
      const std::size_t bytes = bytes_of(Dtype{m.dtype});
      const auto columns = static_cast<std::size_t>(m.cols + in_place.S);
      std::vector<uint64_t> cells(static_cast<std::size_t>(m.rows) * columns, 0x1234567812345678);
      for (std::size_t r = 0; r < static_cast<std::size_t>(m.rows); ++r)
        for (std::size_t k = 0; k < static_cast<std::size_t>(m.cols); ++k)
          std::memcpy(&cells[r * columns + k],
                      static_cast<char*>(m.data) + (r * static_cast<std::size_t>(m.row_stride) + k) * bytes, bytes);
      output = Owned(Dtype{m.dtype}, m.rows, static_cast<int64_t>(columns), cells);
      input.matrix.data = output.matrix.data;
      input.matrix.row_stride = output.matrix.row_stride;
    };
    place(in_place.ids, in_place.out_ids);
    place(in_place.weights, in_place.out_weights);
    ASSERT_TRUE(same(in_place.expect(), expected)) << i;
  }
}

TEST(Broadcast, GivesOneColumnToEveryShared) {
  std::mt19937_64 random(3);
  for (const Source source : {Source::kWeights, Source::kLogits}) {
    for (int i = 0; i < 100; ++i) {
      const uint64_t x = random() & 0xffffffff, y = random() & 0xffffffff;
      Call one, all;
      for (Call* c : {&one, &all}) {
        c->source = source;
        c->S = 3;
        c->ids = Owned(Dtype::kI32, 2, 1, {4, 5});
        c->weights = Owned(Dtype::kF16, 2, 1, {6, 7});
      }
      one.shared = Owned(Dtype::kF32, 2, 1, {x, y}, /*row_stride=*/2);
      all.shared = Owned(Dtype::kF32, 2, 3, {x, x, x, y, y, y});
      ASSERT_TRUE(same(one.expect(), all.expect()));
    }
  }
}

TEST(Pieces, OfABatchAreThatPartOfTheWhole) {
  std::mt19937_64 random(4);
  Expected piece;
  for (int i = 0; i < 1000; ++i) {
    Call c = draw(random, false);
    const Expected whole = c.expect();
    const AppendArgs a = c.args();
    const int64_t first = static_cast<int64_t>(random() % static_cast<uint64_t>(whole.rows + 1));
    const int64_t rows = static_cast<int64_t>(random() % static_cast<uint64_t>(whole.rows - first + 1));
    append(a, first, rows, piece);
    Expected part = whole;
    part.first = first;
    part.rows = rows;
    const auto from = static_cast<std::ptrdiff_t>(first * whole.columns),
               to = from + static_cast<std::ptrdiff_t>(rows * whole.columns);
    part.ids.assign(whole.ids.begin() + from, whole.ids.begin() + to);
    part.weights.assign(whole.weights.begin() + from, whole.weights.begin() + to);
    ASSERT_TRUE(same(piece, part)) << i;
  }
}

TEST(EmptySizes, AreOrdinary) {
  for (const int32_t source : {0, 1, 2, 3})
    for (const int64_t T : {0, 2})
      for (const int64_t K : {0, 2})
        for (const int64_t S : {0, 2}) {
          Call c;
          c.source = Source{source};
          c.S = S;
          const std::vector<uint64_t> cells(8, 1);
          c.ids = Owned(Dtype::kI32, T, K, cells);
          c.weights = Owned(Dtype::kF32, T, K, cells);
          if (source == 1 || source == 2) c.shared = Owned(Dtype::kF16, T, S, cells);
          if (source == 3) c.hidden = Owned(Dtype::kF16, T, 3, cells), c.gate = Owned(Dtype::kF16, 1, 3, cells);
          AppendArgs a = c.args();
          for (Matrix* m : {&a.topk_ids, &a.topk_weights, &a.shared, &a.hidden}) {
            if (m->rows != 0 && m->cols != 0) continue;
            m->data = reinterpret_cast<void*>(uintptr_t{1});  // neither pointer nor stride of an empty matrix is looked at
            m->row_stride = std::numeric_limits<int64_t>::min();
          }
          ASSERT_EQ(name(refusal(a)), "ok");
          Expected e;
          append(a, 0, T, e);
          EXPECT_EQ(e.columns, K + S);
          EXPECT_EQ(e.ids.size(), static_cast<std::size_t>(T * (K + S)));
          EXPECT_EQ(e.weights.size(), e.ids.size());
        }
}

TEST(Acceptance, OfEachKind) {
  const auto f32 = [](const Weight& w, uint32_t b) { return accepts(w, Dtype::kF32, b); };
  EXPECT_TRUE(f32(bits(0x80000000), 0x80000000));
  EXPECT_FALSE(f32(bits(0x80000000), 0)) << "the sign of zero is part of an exact result";
  EXPECT_TRUE(f32(bits(0x7fc00001), 0x7fc00001));
  EXPECT_FALSE(f32(bits(0x7fc00001), 0x7fc00000)) << "and so is a copied NaN's payload";
  const Weight nan{Kind::kNan, 0, 0}, range{Kind::kRange, 0x80000001, 0x3f800000}, either{Kind::kRangeOrNan, 0, 0x3f800000};
  for (const uint32_t b : {0x7f800001u, 0xffffffffu}) {
    EXPECT_TRUE(f32(nan, b));
    EXPECT_FALSE(f32(range, b));
    EXPECT_TRUE(f32(either, b));
  }
  EXPECT_FALSE(f32(nan, 0x7f800000));
  EXPECT_FALSE(f32(nan, 0));
  for (const uint32_t b : {0x80000001u, 0x80000000u, 0u, 1u, 0x3f800000u}) EXPECT_TRUE(f32(range, b));
  for (const uint32_t b : {0x80000002u, 0x3f800001u, 0x7f800000u, 0xff800000u}) EXPECT_FALSE(f32(range, b));
  EXPECT_TRUE(f32(either, 0x80000000));
  EXPECT_FALSE(f32(either, 0x80000001));
  EXPECT_TRUE(f32({Kind::kRange, 0, 0}, 0x80000000)) << "one number, either zero";
  EXPECT_TRUE(accepts({Kind::kRange, 0xbc01, 0xbc00}, Dtype::kF16, 0xbc01));
  EXPECT_FALSE(accepts({Kind::kRange, 0xbc01, 0xbc00}, Dtype::kF16, 0x3c01));
  EXPECT_TRUE(accepts({Kind::kRange, 0x7f7f, 0x7f80}, Dtype::kBf16, 0x7f80));
}

// For 10,000 inputs of every source and dtype pair: a candidate that returns either end passes, and one representable value
// beyond either end fails.
TEST(IntervalEnds, AreRightAndTheNextValueIsNot) {
  std::mt19937_64 random(5);
  const int64_t T = 2500, S = 4;
  for (const Source source : {Source::kConstant, Source::kWeights, Source::kLogits, Source::kGate})
    for (const Dtype in : kValueDtypes)
      for (const Dtype out : kValueDtypes) {
        const Format f = format_of(out);
        const auto inputs = [&](int64_t count, bool any_bits = true) {
          std::vector<uint64_t> cells;
          for (int64_t i = 0; i < count; ++i) {
            const double x = std::normal_distribution<double>(0, i % 3 == 0 ? 30 : 2)(random);
            cells.push_back(any_bits && i % 5 == 0 ? random() & (2 * uint64_t{format_of(in).sign} - 1)
                                                   : round(format_of(in), x));
          }
          return cells;
        };
        Call c;
        c.source = source;
        c.S = S;
        int64_t rows = T;
        if (source == Source::kConstant || source == Source::kGate) rows = T * S, c.S = 1;
        c.ids = Owned(Dtype::kI32, rows, 0, {});
        c.weights = Owned(out, rows, 0, {});
        if (source == Source::kWeights || source == Source::kLogits) c.shared = Owned(in, T, S, inputs(T * S));
        if (source == Source::kGate)
          c.hidden = Owned(in, rows, 3, inputs(rows * 3)), c.gate = Owned(in, 1, 3, inputs(3, /*any_bits=*/false));
        std::vector<Weight> all;
        if (source == Source::kConstant) {  // one scale a call
          c.ids = Owned(Dtype::kI32, 1, 0, {});
          c.weights = Owned(out, 1, 0, {});
          for (int64_t i = 0; i < rows; ++i) {
            c.scale = std::bit_cast<float>(static_cast<uint32_t>(random()) & 0xbfffffffu);
            all.push_back(c.expect().weights.at(0));
          }
        } else {
          if (source != Source::kWeights) c.scale = random() % 2 == 0 ? 0.25f : -1.7f;
          all = c.expect().weights;
        }
        ASSERT_EQ(all.size(), 10'000u);
        std::size_t ranges = 0;
        for (const Weight& w : all) {
          if (w.kind == Kind::kNan) {
            for (const uint32_t number : {uint32_t{0}, f.infinity, f.sign | f.infinity, f.sign | 1})
              ASSERT_FALSE(accepts(w, out, number));
            ASSERT_TRUE(accepts(w, out, f.infinity + 1));
            continue;
          }
          ASSERT_TRUE(accepts(w, out, w.lo));
          ASSERT_TRUE(accepts(w, out, w.hi));
          ASSERT_EQ(w.kind == Kind::kBits, source == Source::kConstant || source == Source::kWeights);
          if (is_nan(f, w.lo)) continue;  // a copied NaN has no neighbours
          const uint32_t above = next_up(f, w.hi), below = next_down(f, w.lo);
          ASSERT_NE(accepts(w, out, above), ordinal(f, above) != ordinal(f, w.hi));  // infinity has none above it
          ASSERT_NE(accepts(w, out, below), ordinal(f, below) != ordinal(f, w.lo));
          ASSERT_EQ(accepts(w, out, quiet_nan(f)), w.kind == Kind::kRangeOrNan);
          ++ranges;
        }
        ASSERT_GT(ranges, 7'000u) << name(source) << name(in) << name(out);
      }
}

}  // namespace
}  // namespace twincheck::reference
