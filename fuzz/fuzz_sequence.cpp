// A program of calls over the same buffers (program.h) against the model: the reference of the current step, whatever came
// before.
//
// Invariants checked:
// 1. Every call's outputs are the reference's of this call alone: nothing is kept of an earlier one's sizes, data or
//    parameters, nor of what a graph was captured with but its pointers (check()).
// 2. A refusal is a refusal in between, and touches nothing.
// 3. A runtime failure is answered with runtime_error or does no harm, and the next call is right.
// 4. At the end the runtime holds no more memory or handles than at the beginning.
#include <fmt/format.h>
#include <hip/hip_runtime.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "fuzz/fuzz.h"
#include "fuzz/mutate.h"
#include "fuzz/program.h"
#include "optimized/append.h"
#include "optimized/platform/cpu/control.h"
#include "properties/knob.h"

using namespace twincheck;
using fuzz::Op;

const fuzz::Format fuzz::format = fuzz::Format::kProgram;
const bool fuzz::defects = false;

namespace {

void require(hipError_t error) {
  if (error == hipSuccess) return;
  fmt::print(stderr, "fuzz: {}\n", hipGetErrorName(error));
  std::abort();
}

// Production's wrapper through graphs: one for each set of arguments, pointers and all.
struct Graphs {
  hipStream_t stream = nullptr;
  std::map<std::string, hipGraphExec_t> captured;
  std::string message;

  static Graphs& get() {
    static Graphs graphs;
    if (graphs.stream == nullptr) require(hipStreamCreateWithFlags(&graphs.stream, hipStreamNonBlocking));
    return graphs;
  }

