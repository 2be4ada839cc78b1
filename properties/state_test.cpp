// RapidCheck's state testing of a session (steps.h): commands are generated over the model's state, run against a candidate
// in this process, and shrunk, the first case with them. Production's wrapper holds, directly and through graphs; candidates
// that keep something from one call to the next are watched failing after a few commands.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <rapidcheck.h>
#include <rapidcheck/state.h>

#include "harness/case/generate.h"
#include "harness/judge/check.h"
#include "optimized/append.h"
#include "optimized/platform/cpu/control.h"
#include "properties/graphs.h"
#include "properties/knob.h"
#include "properties/published.h"
#include "properties/relate.h"
#include "properties/steps.h"
#include "properties/wrong_candidates.h"

namespace twincheck {
namespace {

using session::Op;
using session::Step;

const bool prepared = [] {
  setenv("RC_PARAMS", "seed=20260401 max_success=100", /*overwrite=*/0);
  Published::write_on_death();
  return true;
}();

// ---- the system under test

// A candidate, and how its graphs are captured. Candidates are functions, so there is one at a time.
struct Subject {
  Candidate direct;
  std::function<void(AppendArgs&)> before_capture;
};

struct Sut;
Sut* current = nullptr;

struct Sut {
  explicit Sut(const Subject& subject) : direct(subject.direct), graphs(subject.before_capture) {
    through_graphs = direct;
    through_graphs.name += " (graph)";
    through_graphs.append = [](const AppendArgs* args) { return current->graphs.append(*args); };
    through_graphs.last_error = [] { return current->graphs.message().c_str(); };
    // Under a fault one of check()'s two calls may be the one that meets it.
    faulty = direct;
    faulty.append = [](const AppendArgs* args) { return current->last_status = current->direct.append(args); };
    current = this;
  }
  ~Sut() { current = nullptr; }
  Sut(const Sut&) = delete;
  Sut& operator=(const Sut&) = delete;

  void judge(const Case& c, const Candidate& candidate, Verdict expected = Verdict::kPassed) {
    const Report r = checked(c, candidate);
    if (r.verdict != expected) fail(r);
  }

  void inject(const Case& c, int64_t nth) {
    const relate::Knob fault(direct, "fail_nth", nth);
    if (!fault.turned()) return;
    const Report r = checked(c, faulty);
    const bool harmless = r.guards_intact && r.inputs_unchanged && last_status == TWINCHECK_RUNTIME_ERROR;
    if (is_bad(r.verdict) && !harmless) fail(r);
  }

  Candidate direct, through_graphs, faulty;
  session::Graphs graphs;
  int32_t last_status = TWINCHECK_OK;
  std::vector<Case> called;
  std::string calls;  // the same as lines of text

  // Of the run that failed last: of all that RapidCheck tries, the one that it has shrunk to.
  static inline std::vector<Case> failed;
  static inline Report failure;
  static inline std::array<int, session::kOps> run{};  // commands of each kind
  static inline std::size_t replays = 0;               // calls that an earlier call's graph served

 private:
  Report checked(const Case& c, const Candidate& candidate) {
    called.push_back(c);
    calls += text(c) + "\n";
    Published::text(calls);
    return check(c, candidate, bench_);
  }

  [[noreturn]] void fail(const Report& r) {
    failed = called;
    failure = r;
    RC_FAIL(
        fmt::format("{} {} law={} {}\nin the last of these calls, in this order; twincheck replay with a file of them:\n{}",
                    name(r.verdict), direct.name, r.law, r.detail, calls));
    std::abort();
  }

  Bench bench_;
};

// ---- the model and its commands

struct Model {
  Case first, now;
  std::optional<Case> captured;
};

class Call : public rc::state::Command<Model, Sut> {
 public:
  explicit Call(Step step) : step_(step) {}

  void checkPreconditions(const Model& model) const override {
    if (step_.op == Op::kReplay) RC_PRE(model.captured && session::replayed(*model.captured, model.now));
  }

