#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "optimized/append.h"
#include "optimized/test_buffers.h"

namespace twincheck::optimized {
namespace {

constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMin = std::numeric_limits<int64_t>::min();

struct Defect {
  const char* what;
  Status status;
  const char* says;  // a part of the message
  std::function<void(AppendArgs&)> apply;
};

// A call of each source that the table accepts: T = 4, K = 3, S = 2, H = 5.
struct Accepted {
  explicit Accepted(Source source) : call(4, 3, 2), hidden(4, 5, TWINCHECK_BF16), gate(1, 5, TWINCHECK_BF16) {
    call.args.source = static_cast<int32_t>(source);
    if (source == Source::kConstant || source == Source::kGate) call.args.shared = {};
    if (source == Source::kGate) {
      call.args.hidden = hidden.matrix();
      call.args.gate = gate.matrix();
    }
  }
  AppendArgs& args() { return call.args; }
  Call call;
  Buffer hidden, gate;
};

void* moved(void* pointer, int64_t bytes) { return static_cast<unsigned char*>(pointer) + bytes; }

// In the table's order of statuses. They all apply to source weights.
const std::vector<Defect>& weights_defects() {
  static const std::vector<Defect> defects{
      {"S", Status::kNegativeSize, "num_shared is -1", [](AppendArgs& a) { a.num_shared = -1; }},
      {"rows", Status::kNegativeSize, "topk_ids.rows is -4", [](AppendArgs& a) { a.topk_ids.rows = -4; }},
      {"cols", Status::kNegativeSize, "out_weights.cols is -9223372036854775808",
       [](AppendArgs& a) { a.out_weights.cols = kMin; }},
      {"unused", Status::kNegativeSize, "gate.rows is -1", [](AppendArgs& a) { a.gate.rows = -1; }},
      {"ids", Status::kBadDtype, "topk_ids.dtype is 3 (f32): it must be i32 or i64",
       [](AppendArgs& a) { a.topk_ids.dtype = TWINCHECK_F32; }},
      {"weights", Status::kBadDtype, "topk_weights.dtype is 99", [](AppendArgs& a) { a.topk_weights.dtype = 99; }},
      {"shared", Status::kBadDtype, "shared.dtype is 0", [](AppendArgs& a) { a.shared.dtype = 0; }},
      {"out_ids", Status::kBadDtype, "out_ids.dtype is i64: it must be topk_ids's, i32",
       [](AppendArgs& a) { a.out_ids.dtype = TWINCHECK_I64; }},
      {"out_weights", Status::kBadDtype, "out_weights.dtype is f16: it must be topk_weights's, f32",
       [](AppendArgs& a) { a.out_weights.dtype = TWINCHECK_F16; }},
      {"weights rows", Status::kShapeMismatch, "topk_weights.rows is 5: it must be 4",
       [](AppendArgs& a) { a.topk_weights.rows = 5; }},
      {"weights cols", Status::kShapeMismatch, "topk_weights.cols is 2: it must be 3",
       [](AppendArgs& a) { a.topk_weights.cols = 2; }},
      {"out rows", Status::kShapeMismatch, "out_ids.rows is 3: it must be 4", [](AppendArgs& a) { a.out_ids.rows = 3; }},
      {"out cols", Status::kShapeMismatch, "out_weights.cols is 6: it must be 5",
       [](AppendArgs& a) { a.out_weights.cols = 6; }},
      {"shared rows", Status::kShapeMismatch, "shared.rows is 3", [](AppendArgs& a) { a.shared.rows = 3; }},
      {"shared cols", Status::kShapeMismatch, "shared.cols is 3: it must be num_shared, 2, or 1",
       [](AppendArgs& a) { a.shared.cols = 3; }},
      {"unused shape", Status::kShapeMismatch, "hidden is [0, 1]", [](AppendArgs& a) { a.hidden.cols = 1; }},
      {"stride", Status::kBadStride, "topk_ids.row_stride is 2: it must be topk_ids.cols, 3, or more",
       [](AppendArgs& a) { a.topk_ids.row_stride = 2; }},
      {"negative stride", Status::kBadStride, "out_ids.row_stride is -9223372036854775808",
       [](AppendArgs& a) { a.out_ids.row_stride = kMin; }},
      {"extent", Status::kSizeOverflow, "topk_weights spans", [](AppendArgs& a) { a.topk_weights.row_stride = kMax / 4; }},
      {"nan", Status::kBadParameter, "scale is nan",
       [](AppendArgs& a) { a.scale = std::numeric_limits<float>::quiet_NaN(); }},
      {"inf", Status::kBadParameter, "scale is inf",
       [](AppendArgs& a) { a.scale = std::numeric_limits<float>::infinity(); }},
      {"scale", Status::kBadParameter, "source weights takes 1 only", [](AppendArgs& a) { a.scale = 0.5F; }},
      {"L", Status::kBadParameter, "remap_local_routed is -1", [](AppendArgs& a) { a.remap_local_routed = -1; }},
      {"B", Status::kBadParameter, "base_id is -1", [](AppendArgs& a) { a.base_id = -1; }},
      {"id", Status::kIdOverflow, "must fit i32", [](AppendArgs& a) { a.base_id = 0x7fffffff; }},
      {"id far", Status::kIdOverflow, "must fit i32", [](AppendArgs& a) { a.base_id = kMax; }},
      {"null", Status::kNullPointer, "shared.data is null", [](AppendArgs& a) { a.shared.data = nullptr; }},
      {"null out", Status::kNullPointer, "out_ids.data is null", [](AppendArgs& a) { a.out_ids.data = nullptr; }},
      {"skewed", Status::kMisaligned, "topk_weights.data",
       [](AppendArgs& a) { a.topk_weights.data = moved(a.topk_weights.data, 2); }},
      {"outputs", Status::kOverlap, "overlaps", [](AppendArgs& a) { a.out_weights.data = moved(a.out_ids.data, 76); }},
      {"input", Status::kOverlap, "out_weights overlaps shared", [](AppendArgs& a) { a.shared.data = a.out_weights.data; }},
      {"nearly in place", Status::kOverlap, "or share pointer and row stride",
       [](AppendArgs& a) { a.topk_ids.data = a.out_ids.data; }},
      {"remap in place", Status::kOverlap, "must be 0 in place",
       [](AppendArgs& a) {
         a.topk_weights.data = a.out_weights.data;
         a.topk_weights.row_stride = a.out_weights.row_stride;
         a.remap_local_routed = 4;
       }},
  };
  return defects;
}

TEST(Refusals, AcceptACallOfEverySource) {
  for (const Source source : {Source::kConstant, Source::kWeights, Source::kLogits, Source::kGate}) {
    Accepted accepted(source);
    const Result r = validate(accepted.args());
    EXPECT_EQ(r.status, Status::kOk) << name(source) << ": " << r.message;
  }
}

TEST(Refusals, HaveTheTablesStatusAndNameTheFieldAndItsValue) {
  for (const Defect& d : weights_defects()) {
    Accepted accepted(Source::kWeights);
    d.apply(accepted.args());
    const Result r = validate(accepted.args());
    EXPECT_EQ(name(r.status), name(d.status)) << d.what << ": " << r.message;
    EXPECT_NE(std::string(r.message).find(d.says), std::string::npos) << d.what << ": " << r.message;
  }
}

TEST(Refusals, ComeInTheTablesOrder) {
  for (const Defect& first : weights_defects()) {
    for (const Defect& second : weights_defects()) {
      if (first.status >= second.status) continue;
      // A defect that takes back the other's: with another number of rows or columns the later one may no longer apply, but
      // the earlier one must still be what is found.
      Accepted accepted(Source::kWeights);
      second.apply(accepted.args());
      first.apply(accepted.args());
      const Result r = validate(accepted.args());
      EXPECT_EQ(name(r.status), name(first.status)) << first.what << " and " << second.what << ": " << r.message;
    }
  }
}

TEST(Refusals, OfAShortStructOrAnUnknownSourceComeFirst) {
  Accepted accepted(Source::kWeights);
  accepted.args().num_shared = -1;
  accepted.args().source = 4;
  EXPECT_EQ(validate(accepted.args()).status, Status::kBadParameter);
  accepted.args().source = -1;
  EXPECT_EQ(validate(accepted.args()).status, Status::kBadParameter);
  accepted.args().source = TWINCHECK_WEIGHTS;
  accepted.args().size = sizeof(AppendArgs) - 1;
  EXPECT_EQ(validate(accepted.args()).status, Status::kBadParameter);
  accepted.args().num_shared = 2;
  accepted.args().size = sizeof(AppendArgs) + 64;
  EXPECT_EQ(validate(accepted.args()).status, Status::kOk);
}

TEST(Refusals, OfAShortStructReadNothingButItsSize) {
  // Under AddressSanitizer a read past the four bytes is an error.
  const std::vector<uint32_t> size{4};
  EXPECT_EQ(validate(*reinterpret_cast<const AppendArgs*>(size.data())).status, Status::kBadParameter);
}

TEST(Refusals, OfTheGateLookAtHiddenAndGate) {
  const std::vector<Defect> defects{
      {"hidden", Status::kBadDtype, "hidden.dtype is 1 (i32)", [](AppendArgs& a) { a.hidden.dtype = TWINCHECK_I32; }},
      {"gate", Status::kBadDtype, "gate.dtype is f16: it must be hidden's, bf16",
       [](AppendArgs& a) { a.gate.dtype = TWINCHECK_F16; }},
      {"rows", Status::kShapeMismatch, "hidden.rows is 3", [](AppendArgs& a) { a.hidden.rows = 3; }},
      {"gate rows", Status::kShapeMismatch, "gate.rows is 2: it must be 1", [](AppendArgs& a) { a.gate.rows = 2; }},
      {"gate cols", Status::kShapeMismatch, "gate.cols is 4: it must be 5", [](AppendArgs& a) { a.gate.cols = 4; }},
      {"H", Status::kShapeMismatch, "hidden.cols is 0", [](AppendArgs& a) { a.hidden.cols = a.gate.cols = 0; }},
      {"shared", Status::kShapeMismatch, "shared is [1, 0]", [](AppendArgs& a) { a.shared.rows = 1; }},
      {"null", Status::kNullPointer, "gate.data is null", [](AppendArgs& a) { a.gate.data = nullptr; }},
      {"overlap", Status::kOverlap, "out_ids overlaps hidden", [](AppendArgs& a) { a.hidden.data = a.out_ids.data; }},
  };
  for (const Defect& d : defects) {
    Accepted accepted(Source::kGate);
    d.apply(accepted.args());
    const Result r = validate(accepted.args());
    EXPECT_EQ(name(r.status), name(d.status)) << d.what << ": " << r.message;
    EXPECT_NE(std::string(r.message).find(d.says), std::string::npos) << d.what << ": " << r.message;
  }
}

TEST(Refusals, DoNotLookAtWhatIsNotUsed) {
  Accepted accepted(Source::kConstant);
  AppendArgs& a = accepted.args();
  a.scale = -3.0F;
  a.reserved = a.topk_ids.reserved = 7;
  for (Matrix* m : {&a.shared, &a.hidden, &a.gate}) *m = {&a, 0, 0, kMin, 77, 5};
  EXPECT_EQ(validate(a).status, Status::kOk);
  a.topk_ids.row_stride = a.topk_ids.cols;
  for (Matrix* m : {&a.topk_ids, &a.topk_weights, &a.out_ids, &a.out_weights}) {
    m->rows = 1;
    m->row_stride = kMin;
  }
  EXPECT_EQ(validate(a).status, Status::kOk) << "one row has no stride";
}

TEST(Refusals, LeaveEmptyMatricesAlone) {
  Accepted accepted(Source::kWeights);
  AppendArgs& a = accepted.args();
  for (Matrix* m : {&a.topk_ids, &a.topk_weights, &a.shared, &a.out_ids, &a.out_weights}) {
    m->rows = 0;
    m->row_stride = -1;
    m->data = reinterpret_cast<void*>(std::uintptr_t{1});
  }
  EXPECT_EQ(validate(a).status, Status::kOk);
  a.num_shared = kMax;
  a.shared.cols = kMax;
  EXPECT_EQ(validate(a).status, Status::kSizeOverflow) << "K + S";
}

TEST(Refusals, CompareExtentsAtTheEndOfTheAddressSpace) {
  Accepted accepted(Source::kWeights);
  AppendArgs& a = accepted.args();
  a.out_ids.data = reinterpret_cast<void*>(~std::uintptr_t{0} - 79);
  EXPECT_EQ(validate(a).status, Status::kOk);
  a.out_ids.data = reinterpret_cast<void*>(~std::uintptr_t{0} - 3);
  EXPECT_EQ(validate(a).status, Status::kOk) << "an extent past the last address touches nothing at the first";
}

TEST(Refusals, AllowNeighboursAndEitherInputInPlace) {
  Accepted accepted(Source::kWeights);
  AppendArgs& a = accepted.args();
  a.topk_ids.data = a.out_ids.data;
  a.topk_ids.row_stride = a.out_ids.row_stride;
  EXPECT_EQ(validate(a).status, Status::kOk);
  a.topk_weights.data = a.out_weights.data;
  a.topk_weights.row_stride = a.out_weights.row_stride;
  EXPECT_EQ(validate(a).status, Status::kOk);
  // The very next byte after out_ids: 4 rows of 5 i32.
  std::vector<int32_t> memory(64);
  a.out_ids.data = a.topk_ids.data = memory.data();
  a.out_weights.data = a.topk_weights.data = memory.data() + 20;
  EXPECT_EQ(validate(a).status, Status::kOk);
  a.out_weights.data = a.topk_weights.data = memory.data() + 19;
  EXPECT_EQ(validate(a).status, Status::kOverlap);
}

TEST(Refusals, CountTheLastIdExactly) {
  Accepted accepted(Source::kWeights);
  AppendArgs& a = accepted.args();
  a.base_id = 0x7ffffffe;
  EXPECT_EQ(validate(a).status, Status::kOk);
  a.base_id = 0x7fffffff;
  EXPECT_EQ(validate(a).status, Status::kIdOverflow);
  a.topk_ids.dtype = a.out_ids.dtype = TWINCHECK_I64;
  a.topk_ids.data = a.out_ids.data = nullptr;
  a.topk_ids.rows = a.topk_weights.rows = a.shared.rows = a.out_ids.rows = a.out_weights.rows = 0;
  EXPECT_EQ(validate(a).status, Status::kOk);
  a.base_id = kMax - 1;
  EXPECT_EQ(validate(a).status, Status::kOk);
  a.base_id = kMax;
  EXPECT_EQ(validate(a).status, Status::kIdOverflow);
}

}  // namespace
}  // namespace twincheck::optimized
