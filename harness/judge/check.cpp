#include "harness/judge/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <exception>
#include <thread>

#include "harness/judge/device.h"
#include "harness/judge/device_memory.h"
#include "harness/judge/trial.h"

namespace twincheck {
namespace {

constexpr std::size_t kArena = std::size_t{256} << 20;  // of a device; a batch is what fits
constexpr std::size_t kBatch = 4096;                    // cases a batch at most

std::string words_of(const Candidate& candidate, int32_t status) {
  std::string words{word(kStatusNames, status)};
  if (words == "?") words = fmt::format("status {}", status);
  const char* text = candidate.last_error != nullptr && status != 0 ? candidate.last_error() : nullptr;
  return text != nullptr && *text != 0 ? fmt::format("{} ({})", words, text) : words;
}

// One case on its way to a verdict: begin, then for each run before, call, after.
class Proceeding {
 public:
  explicit Proceeding(Memory& memory) : trial_(memory) {}

  void begin(const Case& c, uint64_t max_bytes) {
    report = {};
    over_ = false;
    values_right_ = true;
    const Trial::Ready ready = trial_.lay_out(c, max_bytes);
    report.expected_status = trial_.expected_status();
    valid_ = ready == Trial::Ready::kValid;
    if (ready != Trial::Ready::kTooLarge) return;
    report.verdict = Verdict::kTooLarge;
    report.detail =
        fmt::format("needs more than the {} MiB of memory allowed, or addresses that are not here", max_bytes >> 20);
    over_ = true;
  }

  void before(int run) {
    if (over_) return;
    trial_.paint(run);
    if (valid_ && run == 0) trial_.expect();
  }

  void call(const Candidate& candidate, void* stream) {
    if (over_) return;
    const AppendArgs* args = trial_.arguments(stream);
    try {
      status_ = candidate.append(args);
    } catch (const std::exception& e) {
      crashed(fmt::format("a C++ exception left the call: {}", e.what()));
      return;
    } catch (...) {
      crashed("a C++ exception left the call");
      return;
    }
    said_ = status_ == 0 ? std::string() : words_of(candidate, status_);
  }

  void after(int run, const Candidate& candidate) {
    if (!over_) over_ = !judge(run, candidate);
  }

  void outputs(Outputs& out) const {
    if (!valid_ || report.got_status != TWINCHECK_OK || over_) return;
    trial_.outputs(out);
    out.status = report.got_status;
  }

  void finish() { trial_.finish(); }

  Report report;

 private:
  void crashed(std::string detail) {
    report.verdict = Verdict::kCrashed;
    report.law = promise::kNoCrash;
    report.detail = std::move(detail);
    over_ = true;
  }

  bool fail(const char* law, std::string detail) {
    report.verdict = Verdict::kFailed;
    report.law = law;
    if (!detail.empty()) report.detail = std::move(detail);
    return false;
  }

  // Judges a run that has ended. False where the verdict stands.
  bool judge(int run, const Candidate& candidate) {
    const bool clean = trial_.untouched(run, /*outputs_too=*/!valid_ || status_ != 0, report);
    if (run > 0 && status_ != report.got_status)
      return fail(promise::kRepeats, fmt::format("answered {} first, then {}", word(kStatusNames, report.got_status),
                                                 word(kStatusNames, status_)));
    report.got_status = status_;
    if (status_ == TWINCHECK_UNSUPPORTED) {
      if (!clean) return fail(promise::kUnsupportedTouches, "answered unsupported; " + report.detail);
      report.verdict = Verdict::kUnsupported;
      report.detail = said_;
      return true;
    }
    return valid_ ? judge_values(run, clean) : judge_refusal(candidate, clean);
  }

  bool judge_refusal(const Candidate& candidate, bool clean) {
    if (status_ == TWINCHECK_OK || status_ == TWINCHECK_RUNTIME_ERROR)
      return fail(promise::kRefusal,
                  fmt::format("expected {}, got {}", name(report.expected_status), said_.empty() ? "ok" : said_));
    if (!clean) return fail(promise::kRefusalTouches, fmt::format("refused with {}; {}", said_, report.detail));
    if (candidate.exact_status && status_ != static_cast<int32_t>(report.expected_status))
      return fail(promise::kRefusalStatus, fmt::format("expected {}, got {}", name(report.expected_status), said_));
    report.verdict = Verdict::kRefused;
    return true;
  }

