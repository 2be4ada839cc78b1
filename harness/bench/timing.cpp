#include "harness/bench/timing.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "harness/bench/shapes.h"

namespace twincheck::bench {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;
constexpr int kMostSets = 256, kMostCalls = 1024;
constexpr double kPassMicroseconds = 300;  // at least
// Where the driver does not say how large the cache is.
constexpr std::size_t kSomeCache = 64 * kMiB;
constexpr std::size_t kHostCache = 32 * kMiB;

double now_us() {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Timer::Timer(Candidate candidate, int device, uint64_t max_bytes, bool checked)
    : candidate_(std::move(candidate)),
      device_(candidate_.memory == MemoryKind::kHost ? nullptr : open_device(candidate_.memory, device)),
      max_bytes_(max_bytes),
      checked_(checked),
      stage_(device_.get()) {
  if (device_ == nullptr) return;
  properties_ = device_->properties();
  first_ = device_->create_event();
  last_ = device_->create_event();
}

Timer::~Timer() {
  try {
    forget_graph();
    if (other_ != nullptr) device_->release(other_);
  } catch (const DeviceError&) {
    // The device is gone, and its memory with it.
  }
}

void Timer::forget_graph() {
  if (graph_ != nullptr) device_->destroy_graph(std::exchange(graph_, nullptr));
}

int32_t Timer::call(int i, void* stream) {
  AppendArgs args = arguments_[static_cast<std::size_t>(i) % arguments_.size()];
  args.stream = stream;
  return candidate_.append(&args);
}

Report Timer::prepare(const Case& c) {
  forget_graph();
  Report report;
  const auto end = [&report](Verdict verdict, std::string detail) {
    report.verdict = verdict;
    report.detail = std::move(detail);
    return report;
  };
  const Trial::Ready ready = stage_.lay_out(c, max_bytes_);
  if (ready == Trial::Ready::kInvalid) return end(Verdict::kRefused, "the operation refuses it");
  if (ready == Trial::Ready::kTooLarge) return end(Verdict::kTooLarge, "one set of buffers does not fit");

  const std::size_t cache = device_ == nullptr         ? kHostCache
                            : properties_.l2_bytes > 0 ? static_cast<std::size_t>(properties_.l2_bytes)
                                                       : kSomeCache;
  const std::size_t set = std::max<std::size_t>(1, stage_.set_bytes());
  int sets = static_cast<int>(std::clamp<std::size_t>((3 * cache + set - 1) / set, kRuns + 1, kMostSets));
  if (device_ != nullptr && static_cast<std::size_t>(sets) * set > device_->free_bytes() / 4 * 3) sets = kRuns;
  if (!stage_.allocate(sets)) return end(Verdict::kTooLarge, fmt::format("{} sets of buffers do not fit", sets));
  if (checked_) stage_.paint();
  evict_ = device_ != nullptr && static_cast<std::size_t>(sets) * set < 2 * cache;
  if (evict_ && other_ == nullptr) {
    other_bytes_ = 2 * cache;
    other_ = device_->allocate(2 * other_bytes_);
    if (other_ == nullptr) return end(Verdict::kTooLarge, "what empties the cache does not fit");
    device_->fill(other_, 1, 2 * other_bytes_);
  }
  arguments_.clear();
  for (int i = 0; i < sets; ++i) arguments_.push_back(stage_.arguments(i, nullptr));

  // The first call may build or load something; the second says about how long one takes.
  void* const stream = device_ != nullptr ? device_->stream() : nullptr;
  double each = 0;
  for (int i = 0; i < 2; ++i) {
    const double start = now_us();
    const int32_t status = call(i, stream);
    if (status == TWINCHECK_UNSUPPORTED) return end(Verdict::kUnsupported, "");
    if (status != TWINCHECK_OK) {
      report.got_status = status;
      const char* words = candidate_.last_error != nullptr ? candidate_.last_error() : nullptr;
      report.law = status == TWINCHECK_RUNTIME_ERROR ? "runtime_error" : "refusal";
      return end(Verdict::kFailed, words != nullptr ? words : "");
    }
    if (device_ != nullptr) device_->synchronize();
    each = now_us() - start;
  }
  const int wanted = static_cast<int>(std::clamp(kPassMicroseconds / std::max(each, 0.5), 1.0, double{kMostCalls}));
  const auto rounded = [sets](int calls) { return std::min((calls + sets - 1) / sets * sets, std::max(sets, kMostCalls)); };
  pass_ = {Method::kClock, rounded(wanted), sets};
  if (device_ != nullptr) {
    pass_.method = capture(pass_.calls) ? Method::kGraph : Method::kEvents;
    if (checked_) stage_.paint();
  }
  return report;
}

// A graph has the calls' work and none of the host's.
bool Timer::capture(int calls) {
  device_->begin_capture();
  bool all = true;
  for (int i = 0; i < calls && all; ++i) all = call(i, device_->stream()) == TWINCHECK_OK;
  try {
    graph_ = device_->end_capture();
  } catch (const DeviceError&) {
    return false;
  }
  if (all) return true;
  forget_graph();
  return false;
}

void Timer::evict() {
  auto* const half = static_cast<std::byte*>(other_) + other_bytes_;
  device_->copy(half, other_, other_bytes_);
}

double Timer::pass() { return device_ != nullptr ? device_pass() : clock_pass(); }

double Timer::device_pass() {
  if (evict_) evict();
  device_->record(first_);
  if (graph_ != nullptr) {
    device_->launch_graph(graph_);
  } else {
    for (int i = 0; i < pass_.calls; ++i)
      if (call(i, device_->stream()) != TWINCHECK_OK) throw std::runtime_error("a later call was refused");
  }
  device_->record(last_);
  device_->synchronize_event(last_);
  return device_->microseconds_between(first_, last_) / pass_.calls;
}

double Timer::clock_pass() {
  const double start = now_us();
  for (int i = 0; i < pass_.calls; ++i)
    if (call(i, nullptr) != TWINCHECK_OK) throw std::runtime_error("a later call was refused");
  return (now_us() - start) / pass_.calls;
}

Report Timer::check() {
  if (device_ != nullptr) device_->synchronize();
  return checked_ ? stage_.check() : Report{};
}

double copy_rate(Device* device) {
  constexpr int kPasses = 9;
  std::vector<double> rates;
  const auto median = [&rates] {
    std::sort(rates.begin(), rates.end());
    return rates[rates.size() / 2];
  };
  if (device == nullptr) {
    const std::size_t bytes = 128 * kMiB;
    const std::vector<std::byte> from(bytes, std::byte{1});
    std::vector<std::byte> to(bytes);
    for (int i = 0; i < kPasses; ++i) {
      const double start = now_us();
      std::memcpy(to.data(), from.data(), bytes);
      rates.push_back(2e6 * static_cast<double>(bytes) / (now_us() - start));
    }
    return to[bytes / 2] == from[0] ? median() : 0;
  }
  // Several copies one behind the other, from and to different places; larger than any cache.
  constexpr int kCopies = 8;
  const std::size_t bytes = 256 * kMiB;
  auto* const memory = static_cast<std::byte*>(device->allocate(kCopies * bytes));
  if (memory == nullptr) return 0;
  device->fill(memory, 1, kCopies * bytes);
  void *const first = device->create_event(), *const last = device->create_event();
  for (int i = 0; i < kPasses; ++i) {
    device->record(first);
    for (int k = 0; k < kCopies; ++k)
      device->copy(memory + static_cast<std::size_t>((k + 1) % kCopies) * bytes,
                   memory + static_cast<std::size_t>(k) * bytes, bytes);
    device->record(last);
    device->synchronize_event(last);
    rates.push_back(2e6 * kCopies * static_cast<double>(bytes) / device->microseconds_between(first, last));
  }
  device->destroy_event(first);
  device->destroy_event(last);
  device->release(memory);
  return median();
}

}  // namespace twincheck::bench
