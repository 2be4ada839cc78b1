#include "harness/judge/check.h"

#include <fmt/format.h>

#include <exception>
#include <stdexcept>

#include "harness/judge/trial.h"

namespace twincheck {

struct Bench::State {
  explicit State(uint64_t bytes) : max_bytes(bytes), trial(memory) {}

  uint64_t max_bytes;
  HostMemory memory;
  Trial trial;
};

Bench::Bench(MemoryKind kind, uint64_t max_bytes) {
  if (kind != MemoryKind::kHost) throw std::invalid_argument(fmt::format("no bench for {} memory", name(kind)));
  state_ = std::make_unique<State>(max_bytes);
}
Bench::~Bench() = default;
Bench::Bench(Bench&&) noexcept = default;

namespace {

std::string words_of(const Candidate& candidate, int32_t status) {
  std::string words{word(kStatusNames, status)};
  if (words == "?") words = fmt::format("status {}", status);
  const char* text = candidate.last_error != nullptr && status != 0 ? candidate.last_error() : nullptr;
  return text != nullptr && *text != 0 ? fmt::format("{} ({})", words, text) : words;
}

Report judge(const Case& c, const Candidate& candidate, Trial& trial, uint64_t max_bytes, Outputs* outputs) {
  Report report;
  const auto fail = [&](const char* law, std::string detail) {
    report.verdict = Verdict::kFailed;
    if (law != nullptr) report.law = law;
    if (!detail.empty()) report.detail = std::move(detail);
  };
  const Trial::Ready ready = trial.lay_out(c, max_bytes);
  report.expected_status = trial.expected_status();
  if (ready == Trial::Ready::kTooLarge) {
    report.verdict = Verdict::kTooLarge;
    report.detail =
        fmt::format("needs more than the {} MiB of memory allowed, or addresses that are not here", max_bytes >> 20);
    return report;
  }
  const bool valid = ready == Trial::Ready::kValid;
  bool values_right = true;
  for (int run = 0; run < kRuns; ++run) {
    trial.paint(run);
    if (valid && run == 0) trial.expect();
    int32_t status;
    try {
      status = candidate.append(trial.arguments());
    } catch (const std::exception& e) {
      report.verdict = Verdict::kCrashed;
      report.law = promise::kNoCrash;
      report.detail = fmt::format("a C++ exception left the call: {}", e.what());
      return report;
    } catch (...) {
      report.verdict = Verdict::kCrashed;
      report.law = promise::kNoCrash;
      report.detail = "a C++ exception left the call";
      return report;
    }
    const bool unsupported = status == TWINCHECK_UNSUPPORTED;
    const std::string said = status != 0 && (valid || run > 0 || !unsupported) ? words_of(candidate, status) : std::string();
    const bool clean = trial.untouched(run, /*outputs_too=*/!valid || status != 0, report);
    if (run > 0 && status != report.got_status) {
      fail(promise::kRepeats,
           fmt::format("answered {} first, then {}", word(kStatusNames, report.got_status), word(kStatusNames, status)));
      return report;
    }
    report.got_status = status;
    if (unsupported) {
      if (!clean) {
        fail(promise::kUnsupportedTouches, "answered unsupported; " + report.detail);
        return report;
      }
      report.verdict = Verdict::kUnsupported;
      report.detail = said;
      continue;
    }
    if (!valid) {
      if (status == 0 || status == TWINCHECK_RUNTIME_ERROR) {
        fail(promise::kRefusal,
             fmt::format("expected {}, got {}", name(report.expected_status), words_of(candidate, status)));
        return report;
      }
      if (!clean) {
        fail(promise::kRefusalTouches, fmt::format("refused with {}; {}", said, report.detail));
        return report;
      }
      if (candidate.exact_status && status != static_cast<int32_t>(report.expected_status)) {
        fail(promise::kRefusalStatus, fmt::format("expected {}, got {}", name(report.expected_status), said));
        return report;
      }
      report.verdict = Verdict::kRefused;
      continue;
    }
    if (status != 0) {
      fail(status == TWINCHECK_RUNTIME_ERROR ? promise::kRuntimeError : promise::kRefusal,
           "a valid case was answered with " + said);
      return report;
    }
    if (run == 0) {
      trial.keep_first();
      values_right = trial.compare(report);
      if (!clean || !values_right) report.verdict = Verdict::kFailed;
      continue;
    }
    const std::string earlier = report.detail;
    const Trial::Repetition repetition = trial.compare_with_first(report);
    if (!clean) {
      fail(nullptr, earlier);
    } else if (!repetition.all_written && report.guards_intact && report.inputs_unchanged) {
      fail(promise::kAllWritten, "");
    } else if (!repetition.same && values_right && report.law.empty()) {
      fail(promise::kRepeats, "");
    } else {
      report.detail = earlier;
    }
  }
  if (outputs != nullptr && valid && report.got_status == 0) {
    trial.outputs(*outputs);
    outputs->status = report.got_status;
  }
  return report;
}

Report judged(const Case& c, const Candidate& candidate, Bench& bench, Outputs* outputs) {
  Bench::State& state = bench.state();
  Report report = judge(c, candidate, state.trial, state.max_bytes, outputs);
  state.trial.finish();
  return report;
}

}  // namespace

Report check(const Case& c, const Candidate& candidate, Bench& bench) { return judged(c, candidate, bench, nullptr); }

Report check(const Case& c, const Candidate& candidate, Bench& bench, Outputs& outputs) {
  outputs.status = TWINCHECK_UNSUPPORTED;
  return judged(c, candidate, bench, &outputs);
}

}  // namespace twincheck
