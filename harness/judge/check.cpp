#include "harness/judge/check.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "harness/judge/lane.h"
#include "harness/judge/proceeding.h"

namespace twincheck {
namespace {

// Consecutive jobs of one bench, in order: a source of cases may have cases follow each other that should meet in one place.
constexpr std::size_t kGroup = 8;

}  // namespace

// Either the bench of host memory; or one that has opened a device, whose own case goes through the first lane; or, for a
// job of for_each(), a slot of a lane.
struct Bench::State {
  std::unique_ptr<HostMemory> memory;
  std::unique_ptr<Proceeding> proceeding;
  std::unique_ptr<Road> road;
  std::vector<std::unique_ptr<Lane>> lanes;
  Lane* lane = nullptr;
  std::size_t slot = 0;
  uint64_t max_bytes = 0;
  std::size_t threads = 1;
};

Bench::Bench(std::unique_ptr<State> state) : state_(std::move(state)) {}
Bench::Bench(MemoryKind kind, uint64_t max_bytes, int device, int threads, DeviceLayout layout)
    : state_(std::make_unique<State>()) {
  state_->max_bytes = max_bytes;
  state_->threads = static_cast<std::size_t>(std::max(1, threads));
  if (kind == MemoryKind::kHost) {
    state_->memory = std::make_unique<HostMemory>();
    state_->proceeding = std::make_unique<Proceeding>(*state_->memory);
    return;
  }
  state_->road = std::make_unique<Road>(open_device(kind, device), layout);
  state_->lanes.push_back(std::make_unique<Lane>(*state_->road, 0, max_bytes));
  state_->lane = state_->lanes[0].get();
}
Bench::~Bench() = default;
Bench::Bench(Bench&&) noexcept = default;

Device* Bench::device() { return state_->lane != nullptr ? &state_->lane->device() : nullptr; }

namespace {

Report judged(const Case& c, const Candidate& candidate, Bench& bench, Outputs* outputs) {
  Bench::State& state = bench.state();
  if (state.lane != nullptr) return state.lane->judge(state.slot, c, candidate, outputs);
  Proceeding& p = *state.proceeding;
  p.begin(c, state.max_bytes);
  for (int run = 0; run < kRuns && !p.over(); ++run) {
    p.before(run);
    p.call(candidate, nullptr);
    p.after(run, candidate);
  }
  if (outputs != nullptr) p.outputs(*outputs);
  p.finish();
  return std::move(p.report);
}

// Runs the groups of jobs that are left, on one lane.
class Crew {
 public:
  Crew(std::size_t jobs, std::size_t lanes, const std::function<void(std::size_t, Bench&)>& job)
      : jobs_(jobs), fibres_(lanes * Lane::kSlots), job_(job) {}

  void work(Lane& lane, uint64_t max_bytes) {
    std::vector<Bench> benches;
    for (std::size_t i = 0; i < Lane::kSlots; ++i) {
      auto state = std::make_unique<Bench::State>();
      state->lane = &lane;
      state->slot = i;
      state->max_bytes = max_bytes;
      benches.push_back(Bench(std::move(state)));
    }
    try {
      lane.device().make_current();
      lane.run([&](std::size_t slot) {
        const auto [first, last] = take_group();
        for (std::size_t i = first; i < last && !stop_; ++i) job_(i, benches[slot]);
        return last < jobs_ && !stop_;
      });
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (error_ == nullptr) error_ = std::current_exception();
      stop_ = true;
    }
  }

  void end() const {
    if (error_ != nullptr) std::rethrow_exception(error_);
  }

 private:
  // Towards the end one at a time, so that no fibre has eight long ones when the others have none.
  std::pair<std::size_t, std::size_t> take_group() {
    std::size_t first = next_, last = 0;
    do {
      last = std::min(jobs_, first + (jobs_ - std::min(jobs_, first) > kGroup * fibres_ ? kGroup : 1));
    } while (!next_.compare_exchange_weak(first, last));
    return {first, last};
  }

  const std::size_t jobs_, fibres_;
  const std::function<void(std::size_t, Bench&)>& job_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> stop_ = false;
  std::mutex mutex_;
  std::exception_ptr error_;
};

}  // namespace

Report check(const Case& c, const Candidate& candidate, Bench& bench) { return judged(c, candidate, bench, nullptr); }

Report check(const Case& c, const Candidate& candidate, Bench& bench, Outputs& outputs) {
  outputs.status = TWINCHECK_UNSUPPORTED;
  return judged(c, candidate, bench, &outputs);
}

void Bench::for_each(std::size_t n, const std::function<void(std::size_t, Bench&)>& job) {
  State& state = *state_;
  if (state.road == nullptr || state.road->layout == DeviceLayout::kExact || n == 1) {
    for (std::size_t i = 0; i < n; ++i) job(i, *this);
    return;
  }
  const std::size_t lanes = std::min(state.threads, (n + kGroup - 1) / kGroup);
  while (state.lanes.size() < lanes)
    state.lanes.push_back(std::make_unique<Lane>(*state.road, state.lanes.size(), state.max_bytes));
  Crew crew(n, lanes, job);
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < lanes; ++i) others.emplace_back([&, i] { crew.work(*state.lanes[i], state.max_bytes); });
  crew.work(*state.lanes[0], state.max_bytes);
  for (std::thread& t : others) t.join();
  crew.end();
}

}  // namespace twincheck
