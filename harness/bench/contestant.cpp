#include "harness/bench/contestant.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>
#include <string_view>
#include <utility>

#include "harness/report/bytes.h"

namespace twincheck::bench {
namespace {

// Requests begin with one of these, answers with kDone or, where a report follows, kReport; kBroken is a report after which
// the process is of no more use.
constexpr char kPrepare = 'p', kTime = 't', kCheck = 'c';
constexpr char kDone = 'd', kReport = 'r', kBroken = 'b';
constexpr std::size_t kMostSamples = 100000;
constexpr double kPatience = 6;  // times the timeout of a case: there are many buffers to fill and to compare

template <typename T>
void put(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <typename T>
T take(std::string_view bytes) {
  T value{};
  std::memcpy(&value, bytes.data(), std::min(bytes.size(), sizeof value));
  return value;
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

std::string answer(Timer& timer, std::string_view request) {
  const char what = request.empty() ? '\0' : request.front();
  request.remove_prefix(std::min<std::size_t>(1, request.size()));
  try {
    if (what == kPrepare) {
      const Report report = timer.prepare(decode({reinterpret_cast<const uint8_t*>(request.data()), request.size()}));
      if (report.verdict != Verdict::kPassed) return kReport + to_bytes(report);
      std::string bytes(1, kDone);
      put(bytes, timer.plan());
      return bytes;
    }
    if (what == kCheck) return kReport + to_bytes(timer.check());
    std::string bytes(1, kDone);
    const double end = now() + take<double>(request);
    std::size_t samples = 0;
    do put(bytes, timer.pass());
    while (++samples < kMostSamples && now() < end);
    return bytes;
  } catch (const std::exception& e) {
    return kBroken + to_bytes(crashed(fmt::format("exception: {}", e.what())));
  }
}

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(std::min(line.find(':') + 2, line.size()));
  return "a processor";
}

}  // namespace

Contestant::Contestant(const std::string& path, const Setting& setting, bool checked)
    : worker_(
          [path, setting, checked]() -> Answer {
            auto timer = std::make_shared<Timer>(load_candidate(path), setting.device, setting.max_bytes, checked);
            return [timer](std::string_view request) { return answer(*timer, request); };
          },
          setting.limits),
      limits_(setting.limits) {}

std::string Contestant::ask(char what, std::string_view bytes, Report& report) {
  output_.clear();
  Worker::Outcome outcome = worker_.ask(what + std::string(bytes), kPatience);
  output_ = std::move(outcome.output);
  if (outcome.end == Worker::End::kHung) {
    report = hung(limits_.timeout * kPatience, 0);
    return {};
  }
  if (outcome.end != Worker::End::kAnswered || outcome.answer.empty()) {
    report = crashed(outcome.reason);
    return {};
  }
  const char kind = outcome.answer.front();
  outcome.answer.erase(0, 1);
  if (kind == kDone) return outcome.answer;
  report = report_from(outcome.answer);
  if (kind == kBroken) {
    output_ = worker_.output_tail();
    worker_.stop();
  }
  return {};
}

Report Contestant::prepare(const Case& c) {
  const std::vector<uint8_t> bytes = encode(c);
  Report report;
  pass_ = take<Pass>(ask(kPrepare, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, report));
  return report;
}

std::optional<Report> Contestant::time(double seconds, std::vector<double>& samples) {
  std::string request;
  put(request, seconds);
  Report report;
  std::string bytes = ask(kTime, request, report);
  if (report.verdict != Verdict::kPassed) return report;
  for (std::string_view rest = bytes; rest.size() >= sizeof(double); rest.remove_prefix(sizeof(double)))
    samples.push_back(take<double>(rest));
  return std::nullopt;
}

Report Contestant::check() {
  Report report;
  (void)ask(kCheck, {}, report);
  return report;
}

Machine look_at_machine(MemoryKind kind, int device, const Limits& limits) {
  Worker worker(
      [kind, device]() -> Answer {
        std::shared_ptr<Device> opened;
        if (kind != MemoryKind::kHost) opened = open_device(kind, device);
        return [opened](std::string_view) {
          std::string bytes;
          try {
            put(bytes, copy_rate(opened.get()));
            bytes += opened != nullptr ? opened->properties().name : processor_name();
          } catch (const DeviceError&) {
            bytes.clear();
          }
          return bytes;
        };
      },
      limits);
  const Worker::Outcome outcome = worker.ask("", kPatience);
  Machine machine;
  if (outcome.end != Worker::End::kAnswered || outcome.answer.size() < sizeof(double)) return machine;
  machine.copy_bytes_per_second = take<double>(outcome.answer);
  machine.device = outcome.answer.substr(sizeof(double));
  return machine;
}

}  // namespace twincheck::bench
