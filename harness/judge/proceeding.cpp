#include "harness/judge/proceeding.h"

#include <fmt/format.h>

#include <exception>
#include <utility>

namespace twincheck {
namespace {

std::string words_of(const Candidate& candidate, int32_t status) {
  std::string words{word(kStatusNames, status)};
  if (words == "?") words = fmt::format("status {}", status);
  const char* text = candidate.last_error != nullptr && status != 0 ? candidate.last_error() : nullptr;
  return text != nullptr && *text != 0 ? fmt::format("{} ({})", words, text) : words;
}

}  // namespace

void Proceeding::begin(const Case& c, uint64_t max_bytes) {
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

void Proceeding::before(int run) {
  if (over_) return;
  trial_.paint(run);
  if (valid_ && run == 0) trial_.expect();
}

void Proceeding::call(const Candidate& candidate, void* stream) {
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

void Proceeding::after(int run, const Candidate& candidate) {
  if (!over_) over_ = !judge(run, candidate);
}

void Proceeding::outputs(Outputs& out) const {
  if (!valid_ || report.got_status != TWINCHECK_OK || over_) return;
  trial_.outputs(out);
  out.status = report.got_status;
}

void Proceeding::finish() { trial_.finish(); }

void Proceeding::crashed(std::string detail) {
  report.verdict = Verdict::kCrashed;
  report.law = promise::kNoCrash;
  report.detail = std::move(detail);
  over_ = true;
}

bool Proceeding::fail(const char* law, std::string detail) {
  report.verdict = Verdict::kFailed;
  report.law = law;
  if (!detail.empty()) report.detail = std::move(detail);
  return false;
}

// False where the verdict stands.
bool Proceeding::judge(int run, const Candidate& candidate) {
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

bool Proceeding::judge_refusal(const Candidate& candidate, bool clean) {
  if (status_ == TWINCHECK_OK || status_ == TWINCHECK_RUNTIME_ERROR)
    return fail(promise::kRefusal,
                fmt::format("expected {}, got {}", name(report.expected_status), said_.empty() ? "ok" : said_));
  if (!clean) return fail(promise::kRefusalTouches, fmt::format("refused with {}; {}", said_, report.detail));
  if (candidate.exact_status && status_ != static_cast<int32_t>(report.expected_status))
    return fail(promise::kRefusalStatus, fmt::format("expected {}, got {}", name(report.expected_status), said_));
  report.verdict = Verdict::kRefused;
  return true;
}

bool Proceeding::judge_values(int run, bool clean) {
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

}  // namespace twincheck