  void apply(Model& model) const override {
    model.now = session::changed(step_, model.first, std::move(model.now));
    if (step_.op == Op::kCapture) model.captured = model.now;
  }

  void run(const Model& before, Sut& sut) const override {
    ++Sut::run[static_cast<std::size_t>(step_.op)];
    const Case now = nextState(before).now;
    switch (step_.op) {
      case Op::kCapture:
        sut.graphs.clear();
        sut.judge(now, sut.through_graphs);
        return;
      case Op::kReplay: {
        const std::size_t until_now = sut.graphs.replayed();
        sut.judge(*session::replayed(*before.captured, now), sut.through_graphs);
        Sut::replays += sut.graphs.replayed() - until_now;
        return;
      }
      case Op::kFault:
        sut.inject(now, session::failing_call(step_));
        break;
      case Op::kRefused:
        sut.judge(session::refused(step_, now), sut.direct, Verdict::kRefused);
        break;
      default:
        break;
    }
    sut.judge(now, sut.direct);
  }

  void show(std::ostream& os) const override {
    os << session::words(step_.op) << " (" << static_cast<int>(step_.which) << ", " << step_.amount << ")";
  }

 private:
  Step step_;
};

using CommandPtr = std::shared_ptr<const rc::state::Command<Model, Sut>>;

rc::Gen<CommandPtr> command(const Model&) {
  const auto op = rc::gen::resize(rc::kNominalSize, rc::gen::inRange(0, session::kOps));
  return rc::gen::map(rc::gen::tuple(op, rc::gen::arbitrary<uint8_t>(), rc::gen::arbitrary<uint16_t>()),
                      [](const std::tuple<int, uint8_t, uint16_t>& fields) -> CommandPtr {
                        const auto& [kind, which, amount] = fields;
                        return std::make_shared<Call>(Step{static_cast<Op>(kind), which, amount});
                      });
}

// A session from any first case, for a fresh subject each time.
auto session_of(const std::function<Subject()>& fresh) {
  Sut::failed.clear();
  Sut::failure = {};
  Sut::run = {};
  Sut::replays = 0;
  return [fresh] {
    const auto tape = *rc::gen::resize(150, rc::gen::arbitrary<std::vector<uint64_t>>());
    Choices choices = Choices::replay(tape);
    const Case drawn = draw_case(choices, {.validity = Validity::kValid, .sparse = false, .max_tokens = 24});
    const auto first = relate::literalize(drawn);
    RC_PRE(first.has_value());
    const int64_t bytes = hip_cpu::get("live_bytes"), handles = hip_cpu::get("live_handles");
    {
      Sut sut(fresh());
      sut.judge(*first, sut.direct);
      rc::state::check(Model{*first, *first, {}}, sut, command);
    }
    RC_ASSERT(hip_cpu::get("live_bytes") == bytes);
    RC_ASSERT(hip_cpu::get("live_handles") == handles);
  };
}

bool sessions_hold(const std::string& what, const std::function<Subject()>& fresh) {
  return rc::check(what, session_of(fresh));
}

// The same where a failure is expected: rc::check() would print it, and how to see it again, as news.
bool sessions_fail(const std::function<Subject()>& fresh) {
  struct Silence : rc::detail::TestListener {
    void onTestCaseFinished(const rc::detail::CaseDescription&) override {}
    void onShrinkTried(const rc::detail::CaseDescription&, bool) override {}
    void onTestFinished(const rc::detail::TestMetadata&, const rc::detail::TestResult&) override {}
  } silence;
  const rc::detail::TestResult result = rc::detail::checkTestable(session_of(fresh), rc::detail::TestMetadata{},
                                                                  rc::detail::configuration().testParams, silence);
  return result.is<rc::detail::FailureResult>();
}

std::string failed_calls() {
  std::string lines;
  for (const Case& c : Sut::failed) lines += text(c) + "\n";
  return lines;
}

// ---- subjects

thread_local const char* last_words = "";

template <optimized::Result (*kAppend)(const AppendArgs&)>
Candidate linked(const char* name) {
  Candidate c;
  c.name = name;
  c.path = "(linked)";
  c.exact_status = true;
  c.append = [](const AppendArgs* args) {
    const optimized::Result r = kAppend(*args);
    last_words = r.message;
    return static_cast<int32_t>(r.status);
  };
  c.last_error = [] { return last_words; };
  c.set = [](const char* key, int64_t value) { return hip_cpu::set(key, value) ? 0 : -1; };
  c.get = [](const char* key) { return std::strcmp(key, "exact_status") == 0 ? 1 : hip_cpu::get(key); };
  return c;
}

// A larger batch leaves something behind for smaller ones over the same outputs (vllm-ascend#15714): their first id is
// wrong.
Candidate keeps_larger_batch() {
  static const void* buffer;
  static int64_t tokens;
  buffer = nullptr;
  tokens = 0;
  Candidate c = linked<optimized::append>("wrong.larger_batch");
  c.append = [](const AppendArgs* args) {
    const auto status = static_cast<int32_t>(optimized::append(*args).status);
    if (status != TWINCHECK_OK || args->out_ids.rows == 0 || args->out_ids.cols == 0) return status;
    if (args->out_ids.data == buffer && args->out_ids.rows < tokens && args->topk_ids.data != args->out_ids.data)
      *static_cast<uint8_t*>(args->out_ids.data) ^= 1;
    if (args->out_ids.data != buffer) tokens = 0;
    buffer = args->out_ids.data;
    tokens = std::max(tokens, args->out_ids.rows);
    return status;
  };
  return c;
}

// ---- tests

TEST(SessionsOfCommands, HoldForTheFusedKernel) {
  EXPECT_TRUE(sessions_hold("cpu.fused", [] { return Subject{linked<optimized::append>("cpu.fused"), {}}; }));
  for (int op = 0; op < session::kOps; ++op)
    EXPECT_GT(Sut::run[static_cast<std::size_t>(op)], 20) << session::words(static_cast<Op>(op));
  EXPECT_GT(Sut::replays, 50u);
}

// It allocates, so it is not captured: its graphs are the fused kernel's.
TEST(SessionsOfCommands, HoldForTheUnfusedKernel) {
  EXPECT_TRUE(sessions_hold("cpu.unfused", [] { return Subject{linked<optimized::append_unfused>("cpu.unfused"), {}}; }));
}

TEST(SessionsOfCommands, ShrinkToThePairOfCallsThatSharesAResult) {
  EXPECT_TRUE(sessions_fail([] { return Subject{wrong::fresh(wrong::candidate("cached_by_pointer")), {}}; }));
  EXPECT_EQ(Sut::failure.law, promise::kAppendedWeights);
  EXPECT_LE(Sut::failed.size(), 2u) << failed_calls();
  ASSERT_FALSE(Sut::failed.empty());
  EXPECT_LE(Sut::failed.back().tokens, 2) << failed_calls();
}

TEST(SessionsOfCommands, ShrinkToALargerBatchAndASmallerOne) {
  EXPECT_TRUE(sessions_fail([] { return Subject{keeps_larger_batch(), {}}; }));
  EXPECT_LE(Sut::failed.size(), 3u) << failed_calls();
}

TEST(SessionsOfCommands, ShrinkToAFaultAndTheCallAfterIt) {
  EXPECT_TRUE(sessions_fail([] { return Subject{wrong::fresh(wrong::candidate("never_recovers")), {}}; }));
  EXPECT_LE(Sut::failed.size(), 3u) << failed_calls();
}

TEST(SessionsOfCommands, ShrinkToACaptureOtherDataAndAReplay) {
  EXPECT_TRUE(sessions_fail([] {
    wrong::forget_staged();
    return Subject{linked<optimized::append>("cpu.fused"), wrong::stage_shared};
  }));
  EXPECT_EQ(Sut::failure.law, promise::kAppendedWeights);
  EXPECT_LE(Sut::failed.size(), 4u) << failed_calls();
}

}  // namespace
}  // namespace twincheck