  int32_t append(const AppendArgs& given) {
    AppendArgs args = given;
    args.stream = stream;
    std::string key(sizeof args, '\0');
    std::memcpy(key.data(), &args, sizeof args);
    auto found = captured.find(key);
    if (found == captured.end()) {
      hipGraph_t graph = nullptr;
      require(hipStreamBeginCapture(stream, hipStreamCaptureModeGlobal));
      const optimized::Result result = optimized::append(args);
      message = result.message;
      require(hipStreamEndCapture(stream, &graph));
      hipGraphExec_t exec = nullptr;
      if (result.status == Status::kOk) require(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
      require(hipGraphDestroy(graph));
      if (result.status != Status::kOk) return static_cast<int32_t>(result.status);
      found = captured.emplace(std::move(key), exec).first;
    }
    // What the runtime hands out meanwhile is none of the graph's business.
    void* scratch = nullptr;
    require(hipMalloc(&scratch, 256));
    require(hipMemset(scratch, 0xee, 256));
    require(hipGraphLaunch(found->second, stream));
    require(hipStreamSynchronize(stream));
    require(hipFree(scratch));
    return TWINCHECK_OK;
  }

  void clear() {
    for (const auto& [key, exec] : captured) require(hipGraphExecDestroy(exec));
    captured.clear();
  }
};

const Candidate& graphs() {
  static const Candidate it = [] {
    Candidate c = fuzz::candidate();
    c.name += " (graph)";
    c.append = [](const AppendArgs* args) { return Graphs::get().append(*args); };
    c.last_error = [] { return Graphs::get().message.c_str(); };
    return c;
  }();
  return it;
}

// The candidate, and what it answered last: one of check()'s two calls may meet the fault.
int32_t last_status = TWINCHECK_OK;
const Candidate& faulty() {
  static const Candidate it = [] {
    Candidate c = fuzz::candidate();
    c.append = [](const AppendArgs* args) { return last_status = fuzz::candidate().append(args); };
    return c;
  }();
  return it;
}

// What a step makes of the case before it is called with.
Case changed(const fuzz::Step& step, const Case& first, Case now) {
  const int64_t amount = step.amount;
  switch (step.op) {
    case Op::kNewData:
      for (std::vector<uint64_t>& bits : now.literal)
        for (uint64_t& b : bits) b += static_cast<uint64_t>(amount) * 0x9e3779b9 + 1;
      now.seed += static_cast<uint64_t>(amount) + 1;
      break;
    case Op::kShrink:
      now.tokens -= std::min(now.tokens, 1 + amount % 64);
      break;
    case Op::kGrow:
      now.tokens += 1 + amount % 64;
      break;
    case Op::kReallocate: {
      Layout& l = now.layout[step.which % kOperands];
      if (amount % 4 == 0) l.place = static_cast<Place>(amount / 4 % 3);
      if (amount % 4 == 1) l.row_stride = l.row_stride ? std::nullopt : std::optional<int64_t>(amount % 97);
      if (amount % 4 >= 2) l.offset = static_cast<uint32_t>(amount / 4 % 17);
      break;
    }
    case Op::kParameters:
      if (step.which % 3 == 0) now.base_id ^= amount;
      if (step.which % 3 == 1) now.scale_bits = std::bit_cast<uint32_t>(static_cast<float>(amount) / 256 - 1);
      if (step.which % 3 == 2) now.remap = amount % 64;
      break;
    case Op::kPadding:
      now.literal[0].clear();
      now.ids = static_cast<IdClass>(amount % kIdClasses);
      break;
    case Op::kFirst:
      now = first;
      break;
    default:
      break;
  }
  return fuzz::valid_case(std::move(now));
}

Case refused(const fuzz::Step& step, Case c) {
  if (step.which % 3 == 0) c.base_id = -1;
  if (step.which % 3 == 1) c.of(Operand::kOutIds).cols = c.top_k + c.shared + 1;
  if (step.which % 3 == 2) c.of(Operand::kOutWeights).dtype = TWINCHECK_I32;
  return c;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const fuzz::Program program = fuzz::decode_program({data, size});
  const Case first = fuzz::valid_case(program.first);
  const Candidate& direct = fuzz::candidate();
  (void)Graphs::get();
  const int64_t bytes = hip_cpu::get("live_bytes"), handles = hip_cpu::get("live_handles");
  fuzz::set_block_order(fuzz::hash({data, size}));
  std::vector<Case> called;
  const auto judge = [&](const Case& c, const Candidate& candidate, Status expected) {
    called.push_back(c);
    fuzz::show(c);
    const Report report = check(c, candidate, fuzz::bench());
    const bool as_expected = (report.expected_status == Status::kOk) == (expected == Status::kOk);
    if (!as_expected || is_bad(report.verdict)) fuzz::fail(called, report);
  };

  Case now = first;
  judge(now, direct, Status::kOk);
  for (const fuzz::Step& step : program.steps) {
    now = changed(step, first, std::move(now));
    if (step.op == Op::kCapture || step.op == Op::kReplay) {
      if (step.op == Op::kCapture && fuzz::is_linked()) Graphs::get().clear();
      judge(now, fuzz::is_linked() ? graphs() : direct, Status::kOk);
      continue;
    }
    if (step.op == Op::kRefused) judge(refused(step, now), direct, Status::kBadParameter);
    if (step.op == Op::kFault) {
      const relate::Knob fault(direct, "fail_nth", 1 + step.amount % 6);
      if (fault.turned()) {
        const Report report = check(now, faulty(), fuzz::bench());
        const bool harmless = report.guards_intact && report.inputs_unchanged && last_status == TWINCHECK_RUNTIME_ERROR;
        if (is_bad(report.verdict) && !harmless) fuzz::fail(now, report);
      }
    }
    judge(now, direct, Status::kOk);
  }
  if (!fuzz::is_linked()) return 0;
  Graphs::get().clear();
  if (hip_cpu::get("live_bytes") != bytes || hip_cpu::get("live_handles") != handles)
    fuzz::fail(first, "sequence", "the runtime holds more than before the program");
  return 0;
}
