#include "harness/candidate/runner.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "harness/candidate/test/behaviours.h"
#include "harness/judge/check.h"

namespace twincheck {
namespace {

constexpr int64_t kOrdinary = 100, kMarked = 777;  // base ids

Item item(uint64_t index, int64_t base_id = kOrdinary) {
  Item i{.law = "equals_reference", .c = {}};
  i.c.tokens = 3;
  i.c.top_k = 4;
  i.c.shared = 2;
  i.c.base_id = base_id;
  i.c.seed = index;
  return i;
}

Plan plan_of(uint64_t size, std::vector<uint64_t> marked = {}) {
  Plan plan;
  plan.size = size;
  plan.item = [marked](uint64_t i) {
    return item(i, std::find(marked.begin(), marked.end(), i) != marked.end() ? kMarked : kOrdinary);
  };
  plan.origin = [](uint64_t i) { return "item " + std::to_string(i); };
  return plan;
}

// Counts each item's verdict apart: the item is known by its seed.
RunOptions options_for(uint64_t size, int jobs = 1) {
  RunOptions o;
  o.jobs = jobs;
  o.limits.timeout = 5;
  o.counters = size * kVerdicts;
  o.count = [](const Item& i, const Report& r, std::span<uint64_t> counters) {
    ++counters[i.c.seed * kVerdicts + static_cast<std::size_t>(r.verdict)];
  };
  return o;
}

// The one verdict of each item; "none" or "several" where it is not one.
std::vector<std::string> verdicts(const RunResult& result) {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < result.counters.size(); i += kVerdicts) {
    std::string word = "none";
    for (std::size_t v = 0; v < kVerdicts; ++v)
      for (uint64_t n = 0; n < std::min<uint64_t>(result.counters[i + v], 2); ++n)
        word = word == "none" ? std::string(kVerdictNames[v]) : "several";
    words.push_back(word);
  }
  return words;
}

std::vector<std::string> all_passed(std::size_t size) { return std::vector<std::string>(size, "passed"); }

// A judge that lets `act` loose on each item and says passed.
MakeJudge acting(void (*act)(const Item&)) {
  return [act]() -> Judge {
    return [act](std::span<const Item> items) {
      for (const Item& i : items) act(i);
      return std::vector<Report>(items.size());
    };
  };
}

MakeJudge tampering_judge() {
  return []() -> Judge {
    struct State {
      Candidate candidate = load_candidate(TWINCHECK_TEST_LIBRARIES "/libcandidate_tampering.so");
      Bench bench;
    };
    auto state = std::make_shared<State>();
    return [state](std::span<const Item> items) {
      std::vector<Report> reports;
      for (const Item& i : items) reports.push_back(check(i.c, state->candidate, state->bench));
      return reports;
    };
  };
}

struct Tamper {
  explicit Tamper(const std::string& name, int64_t base_id = kMarked) {
    setenv("TAMPER", name.c_str(), 1);
    if (base_id >= 0) setenv("TAMPER_BASE_ID", std::to_string(base_id).c_str(), 1);
  }
  ~Tamper() {
    unsetenv("TAMPER");
    unsetenv("TAMPER_BASE_ID");
    unsetenv("TAMPER_AT");
  }
};

TEST(Run, JudgesEveryItemOnce) {
  for (const int jobs : {1, 2, 5}) {
    const RunResult r = run(plan_of(1000), acting([](const Item&) {}), options_for(1000, jobs));
    EXPECT_EQ(verdicts(r), all_passed(1000)) << jobs;
    EXPECT_EQ(r.done, 1000u);
    EXPECT_TRUE(r.failures.empty());
  }
}

TEST(Run, OfNothingIsEmpty) {
  const RunResult r = run(plan_of(0), acting([](const Item&) {}), options_for(0));
  EXPECT_EQ(r.done, 0u);
  EXPECT_EQ(r.workers, 0u);
}

TEST(Run, StopsWhenTheTimeIsUp) {
  Plan plan = plan_of(UINT64_MAX);
  RunOptions o;
  o.seconds = 0.2;
  const RunResult r = run(plan, acting([](const Item&) {}), o);
  EXPECT_GT(r.done, 0u);
  EXPECT_GE(r.seconds, 0.2);
  EXPECT_LT(r.seconds, 5);
}

TEST(Run, AddsLessThanATenthToACaseAtTwentyThousandASecond) {
  const RunResult r = run(plan_of(1000), acting([](const Item&) {}), options_for(1000));
  EXPECT_GT(r.isolation_seconds, 0);
  EXPECT_LT(r.isolation_seconds, 0.1 / 20000);
}

TEST(Run, KeepsPiecesTogetherAndInOrder) {
  // Every item knows the last one of its process: within a piece of seven it is the one before.
  Plan plan = plan_of(700);
  plan.piece_end = [](uint64_t first) { return (first / 7 + 1) * 7; };
  const MakeJudge judge = acting([](const Item& i) {
    static uint64_t last = UINT64_MAX;
    if (i.c.seed % 7 != 0 && last != i.c.seed - 1) std::abort();
    last = i.c.seed;
  });
  EXPECT_EQ(verdicts(run(plan, judge, options_for(700, 3))), all_passed(700));
}

// The whole point: what a case does to its process costs that case, wherever it stands, and no other case's verdict.
class Death : public testing::TestWithParam<std::string> {};

TEST_P(Death, CostsItsCaseOnly) {
  constexpr uint64_t kSize = 90;
  const tampering::Behaviour& behaviour = tampering::kBehaviours[static_cast<std::size_t>(tampering::find(GetParam()))];
  const Tamper tamper(GetParam());
  for (const auto& [jobs, batch] : {std::pair<int, std::size_t>{1, 1}, {2, 1}, {1, kSize}}) {
    SCOPED_TRACE(std::to_string(jobs) + " workers, batches of " + std::to_string(batch));
    RunOptions o = options_for(kSize, jobs);
    o.batch = batch;  // the places are the first, a middle and the last one of a batch of all
    o.limits.timeout = behaviour.verdict == "hung" ? 0.5 : 20;
    o.limits.memory = uint64_t{512} << 20;
    const std::vector<uint64_t> places{0, kSize / 2, kSize - 1};
    const RunResult r = run(plan_of(kSize, places), tampering_judge(), o);
    const std::vector<std::string> words = verdicts(r);
    for (uint64_t i = 0; i < kSize; ++i) {
      const bool marked = std::find(places.begin(), places.end(), i) != places.end();
      EXPECT_TRUE(marked ? tampering::allows(behaviour.verdict, words[i]) : words[i] == "passed")
          << GetParam() << ", item " << i << ": " << words[i];
    }
    ASSERT_EQ(r.failures.size(), 1u) << "equal failures count once";
    EXPECT_EQ(r.failures[0].equal, 3u);
    EXPECT_TRUE(r.failures[0].repeats_alone);
    const std::string& detail = r.failures[0].report.detail;
    // A sanitizer, where there is one, takes some signals and says so in its own words.
    EXPECT_TRUE(detail.find(behaviour.reason) != std::string::npos ||
                (behaviour.reason.substr(0, 3) == "SIG" && detail.find("AddressSanitizer: ") != std::string::npos))
        << detail;
    EXPECT_EQ(r.failures[0].item.c.base_id, kMarked);
  }
}

INSTANTIATE_TEST_SUITE_P(OfEachKind, Death,
                         testing::Values("sigsegv", "sigfpe", "sigbus", "sigill", "sigkill", "aborts", "overflows_stack",
                                         "exits_at_once", "exits", "exits_3", "catches_sigsegv_and_exits", "throws",
                                         "throws_int", "loops", "sleeps", "ignores_signals_and_loops", "grows"),
                         [](const auto& instance) { return instance.param; });

TEST(Run, NoticesClosedDescriptorsAndChangedSignals) {
  for (const auto& [behaviour, reason] : {std::pair{"closes_descriptors", "file descriptor 0 is closed"},
                                          std::pair{"changes_signals", "SIGSEGV is ignored"}}) {
    const Tamper tamper(behaviour);
    for (const std::size_t batch : {1, 60}) {
      RunOptions o = options_for(60);
      o.batch = batch;
      const RunResult r = run(plan_of(60, {0, 30, 59}), tampering_judge(), o);
      const std::vector<std::string> words = verdicts(r);
      for (uint64_t i = 0; i < 60; ++i)
        EXPECT_EQ(words[i], i == 0 || i == 30 || i == 59 ? "crashed" : "passed") << i << ", batches of " << batch;
      ASSERT_EQ(r.failures.size(), 1u);
      EXPECT_NE(r.failures[0].report.detail.find(reason), std::string::npos) << r.failures[0].report.detail;
      EXPECT_EQ(r.workers, batch == 1 ? 3u : 4u) << "a fresh worker after each, but not after the last";
    }
  }
}

TEST(Run, KeepsWhatACandidatePrintsToItself) {
  const Tamper tamper("prints");
  testing::internal::CaptureStdout();
  const RunResult r = run(plan_of(60, {0, 30, 59}), tampering_judge(), options_for(60));
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(verdicts(r), all_passed(60));
  EXPECT_GE(r.printed_bytes, uint64_t{3} << 20);
}

TEST(Run, ShowsTheLastWordsOfADeath) {
  const MakeJudge judge = acting([](const Item& i) {
    if (i.c.seed != 5) return;
    std::fprintf(stderr, "assertion failed: wave == 64\n");
    std::abort();
  });
  const RunResult r = run(plan_of(10), judge, options_for(10));
  ASSERT_EQ(r.failures.size(), 1u);
  EXPECT_EQ(r.failures[0].output, "assertion failed: wave == 64\n");
  EXPECT_EQ(r.failures[0].origin, "item 5");
}

TEST(Run, LoadsNoCandidateThatCannotBeLoaded) {
  const MakeJudge broken = []() -> Judge { throw LoadError("no such thing"); };
  EXPECT_THROW(run(plan_of(10), broken, options_for(10)), LoadError);
  const MakeJudge dies = []() -> Judge { _exit(0); };
  EXPECT_THROW(run(plan_of(10), dies, options_for(10)), LoadError);
}

TEST(Run, StopsAfterTheMostFailures) {
  // Each item breaks a promise of its own.
  const MakeJudge judge = []() -> Judge {
    return [](std::span<const Item> items) {
      Report r;
      r.verdict = Verdict::kFailed;
      r.law = "promise " + std::to_string(items[0].c.seed);
      return std::vector<Report>{r};
    };
  };
  RunOptions o = options_for(1000);
  o.max_failures = 4;
  const RunResult r = run(plan_of(1000), judge, o);
  EXPECT_TRUE(r.stopped);
  EXPECT_EQ(r.failures.size(), 4u);
  EXPECT_LT(r.done, 1000u);
}

TEST(Run, CountsEqualFailuresOnce) {
  const MakeJudge judge = []() -> Judge {
    return [](std::span<const Item> items) {
      Report r;
      if (items[0].c.seed % 3 == 0) {
        r.verdict = Verdict::kFailed;
        r.law = "appended_ids";
      }
      return std::vector<Report>{r};
    };
  };
  const RunResult r = run(plan_of(300), judge, options_for(300, 2));
  ASSERT_EQ(r.failures.size(), 1u);
  EXPECT_EQ(r.failures[0].equal, 100u);
  EXPECT_FALSE(r.stopped);
  EXPECT_EQ(r.done, 300u);
}

TEST(Run, CallsAFailureThatDoesNotRepeatFlakyAndFindsWhatLedToIt) {
  // Wrong where the item before last had the marked base id: two items are what it takes.
  const MakeJudge judge = []() -> Judge {
    return [before = int64_t{0}, last = int64_t{0}](std::span<const Item> items) mutable {
      Report r;
      if (before == kMarked) {
        r.verdict = Verdict::kFailed;
        r.law = "appended_ids";
      }
      before = last;
      last = items[0].c.base_id;
      return std::vector<Report>{r};
    };
  };
  const RunResult r = run(plan_of(64, {40}), judge, options_for(64));
  ASSERT_EQ(r.failures.size(), 1u);
  const Failure& f = r.failures[0];
  EXPECT_EQ(f.report.verdict, Verdict::kFlaky);
  EXPECT_FALSE(f.repeats_alone);
  EXPECT_EQ(f.index, 42u);
  ASSERT_EQ(f.sequence.size(), 3u);
  EXPECT_EQ(f.sequence[0].c.base_id, kMarked);
  EXPECT_EQ(f.sequence[2].c.seed, 42u);
  std::vector<std::string> expected = all_passed(64);
  expected[42] = "flaky";
  EXPECT_EQ(verdicts(r), expected);
}

TEST(Run, BlamesTheEarlierItemThatFailsAlone) {
  // Something that the marked item leaves is only looked for by every fifth one: it fails by itself, under that one's law.
  const MakeJudge judge = []() -> Judge {
    return [left = false](std::span<const Item> items) mutable {
      Report r;
      const Item& i = items[0];
      const bool looks = i.c.seed % 5 == 0 || i.c.base_id == kMarked;
      left = left || i.c.base_id == kMarked;
      if (looks && left && !(i.c.base_id == kMarked && i.law == "unaware")) {
        r.verdict = Verdict::kFailed;
        r.law = "faults";
        r.detail = "12 bytes stay allocated";
      }
      return std::vector<Report>{r};
    };
  };
  Plan plan = plan_of(64, {42});
  plan.item = [item = plan.item](uint64_t i) {
    Item it = item(i);
    it.law = i % 5 == 0 ? "faults" : "unaware";
    return it;
  };
  const RunResult r = run(plan, judge, options_for(64));
  ASSERT_EQ(r.failures.size(), 1u);
  const Failure& f = r.failures[0];
  EXPECT_EQ(f.report.verdict, Verdict::kFailed);
  EXPECT_TRUE(f.repeats_alone);
  EXPECT_TRUE(f.sequence.empty());
  EXPECT_EQ(f.item.c.base_id, kMarked);
  EXPECT_EQ(f.item.law, "faults");
  EXPECT_EQ(f.report.detail, "12 bytes stay allocated\nit led to the failure of a later case, which passes alone");
}

TEST(Run, CallsAHangThatDoesNotRepeatFlaky) {
  // The fourth call of a process never returns.
  const MakeJudge judge = acting([](const Item&) {
    static int calls = 0;
    if (++calls == 4)
      while (true) pause();
  });
  RunOptions o = options_for(6);
  o.limits.timeout = 0.4;
  const RunResult r = run(plan_of(6), judge, o);
  ASSERT_EQ(r.failures.size(), 1u);
  EXPECT_EQ(r.failures[0].report.verdict, Verdict::kFlaky);
  EXPECT_EQ(r.failures[0].sequence.size(), 4u);
  EXPECT_EQ(verdicts(r), (std::vector<std::string>{"passed", "passed", "passed", "flaky", "passed", "passed"}));
}

TEST(Run, TriesAHangOnceMoreWithThreeTimesTheTime) {
  // Of a second: within the time, within three times the time, and beyond.
  const MakeJudge judge = acting([](const Item& i) {
    if (i.c.seed == 1) std::this_thread::sleep_for(std::chrono::milliseconds(300));
    if (i.c.seed == 3) std::this_thread::sleep_for(std::chrono::milliseconds(1800));
    if (i.c.seed == 5) std::this_thread::sleep_for(std::chrono::seconds(100));
  });
  RunOptions o = options_for(8);
  o.limits.timeout = 1;
  const RunResult r = run(plan_of(8), judge, o);
  std::vector<std::string> expected = all_passed(8);
  expected[5] = "hung";
  EXPECT_EQ(verdicts(r), expected);
  ASSERT_EQ(r.failures.size(), 1u);
  EXPECT_EQ(r.failures[0].index, 5u);
  EXPECT_GT(r.seconds, 1 + 1.8 + 1 + 3);
  EXPECT_LT(r.seconds, 20);
}

TEST(Run, FindsTheCulpritOfABatch) {
  RunOptions o = options_for(200, 2);
  o.batch = 64;
  const MakeJudge judge = acting([](const Item& i) {
    if (i.c.base_id == kMarked) std::abort();
  });
  const RunResult r = run(plan_of(200, {0, 77, 199}), judge, o);
  std::vector<std::string> expected = all_passed(200);
  expected[0] = expected[77] = expected[199] = "crashed";
  EXPECT_EQ(verdicts(r), expected);
}

volatile int interrupt = 0;

TEST(Run, EndsAtOnceWhenInterrupted) {
  interrupt = 0;
  RunOptions o = options_for(100);
  o.interrupt = &interrupt;
  o.limits.timeout = 1000;
  std::signal(SIGALRM, [](int) { interrupt = 1; });
  alarm(1);
  const auto start = std::chrono::steady_clock::now();
  const RunResult r = run(plan_of(100, {50}), acting([](const Item& i) {
                            if (i.c.base_id == kMarked)
                              while (true) pause();
                          }),
                          o);
  std::signal(SIGALRM, SIG_DFL);
  EXPECT_TRUE(r.interrupted);
  EXPECT_EQ(r.done, 50u);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Solo, HasAReportWhateverHappens) {
  Solo solo(acting([](const Item& i) {
              if (i.c.seed == 1) std::abort();
              if (i.c.seed == 2)
                while (true) pause();
              if (i.c.seed == 3) throw std::runtime_error("the words");
            }),
            {.timeout = 0.5});
  EXPECT_EQ(solo.judge(item(0)).verdict, Verdict::kPassed);
  EXPECT_EQ(solo.judge(item(1)).detail, "SIGABRT");
  EXPECT_EQ(solo.judge(item(2)).verdict, Verdict::kHung);
  EXPECT_EQ(solo.judge(item(3)).detail, "exception: the words");
  EXPECT_EQ(solo.judge(item(0)).verdict, Verdict::kPassed);
}

TEST(Solo, SendsTheWholeCase) {
  Item sent = item(1234567890123);
  sent.c.source = TWINCHECK_WEIGHTS;
  sent.c.layout[0].row_stride = int64_t{1} << 40;
  sent.c.literal[2] = {1, 2, 3};
  const Item got = item_from(to_bytes(sent));
  EXPECT_EQ(got.law, sent.law);
  EXPECT_EQ(got.c, sent.c);
}

TEST(Worker, IsInterruptedWhileItIsPrepared) {
  volatile int flag = 0;
  Worker::set_interrupt(&flag);
  Worker worker(
      []() -> Answer {
        while (true) pause();
      },
      {});
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    flag = 1;
  });
  const Worker::Outcome outcome = worker.ask("");
  other.join();
  Worker::set_interrupt(nullptr);
  EXPECT_EQ(outcome.end, Worker::End::kDied);
  EXPECT_EQ(outcome.reason, "interrupted");
}

TEST(Worker, CarriesLargeAnswers) {
  Worker worker([]() -> Answer { return [](std::string_view request) { return std::string(request) + "!"; }; }, {});
  const std::string large(10 << 20, 'x');
  EXPECT_EQ(worker.ask(large).answer, large + "!");
  EXPECT_EQ(worker.ask("").answer, "!");
}

}  // namespace
}  // namespace twincheck