  bool judge_values(int run, bool clean) {
    if (status_ != TWINCHECK_OK)
      return fail(status_ == TWINCHECK_RUNTIME_ERROR ? promise::kRuntimeError : promise::kRefusal,
                  "a valid case was answered with " + said_);
    if (run == 0) {
      trial_.keep_first();
      values_right_ = trial_.compare(report);
      if (!clean || !values_right_) report.verdict = Verdict::kFailed;
      return true;
    }
    const std::string earlier = report.detail;
    const Trial::Repetition repetition = trial_.compare_with_first(report);
    if (!clean) {
      report.verdict = Verdict::kFailed;
    } else if (!repetition.all_written && report.guards_intact && report.inputs_unchanged) {
      fail(promise::kAllWritten, "");
    } else if (!repetition.same && values_right_ && report.law.empty()) {
      fail(promise::kRepeats, "");
    }
    if (report.law != promise::kAllWritten && report.law != promise::kRepeats) report.detail = earlier;
    return true;
  }

  Trial trial_;
  bool over_ = false, valid_ = false, values_right_ = true;
  int32_t status_ = 0;
  std::string said_;
};

// Runs body(i) for every i below n on all cores.
template <typename Body>
void on_all_cores(std::size_t n, Body body) {
  const std::size_t threads = std::min<std::size_t>(std::max(1u, std::thread::hardware_concurrency()), n / 16 + 1);
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i; (i = next.fetch_add(16)) < n;)
      for (std::size_t j = i; j < std::min(i + 16, n); ++j) body(j);
  };
  std::vector<std::thread> others;
  for (std::size_t t = 1; t < threads; ++t) others.emplace_back(work);
  work();
  for (std::thread& t : others) t.join();
}

}  // namespace

struct Bench::State {
  uint64_t max_bytes = 0;
  std::unique_ptr<Device> device;  // null for host memory; outlives `memory`
  std::unique_ptr<Memory> memory;
  std::deque<Proceeding> proceedings;  // one, or on a device as many as a batch has cases

  DeviceMemory& device_memory() { return static_cast<DeviceMemory&>(*memory); }

  Proceeding& proceeding(std::size_t i) {
    while (proceedings.size() <= i) proceedings.emplace_back(*memory);
    return proceedings[i];
  }
};

Bench::Bench(MemoryKind kind, uint64_t max_bytes, int device) : state_(std::make_unique<State>()) {
  state_->max_bytes = max_bytes;
  if (kind == MemoryKind::kHost) {
    state_->memory = std::make_unique<HostMemory>();
    return;
  }
  state_->device = open_device(kind, device);
  state_->memory = std::make_unique<DeviceMemory>(*state_->device, kArena);
}
Bench::~Bench() = default;
Bench::Bench(Bench&&) noexcept = default;

namespace {

void run_on_device(Bench::State& state, const Candidate& candidate, std::size_t count) {
  for (int run = 0; run < kRuns; ++run) {
    on_all_cores(count, [&](std::size_t i) { state.proceedings[i].before(run); });
    state.device_memory().upload();
    for (std::size_t i = 0; i < count; ++i) state.proceedings[i].call(candidate, state.device->stream());
    state.device_memory().download();
    state.device->synchronize();
    on_all_cores(count, [&](std::size_t i) { state.proceedings[i].after(run, candidate); });
  }
}

Report judged(const Case& c, const Candidate& candidate, Bench& bench, Outputs* outputs) {
  Bench::State& state = bench.state();
  Proceeding& p = state.proceeding(0);
  p.begin(c, state.max_bytes);
  if (state.device != nullptr) {
    run_on_device(state, candidate, 1);
  } else {
    for (int run = 0; run < kRuns; ++run) {
      p.before(run);
      p.call(candidate, nullptr);
      p.after(run, candidate);
    }
  }
  if (outputs != nullptr) p.outputs(*outputs);
  p.finish();
  if (state.device != nullptr) state.memory->trim();
  return std::move(p.report);
}

}  // namespace

Report check(const Case& c, const Candidate& candidate, Bench& bench) { return judged(c, candidate, bench, nullptr); }

Report check(const Case& c, const Candidate& candidate, Bench& bench, Outputs& outputs) {
  outputs.status = TWINCHECK_UNSUPPORTED;
  return judged(c, candidate, bench, &outputs);
}

std::vector<Report> check_batch(std::span<const Case> cases, const Candidate& candidate, Bench& bench) {
  std::vector<Report> reports;
  reports.reserve(cases.size());
  Bench::State& state = bench.state();
  if (state.device == nullptr) {
    for (const Case& c : cases) reports.push_back(check(c, candidate, bench));
    return reports;
  }
  while (reports.size() < cases.size()) {
    std::size_t count = 0;
    while (count < kBatch && reports.size() + count < cases.size() && !state.device_memory().exclusive()) {
      state.proceeding(count).begin(cases[reports.size() + count], state.max_bytes);
      if (count > 0 && (state.device_memory().full() || state.device_memory().exclusive())) break;  // starts the next batch
      ++count;
    }
    run_on_device(state, candidate, count);
    for (std::size_t i = 0; i < count; ++i) {
      state.proceedings[i].finish();
      reports.push_back(std::move(state.proceedings[i].report));
    }
    state.memory->trim();
  }
  return reports;
}

}  // namespace twincheck
