#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <iterator>
#include <limits>
#include <map>
#include <ostream>
#include <set>
#include <string>
#include <utility>

#include "reference/oracle.h"

namespace twincheck {

void PrintTo(Status status, std::ostream* out) { *out << name(status); }

namespace reference {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();

// refusal() never reads through a pointer, so the addresses of these calls are numbers.
void* address(uintptr_t number) { return reinterpret_cast<void*>(number); }
uintptr_t number(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

Matrix matrix(uintptr_t at, int64_t rows, int64_t cols, int32_t dtype) {
  return {address(at), rows, cols, cols, dtype, /*reserved=*/-1};
}

// A valid call: 5 tokens, top 3, 2 shared experts, hidden 6; a megabyte from one matrix to the next.
AppendArgs valid(int32_t source, int64_t T = 5, int64_t K = 3, int64_t S = 2, int64_t H = 6) {
  AppendArgs a{};
  a.size = sizeof a;
  a.source = source;
  a.num_shared = S;
  a.base_id = 64;
  a.scale = 1;
  a.reserved = -1;
  a.topk_ids = matrix(0x100000, T, K, TWINCHECK_I32);
  a.topk_weights = matrix(0x200000, T, K, TWINCHECK_BF16);
  if (source == TWINCHECK_WEIGHTS || source == TWINCHECK_LOGITS) a.shared = matrix(0x300000, T, S, TWINCHECK_F32);
  if (source == TWINCHECK_GATE) {
    a.hidden = matrix(0x400000, T, H, TWINCHECK_F16);
    a.gate = matrix(0x500000, 1, H, TWINCHECK_F16);
  }
  a.out_ids = matrix(0x600000, T, K + S, TWINCHECK_I32);
  a.out_weights = matrix(0x700000, T, K + S, TWINCHECK_BF16);
  return a;
}

// One way to break a call. Two defects that touch a common field of the struct are not combined.
struct Defect {
  std::string words;
  Status status;
  std::set<std::string> touches;
  std::function<void(AppendArgs&)> make;
};

struct Operand {
  std::string words;
  Matrix AppendArgs::*matrix;
};
const std::vector<Operand> kAll = {{"topk_ids", &AppendArgs::topk_ids},
                                   {"topk_weights", &AppendArgs::topk_weights},
                                   {"shared", &AppendArgs::shared},
                                   {"hidden", &AppendArgs::hidden},
                                   {"gate", &AppendArgs::gate},
                                   {"out_ids", &AppendArgs::out_ids},
                                   {"out_weights", &AppendArgs::out_weights}};

// Every row of the table, in every matrix or parameter that it is about, for a valid call of the source.
std::vector<Defect> defects_of(int32_t source) {
  std::vector<Defect> all;
  const AppendArgs good = valid(source);
  const auto add = [&](std::string words, Status status, std::set<std::string> touches,
                       std::function<void(AppendArgs&)> make) {
    all.push_back({std::move(words), status, std::move(touches), std::move(make)});
  };
  add("size 0", Status::kBadParameter, {"size"}, [](AppendArgs& a) { a.size = 0; });
  add("size one short", Status::kBadParameter, {"size"}, [](AppendArgs& a) { a.size = sizeof a - 1; });
  add("source -1", Status::kBadParameter, {"source"}, [](AppendArgs& a) { a.source = -1; });
  add("source 4", Status::kBadParameter, {"source"}, [](AppendArgs& a) { a.source = 4; });

  add("S < 0", Status::kNegativeSize, {"S"}, [](AppendArgs& a) { a.num_shared = -1; });
  for (const Operand& o : kAll) {
    const auto m = o.matrix;
    const std::string w = o.words + ".";
    const bool used = (good.*m).dtype != 0;
    add(w + "rows < 0", Status::kNegativeSize, {w + "rows"}, [m](AppendArgs& a) { (a.*m).rows = -1; });
    add(w + "cols < 0", Status::kNegativeSize, {w + "cols"},
        [m](AppendArgs& a) { (a.*m).cols = std::numeric_limits<int64_t>::min(); });
    if (!used) {
      add(w + "rows of an unused matrix", Status::kShapeMismatch, {w + "rows"}, [m](AppendArgs& a) { (a.*m).rows = 1; });
      add(w + "cols of an unused matrix", Status::kShapeMismatch, {w + "cols"}, [m](AppendArgs& a) { (a.*m).cols = 1; });
      continue;
    }
    const bool ids = (good.*m).dtype == TWINCHECK_I32;
    const int32_t other_kind = ids ? TWINCHECK_F32 : TWINCHECK_I32;
    for (const int32_t dtype : {0, 6, -1, other_kind, std::numeric_limits<int32_t>::max()})
      add(w + "dtype " + std::to_string(dtype), Status::kBadDtype, {w + "dtype"},
          [=](AppendArgs& a) { (a.*m).dtype = dtype; });
    add(w + "one row more", Status::kShapeMismatch, {w + "rows"}, [m](AppendArgs& a) { ++(a.*m).rows; });
    add(w + "one column more", Status::kShapeMismatch, {w + "cols"}, [m](AppendArgs& a) { ++(a.*m).cols; });
    add(w + "no columns", Status::kShapeMismatch, {w + "cols"}, [m](AppendArgs& a) { (a.*m).cols = 0; });
    if ((good.*m).rows > 1) {
      for (const int64_t stride : {int64_t{0}, (good.*m).cols - 1, -(good.*m).cols, std::numeric_limits<int64_t>::min()})
        add(w + "row_stride " + std::to_string(stride), Status::kBadStride, {w + "stride"},
            [=](AppendArgs& a) { (a.*m).row_stride = stride; });
      const int64_t bytes = ids || m == &AppendArgs::shared ? 4 : 2, last = (good.*m).rows - 1;
      const int64_t least = (kMost / bytes - (good.*m).cols) / last + 1;  // the smallest stride whose extent does not fit
      for (const int64_t stride : {least, kMost})
        add(w + "row_stride " + std::to_string(stride), Status::kSizeOverflow, {w + "stride"},
            [=](AppendArgs& a) { (a.*m).row_stride = stride; });
    }
    add(w + "null", Status::kNullPointer, {w + "data"}, [m](AppendArgs& a) { (a.*m).data = nullptr; });
    add(w + "odd address", Status::kMisaligned, {w + "data"},
        [m](AppendArgs& a) { (a.*m).data = address(number((a.*m).data) + 1); });
  }
  add("ids of different dtypes", Status::kBadDtype, {"out_ids.dtype"},
      [](AppendArgs& a) { a.out_ids.dtype = TWINCHECK_I64; });
  add("weights of different dtypes", Status::kBadDtype, {"out_weights.dtype"},
      [](AppendArgs& a) { a.out_weights.dtype = TWINCHECK_F16; });
  if (source == TWINCHECK_GATE) {
    add("gate and hidden of different dtypes", Status::kBadDtype, {"gate.dtype"},
        [](AppendArgs& a) { a.gate.dtype = TWINCHECK_BF16; });
    add("two rows of gate", Status::kShapeMismatch, {"gate.rows"}, [](AppendArgs& a) { a.gate.rows = 2; });
    add("H = 0", Status::kShapeMismatch, {"hidden.cols", "gate.cols"},
        [](AppendArgs& a) { a.hidden.cols = a.gate.cols = 0; });
  }
  add("K + S past 64 bits", Status::kSizeOverflow, {"S", "out_ids.cols", "out_weights.cols", "shared.cols", "shared.stride"},
      [](AppendArgs& a) {
        a.num_shared = kMost - a.topk_ids.cols + 1;
        if (a.shared.dtype != 0) a.shared.cols = 1;
      });

  for (const float scale : {INFINITY, -INFINITY, NAN})
    add("scale " + std::to_string(scale), Status::kBadParameter, {"scale"}, [=](AppendArgs& a) { a.scale = scale; });
  if (source == TWINCHECK_WEIGHTS)
    for (const float scale : {0.0f, -1.0f, std::nextafter(1.0f, 2.0f), 0.5f})
      add("scale " + std::to_string(scale), Status::kBadParameter, {"scale"}, [=](AppendArgs& a) { a.scale = scale; });
  add("L < 0", Status::kBadParameter, {"L"}, [](AppendArgs& a) { a.remap_local_routed = -1; });
  add("B < 0", Status::kBadParameter, {"B"}, [](AppendArgs& a) { a.base_id = -1; });

  const int64_t largest_i32 = std::numeric_limits<int32_t>::max();
  add("last shared id one past i32", Status::kIdOverflow, {"B", "S"}, [=](AppendArgs& a) { a.base_id = largest_i32; });
  add("base id past i32", Status::kIdOverflow, {"B", "S"}, [](AppendArgs& a) { a.base_id = int64_t{1} << 32; });
  add("last shared id past 64 bits", Status::kIdOverflow, {"B", "S", "topk_ids.dtype", "out_ids.dtype"}, [](AppendArgs& a) {
    a.topk_ids.dtype = a.out_ids.dtype = TWINCHECK_I64;
    a.base_id = kMost;
  });

  for (const Operand& o : kAll) {
    const auto m = o.matrix;
    if ((good.*m).dtype == 0) continue;
    if (m != &AppendArgs::out_ids)
      add(o.words + " at out_ids' last element", Status::kOverlap, {o.words + ".data", "out_ids.data"}, [m](AppendArgs& a) {
        const int64_t last = (a.out_ids.rows - 1) * a.out_ids.row_stride + a.out_ids.cols - 1;
        (a.*m).data = address(number(a.out_ids.data) + static_cast<uintptr_t>(last * 4));
      });
    if (m != &AppendArgs::out_weights)
      add("out_weights at " + o.words + "' last element", Status::kOverlap, {o.words + ".data", "out_weights.data"},
          [m](AppendArgs& a) {
            const Matrix& x = a.*m;
            const int64_t bytes = x.dtype == TWINCHECK_I32 || x.dtype == TWINCHECK_F32 ? 4 : 2;
            const int64_t last = (x.rows == 1 ? 0 : (x.rows - 1) * x.row_stride) + x.cols - 1;
            a.out_weights.data = address(number(x.data) + static_cast<uintptr_t>(last * bytes));
          });
  }
  add("ids in place, other row stride", Status::kOverlap, {"topk_ids.data", "out_ids.data", "topk_ids.stride"},
      [](AppendArgs& a) {
        a.topk_ids.data = a.out_ids.data;
        a.topk_ids.row_stride = a.out_ids.row_stride + 1;
      });
  add("ids in place with remap", Status::kOverlap, {"topk_ids.data", "out_ids.data", "topk_ids.stride", "L"},
      [](AppendArgs& a) {
        a.topk_ids.data = a.out_ids.data;
        a.topk_ids.row_stride = a.out_ids.row_stride;
        a.remap_local_routed = 8;
      });
  return all;
}

// The position in the table; a struct that cannot be read comes before everything.
int rank(const Defect& d) {
  if (d.touches.contains("size") || d.touches.contains("source")) return 0;
  return static_cast<int>(d.status);
}

class EverySource : public testing::TestWithParam<int32_t> {};
INSTANTIATE_TEST_SUITE_P(Refusals, EverySource, testing::Range(0, 4),
                         [](const auto& i) { return std::string(kSourceNames[static_cast<std::size_t>(i.param)]); });

TEST_P(EverySource, PassesAValidCall) { EXPECT_EQ(refusal(valid(GetParam())), Status::kOk); }

TEST_P(EverySource, RefusesEachDefectWithItsStatus) {
  std::set<Status> seen;
  for (const Defect& d : defects_of(GetParam())) {
    AppendArgs a = valid(GetParam());
    d.make(a);
    EXPECT_EQ(refusal(a), d.status) << d.words;
    seen.insert(d.status);
  }
  EXPECT_EQ(seen.size(), 10u);  // every row of the table but runtime_error
}

TEST_P(EverySource, NamesTheEarlierOfTwoDefects) {
  const std::vector<Defect> defects = defects_of(GetParam());
  std::set<std::pair<int, int>> seen;
  for (const Defect& x : defects)
    for (const Defect& y : defects) {
      if (rank(x) >= rank(y)) continue;
      bool common = false;
      for (const std::string& field : x.touches) common = common || y.touches.contains(field);
      if (common) continue;
      AppendArgs a = valid(GetParam());
      y.make(a);
      x.make(a);
      ASSERT_EQ(refusal(a), x.status) << x.words << ", and " << y.words;
      seen.insert({rank(x), rank(y)});
    }
  // Eleven places in the order, counting the struct that cannot be read: every two of them met.
  EXPECT_EQ(seen.size(), 11u * 10 / 2);
}

TEST(Refusal, DoesNotReadPastAShortStruct) {
  // Two fields, and then a page that must not be touched.
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  void* pages = mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  ASSERT_EQ(mprotect(static_cast<char*>(pages) + page, page, PROT_NONE), 0);
  void* args = static_cast<char*>(pages) + page - 8;
  const uint32_t size = 8;
  std::memcpy(args, &size, sizeof size);
  EXPECT_EQ(refusal(*static_cast<const AppendArgs*>(args)), Status::kBadParameter);
  munmap(pages, 2 * page);
}

TEST(Refusal, AcceptsALaterVersionsStruct) {
  AppendArgs a = valid(TWINCHECK_GATE);
  a.size = 4096;
  EXPECT_EQ(refusal(a), Status::kOk);
  a.size = std::numeric_limits<uint32_t>::max();
  EXPECT_EQ(refusal(a), Status::kOk);
}

TEST(Refusal, ReadsNothingButTheShapeOfAnUnusedMatrix) {
  AppendArgs a = valid(TWINCHECK_CONSTANT);
  for (const auto m : {&AppendArgs::shared, &AppendArgs::hidden, &AppendArgs::gate})
    a.*m = {address(number(a.out_ids.data) + 1), 0, 0, std::numeric_limits<int64_t>::min(), 77, 9};
  EXPECT_EQ(refusal(a), Status::kOk);
}

TEST(Refusal, NeverLooksAtThePointerOrStrideOfAnEmptyMatrix) {
  for (const int32_t source : {0, 1, 2, 3}) {
    AppendArgs a = valid(source, /*T=*/0);
    for (const Operand& o : kAll) {
      Matrix& m = a.*o.matrix;
      if (m.dtype == 0 || m.rows != 0) continue;
      m.data = address(0x700001);
      m.row_stride = -5;
    }
    EXPECT_EQ(refusal(a), Status::kOk) << source;
    a = valid(source, 5, /*K=*/0);
    a.topk_ids.data = a.topk_weights.data = nullptr;
    a.topk_ids.row_stride = a.topk_weights.row_stride = -5;
    EXPECT_EQ(refusal(a), Status::kOk) << source;
    a.remap_local_routed = 4;
    a.topk_ids.data = a.out_ids.data;
    EXPECT_EQ(refusal(a), Status::kOk) << "nothing is in place where there is nothing";
  }
  AppendArgs a = valid(TWINCHECK_LOGITS, 5, 3, /*S=*/0);
  a.shared.data = a.out_ids.data;
  a.shared.row_stride = -1;
  EXPECT_EQ(refusal(a), Status::kOk);
  a.shared.cols = 1;  // [T, 1] is a shape for every S, and then it is not empty
  a.shared.row_stride = 1;
  EXPECT_EQ(refusal(a), Status::kOverlap);
}

TEST(Refusal, ChecksDtypeShapeAndParametersOfEmptyCallsToo) {
  AppendArgs a = valid(TWINCHECK_GATE, /*T=*/0, /*K=*/0, /*S=*/0, /*H=*/0);
  EXPECT_EQ(refusal(a), Status::kOk);
  AppendArgs b = a;
  b.hidden.dtype = b.gate.dtype = TWINCHECK_I64;
  EXPECT_EQ(refusal(b), Status::kBadDtype);
  b = a;
  b.gate.rows = 0;
  EXPECT_EQ(refusal(b), Status::kShapeMismatch);
  b = a;
  b.gate.cols = 7;
  EXPECT_EQ(refusal(b), Status::kShapeMismatch);
  b = a;
  b.scale = NAN;
  EXPECT_EQ(refusal(b), Status::kBadParameter);
  b = valid(TWINCHECK_CONSTANT, /*T=*/0);
  b.base_id = std::numeric_limits<int32_t>::max();
  EXPECT_EQ(refusal(b), Status::kIdOverflow) << "ids are checked whatever T is";
}

TEST(Refusal, AHiddenSizeOfZeroIsWrongOnlyWhereAWeightIsNeeded) {
  EXPECT_EQ(refusal(valid(TWINCHECK_GATE, 5, 3, 2, /*H=*/0)), Status::kShapeMismatch);
  EXPECT_EQ(refusal(valid(TWINCHECK_GATE, 5, 3, 0, /*H=*/0)), Status::kOk);
  EXPECT_EQ(refusal(valid(TWINCHECK_GATE, 0, 3, 2, /*H=*/0)), Status::kOk);
}

TEST(Refusal, NeverReadsTheRowStrideOfOneRow) {
  for (const int64_t stride : {int64_t{0}, int64_t{-7}, kMost, std::numeric_limits<int64_t>::min()}) {
    AppendArgs a = valid(TWINCHECK_GATE, /*T=*/1);
    for (const Operand& o : kAll) (a.*o.matrix).row_stride = stride;
    EXPECT_EQ(refusal(a), Status::kOk) << stride;
    a.topk_ids.data = a.out_ids.data;  // in place, and the strides need not agree
    a.topk_ids.row_stride = 3;
    EXPECT_EQ(refusal(a), Status::kOk) << stride;
  }
}

TEST(Refusal, KPlusSIsExact) {
  // One row of kMost columns would not fit in bytes, so nothing but an empty T lets K + S reach the end of 64 bits.
  AppendArgs a = valid(TWINCHECK_CONSTANT, /*T=*/0, /*K=*/kMost - 2, /*S=*/2);
  a.base_id = 0;
  EXPECT_EQ(refusal(a), Status::kOk);
  a.out_weights.cols = kMost - 1;
  EXPECT_EQ(refusal(a), Status::kShapeMismatch);
  a.num_shared = 3;
  EXPECT_EQ(refusal(a), Status::kSizeOverflow) << "then the outputs' columns mean nothing";
  a.out_ids.cols = -1;
  EXPECT_EQ(refusal(a), Status::kNegativeSize);
  a.out_ids.cols = 5;
  a.out_ids.rows = 1;
  EXPECT_EQ(refusal(a), Status::kShapeMismatch) << "but their rows do";
  a = valid(TWINCHECK_CONSTANT, 0, kMost, 0);
  EXPECT_EQ(refusal(a), Status::kOk);
  a.num_shared = kMost;
  EXPECT_EQ(refusal(a), Status::kSizeOverflow);
}

TEST(Refusal, ExtentsFitIn64BitsToTheByte) {
  AppendArgs a = valid(TWINCHECK_CONSTANT, /*T=*/1, /*K=*/kMost / 4 - 2, /*S=*/2);
  a.topk_ids.data = address(4);
  a.out_ids.data = address(uintptr_t{1} << 63);  // kMost / 4 ids of four bytes end at the last of 2^64, less one element
  // topk_ids: [4, 2^63 - 8); the weights of half the size lie in neither.
  a.topk_weights.data = address(0);
  EXPECT_EQ(refusal(a), Status::kNullPointer);
  a.topk_weights.data = address(2);
  EXPECT_EQ(refusal(a), Status::kOverlap) << "out_weights lies in the inputs";
  ++a.topk_ids.cols, ++a.topk_weights.cols, ++a.out_ids.cols, ++a.out_weights.cols;
  EXPECT_EQ(refusal(a), Status::kSizeOverflow) << "2^63 bytes of ids";

  a = valid(TWINCHECK_CONSTANT, /*T=*/2, /*K=*/1, /*S=*/0);
  a.topk_ids.row_stride = kMost / 4 - 1;  // (2^61 - 2 + 1) * 4 bytes
  a.out_ids.data = address(0xf000000000000000);
  a.out_weights.data = address(0xf000000000001000);
  a.topk_weights.data = address(0xf000000000002000);
  EXPECT_EQ(refusal(a), Status::kOk);
  a.topk_ids.row_stride = kMost / 4;
  EXPECT_EQ(refusal(a), Status::kSizeOverflow);
  a.topk_ids.rows = a.topk_weights.rows = a.out_ids.rows = a.out_weights.rows = kMost;
  a.topk_ids.row_stride = kMost;
  EXPECT_EQ(refusal(a), Status::kSizeOverflow) << "neither 64 nor 128 bits of bytes would hold it";
}

TEST(Refusal, ExtentsMayEndPastTheAddressSpaceWithoutWrapping) {
  AppendArgs a = valid(TWINCHECK_CONSTANT);
  a.topk_ids.data = address(uintptr_t{0} - 8);  // 60 bytes from there
  a.out_weights.data = address(16);
  EXPECT_EQ(refusal(a), Status::kOk);
  a.out_ids.data = address(uintptr_t{0} - 4);
  EXPECT_EQ(refusal(a), Status::kOverlap);
}

TEST(Refusal, IdsReachTheirDtypesLastValueAndNoFurther) {
  const int64_t i32 = std::numeric_limits<int32_t>::max();
  AppendArgs a = valid(TWINCHECK_CONSTANT);
  a.base_id = i32 - 1;
  EXPECT_EQ(refusal(a), Status::kOk);
  a.base_id = i32;
  EXPECT_EQ(refusal(a), Status::kIdOverflow);
  a.topk_ids.dtype = a.out_ids.dtype = TWINCHECK_I64;
  EXPECT_EQ(refusal(a), Status::kOk);
  a.base_id = kMost - 1;
  EXPECT_EQ(refusal(a), Status::kOk);
  a.base_id = kMost;
  EXPECT_EQ(refusal(a), Status::kIdOverflow);
  a = valid(TWINCHECK_CONSTANT, 5, 3, /*S=*/0);
  a.base_id = kMost;  // names no id
  EXPECT_EQ(refusal(a), Status::kOk);
}

TEST(Refusal, PassesWhatIsInPlaceEachHalfOnItsOwn) {
  for (const int64_t S : {0, 2}) {
    for (const bool ids : {false, true})
      for (const bool weights : {false, true}) {
        AppendArgs a = valid(TWINCHECK_CONSTANT, 5, 3, S);
        a.out_ids.row_stride = 11;
        if (ids) a.topk_ids.data = a.out_ids.data, a.topk_ids.row_stride = 11;
        if (weights) a.topk_weights.data = a.out_weights.data, a.topk_weights.row_stride = a.out_weights.row_stride;
        EXPECT_EQ(refusal(a), Status::kOk) << S << ids << weights;
        a.remap_local_routed = 1;
        EXPECT_EQ(refusal(a), ids || weights ? Status::kOverlap : Status::kOk) << S << ids << weights;
      }
  }
}

TEST(Refusal, InPlaceIsTheSamePointerAndStrideOfTheSameKind) {
  AppendArgs a = valid(TWINCHECK_CONSTANT);
  a.topk_ids.data = a.out_ids.data;
  a.topk_ids.row_stride = a.out_ids.row_stride;
  EXPECT_EQ(refusal(a), Status::kOk);
  a.topk_ids.data = address(number(a.out_ids.data) + 4);  // shifted by one column
  EXPECT_EQ(refusal(a), Status::kOverlap);
  a = valid(TWINCHECK_CONSTANT);
  a.topk_ids.data = a.out_ids.data;  // tight rows of K in rows of K + S
  EXPECT_EQ(refusal(a), Status::kOverlap);
  a = valid(TWINCHECK_CONSTANT);
  a.topk_weights.data = a.out_ids.data;  // ids are no weights
  a.topk_weights.row_stride = a.out_ids.row_stride;
  EXPECT_EQ(refusal(a), Status::kOverlap);
  a = valid(TWINCHECK_LOGITS);
  a.shared.data = a.out_weights.data;
  EXPECT_EQ(refusal(a), Status::kOverlap);
}

TEST(Refusal, TouchingExtentsDoNotOverlapAndInterleavedViewsDo) {
  AppendArgs a = valid(TWINCHECK_CONSTANT);
  const uintptr_t at = number(a.out_ids.data);
  a.out_weights.data = address(at + 5 * 5 * 4);
  EXPECT_EQ(refusal(a), Status::kOk);
  a.out_weights.data = address(at + 5 * 5 * 4 - 2);
  EXPECT_EQ(refusal(a), Status::kOverlap);
  a.out_weights.data = address(at - 5 * 5 * 2);
  EXPECT_EQ(refusal(a), Status::kOk);
  a.out_weights.data = address(at - 5 * 5 * 2 + 2);
  EXPECT_EQ(refusal(a), Status::kOverlap);
  // The last row's gap belongs to no one.
  a = valid(TWINCHECK_CONSTANT);
  a.out_ids.row_stride = 100;
  a.out_weights.data = address(number(a.out_ids.data) + (4 * 100 + 5) * 4);
  EXPECT_EQ(refusal(a), Status::kOk);
  a.out_weights.data = address(number(a.out_ids.data) + 50 * 4);  // in the first row's gap
  EXPECT_EQ(refusal(a), Status::kOverlap);
}

TEST(Refusal, InputsMayOverlapEachOther) {
  AppendArgs a = valid(TWINCHECK_GATE);
  a.topk_weights.data = a.topk_ids.data;
  a.hidden.data = a.topk_ids.data;
  a.gate.data = a.hidden.data;
  EXPECT_EQ(refusal(a), Status::kOk);
}

TEST(Refusal, AsksForAlignmentToTheElementAndNoMore) {
  AppendArgs a = valid(TWINCHECK_WEIGHTS);
  a.topk_ids.data = address(0x100004);
  a.topk_weights.data = address(0x200002);
  a.shared.data = address(0x300004);
  EXPECT_EQ(refusal(a), Status::kOk);
  a.shared.data = address(0x300002);
  EXPECT_EQ(refusal(a), Status::kMisaligned);
  a = valid(TWINCHECK_WEIGHTS);
  a.topk_ids.dtype = a.out_ids.dtype = TWINCHECK_I64;
  a.topk_ids.data = address(0x100004);
  EXPECT_EQ(refusal(a), Status::kMisaligned);
}

TEST(Refusal, TakesEveryDtypeOfTheTableAndTheBroadcastColumn) {
  for (const int32_t ids : {TWINCHECK_I32, TWINCHECK_I64})
    for (const int32_t weights : {TWINCHECK_F32, TWINCHECK_BF16, TWINCHECK_F16})
      for (const int32_t shared : {TWINCHECK_F32, TWINCHECK_BF16, TWINCHECK_F16})
        for (const int32_t source : {0, 1, 2, 3}) {
          AppendArgs a = valid(source);
          a.topk_ids.dtype = a.out_ids.dtype = ids;
          a.topk_weights.dtype = a.out_weights.dtype = weights;
          if (source == TWINCHECK_GATE) a.hidden.dtype = a.gate.dtype = shared;
          if (source == TWINCHECK_WEIGHTS || source == TWINCHECK_LOGITS) {
            a.shared.dtype = shared;
            AppendArgs b = a;
            b.shared.cols = b.shared.row_stride = 1;
            EXPECT_EQ(refusal(b), Status::kOk);
            b.shared.cols = 3;
            EXPECT_EQ(refusal(b), Status::kShapeMismatch);
          }
          EXPECT_EQ(refusal(a), Status::kOk);
        }
}

// Structs of random bits and of random small perturbations: an answer each, and the sanitizers see no overflow on the way.
TEST(Refusal, IsTotal) {
  uint64_t state = 1;
  const auto random = [&] {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
  };
  const int64_t pool[] = {
      0, 1, 2, 3, 5, -1, kMost, kMost - 1, kMost / 2, std::numeric_limits<int64_t>::min(), int64_t{1} << 61};
  std::map<Status, int> seen;
  for (int i = 0; i < 200'000; ++i) {
    AppendArgs a = valid(static_cast<int32_t>(random() % 4));
    for (uint64_t changes = random() % 6; changes > 0; --changes) {
      Matrix& m = a.*kAll[random() % 7].matrix;
      const int64_t value = pool[random() % std::size(pool)];
      switch (random() % 9) {
        case 0:
          m.rows = value;
          break;
        case 1:
          m.cols = value;
          break;
        case 2:
          m.row_stride = value;
          break;
        case 3:
          m.data = address(static_cast<uintptr_t>(value));
          break;
        case 4:
          m.dtype = static_cast<int32_t>(random() % 7);
          break;
        case 5:
          a.num_shared = value;
          break;
        case 6:
          a.base_id = value;
          break;
        case 7:
          a.remap_local_routed = value;
          break;
        default:
          m.rows = value, m.cols = value;
      }
    }
    ++seen[refusal(a)];
  }
  EXPECT_EQ(seen.size(), 11u) << "each row of the table but runtime_error, and ok";
}

}  // namespace
}  // namespace reference
}  // namespace twincheck
