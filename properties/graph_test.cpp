// The laws once more where work is enqueued, not done at once: captured into graphs and replayed, on streams that wait, for
// buffers of another device. On the CPU platform, in process: these need the runtime's own calls.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <hip/hip_runtime.h>

#include <cstring>
#include <memory>

#include "optimized/append.h"
#include "optimized/platform/cpu/control.h"
#include "properties/direct.h"
#include "properties/graphs.h"
#include "properties/law.h"
#include "properties/relate.h"
#include "properties/wrong_candidates.h"

namespace twincheck {
namespace {

void require(hipError_t error) {
  if (error != hipSuccess) throw std::runtime_error(hipGetErrorName(error));
}

thread_local std::string last_words;

int32_t answer(const optimized::Result& r) {
  last_words = r.message;
  return static_cast<int32_t>(r.status);
}

// A stream for the process, of device 0.
hipStream_t stream() {
  static const hipStream_t s = [] {
    hipStream_t made;
    require(hipStreamCreateWithFlags(&made, hipStreamNonBlocking));
    return made;
  }();
  return s;
}

// ---- candidates around the production wrapper

template <bool kStaleInputs>
session::Graphs& graphs() {
  static session::Graphs g(kStaleInputs ? wrong::stage_shared : nullptr);
  return g;
}

Candidate linked(const char* name, decltype(&twincheck_append) append) {
  Candidate c;
  c.name = name;
  c.path = "(linked)";
  c.exact_status = true;
  c.append = append;
  c.last_error = [] { return last_words.c_str(); };
  c.get = [](const char* key) { return std::strcmp(key, "exact_status") == 0 ? int64_t{1} : int64_t{-1}; };
  return c;
}

template <bool kStaleInputs>
int32_t through_graphs(const AppendArgs* a) {
  const int32_t status = graphs<kStaleInputs>().append(*a);
  last_words = graphs<kStaleInputs>().message();
  return status;
}

Candidate replayed() {
  graphs<false>().clear();
  return linked("cpu.fused replayed", through_graphs<false>);
}

Candidate replayed_with_stale_inputs() {
  graphs<true>().clear();
  wrong::forget_staged();
  return linked("wrong.stale_graph", through_graphs<true>);
}

// Enqueued on a stream that does nothing until it is waited for.
template <optimized::Result (*kAppend)(const AppendArgs&)>
int32_t enqueued(const AppendArgs* given) {
  if (given->size < sizeof *given) return answer(kAppend(*given));
  hip_cpu::set("deferred", 1);
  AppendArgs args = *given;
  args.stream = stream();
  const int32_t status = answer(kAppend(args));
  require(hipStreamSynchronize(stream()));
  hip_cpu::set("deferred", 0);
  return status;
}
Candidate streamed() {
  Candidate c = linked("cpu.fused on a stream", enqueued<optimized::append>);
  // The stream is device 0's: the buffers may not be another's.
  c.set = [](const char* key, int64_t value) {
    const bool known = std::strcmp(key, "fail_nth") != 0 && std::strcmp(key, "host_device") != 0;
    return known && hip_cpu::set(key, value) ? 0 : -1;
  };
  c.get = [](const char* key) { return std::strcmp(key, "exact_status") == 0 ? 1 : hip_cpu::get(key); };
  return c;
}
Candidate streamed_unfused() { return linked("cpu.unfused on a stream", enqueued<optimized::append_unfused>); }

// ---- every law, enqueued

struct Enqueued {
  const char* name;
  Candidate (*candidate)();
};
constexpr Enqueued kEnqueued[] = {{"Replayed", replayed}, {"Streamed", streamed}, {"StreamedUnfused", streamed_unfused}};

class EveryLawEnqueued : public testing::TestWithParam<std::tuple<const Law*, const Enqueued*>> {};

TEST_P(EveryLawEnqueued, Holds) {
  const auto& [law, how] = GetParam();
  const Candidate candidate = how->candidate();
  Bench bench;
  stream(), graphs<false>().clear();  // what lives for the whole process is there before the count
  const int64_t handles = hip_cpu::get("live_handles"), bytes = hip_cpu::get("live_bytes");
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Choices choices = Choices::random(seed * 0x9e3779b97f4a7c15 + 2);
    Case c;
    const Report r = run_law(*law, choices, candidate, bench, &c);
    ASSERT_FALSE(is_bad(r.verdict)) << candidate.name << " " << r.law << " " << r.detail
                                    << "\n  replay: twincheck replay --law " << law->name << " '" << text(c) << "'";
  }
  graphs<false>().clear();
  EXPECT_EQ(hip_cpu::get("live_bytes"), bytes);
  EXPECT_EQ(hip_cpu::get("live_handles"), handles);
}

std::vector<std::tuple<const Law*, const Enqueued*>> laws_and_ways() {
  std::vector<std::tuple<const Law*, const Enqueued*>> all;
  for (const Law& law : laws())
    for (const Enqueued& how : kEnqueued) all.emplace_back(&law, &how);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Laws, EveryLawEnqueued, testing::ValuesIn(laws_and_ways()), [](const auto& param) {
  return std::string(std::get<0>(param.param)->name) + "_" + std::get<1>(param.param)->name;
});

// The laws that call again with other inputs behind the same pointers see a graph that kept the old ones; one case alone
// does not show it.
TEST(StaleGraph, IsSeenByTheLawsThatChangeInputs) {
  Bench bench;
  for (const char* name : {"sequence", "rows_permute"}) {
    const Candidate candidate = replayed_with_stale_inputs();
    int seen = 0;
    for (uint64_t seed = 0; seed < 400; ++seed) {
      graphs<true>().clear();
      Choices choices = Choices::random(seed * 0x9e3779b97f4a7c15 + 3);
      seen += is_bad(run_law(*find_law(name), choices, candidate, bench).verdict);
    }
    EXPECT_GT(seen, 0) << name;
  }
  const Candidate candidate = replayed_with_stale_inputs();
  for (uint64_t seed = 0; seed < 400; ++seed) {
    graphs<true>().clear();
    Choices choices = Choices::random(seed * 0x9e3779b97f4a7c15 + 3);
    EXPECT_FALSE(is_bad(run_law(*find_law("equals_reference"), choices, candidate, bench).verdict));
  }
  graphs<true>().clear();
}

// ---- device memory

relate::Memory device_memory() {
  return {.allocate =
              [](std::size_t bytes) {
                void* p = nullptr;
                require(hipMalloc(&p, bytes));
                return p;
              },
          .release = [](void* p) { EXPECT_EQ(hipFree(p), hipSuccess); }};
}

// A valid case in tight literal form, and what its outputs must be, from a judged call.
struct Judged {
  Case c;
  Outputs right;
};
Judged judged(uint64_t seed, Bench& bench) {
  Choices choices = Choices::random(seed * 0x9e3779b97f4a7c15 + 4);
  const Case drawn = draw_case(choices, {.validity = Validity::kValid, .odd_layouts = false, .max_tokens = 40});
  Judged j{relate::with_layout_tight(*relate::literalize(drawn)), {}};
  static const Candidate direct = linked("cpu.fused", [](const AppendArgs* a) { return answer(optimized::append(*a)); });
  const Report r = check(j.c, direct, bench, j.right);
  if (r.verdict != Verdict::kPassed) throw std::runtime_error(r.law + " " + r.detail + " " + text(j.c));
  return j;
}

// "" where the outputs are right, ids that nothing is promised of aside.
std::string differs(const Judged& j, const Outputs& out) {
  for (int64_t t = 0; t < out.rows; ++t)
    for (int64_t slot = 0; slot < out.columns; ++slot) {
      const auto i = static_cast<std::size_t>(t * out.columns + slot);
      if ((out.ids[i] != j.right.ids[i] && !relate::is_free_id(j.c, t, slot)) || out.weights[i] != j.right.weights[i])
        return fmt::format("[token={}][slot={}]: {} {:#x} expected {} {:#x}", t, slot, out.ids[i], out.weights[i],
                           j.right.ids[i], j.right.weights[i]);
    }
  return {};
}

// Several devices for a while; afterwards the runtime is as it was, whatever happened.
class OnDevices {
 public:
  explicit OnDevices(int devices) { EXPECT_TRUE(hip_cpu::set("devices", devices)); }
  ~OnDevices() { hip_cpu::reset(); }
};
int current_device() {
  int device = -1;
  require(hipGetDevice(&device));
  return device;
}

bool has_output(const Case& c) { return c.tokens > 0 && c.top_k + c.shared > 0; }

TEST(CapturedAppend, RunsOnlyWhenReplayedAndOnlyOnTheBuffersItWasCapturedWith) {
  Bench bench;
  int launched = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    const Judged j = judged(seed, bench);
    auto captured = std::make_unique<relate::Buffers>(j.c, device_memory());
    captured->args.stream = stream();
    const Outputs untouched = captured->outputs();
    hipGraph_t graph = nullptr;
    hipGraphExec_t exec = nullptr;
    require(hipStreamBeginCapture(stream(), hipStreamCaptureModeGlobal));
    ASSERT_EQ(answer(optimized::append(captured->args)), TWINCHECK_OK) << last_words << text(j.c);
    require(hipStreamEndCapture(stream(), &graph));
    std::size_t nodes = 0;
    require(hipGraphGetNodes(graph, nullptr, &nodes));
    EXPECT_EQ(nodes, has_output(j.c) ? 1u : 0u) << text(j.c);
    require(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
    require(hipGraphDestroy(graph));
    require(hipStreamSynchronize(stream()));
    EXPECT_EQ(captured->outputs().ids, untouched.ids) << "capturing ran it";

    // Buffers allocated since are none of the graph's business.
    relate::Buffers others(j.c, device_memory());
    const Outputs before = others.outputs();
    for (int replay = 0; replay < 3; ++replay) {
      captured->paint(replay % 2 ? std::byte{0x5a} : std::byte{0xa5});
      require(hipGraphLaunch(exec, stream()));
      require(hipStreamSynchronize(stream()));
      ASSERT_EQ(differs(j, captured->outputs()), "") << text(j.c);
      ASSERT_EQ(captured->changed(), "") << text(j.c);
    }
    EXPECT_EQ(others.outputs().ids, before.ids);
    EXPECT_EQ(others.changed(), "");
    require(hipGraphExecDestroy(exec));
    launched += has_output(j.c);
  }
  EXPECT_GT(launched, 100);
}

// A batch whose live length is shorter than the captured one: the rows behind it are padding, and are judged like all rows.
TEST(CapturedAppend, TreatsRowsBehindTheLiveLengthAsPadding) {
  Bench bench;
  const Candidate candidate = replayed();
  int padded = 0;
  for (uint64_t seed = 0; seed < 150; ++seed) {
    const Judged j = judged(seed, bench);
    Case now = j.c;
    for (int64_t live = now.tokens; live >= 0; live -= std::max<int64_t>(1, now.tokens / 3)) {
      std::vector<uint64_t>& ids = now.literal[static_cast<std::size_t>(Operand::kTopkIds)];
      for (std::size_t i = static_cast<std::size_t>(live * now.top_k); i < ids.size(); ++i) ids[i] = ~uint64_t{0};
      const Report r = check(now, candidate, bench);
      ASSERT_EQ(r.verdict, Verdict::kPassed) << r.law << r.detail << text(now);
      padded += live < now.tokens;
    }
  }
  EXPECT_GT(padded, 100);
  graphs<false>().clear();
}

// The same inputs on the null stream and on two others, whose work waits and then interleaves: the same bits on each.
TEST(AnyStream, GivesTheSameBits) {
  Bench bench;
  hipStream_t second;
  require(hipStreamCreate(&second));
  int compared = 0;
  for (const auto append : {optimized::append, optimized::append_unfused})
    for (uint64_t seed = 0; seed < 100; ++seed) {
      const Judged j = judged(seed, bench);
      std::vector<std::unique_ptr<relate::Buffers>> buffers;
      hip_cpu::set("deferred", 1);
      hip_cpu::set("order_seed", static_cast<int64_t>(seed));
      for (const hipStream_t on : {hipStream_t{nullptr}, stream(), second, stream()}) {
        buffers.push_back(std::make_unique<relate::Buffers>(j.c, device_memory()));
        buffers.back()->args.stream = on;
        ASSERT_EQ(answer(append(buffers.back()->args)), TWINCHECK_OK) << last_words << text(j.c);
      }
      require(hipDeviceSynchronize());
      hip_cpu::set("deferred", 0);
      hip_cpu::set("order_seed", 0);
      for (const auto& b : buffers) {
        ASSERT_EQ(differs(j, b->outputs()), "") << text(j.c);
        ASSERT_EQ(b->changed(), "") << text(j.c);
      }
      compared += has_output(j.c);
    }
  require(hipStreamDestroy(second));
  EXPECT_GT(compared, 150);
}

TEST(UnfusedAppend, IsRefusedByACaptureByName) {
  Bench bench;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Judged j = judged(seed, bench);
    if (!has_output(j.c) || j.c.shared == 0) continue;
    relate::Buffers buffers(j.c);
    buffers.args.stream = stream();
    hipGraph_t graph = nullptr;
    require(hipStreamBeginCapture(stream(), hipStreamCaptureModeGlobal));
    const int32_t status = answer(optimized::append_unfused(buffers.args));
    const hipError_t ended = hipStreamEndCapture(stream(), &graph);
    if (graph != nullptr) require(hipGraphDestroy(graph));
    static_cast<void>(hipGetLastError());
    if (status == TWINCHECK_OK) {
      EXPECT_EQ(ended, hipSuccess);
      continue;
    }
    EXPECT_EQ(status, TWINCHECK_RUNTIME_ERROR);
    EXPECT_NE(last_words.find("hipErrorStreamCapture"), std::string::npos) << last_words;
  }
}

