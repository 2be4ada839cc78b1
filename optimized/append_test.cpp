// The wrapper and the kernel in this process, on the CPU runtime: what a candidate library does not show.
#include "optimized/append.h"

#include <gtest/gtest.h>
#include <hip/hip_runtime.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "optimized/append_kernel.h"
#include "optimized/launch.h"
#include "optimized/plan.h"
#include "optimized/platform/cpu/control.h"
#include "optimized/test_buffers.h"

namespace twincheck::optimized {
namespace {

namespace hip_cpu = twincheck::hip_cpu;

// docs/kernel.md tells other programs where these lie.
static_assert(sizeof(Arguments) == 224 && sizeof(Side) == 32 && sizeof(GateRows) == 72);
static_assert(offsetof(Arguments, count) == 12 && offsetof(Arguments, mapping) == 16 &&
              offsetof(Arguments, prefetches) == 40 && offsetof(Arguments, shared) == 48 && offsetof(Arguments, ids) == 64 &&
              offsetof(Arguments, weights) == 96 && offsetof(Arguments, num_shared) == 128 &&
              offsetof(Arguments, remap) == 136 && offsetof(Arguments, gate) == 152);
static_assert(offsetof(Side, in_stride) == 16 && offsetof(Side, vectors) == 28);
static_assert(offsetof(GateRows, lanes) == 56 && offsetof(GateRows, blocks) == 68);

class Append : public ::testing::Test {
 protected:
  void SetUp() override { hip_cpu::reset(); }
  void TearDown() override { hip_cpu::reset(); }
};
using Unfused = Append;
using Errors = Append;
using Devices = Append;
using Plans = Append;
using Gate = Append;

using Function = Result (*)(const AppendArgs&);

// The kernel of `args`, source weights, all of one dtype, under another tuning than the library's.
template <class Id, class Weight>
Result append_tuned(const AppendArgs& args, const Tuning& tuning) {
  return for_each_chunk(Chunks(fused_task(args), tuning), [&args](const Plan& plan) {
    return TWINCHECK_LAUNCH((append_kernel<Id, Weight, Weight, Source::kWeights>), plan, args.stream);
  });
}

TEST_F(Append, LaunchesNothingWhenThereIsNothingToWrite) {
  for (const Function f : {&append, &append_unfused}) {
    Call no_tokens(0, 3, 2);
    EXPECT_EQ(f(no_tokens.args).status, Status::kOk);
    Call no_columns(4, 0, 0);
    EXPECT_EQ(f(no_columns.args).status, Status::kOk);
    Call in_place(4, 3, 0);
    in_place.args.topk_ids = in_place.args.out_ids;
    in_place.args.topk_weights = in_place.args.out_weights;
    EXPECT_EQ(f(in_place.args).status, Status::kOk);
    EXPECT_EQ(hip_cpu::get("launches"), 0);
  }
}

TEST_F(Append, LaunchesNothingAfterARefusal) {
  for (const Function f : {&append, &append_unfused}) {
    Call call(4, 3, 2);
    call.args.scale = 2.0F;
    EXPECT_EQ(f(call.args).status, Status::kBadParameter);
    EXPECT_EQ(hip_cpu::get("calls"), 0);
  }
}

TEST_F(Append, IsOneLaunchAndAllocatesNothing) {
  Call call(70, 3, 2);
  EXPECT_EQ(append(call.args).status, Status::kOk);
  EXPECT_TRUE(call.is_appended());
  EXPECT_EQ(hip_cpu::get("launches"), 1);
  EXPECT_EQ(hip_cpu::get("calls"), 2) << "the number of devices, and the launch";
}

TEST_F(Unfused, IsFourLaunchesAndFreesItsScratch) {
  Call call(70, 3, 2);
  EXPECT_EQ(append_unfused(call.args).status, Status::kOk);
  EXPECT_TRUE(call.is_appended());
  EXPECT_EQ(hip_cpu::get("launches"), 4);
  EXPECT_EQ(hip_cpu::get("live_bytes"), 0);
}

TEST_F(Append, IsCapturedIntoAGraphThatReadsItsInputsAgain) {
  Call call(70, 3, 2);
  hipStream_t stream = nullptr;
  ASSERT_EQ(hipStreamCreate(&stream), hipSuccess);
  call.args.stream = stream;
  ASSERT_EQ(hipStreamBeginCapture(stream, hipStreamCaptureModeGlobal), hipSuccess);
  EXPECT_EQ(append(call.args).status, Status::kOk);
  hipGraph_t graph = nullptr;
  ASSERT_EQ(hipStreamEndCapture(stream, &graph), hipSuccess);
  EXPECT_EQ(hip_cpu::get("launches"), 0);
  hipGraphExec_t exec = nullptr;
  ASSERT_EQ(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0), hipSuccess);
  for (uint64_t round = 0; round < 2; ++round) {
    call.ids.set(69, 2, 4242 + round);
    ASSERT_EQ(hipGraphLaunch(exec, stream), hipSuccess);
    ASSERT_EQ(hipStreamSynchronize(stream), hipSuccess);
    EXPECT_TRUE(call.is_appended());
  }
  EXPECT_EQ(hipGraphExecDestroy(exec), hipSuccess);
  EXPECT_EQ(hipGraphDestroy(graph), hipSuccess);
  EXPECT_EQ(hipStreamDestroy(stream), hipSuccess);
}

TEST_F(Errors, OfEveryCallAreReadWhereTheyHappen) {
  for (const Function f : {&append, &append_unfused}) {
    hip_cpu::reset();
    ASSERT_TRUE(hip_cpu::set("devices", 2));
    Call counted(8, 3, 2);
    ASSERT_EQ(f(counted.args).status, Status::kOk);
    const int64_t calls = hip_cpu::get("calls");
    ASSERT_GE(calls, 4);
    for (int64_t n = 1; n <= calls; ++n) {
      ASSERT_TRUE(hip_cpu::set("fail_nth", n));
      Call call(8, 3, 2);
      const Result r = f(call.args);
      EXPECT_EQ(r.status, Status::kRuntimeError) << "call " << n;
      EXPECT_NE(std::string(r.message).find(": hipError"), std::string::npos) << r.message;
      EXPECT_EQ(hip_cpu::get("live_bytes"), 0) << "call " << n;
    }
  }
}

TEST_F(Errors, OfTheLaunchCarryTheRuntimesNameAndTheCall) {
  Call call(8, 3, 2);
  ASSERT_TRUE(hip_cpu::set("fail_nth", 2));
  const Result r = append(call.args);
  EXPECT_EQ(r.status, Status::kRuntimeError);
  EXPECT_EQ(std::string(r.message).find("hipLaunchKernelGGL: hipErrorLaunchOutOfResources"), 0U) << r.message;
}

TEST_F(Errors, ThatAnEarlierCallLeftUnreadAreNotTheLaunchs) {
  for (const Function f : {&append, &append_unfused}) {
    static_cast<void>(hipSetDevice(99));
    Call call(8, 3, 2);
    const Result r = f(call.args);
    EXPECT_EQ(r.status, Status::kOk) << r.message;
    EXPECT_TRUE(call.is_appended());
  }
}

// A call whose matrices lie in a device's memory.
struct OnDevice {
  explicit OnDevice(int device) : call(8, 3, 2) {
    int before = 0;
    EXPECT_EQ(hipGetDevice(&before), hipSuccess);
    EXPECT_EQ(hipSetDevice(device), hipSuccess);
    for (Buffer* b : {&call.ids, &call.weights, &call.shared, &call.out_ids, &call.out_weights}) {
      void* memory = nullptr;
      EXPECT_EQ(hipMalloc(&memory, kBytes), hipSuccess);
      copies.emplace_back(memory, b);
    }
    for (std::size_t i = 0; i < copies.size(); ++i) {
      Matrix* const m[] = {&call.args.topk_ids, &call.args.topk_weights, &call.args.shared, &call.args.out_ids,
                           &call.args.out_weights};
      std::memcpy(copies[i].first, m[i]->data, bytes_of_matrix(*m[i]));
      m[i]->data = copies[i].first;
    }
    EXPECT_EQ(hipSetDevice(before), hipSuccess);
  }
  ~OnDevice() {
    for (const auto& c : copies) EXPECT_EQ(hipFree(c.first), hipSuccess);
  }
  static std::size_t bytes_of_matrix(const Matrix& m) {
    return static_cast<std::size_t>(m.rows * m.cols * bytes_of_dtype(m.dtype));
  }
  bool is_appended() {
    for (const auto& c : copies) {
      const Matrix& m = c.second->matrix();
      std::memcpy(m.data, c.first, bytes_of_matrix(m));
    }
    return call.is_appended();
  }

