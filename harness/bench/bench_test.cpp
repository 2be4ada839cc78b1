// What the bench times and writes: shapes, bytes, files, plot; and its stage, on host memory.
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <stdexcept>

#include "harness/bench/files.h"
#include "harness/bench/shapes.h"
#include "harness/bench/stage.h"
#include "harness/report/formats_test_support.h"
#include "reference/oracle.h"

namespace twincheck::bench {
namespace {

using test::Element;
using test::Xml;

std::string complaint(const std::string& text) {
  try {
    (void)parse_numbers(text);
  } catch (const std::invalid_argument& e) {
    return e.what();
  }
  return "accepted";
}

TEST(Numbers, AreListsRangesAndRangesByFactors) {
  EXPECT_EQ(parse_numbers("7"), std::vector<int64_t>{7});
  EXPECT_EQ(parse_numbers("0,3..5,1"), (std::vector<int64_t>{0, 3, 4, 5, 1}));
  EXPECT_EQ(parse_numbers("1..64*4"), (std::vector<int64_t>{1, 4, 16, 64}));
  EXPECT_EQ(parse_numbers("3..20*2"), (std::vector<int64_t>{3, 6, 12}));
  EXPECT_EQ(parse_numbers("9223372036854775807..9223372036854775807*2").size(), 1u);
}

TEST(Numbers, NameWhatIsWrong) {
  EXPECT_NE(complaint("1,two").find("found 'two' in '1,two', expected numbers"), std::string::npos);
  for (const char* text : {"", "1,,2", "-1", "4..1", "0..8*2", "1..8*1", "1..", "..3", "1..1000000", "1 "})
    EXPECT_NE(complaint(text), "accepted") << text;
}

TEST(Shapes, AreTheProductOfTheLists) {
  ShapeLists lists;
  lists.tokens = {1, 64};
  lists.top_k = {1, 8};
  lists.ids = {Dtype::kI32, Dtype::kI64};
  lists.sources = {Source::kConstant, Source::kGate};
  lists.hidden = {64, 128};
  lists.values = {Dtype::kF32, Dtype::kBf16};
  // The constant has neither values nor hidden states.
  EXPECT_EQ(shapes_of(lists, 1).size(), 2u * 2 * 2 + 2u * 2 * 2 * 2 * 2);
}

TEST(Shapes, OfEveryLayoutAreValidAndHaveLabelsOfTheirOwn) {
  ShapeLists lists;
  lists.tokens = {3};
  lists.top_k = {0, 1, 7, 8};
  lists.shared = {0, 1, 8};
  lists.ids = {Dtype::kI32, Dtype::kI64};
  lists.weights = {Dtype::kF32, Dtype::kBf16, Dtype::kF16};
  lists.sources = {Source::kConstant, Source::kWeights, Source::kLogits, Source::kGate};
  lists.hidden = {64};
  for (int l = 0; l < kLayoutClasses; ++l) lists.layouts.push_back(static_cast<LayoutClass>(l));
  lists.layouts.erase(lists.layouts.begin());
  std::set<std::string> labels;
  for (const Case& c : shapes_of(lists, 1)) {
    Stage stage(nullptr);
    ASSERT_EQ(stage.lay_out(c, 1 << 30), Trial::Ready::kValid) << text(c);
    // Without columns there is nothing that strides or offsets could change.
    if (c.top_k > 0 && c.shared > 0) {
      EXPECT_TRUE(labels.insert(label_of(c)).second) << label_of(c);
    }
  }
}

uint64_t bytes_of(const std::string& line) { return bytes_to_move(parse(line)); }

TEST(Bytes, AreSectorsThoseWrittenInPartTwice) {
  // 64 tokens: 10 ids of 4 bytes read and 11 written, the same weights, and a shared weight of 2.
  EXPECT_EQ(bytes_of("append source=weights tokens=64 top_k=10 shared=1 shared_dtype=bf16"), 64u * (40 + 44 + 40 + 44 + 2));
  // Rows of 44 bytes, each at a multiple of 64: two sectors, the second written in part.
  EXPECT_EQ(bytes_of("append source=constant tokens=64 top_k=10 shared=1 out_ids.row_stride=16 out_weights.row_stride=16"),
            64u * (40 + 96 + 40 + 96));
  // In place one element of each row of 44 bytes is written: in a sector of its own.
  EXPECT_EQ(bytes_of("append source=constant tokens=8 top_k=10 shared=1 in_place=both"), 2u * 8 * 64);
  // One past a boundary a matrix of 32 bytes lies in two sectors.
  EXPECT_EQ(bytes_of("append source=constant tokens=1 top_k=8 shared=0 topk_ids.offset=1"), 32u * (2 + 1 + 1 + 1));
  EXPECT_EQ(bytes_of("append source=gate tokens=4 top_k=8 shared=1 hidden=64 shared_dtype=bf16"),
            4u * 128 + 128 + 2 * (4 * 32 + 5 * 32 + 32));
  EXPECT_EQ(bytes_of("append source=weights tokens=64 top_k=8 shared=0"), 64u * 4 * 32) << "nothing of shared is read";
}

void answer(const AppendArgs& args) {
  reference::Expected expected;
  reference::append(args, 0, args.out_ids.rows, expected);
  for (int64_t row = 0; row < expected.rows; ++row) {
    for (int64_t column = 0; column < expected.columns; ++column) {
      const auto i = static_cast<std::size_t>(row * expected.columns + column);
      const auto id = static_cast<int32_t>(expected.ids[i].value);
      std::memcpy(static_cast<int32_t*>(args.out_ids.data) + row * args.out_ids.row_stride + column, &id, sizeof id);
      std::memcpy(static_cast<uint32_t*>(args.out_weights.data) + row * args.out_weights.row_stride + column,
                  &expected.weights[i].lo, sizeof(uint32_t));
    }
  }
}

class OneStage : public testing::Test {
 protected:
  void prepare(const std::string& line) {
    ASSERT_EQ(stage.lay_out(parse(line), 1 << 30), Trial::Ready::kValid);
    ASSERT_TRUE(stage.allocate(5));
    stage.paint();
  }
  Stage stage{nullptr};
};

TEST_F(OneStage, PassesWhereEverySetIsRight) {
  for (const char* layout : {"", " in_place=both", " out_ids.row_stride=9", " topk_ids.offset=1"}) {
    prepare(std::string("append source=weights tokens=7 top_k=4 shared=2") + layout);
    for (int set = 0; set < 5; ++set) answer(stage.arguments(set, nullptr));
    EXPECT_EQ(stage.check().verdict, Verdict::kPassed) << layout;
  }
}

TEST_F(OneStage, FindsTheSetThatNobodyWrote) {
  prepare("append source=constant tokens=7 top_k=4 shared=2");
  for (const int set : {0, 1, 2, 4}) answer(stage.arguments(set, nullptr));
  const Report report = stage.check();
  EXPECT_EQ(report.verdict, Verdict::kFailed);
  EXPECT_EQ(report.ids_wrong, 42);
  EXPECT_NE(report.detail.find("in set 4 of 5"), std::string::npos) << report.detail;
}

TEST_F(OneStage, FindsAWriteIntoAGap) {
  prepare("append source=constant tokens=7 top_k=4 shared=2 out_ids.row_stride=8");
  for (int set = 0; set < 5; ++set) answer(stage.arguments(set, nullptr));
  static_cast<int32_t*>(stage.arguments(3, nullptr).out_ids.data)[7] = 1;
  EXPECT_EQ(stage.check().law, "gaps");
}

BenchRecord some_record() {
  BenchRecord run;
  run.platform = "cuda";
  run.device = "a <device> & \"more\"";
  run.copy_bytes_per_second = 3e12;
  run.empty = "cuda.empty";
  for (int64_t tokens : {1, 64, 4096})
    for (const char* name : {"cuda.fused", "mine,of \"sorts\"", "cuda.empty"})
      run.points.push_back({.candidate = name,
                            .label = "top_k=10 <tight>",
                            .case_text = "append source=constant tokens=" + std::to_string(tokens) + " top_k=10 shared=1",
                            .tokens = tokens,
                            .bytes = static_cast<uint64_t>(tokens) * 168,
                            .microseconds = 1.5 + static_cast<double>(tokens) / 1000,
                            .low = 1.4,
                            .high = 1.6,
                            .method = "graph",
                            .calls = 1000,
                            .verdict = "passed",
                            .detail = {}});
  return run;
}

TEST(Files, JsonComesBackAsItWas) {
  const BenchRecord run = some_record();
  const BenchRecord back = from_json(bench_json(run));
  EXPECT_EQ(back.platform, run.platform);
  EXPECT_EQ(back.device, run.device);
  ASSERT_EQ(back.points.size(), run.points.size());
  for (std::size_t i = 0; i < run.points.size(); ++i) {
    EXPECT_EQ(back.points[i].candidate, run.points[i].candidate);
    EXPECT_EQ(back.points[i].case_text, run.points[i].case_text);
    EXPECT_EQ(back.points[i].microseconds, run.points[i].microseconds);
  }
}

TEST(Files, OtherJsonIsRefused) {
  for (const char* text :
       {"", "[]", "{}", R"({"format": "twincheck-results", "version": 1})", R"({"format": "twincheck-bench", "version": 2})",
        R"({"format": "twincheck-bench", "version": 1})"})
    EXPECT_THROW((void)from_json(text), FormatError) << text;
}

TEST(Files, CsvHasALineAPoint) {
  const std::string text = csv(some_record());
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10);
  EXPECT_NE(text.find("\"mine,of \"\"sorts\"\"\",\"top_k=10 <tight>\",64,10752,1.5640,"), std::string::npos) << text;
}

TEST(Plot, IsWellFormedAndHasEveryPoint) {
  const Element svg = Xml::parse(bench::svg(some_record()));
  EXPECT_EQ(svg.name, "svg");
  // Six points of candidates in two panels, and two candidates in the legend; the empty kernel and the copy rate are lines.
  EXPECT_EQ(svg.all("circle").size(), 3u * 2 + 1);
  std::size_t curves = 0, ceilings = 0;
  for (const Element* path : svg.all("path")) {
    if (path->attributes.count("class") == 0) continue;
    curves += path->attribute("class").rfind("curve", 0) == 0 ? 1 : 0;
    ceilings += path->attribute("class").rfind("ceiling", 0) == 0 ? 1 : 0;
  }
  EXPECT_EQ(curves, 2u * 2 + 2);
  EXPECT_EQ(ceilings, 2u + 2) << "so few bytes that the copy rate lies below the axis of times";
}

TEST(Plot, OfNothingTimedSaysSo) {
  BenchRecord run = some_record();
  for (BenchPoint& p : run.points) p.microseconds = 0;
  EXPECT_NE(bench::svg(run).find("nothing was timed"), std::string::npos);
  run.points.clear();
  EXPECT_EQ(Xml::parse(bench::svg(run)).name, "svg");
}

TEST(Plot, OfManyShapesDrawsTheFirst) {
  BenchRecord run = some_record();
  const BenchPoint one = run.points.front();
  for (int i = 0; i < 20; ++i) {
    run.points.push_back(one);
    run.points.back().label = "shape " + std::to_string(i);
  }
  EXPECT_NE(bench::svg(run).find("9 further shapes are not drawn"), std::string::npos);
}

}  // namespace
}  // namespace twincheck::bench