TEST(BuffersOfAnotherDevice, AreServedThereAndTheCurrentDeviceIsLeftAsFound) {
  Bench bench;
  int served = 0;
  for (const auto append : {optimized::append, optimized::append_unfused})
    for (uint64_t seed = 0; seed < 100; ++seed) {
      const Judged j = judged(seed, bench);
      const OnDevices two(2);
      for (const int owner : {0, 1})
        for (const int current : {0, 1}) {
          require(hipSetDevice(owner));
          relate::Buffers buffers(j.c, device_memory());
          require(hipSetDevice(current));
          const int32_t status = answer(append(buffers.args));
          ASSERT_EQ(current_device(), current) << text(j.c);
          require(hipSetDevice(owner));
          require(hipDeviceSynchronize());
          ASSERT_EQ(buffers.changed(), "");
          require(hipSetDevice(1 - owner));
          require(hipDeviceSynchronize());
          ASSERT_EQ(status, TWINCHECK_OK) << last_words << text(j.c);
          ASSERT_EQ(differs(j, buffers.outputs()), "") << text(j.c);
          require(hipSetDevice(owner));
          served += has_output(j.c) && owner != current;
        }
    }
  EXPECT_GT(served, 100);
}

// Each runtime call of a call for another device's buffers fails in turn: the error has its name, nothing leaks, nothing but
// the outputs is touched, and the current device is left as found unless making it current again is what failed.
TEST(BuffersOfAnotherDevice, SurviveFailingRuntimeCalls) {
  Bench bench;
  int failures = 0;
  for (const auto append : {optimized::append, optimized::append_unfused})
    for (uint64_t seed = 0; seed < 40; ++seed) {
      const Judged j = judged(seed, bench);
      const OnDevices two(2);
      require(hipSetDevice(1));
      relate::Buffers buffers(j.c, device_memory());
      const int64_t live = hip_cpu::get("live_bytes");
      for (int64_t n = 1;; ++n) {
        require(hipSetDevice(0));
        buffers.paint(std::byte{0x5a});
        ASSERT_TRUE(hip_cpu::set("fail_nth", n));
        const int32_t status = answer(append(buffers.args));
        const bool failed = hip_cpu::get("fail_nth") == 0;
        hip_cpu::set("fail_nth", 0);
        const std::string words = last_words;
        if (!failed) {
          ASSERT_EQ(status, TWINCHECK_OK) << words;
          ASSERT_EQ(differs(j, buffers.outputs()), "");
          break;
        }
        ++failures;
        ASSERT_EQ(status, TWINCHECK_RUNTIME_ERROR) << "call " << n << " " << text(j.c);
        ASSERT_NE(words.find("hipError"), std::string::npos) << words;
        const int current = current_device();
        ASSERT_TRUE(current == 0 || words.find("hipSetDevice") == 0) << words;
        ASSERT_EQ(hip_cpu::get("live_bytes"), live) << words;
        ASSERT_EQ(buffers.changed(), "") << words;
      }
      require(hipSetDevice(1));
    }
  EXPECT_GT(failures, 100);
}

}  // namespace
}  // namespace twincheck