  static constexpr std::size_t kBytes = 256;
  Call call;
  std::vector<std::pair<void*, Buffer*>> copies;
};

TEST_F(Devices, TheOneThatOwnsTheBuffersRunsTheKernel) {
  ASSERT_TRUE(hip_cpu::set("devices", 3));
  for (const Function f : {&append, &append_unfused}) {
    OnDevice on(2);
    ASSERT_EQ(hipSetDevice(1), hipSuccess);
    // A launch on device 1 would be an illegal access, and this stream is device 2's.
    const Result r = f(on.call.args);
    EXPECT_EQ(r.status, Status::kOk) << r.message;
    int current = -1;
    EXPECT_EQ(hipGetDevice(&current), hipSuccess);
    EXPECT_EQ(current, 1) << "the current device is left as found";
    EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
    EXPECT_TRUE(on.is_appended());
  }
}

TEST_F(Devices, AStreamOfAnotherOneIsRefusedByTheRuntime) {
  ASSERT_TRUE(hip_cpu::set("devices", 2));
  OnDevice on(1);
  hipStream_t stream = nullptr;
  ASSERT_EQ(hipStreamCreate(&stream), hipSuccess);
  on.call.args.stream = stream;
  const Result r = append(on.call.args);
  EXPECT_EQ(r.status, Status::kRuntimeError);
  EXPECT_NE(std::string(r.message).find("hipErrorInvalidHandle"), std::string::npos) << r.message;
  int current = -1;
  EXPECT_EQ(hipGetDevice(&current), hipSuccess);
  EXPECT_EQ(current, 0);
  EXPECT_EQ(hipStreamDestroy(stream), hipSuccess);
}

template <class Id, class Weight>
void every_mapping_gives_the_same(int32_t ids_dtype, int32_t weights_dtype) {
  for (int64_t tokens : {1, 2, 3, 5, 17}) {
    for (int64_t top_k : {0, 1, 2, 3, 4, 6, 7, 8, 12, 16}) {
      for (int64_t shared : {0, 1, 2, 4, 9}) {
        for (int64_t slack : {0, 1, 8}) {
          for (int64_t offset : {0, 1, 4}) {
            for (const Tuning& tuning : {Tuning{}, Tuning{32, 1024, false}, Tuning{32, 16}, Tuning{64, 16, false},
                                         Tuning{32, 64}, Tuning{32, 1024, true, 1 << 20}, Tuning{64, 16, true, 1 << 20}}) {
              Call call(tokens, top_k, shared, ids_dtype, weights_dtype, slack, offset);
              const Result r = append_tuned<Id, Weight>(call.args, tuning);
              ASSERT_EQ(r.status, Status::kOk) << r.message;
              ASSERT_TRUE(call.is_appended()) << tokens << " tokens, top " << top_k << ", " << shared << " shared, slack "
                                              << slack << ", offset " << offset << (tuning.vectors ? ", vectors" : "")
                                              << ", pairs to " << tuning.pairs_to << ", chunks of " << tuning.chunk_elements;
            }
          }
        }
      }
    }
  }
}

TEST_F(Plans, EveryMappingAndChunkGivesTheSameForI32AndF32) {
  every_mapping_gives_the_same<int32_t, F32>(TWINCHECK_I32, TWINCHECK_F32);
}
TEST_F(Plans, EveryMappingAndChunkGivesTheSameForI64AndBf16) {
  every_mapping_gives_the_same<int64_t, Bf16>(TWINCHECK_I64, TWINCHECK_BF16);
}

TEST_F(Plans, TakeVectorsWhereEveryAddressAllowsThem) {
  const auto mapping = [](const Call& c) { return Chunks(fused_task(c.args), Tuning{}).plan(0).arguments.mapping; };
  EXPECT_EQ(mapping(Call(8, 10, 1)), Mapping::kNeighbours) << "rows without gaps";
  EXPECT_EQ(mapping(Call(8, 7, 1)), Mapping::kNeighbours);
  EXPECT_EQ(mapping(Call(8, 10, 1, TWINCHECK_I32, TWINCHECK_F32, /*stride_slack=*/1)), Mapping::kApart)
      << "a row ends within a vector";
  EXPECT_EQ(mapping(Call(8, 7, 1, TWINCHECK_I32, TWINCHECK_F32, /*stride_slack=*/1)), Mapping::kApart)
      << "a row begins within one";
  EXPECT_EQ(mapping(Call(8, 7, 1, TWINCHECK_I32, TWINCHECK_F32, /*stride_slack=*/4)), Mapping::kNeighbours);
  EXPECT_EQ(mapping(Call(8, 10, 1, TWINCHECK_I32, TWINCHECK_F32, /*stride_slack=*/0, /*offset=*/1)), Mapping::kApart);
  EXPECT_EQ(mapping(Call(1, 10, 1, TWINCHECK_I32, TWINCHECK_F32, /*stride_slack=*/3)), Mapping::kNeighbours) << "one row";
  EXPECT_EQ(mapping(Call(8, 8, 0)), Mapping::kWide);
  EXPECT_EQ(mapping(Call(8, 8, 4)), Mapping::kWide);
  EXPECT_EQ(mapping(Call(8, 6, 2)), Mapping::kNeighbours) << "routed and shared elements in one vector";
}

TEST_F(Plans, TakePairsForLittleWorkThatIsTight) {
  const auto mapping = [](const Call& c, int64_t pairs_to = 64) {
    Tuning tuning;
    tuning.pairs_to = pairs_to;
    return Chunks(fused_task(c.args), tuning).plan(0).arguments.mapping;
  };
  EXPECT_EQ(mapping(Call(8, 7, 1)), Mapping::kPairs);
  EXPECT_EQ(mapping(Call(8, 7, 1), 63), Mapping::kNeighbours) << "64 elements";
  EXPECT_EQ(mapping(Call(4, 8, 4)), Mapping::kPairs);
  EXPECT_EQ(mapping(Call(8, 8, 0)), Mapping::kWide) << "nothing is appended";
  EXPECT_EQ(mapping(Call(8, 0, 8)), Mapping::kWide) << "nothing is copied";
  EXPECT_EQ(mapping(Call(1, 10, 1, TWINCHECK_I32, TWINCHECK_F32, /*stride_slack=*/3)), Mapping::kPairs) << "one row";
  EXPECT_EQ(mapping(Call(8, 7, 1, TWINCHECK_I32, TWINCHECK_F32, /*stride_slack=*/4)), Mapping::kNeighbours);
  EXPECT_EQ(mapping(Call(8, 7, 1, TWINCHECK_I32, TWINCHECK_F32, /*stride_slack=*/0, /*offset=*/1)), Mapping::kApart);
  Call in_place(8, 7, 1);
  in_place.args.topk_ids = in_place.args.out_ids;
  in_place.args.topk_ids.cols = 7;
  EXPECT_EQ(mapping(in_place), Mapping::kNeighbours) << "one output is written in part";
  Plan plan = Chunks(fused_task(Call(5, 9, 4).args), Tuning{32, 1024, true, 1024}).plan(0);
  EXPECT_EQ(plan.grid, 2U) << "33 threads for 65 elements";
}

TEST_F(Plans, PrefetchOutputsWhoseRowsEndInGaps) {
  const auto prefetches = [](const Call& c, int64_t from = 64) {
    Tuning tuning;
    tuning.prefetch_from = from;
    return Chunks(fused_task(c.args), tuning).plan(0).arguments.prefetches;
  };
  Call gaps(8, 7, 1, TWINCHECK_I32, TWINCHECK_F32, /*stride_slack=*/1);
  EXPECT_EQ(prefetches(gaps), 1U);
  EXPECT_EQ(prefetches(gaps, 72), 0U) << "64 elements";
  EXPECT_EQ(prefetches(gaps, INT64_MAX), 0U);
  EXPECT_EQ(prefetches(Call(8, 7, 1)), 0U) << "rows without gaps";
  EXPECT_EQ(prefetches(Call(1, 63, 1, TWINCHECK_I32, TWINCHECK_F32, /*stride_slack=*/1)), 0U) << "one row";
  gaps.args.topk_ids = gaps.args.out_ids;
  gaps.args.topk_ids.cols = 7;
  EXPECT_EQ(prefetches(gaps), 0U) << "of one output's rows a single element is written";
}

// The chunks of a task: inside a grid's limits, and together all that there is.
void has_all_in_its_limits(const Task& task, const Tuning& tuning) {
  const int64_t rows = task.out_ids->rows, columns = task.out_ids->cols;
  const Chunks chunks(task, tuning);
  __extension__ unsigned __int128 elements = 0;
  int64_t gate_rows = 0;
  // Of very many chunks the first, some and the last ones: all but the last along an axis are alike.
  for (int64_t chunk = 0; chunk < chunks.count(); ++chunk) {
    const Plan plan = chunks.plan(chunk);
    ASSERT_LT(uint64_t{plan.grid} * plan.block, uint64_t{1} << 32);
    ASSERT_GE(plan.block, 32U);
    ASSERT_LE(plan.block, kMaxBlock);
    ASSERT_LE(plan.arguments.count, kChunkElements);
    ASSERT_GE(int64_t{plan.grid - plan.arguments.gate.blocks} * plan.block * kElements, plan.arguments.count);
    elements += plan.arguments.count;
    const GateRows& gate = plan.arguments.gate;
    ASSERT_GE(int64_t{gate.blocks} * (plan.block / gate.lanes), gate.rows);
    gate_rows += gate.rows;
  }
  EXPECT_EQ(elements, static_cast<unsigned __int128>(rows) * static_cast<uint64_t>(columns));
  EXPECT_EQ(gate_rows, task.gate != nullptr ? rows : 0);
}

TEST_F(Plans, StayInsideTheGridsLimits) {
  Call call(2, 10, 1);
  const std::pair<int64_t, int64_t> shapes[] = {{100000000, 0},    {100000000, 10},    {int64_t{1} << 31, 10},
                                                {100000000000, 0}, {100000000000, 10}, {3, 5000000000},
                                                {40000, 100000000}};
  for (const auto& [tokens, top_k] : shapes) {
    AppendArgs a = call.args;
    a.source = TWINCHECK_CONSTANT;
    for (Matrix* m : {&a.topk_ids, &a.topk_weights, &a.out_ids, &a.out_weights}) {
      m->rows = tokens;
      m->cols = m->row_stride = top_k + (m == &a.out_ids || m == &a.out_weights ? 1 : 0);
      m->data = reinterpret_cast<void*>((static_cast<std::uintptr_t>(m - &a.topk_ids) + 1) << 48);
    }
    for (const Tuning& tuning : {Tuning{}, Tuning{32, 1024}, Tuning{64, 16, false}}) {
      SCOPED_TRACE(std::to_string(tokens) + " tokens, top " + std::to_string(top_k));
      has_all_in_its_limits(fused_task(a), tuning);
    }
  }
}

TEST_F(Plans, OfAGatesManyRowsStayInsideTheGridsLimits) {
  Buffer hidden(2, 7168, TWINCHECK_BF16);
  for (const int64_t tokens : {int64_t{20000}, int64_t{100000000}}) {
    Call call(2, 0, 1);
    AppendArgs a = call.args;
    a.source = TWINCHECK_GATE;
    a.hidden = a.gate = hidden.matrix();
    a.topk_ids.rows = a.topk_weights.rows = a.hidden.rows = a.out_ids.rows = a.out_weights.rows = tokens;
    for (const Tuning& tuning : {Tuning{}, Tuning{32, 1024}}) has_all_in_its_limits(fused_task(a), tuning);
  }
}

TEST_F(Plans, OfManyRowsRunOneChunkAfterTheOther) {
  // Two columns of 2^29 + 1 rows are more than one chunk; the launches are checked against the limits and not run.
  ASSERT_TRUE(hip_cpu::set("execute", 0));
  Call call(2, 1, 1);
  AppendArgs a = call.args;
  a.source = TWINCHECK_WEIGHTS;
  for (Matrix* m : {&a.topk_ids, &a.topk_weights, &a.shared, &a.out_ids, &a.out_weights}) {
    m->rows = (int64_t{1} << 29) + 1;
    m->row_stride = m->cols;
  }
  std::vector<uint32_t> counts;
  const Result r = for_each_chunk(Chunks(fused_task(a), Tuning{}), [&](const Plan& plan) {
    counts.push_back(plan.arguments.count);
    return TWINCHECK_LAUNCH((append_kernel<int32_t, F32, F32, Source::kWeights>), plan, nullptr);
  });
  EXPECT_EQ(r.status, Status::kOk) << r.message;
  EXPECT_EQ(counts, (std::vector<uint32_t>{1U << 30, 2}));
  EXPECT_EQ(hip_cpu::get("launches"), 2);
}

// Found by fuzz_wrapper: the stride of `shared` cut rows into more chunks than are launched, with nothing to be read there.
TEST_F(Plans, DoNotDependOnTheStridesOfWhatIsNotUsed) {
  Call call(2, 1, 1);
  AppendArgs a = call.args;
  a.num_shared = 0;
  a.out_ids.cols = a.out_weights.cols = 1;
  a.shared.cols = 0;
  a.shared.row_stride = (int64_t{1} << 31) + 5;
  for (Matrix* m : {&a.topk_ids, &a.topk_weights, &a.shared, &a.out_ids, &a.out_weights}) m->rows = int64_t{1} << 32;
  for (const int32_t source : {TWINCHECK_WEIGHTS, TWINCHECK_LOGITS}) {
    a.source = source;
    EXPECT_EQ(Chunks(fused_task(a), Tuning{}).count(), 4);
  }
}

TEST_F(Plans, OfMatricesBeyondAllAddressesAreTheRuntimesToRefuse) {
  ASSERT_TRUE(hip_cpu::set("execute", 0));
  Call call(2, 1, 1);
  AppendArgs a = call.args;
  a.source = TWINCHECK_CONSTANT;
  a.shared = {};
  for (Matrix* m : {&a.topk_ids, &a.topk_weights, &a.out_ids, &a.out_weights}) {
    m->rows = int64_t{1} << 58;
    m->row_stride = m->cols;
    m->data = reinterpret_cast<void*>((static_cast<std::uintptr_t>(m - &a.topk_ids) + 1) << 61);
  }
  const Result r = append(a);
  EXPECT_EQ(r.status, Status::kRuntimeError);
  EXPECT_NE(std::string(r.message).find("hipErrorInvalidConfiguration"), std::string::npos) << r.message;
}

// f32 bits of the weights that a gate of `hidden_size` gives to rows that are all alike.
std::vector<uint64_t> gate_weights(int64_t tokens, int64_t hidden_size, int64_t slack, int64_t offset, int32_t dtype) {
  Buffer ids(tokens, 1, TWINCHECK_I32), weights(tokens, 1, TWINCHECK_F32), out_ids(tokens, 3, TWINCHECK_I32),
      out_weights(tokens, 3, TWINCHECK_F32);
  Buffer hidden(tokens, hidden_size, dtype, hidden_size + slack, offset), gate(1, hidden_size, dtype, hidden_size, offset);
  for (int64_t h = 0; h < hidden_size; ++h) {
    // Values of many magnitudes and both signs, so that another order gives another sum.
    const float g = std::sin(static_cast<float>(h) * 1.7F) * std::exp2(static_cast<float>(h % 7));
    const float x = std::cos(static_cast<float>(h) * 0.9F) / 16;
    const auto bits = [dtype](float v) {
      return dtype == TWINCHECK_F32    ? bits_of(v)
             : dtype == TWINCHECK_BF16 ? Bf16::round(bits_of(v))
                                       : F16::round(bits_of(v));
    };
    gate.set(0, h, bits(g));
    for (int64_t t = 0; t < tokens; ++t) hidden.set(t, h, bits(x));
  }
  AppendArgs a{};
  a.size = sizeof a;
  a.source = TWINCHECK_GATE;
  a.topk_ids = ids.matrix();
  a.topk_weights = weights.matrix();
  a.hidden = hidden.matrix();
  a.gate = gate.matrix();
  a.out_ids = out_ids.matrix();
  a.out_weights = out_weights.matrix();
  a.num_shared = 2;
  a.scale = 0.5F;
  const Result r = append(a);
  EXPECT_EQ(r.status, Status::kOk) << r.message;
  std::vector<uint64_t> result;
  for (int64_t t = 0; t < tokens; ++t) {
    result.push_back(out_weights.get(t, 1));
    EXPECT_EQ(out_weights.get(t, 2), result.back());
  }
  return result;
}

TEST_F(Gate, SumsInAnOrderThatDependsOnTheHiddenSizeAlone) {
  for (const int32_t dtype : {TWINCHECK_F32, TWINCHECK_BF16, TWINCHECK_F16}) {
    for (const int64_t hidden_size : {1, 7, 8, 63, 64, 65, 200, 511, 1000, 2048, 4099, 7168, 8193}) {
      const uint64_t expected = gate_weights(1, hidden_size, 0, 0, dtype).front();
      for (const int wave : {32, 64}) {
        for (const int64_t tokens : {1, 2, 5, 33}) {
          for (const auto& [slack, offset] : {std::pair<int64_t, int64_t>{0, 0}, {8, 0}, {1, 1}, {8, 3}}) {
            ASSERT_TRUE(hip_cpu::set("wave", wave));
            for (const uint64_t bits : gate_weights(tokens, hidden_size, slack, offset, dtype)) {
              ASSERT_EQ(bits, expected) << tokens << " tokens, hidden " << hidden_size << ", slack " << slack << ", offset "
                                        << offset << ", dtype " << dtype << ", wave " << wave;
            }
          }
        }
      }
    }
  }
}

TEST_F(Gate, RowsPastAChunkAreTheNextLaunchs) {
  constexpr int64_t kTokens = 20;
  Buffer hidden(kTokens, 100, TWINCHECK_F32), gate(1, 100, TWINCHECK_F32);
  Call call(kTokens, 0, 1);
  AppendArgs a = call.args;
  a.source = TWINCHECK_GATE;
  a.shared = {};
  a.hidden = hidden.matrix();
  a.gate = gate.matrix();
  for (int64_t h = 0; h < 100; ++h) gate.set(0, h, bits_of(1.0F));
  for (int64_t t = 0; t < kTokens; ++t) {
    for (int64_t h = 0; h < 100; ++h) hidden.set(t, h, bits_of(static_cast<float>(t) / 100));
  }
  // 8 lanes a row and 64 elements a chunk: 8 rows a chunk.
  int64_t launches = 0;
  const Result r = for_each_chunk(Chunks(fused_task(a), Tuning{64, 64}), [&](const Plan& plan) {
    ++launches;
    return TWINCHECK_LAUNCH((append_kernel<int32_t, F32, F32, Source::kGate>), plan, nullptr);
  });
  EXPECT_EQ(launches, 3);
  ASSERT_EQ(r.status, Status::kOk) << r.message;
  for (int64_t t = 0; t < kTokens; ++t) {
    const float got = float_of(static_cast<uint32_t>(call.out_weights.get(t, 0)));
    EXPECT_NEAR(got, 1 / (1 + std::exp(-static_cast<double>(t))), 1e-6) << t;
  }
}

}  // namespace
}  // namespace twincheck::optimized
