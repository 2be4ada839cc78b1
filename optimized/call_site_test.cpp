#include "optimized/call_site.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "optimized/platform/cpu/control.h"
#include "optimized/test_buffers.h"

namespace twincheck::optimized {
namespace {

void expect_same_view(const Matrix& got, const Matrix& expected) {
  EXPECT_EQ(got.data, expected.data);
  EXPECT_EQ(got.rows, expected.rows);
  EXPECT_EQ(got.cols, expected.cols);
  EXPECT_EQ(got.row_stride, expected.row_stride);
  EXPECT_EQ(got.dtype, expected.dtype);
  EXPECT_EQ(got.reserved, expected.reserved);
}

struct Engine {
  Engine() : call(6, 4, 2, TWINCHECK_I32, TWINCHECK_F32, /*stride_slack=*/3), logits(6, 60, TWINCHECK_BF16, 64) {
    hip_cpu::reset();
    experts.source = Source::kWeights;
    experts.shared = call.shared.matrix();
    options.num_shared = 2;
    options.base_id = call.args.base_id;
    options.out_ids = call.out_ids.matrix();
    options.out_weights = call.out_weights.matrix();
  }
  TopkOutput run(const SharedExperts* shared) {
    return append_shared_to_topk_output(call.ids.matrix(), call.weights.matrix(), logits.matrix(), shared, options);
  }
  Call call;
  Buffer logits;
  SharedExperts experts;
  AppendOptions options;
};

TEST(CallSite, HandsBackTheVerySameViewsWithoutFusion) {
  Engine engine;
  const Buffer before = engine.call.out_ids;
  engine.options.fuse = false;
  const TopkOutput out = engine.run(&engine.experts);
  EXPECT_EQ(out.result.status, Status::kOk);
  expect_same_view(out.ids, engine.call.ids.matrix());
  expect_same_view(out.weights, engine.call.weights.matrix());
  expect_same_view(out.router_logits, engine.logits.matrix());
  EXPECT_TRUE(engine.call.out_ids.same_bytes(before));
  EXPECT_EQ(hip_cpu::get("calls"), 0);
}

TEST(CallSite, HandsBackTheVerySameViewsWithoutASharedSource) {
  Engine engine;
  const TopkOutput out = engine.run(nullptr);
  EXPECT_EQ(out.result.status, Status::kOk);
  expect_same_view(out.ids, engine.call.ids.matrix());
  expect_same_view(out.weights, engine.call.weights.matrix());
  expect_same_view(out.router_logits, engine.logits.matrix());
  EXPECT_EQ(hip_cpu::get("calls"), 0);
}

TEST(CallSite, GivesTheFusedOutputsAndTheSameLogits) {
  Engine engine;
  const Buffer logits_before = engine.logits;
  const TopkOutput out = engine.run(&engine.experts);
  EXPECT_EQ(out.result.status, Status::kOk) << out.result.message;
  expect_same_view(out.ids, engine.call.out_ids.matrix());
  expect_same_view(out.weights, engine.call.out_weights.matrix());
  expect_same_view(out.router_logits, engine.logits.matrix());
  EXPECT_TRUE(engine.call.is_appended());
  EXPECT_TRUE(engine.logits.same_bytes(logits_before));
  EXPECT_EQ(hip_cpu::get("launches"), 1);
}

TEST(CallSite, HandsEveryOptionToTheKernel) {
  Engine engine;
  engine.experts = {};
  engine.options.scale = 0.25F;
  engine.options.base_id = 70;
  engine.options.remap_local_routed = 100;
  const TopkOutput out = engine.run(&engine.experts);
  EXPECT_EQ(out.result.status, Status::kOk) << out.result.message;
  EXPECT_EQ(engine.call.out_ids.get(1, 0), 131U + 131 / 100 * 2);
  EXPECT_EQ(engine.call.out_ids.get(5, 5), 71U);
  EXPECT_EQ(engine.call.out_weights.get(5, 5), 0x3e800000U);
}

TEST(CallSite, AfterARefusalTheViewsAreAsTheyCame) {
  Engine engine;
  engine.options.out_ids.cols = 5;
  const TopkOutput out = engine.run(&engine.experts);
  EXPECT_EQ(out.result.status, Status::kShapeMismatch);
  expect_same_view(out.ids, engine.call.ids.matrix());
  expect_same_view(out.weights, engine.call.weights.matrix());
  expect_same_view(out.router_logits, engine.logits.matrix());
}

}  // namespace
}  // namespace twincheck::optimized
