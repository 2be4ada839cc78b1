#include "harness/candidate/runner.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <thread>

#include "harness/candidate/manners.h"
#include "harness/report/bytes.h"
#include "harness/report/message.h"

namespace twincheck {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

constexpr uint64_t kPiece = 32;      // items a worker takes at once where the plan has no opinion
constexpr std::size_t kRecords = 8;  // failures on their way to the parent
constexpr std::size_t kKeys = 256;   // kinds of failures a slot tells apart
constexpr std::size_t kFirstBatch = 256;
constexpr double kBatchSeconds = 0.4;   // what a batch should take: progress shows, and little is lost with it
constexpr uint64_t kToldOfEach = 2;     // failures of a kind that a slot tells the parent in full
constexpr std::size_t kPieces = 512;    // of a worker's past
constexpr std::size_t kPast = 1000;     // items that are run again to find what led to a failure
constexpr double kSequenceSeconds = 3;  // to make that sequence shorter
constexpr int kPollMs = 5;
constexpr std::string_view kNoHang = "no_hang";  // hung()'s

enum class Phase : uint32_t { kStarting, kBroken, kReady, kInCall, kFinished };

struct Record {
  uint64_t index;
  uint32_t size;
  char report[kReportBytes];
};

// One worker's part of the shared memory. The worker writes, and the parent while there is no worker.
struct Slot {
  std::atomic<Phase> phase;
  std::atomic<uint64_t> first, count;   // the items in hand, published before the call
  std::atomic<uint64_t> next, end;      // what is left of the piece
  std::atomic<uint64_t> careful_until;  // items below this are judged in batches of careful_batch
  std::atomic<uint64_t> careful_batch;
  std::atomic<uint64_t> done;
  std::atomic<uint64_t> written, read;  // records
  double isolation_seconds;
  struct Piece {
    uint64_t first, end;
  };
  uint64_t pieces;  // since the process started
  std::array<Piece, kPieces> past;
  struct Key {
    uint64_t hash, count;
  };
  std::array<Key, kKeys> keys;
  char error[2048];
  std::array<Record, kRecords> records;
};

struct Common {
  std::atomic<uint64_t> next;
  std::atomic<uint32_t> stop;
};

// 0 is a key that nobody has taken.
uint64_t hash(std::string_view key) { return hash_of(key) | 1; }

// How often a failure of this kind has come to this slot, this one included.
uint64_t tally_key(Slot& slot, uint64_t h) {
  for (std::size_t probe = 0; probe < kKeys; ++probe) {
    Slot::Key& key = slot.keys[(h + probe) % kKeys];
    if (key.hash == 0) key.hash = h;
    if (key.hash == h) return ++key.count;
  }
  return kToldOfEach + 1;
}

// What a report is where failures may be expected, and by which expectation: -1 by none.
std::pair<Report, int> expected(const RunOptions& options, const Item& item, const Report& report) {
  std::pair<Report, int> result{report, -1};
  if (options.known && (is_bad(report.verdict) || report.verdict == Verdict::kKnown))
    result.second = options.known(item, report);
  if (result.second >= 0) result.first.verdict = Verdict::kKnown;
  return result;
}

// Everything below up to Run runs in the worker.
class Work {
 public:
  Work(const Plan& plan, const RunOptions& options, Common& common, Slot& slot, std::span<uint64_t> counters)
      : plan_(plan), options_(options), common_(common), slot_(slot), counters_(counters) {}

  void go(const MakeJudge& make_judge, bool measure) {
    Judge judge;
    try {
      judge = make_judge();
    } catch (const std::exception& e) {
      std::snprintf(slot_.error, sizeof slot_.error, "%s", e.what());
      slot_.phase = Phase::kBroken;
      return;
    }
    const Manners manners;
    if (measure) measure_isolation(manners);
    slot_.pieces = 0;
    if (slot_.next < slot_.end) remember({slot_.next, slot_.end});
    slot_.phase = Phase::kReady;
    std::vector<Item> items;
    const std::size_t most = plan_.one_by_one ? 1 : std::max<std::size_t>(options_.batch, 1);
    std::size_t batch = std::min(most, kFirstBatch);
    while (common_.stop == 0 && take_piece(batch)) {
      const uint64_t first = slot_.next;
      uint64_t count = std::min<uint64_t>(slot_.end - first, batch);
      if (first < slot_.careful_until) count = std::min<uint64_t>(slot_.careful_batch, slot_.careful_until - first);
      begin(first, count);
      const Clock::time_point started = Clock::now();
      make_items(first, count, items);
      std::vector<Report> reports;
      bool leave = false;
      try {
        reports = judge(items);
      } catch (const std::exception& e) {
        if (count > 1) return;  // they are run again in smaller batches
        reports = {crashed(fmt::format("exception: {}", e.what()))};
        leave = true;
      }
      if (const std::string complaint = manners.complaint(); !complaint.empty()) {
        if (count > 1) return;
        if (!is_bad(reports.at(0).verdict)) reports = {crashed(complaint)};
        leave = true;
      }
      for (uint64_t i = 0; options_.known && i < count; ++i)
        reports.at(i) = expected(options_, items[i], reports.at(i)).first;
      count_items(items, reports);
      for (uint64_t i = 0; i < count; ++i) finish(first + i, items[i], reports.at(i));
      slot_.done.fetch_add(count, std::memory_order_relaxed);
      slot_.phase.store(Phase::kReady, std::memory_order_release);
      if (leave) return;
      const double took = seconds_since(started);
      if (took < kBatchSeconds / 4 && count == batch) batch = std::min(4 * batch, most);
      if (took > 2 * kBatchSeconds) batch = std::max<std::size_t>(batch / 2, 1);
    }
    slot_.phase = Phase::kFinished;
  }

 private:
  void remember(Slot::Piece piece) {
    slot_.past[slot_.pieces % kPieces] = piece;
    ++slot_.pieces;
  }

  // Of `batch` items where nothing else says: more would keep other workers waiting.
  bool take_piece(std::size_t batch) {
    if (slot_.next < slot_.end) return true;
    uint64_t first = common_.next, end = 0;
    do {
      if (first >= plan_.size) return false;
      end = plan_.piece_end ? plan_.piece_end(first) : (first / kPiece + 1) * kPiece;
      if (!plan_.piece_end && batch > kPiece) end = first + batch;
      end = std::min(std::max(end, first + 1), plan_.size);
    } while (!common_.next.compare_exchange_weak(first, end));
    slot_.next = first;
    slot_.end = end;
    remember({first, end});
    return true;
  }

  void begin(uint64_t first, uint64_t count) {
    slot_.first.store(first, std::memory_order_relaxed);
    slot_.count.store(count, std::memory_order_relaxed);
    slot_.next.store(first + count, std::memory_order_relaxed);
    slot_.phase.store(Phase::kInCall, std::memory_order_release);
  }

  // Calls part(thread, first, last) for parts of [0, n), on as many threads as are worth it.
  template <typename Part>
  void in_parts(std::size_t n, Part part) {
    constexpr std::size_t kWorthAThread = 64;
    const std::size_t threads = std::min<std::size_t>(static_cast<std::size_t>(std::max(1, options_.threads)),
                                                      std::max<std::size_t>(n / kWorthAThread, 1));
    std::vector<std::thread> others;
    for (std::size_t t = 1; t < threads; ++t) others.emplace_back(part, t, n * t / threads, n * (t + 1) / threads);
    part(std::size_t{0}, std::size_t{0}, n / threads);
    for (std::thread& other : others) other.join();
  }

  void make_items(uint64_t first, uint64_t count, std::vector<Item>& items) {
    items.resize(count);
    in_parts(count, [&](std::size_t, std::size_t from, std::size_t to) {
      for (std::size_t i = from; i < to; ++i) items[i] = plan_.item(first + i);
    });
  }

  void count_items(const std::vector<Item>& items, const std::vector<Report>& reports) {
    if (!options_.count) return;
    if (items.size() == 1) {
      options_.count(items[0], reports.at(0), counters_);
      return;
    }
    std::vector<std::vector<uint64_t>> counters(static_cast<std::size_t>(std::max(1, options_.threads)));
    in_parts(items.size(), [&](std::size_t thread, std::size_t from, std::size_t to) {
      counters[thread].resize(counters_.size());
      for (std::size_t i = from; i < to; ++i) options_.count(items[i], reports.at(i), counters[thread]);
    });
    for (const std::vector<uint64_t>& part : counters)
      for (std::size_t i = 0; i < part.size(); ++i) counters_[i] += part[i];
  }

  void finish(uint64_t index, const Item& item, const Report& report) {
    if (report.verdict == Verdict::kKnown) {
      if (tally_key(slot_, hash(fmt::format("known {}", options_.known(item, report)))) > 1) return;
    } else if (!is_bad(report.verdict) || tally_key(slot_, hash(failure_key(item, report))) > kToldOfEach) {
      return;
    }
    while (slot_.written - slot_.read >= kRecords) {
      if (common_.stop != 0) return;
      poll(nullptr, 0, 1);
    }
    Record& record = slot_.records[slot_.written % kRecords];
    const std::string bytes = to_bytes(report);
    record.index = index;
    record.size = static_cast<uint32_t>(std::min(bytes.size(), sizeof record.report));
    std::memcpy(record.report, bytes.data(), record.size);
    slot_.written.fetch_add(1, std::memory_order_release);
  }

  // What one item costs beside the judge: the best of a few rounds, as the machine may have other things to do.
  void measure_isolation(const Manners& manners) {
    constexpr int kRounds = 20, kTimes = 25;
    const uint64_t next = slot_.next;
    double best = 1;
    for (int round = 0; round < kRounds; ++round) {
      const Clock::time_point start = Clock::now();
      for (int i = 0; i < kTimes; ++i) {
        begin(0, 1);
        (void)manners.complaint();
        slot_.done.fetch_add(0, std::memory_order_relaxed);
        slot_.phase.store(Phase::kStarting, std::memory_order_release);
      }
      best = std::min(best, seconds_since(start) / kTimes);
    }
    slot_.isolation_seconds = best;
    slot_.next = next;
  }

  const Plan& plan_;
  const RunOptions& options_;
  Common& common_;
  Slot& slot_;
  std::span<uint64_t> counters_;
};

// The parent's side.
class Run {
 public:
  Run(const Plan& plan, const MakeJudge& make_judge, const RunOptions& options)
      : plan_(plan),
        make_judge_(make_judge),
        options_(options),
        jobs_(static_cast<std::size_t>(std::max(1, options.jobs))),
        counter_bytes_((options.counters * sizeof(uint64_t) + 63) / 64 * 64),
        memory_(sizeof(Common) + 64 + jobs_ * (sizeof(Slot) + counter_bytes_ + 128)),
        common_(*new (memory_.data()) Common{}),
        workers_(jobs_),
        solo_(make_judge, options.limits),
        own_counters_(options.counters) {
    std::byte* at = memory_.data() + (sizeof(Common) + 63) / 64 * 64;
    for (WorkerState& w : workers_) {
      w.slot = new (at) Slot{};
      at += (sizeof(Slot) + 63) / 64 * 64;
      w.counters = {reinterpret_cast<uint64_t*>(at), options.counters};
      at += counter_bytes_;
    }
  }

  RunResult go() {
    start_ = Clock::now();
    try {
      if (plan_.size > 0) {
        const std::size_t wanted = std::min<uint64_t>(jobs_, plan_.size);
        for (std::size_t i = 0; i < wanted; ++i) spawn(workers_[i]);
        while (step()) continue;
      }
    } catch (...) {
      for (WorkerState& w : workers_) w.process.reset();
      throw;
    }
    return result();
  }

 private:
  struct WorkerState {
    Slot* slot = nullptr;
    std::span<uint64_t> counters;
    std::unique_ptr<Process> process;
    uint64_t seen_done = UINT64_MAX, seen_first = 0;  // what it was at when it was last seen to move
    Clock::time_point since;
    std::optional<uint64_t> second_try;  // an item that did not return, begun again in a fresh process
    uint64_t done_at_hang = 0;
    std::vector<Item> past_at_hang;
    bool starved = false;     // the first time, the machine had hardly let it run
    double cpu_seconds = -1;  // of the process, when it was first seen to take long; negative: not seen
    Clock::time_point cpu_since;
    int failed_starts = 0;
    bool started = false;
  };

  bool interrupted() const { return options_.interrupt != nullptr && *options_.interrupt != 0; }

  void spawn(WorkerState& w) {
    w.slot->phase = Phase::kStarting;
    const bool measure = result_.workers == 0;
    ++result_.workers;
    w.process =
        std::make_unique<Process>([&] { Work(plan_, options_, common_, *w.slot, w.counters).go(make_judge_, measure); });
    w.seen_done = UINT64_MAX;
    w.since = Clock::now();
  }

  // Looks at every worker once. False when the run is over.
  bool step() {
    if (interrupted()) {
      result_.interrupted = true;
      common_.stop = 1;
      for (WorkerState& w : workers_) retire(w);
      return false;
    }
    if (options_.seconds > 0 && seconds_since(start_) >= options_.seconds) common_.stop = 1;
    bool alive = false;
    for (WorkerState& w : workers_) {
      if (!w.process) continue;
      alive = true;
      look_at(w);
    }
    if (!alive) return false;
    if (options_.on_tick) options_.on_tick(done(), seconds_since(start_));
    wait();
    return true;
  }

  void wait() {
    std::vector<pollfd> ends;
    for (const WorkerState& w : workers_)
      if (w.process && w.process->descriptor() >= 0) ends.push_back({w.process->descriptor(), POLLIN, 0});
    poll(ends.data(), ends.size(), kPollMs);
  }

  void retire(WorkerState& w) {
    if (!w.process) return;
    w.process->kill();
    result_.printed_bytes += w.process->output_bytes();
    w.process.reset();
  }

  void look_at(WorkerState& w) {
    Slot& slot = *w.slot;
    const auto reason = w.process->ended();
    take_records(w);
    if (reason) {
      const Phase phase = slot.phase;
      if (w.second_try && slot.done != w.done_at_hang) returned_after_all(w);
      const std::string output = w.process->output_tail();
      retire(w);
      if (phase == Phase::kFinished) return;
      if (phase == Phase::kBroken) {
        slot.error[sizeof slot.error - 1] = 0;
        throw LoadError(slot.error);
      }
      if (phase == Phase::kStarting) {
        if (!w.started || ++w.failed_starts >= 3)
          throw LoadError(fmt::format("the candidate ended its process while it was loaded: {}", *reason));
      } else if (phase == Phase::kInCall) {
        w.failed_starts = 0;
        lost(w, crashed(*reason + " in the call"), output);
      } else if (*reason != "exit status 0") {
        // Nothing was in hand, so it died by something that an earlier call left behind.
        failed(w, slot.first, crashed(*reason + " between two calls, after this case"), output, /*counted=*/true);
      }
      go_on(w);
      return;
    }
    w.process->trim_output();
    const Phase phase = slot.phase;
    if (phase != Phase::kStarting) w.started = true;
    if (const uint64_t resident = w.process->resident_bytes();
        resident > options_.limits.memory && phase == Phase::kInCall) {
      const std::string output = w.process->output_tail();
      retire(w);
      take_records(w);
      lost(w,
           crashed(fmt::format("resident memory {}, past the limit of {}", bytes_text(resident),
                               bytes_text(options_.limits.memory))),
           output);
      go_on(w);
      return;
    }
    watch_time(w, phase);
  }

  void watch_time(WorkerState& w, Phase phase) {
    Slot& slot = *w.slot;
    const uint64_t now_done = slot.done, now_first = slot.first;
    const bool waits_for_us = slot.written - slot.read >= kRecords;
    if (now_done != w.seen_done || now_first != w.seen_first || waits_for_us ||
        (phase != Phase::kInCall && phase != Phase::kStarting)) {
      if (w.second_try && now_done != w.done_at_hang) returned_after_all(w);
      w.seen_done = now_done;
      w.seen_first = now_first;
      w.since = Clock::now();
      w.cpu_seconds = -1;
      return;
    }
    double allowed = options_.limits.timeout;
    if (phase == Phase::kStarting) allowed = options_.limits.load_timeout;
    if (w.second_try == now_first) allowed *= 3;
    const double waited = seconds_since(w.since);
    if (w.cpu_seconds < 0 && waited > allowed * 0.1) {
      w.cpu_seconds = w.process->activity().cpu_seconds;
      w.cpu_since = Clock::now();
    }
    if (waited <= allowed) return;

    if (phase == Phase::kStarting) {
      retire(w);
      throw LoadError(fmt::format("the candidate did not finish loading in {:g} s", allowed));
    }
    const uint64_t count = slot.count;
    const std::string output = w.process->output_tail();
    const Process::Activity activity = w.process->activity();
    const bool starved = activity.busy && activity.cpu_seconds - w.cpu_seconds < 0.3 * seconds_since(w.cpu_since);
    retire(w);
    take_records(w);
    if (slot.done != now_done) {  // it returned at the last moment
      go_on(w);
      return;
    }
    const bool known = std::any_of(result_.failures.begin(), result_.failures.end(), [&](const Failure& f) {
      return f.report.verdict == Verdict::kHung && f.item.law == plan_.item(now_first).law;
    });
    if (count > 1) {
      careful(slot, now_first, count, 1);  // each batch that hangs costs its time
    } else if (w.second_try != now_first && !known && !result_.stopped) {
      w.second_try = now_first;
      w.done_at_hang = now_done;
      w.past_at_hang = past_of(slot, now_first);
      w.starved = starved;
      careful(slot, now_first, 1, 1);
    } else {
      const double timeout = options_.limits.timeout;
      const bool twice = w.second_try == now_first;
      w.second_try.reset();
      failed(w, now_first, hung(timeout, twice ? timeout * 3 : 0), output, /*counted=*/false);
    }
    go_on(w);
  }

  // An item that did not return within its time did so in a fresh process: it is slow, or it does not always return.
  void returned_after_all(WorkerState& w) {
    const uint64_t index = *w.second_try;
    w.second_try.reset();
    if (w.starved || seconds_since(w.since) > options_.limits.timeout) return;
    Report report = hung(options_.limits.timeout, 0);
    report.verdict = Verdict::kFlaky;
    failed(w, index, report, "", /*counted=*/true);
  }

  // Has `count` items judged again, in batches of `batch`.
  void careful(Slot& slot, uint64_t first, uint64_t count, uint64_t batch) {
    slot.next = first;
    slot.end = std::max<uint64_t>(slot.end, first + count);
    slot.careful_until = std::max<uint64_t>(slot.careful_until, first + count);
    slot.careful_batch = batch;
  }

  // The worker died with items in hand.
  void lost(WorkerState& w, const Report& report, const std::string& output) {
    const uint64_t first = w.slot->first, count = w.slot->count;
    if (count > 1) {
      // In steps: a start costs about as much as some hundred items.
      constexpr uint64_t kFew = 64;
      careful(*w.slot, first, count, count <= kFew ? 1 : static_cast<uint64_t>(std::sqrt(static_cast<double>(count))));
    } else {
      failed(w, first, report, output, /*counted=*/false);
    }
  }

  void go_on(WorkerState& w) {
    const bool left = w.slot->next < w.slot->end || common_.next < plan_.size;
    if (left && common_.stop == 0 && !interrupted()) spawn(w);
  }

  void take_records(WorkerState& w) {
    Slot& slot = *w.slot;
    while (slot.read < slot.written) {
      const Record& record = slot.records[slot.read % kRecords];
      const uint64_t index = std::min(record.index, plan_.size - 1);
      const std::string bytes(record.report, std::min<std::size_t>(record.size, sizeof record.report));
      slot.read.fetch_add(1);
      const std::string output = w.process ? w.process->output_tail() : "";
      found(w, index, plan_.item(index), report_from(bytes), output);
    }
  }

  // An item that has no verdict from its worker, or (counted) another one.
  void failed(WorkerState& w, uint64_t index, const Report& looked, const std::string& output, bool counted) {
    const Item item = plan_.item(index);
    const auto [report, expectation] = expected(options_, item, looked);
    if (!counted) {
      ++own_done_;
      if (options_.count) options_.count(item, report, own_counters_);
    }
    if (counted) recount(item, passed_report(), report);
    if (expectation < 0) tally_key(*w.slot, hash(failure_key(item, report)));
    if (expectation < 0 && report.law == kNoHang && ++hangs_ >= options_.max_failures) stop();
    found(w, index, item, report, output);
  }

  void stop() {
    common_.stop = 1;
    result_.stopped = true;
  }

  void found(WorkerState& w, uint64_t index, Item item, const Report& report, const std::string& output) {
    const int expectation = expected(options_, item, report).second;
    const std::string key = expectation < 0 ? failure_key(item, report) : fmt::format("known {}", expectation);
    if (result_.stopped || interrupted() || known_.contains(key)) return;
    Failure failure;
    failure.index = index;
    failure.origin = plan_.origin ? plan_.origin(index) : "";
    failure.item = std::move(item);
    failure.report = report;
    failure.key = key;
    failure.output = output;
    known_[key] = result_.failures.size();
    if (expectation >= 0) {
      if (options_.on_known) options_.on_known(expectation, failure);
      return;
    }
    // A process that outgrew its memory did so over many cases, and a hang has been tried twice.
    if (report.law == kNoHang) {
      failure.repeats_alone = report.verdict == Verdict::kHung;
      if (!failure.repeats_alone) explain(failure, w.past_at_hang);
    } else {
      const std::vector<Item> past = past_of(*w.slot, index);
      confirm(failure, past);
    }
    if (interrupted() && !failure.repeats_alone && failure.report.verdict == Verdict::kFlaky)
      failure.report = report;  // there was no time to find out
    if (failure.report.verdict != report.verdict) recount(failure.item, report, failure.report);
    result_.failures.push_back(failure);
    if (options_.on_failure) options_.on_failure(failure);
    if (result_.failures.size() >= static_cast<std::size_t>(std::max(1, options_.max_failures))) stop();
  }

  // An item was counted as what it looked like, and is something else.
  void recount(const Item& item, const Report& looked, const Report& is) {
    if (!options_.count) return;
    std::vector<uint64_t> out(own_counters_.size()), in(own_counters_.size());
    options_.count(item, looked, out);
    options_.count(item, is, in);
    for (std::size_t i = 0; i < own_counters_.size(); ++i) own_counters_[i] += in[i] - out[i];
  }
  static Report passed_report() { return {}; }

  // What the worker of `slot` has executed since it started, up to and with `index`: the last kPast items of it.
  std::vector<Item> past_of(const Slot& slot, uint64_t index) const {
    std::vector<uint64_t> indices;
    const uint64_t oldest = slot.pieces > kPieces ? slot.pieces - kPieces : 0;
    for (uint64_t p = slot.pieces; p > oldest && indices.size() < kPast; --p) {
      const Slot::Piece piece = slot.past[(p - 1) % kPieces];
      uint64_t last = std::min(piece.end, plan_.size);
      if (indices.empty()) {
        if (index < piece.first || index >= piece.end) continue;
        last = index + 1;
      }
      for (uint64_t i = last; i > piece.first && indices.size() < kPast; --i) indices.push_back(i - 1);
    }
    std::vector<Item> items;
    for (auto i = indices.rbegin(); i != indices.rend(); ++i) items.push_back(plan_.item(*i));
    return items;
  }

  // Does it repeat, alone? Else, does what led to it?
  void confirm(Failure& failure, const std::vector<Item>& past) {
    solo_.restart();
    const Report again = solo_.judge(failure.item, 3);
    if (interrupted()) return;  // nothing is known of it
    if (is_bad(again.verdict)) {
      failure.repeats_alone = true;
      if (!solo_.output().empty()) failure.output = solo_.output();
      return;
    }
    const bool outgrown =
        failure.report.verdict == Verdict::kCrashed && failure.report.detail.find("resident memory") != std::string::npos;
    if (outgrown) {
      failure.report.detail += "; this case alone stays within it";
      return;
    }
    explain(failure, past);
  }

  // What led to a failure that does not repeat alone?
  void explain(Failure& failure, const std::vector<Item>& past) {
    failure.sequence = shortest(past, failure.item.law);
    if (failure.sequence.size() == 1 && blame(failure)) return;
    failure.report.verdict = Verdict::kFlaky;
    const std::string_view what = failure.sequence.empty() ? "nor after the cases that came before it" : "but after others";
    std::string note = fmt::format("did not repeat alone in a fresh process, {}", what);
    if (!failure.report.detail.empty()) note = failure.report.detail + "\n" + note;
    failure.report.detail = note;
  }

  // One earlier item fails all alone, by the law that heard of it later: then that is the failure. False where it does not
  // do so again.
  bool blame(Failure& failure) {
    solo_.restart();
    Report report = solo_.judge(failure.sequence[0]);
    if (interrupted() || report.verdict != failure.report.verdict || report.law != failure.report.law) return false;
    report.detail +=
        fmt::format("{}it led to the failure of a later case, which passes alone", report.detail.empty() ? "" : "\n");
    failure.item = failure.sequence[0];
    failure.report = report;
    failure.repeats_alone = true;
    failure.sequence.clear();
    if (!failure.origin.empty()) failure.origin = "before " + failure.origin;
    return true;
  }

  // Runs a sequence from a fresh process; the number of items up to the first that fails, 0 where none does.
  std::size_t fails_after(const std::vector<Item>& items) {
    solo_.restart();
    for (std::size_t i = 0; i < items.size(); ++i) {
      const bool bad = is_bad(solo_.judge(items[i]).verdict);
      if (interrupted()) return 0;  // an interrupted item looks like a crash
      if (bad) return i + 1;
    }
    return 0;
  }

  std::vector<Item> shortest(std::vector<Item> items, const std::string& law) {
    const Clock::time_point start = Clock::now();
    for (Item& item : items) item.law = law;
    const std::size_t length = fails_after(items);
    if (length == 0) return {};
    items.resize(length);
    // Leaves out parts that the failure does not need, large ones first.
    for (std::size_t part = std::max<std::size_t>(1, items.size() / 2); part > 0; part /= 2) {
      for (std::size_t first = 0; first + 1 < items.size();) {
        if (seconds_since(start) > kSequenceSeconds || interrupted()) return items;
        const std::size_t count = std::min(part, items.size() - 1 - first);
        std::vector<Item> fewer(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(first));
        fewer.insert(fewer.end(), items.begin() + static_cast<std::ptrdiff_t>(first + count), items.end());
        if (const std::size_t enough = fails_after(fewer); enough > 0) {
          fewer.resize(enough);
          items = std::move(fewer);
        } else {
          first += count;
        }
      }
    }
    return items;
  }

  uint64_t done() const {
    uint64_t n = own_done_;
    for (const WorkerState& w : workers_) n += w.slot->done;
    return n;
  }

  RunResult result() {
    result_.done = done();
    result_.seconds = seconds_since(start_);
    result_.counters = own_counters_;
    for (const WorkerState& w : workers_) {
      for (std::size_t i = 0; i < own_counters_.size(); ++i) result_.counters[i] += w.counters[i];
      result_.isolation_seconds = std::max(result_.isolation_seconds, w.slot->isolation_seconds);
    }
    for (Failure& failure : result_.failures) {
      uint64_t equal = 0;
      // The key is that of the first report: a flaky one has become another since.
      for (const WorkerState& w : workers_)
        for (const Slot::Key& key : w.slot->keys)
          if (key.hash == hash(failure.key)) equal += key.count;
      failure.equal = std::max<uint64_t>(equal, 1);
    }
    return std::move(result_);
  }

  const Plan& plan_;
  const MakeJudge& make_judge_;
  const RunOptions& options_;
  const std::size_t jobs_;
  const std::size_t counter_bytes_;
  SharedMemory memory_;
  Common& common_;
  std::vector<WorkerState> workers_;
  Solo solo_;
  std::vector<uint64_t> own_counters_;
  uint64_t own_done_ = 0;
  int hangs_ = 0;
  std::map<std::string, std::size_t> known_;
  Clock::time_point start_;
  RunResult result_;
};

}  // namespace

std::string failure_key(const Item& item, const Report& report) { return failure_kind(item.law, report); }

RunResult run(const Plan& plan, const MakeJudge& make_judge, const RunOptions& options) {
  return Run(plan, make_judge, options).go();
}

RunResult run_in_process(const Plan& plan, const MakeJudge& make_judge, const RunOptions& options) {
  RunResult result;
  result.counters.resize(options.counters);
  const Clock::time_point start = Clock::now();
  const Judge judge = make_judge();
  std::map<std::string, std::size_t> told;
  for (uint64_t i = 0; i < plan.size && !result.stopped; ++i) {
    if (options.interrupt != nullptr && *options.interrupt != 0) {
      result.interrupted = true;
      break;
    }
    if (options.seconds > 0 && seconds_since(start) >= options.seconds) break;
    const Item item = plan.item(i);
    Report looked;
    try {
      looked = judge({&item, 1}).at(0);
    } catch (const std::exception& e) {
      looked = crashed(fmt::format("exception: {}", e.what()));
      result.stopped = true;  // a device that is down stays so
    }
    const auto [report, expectation] = expected(options, item, looked);
    ++result.done;
    if (options.count) options.count(item, report, result.counters);
    if (options.on_tick) options.on_tick(result.done, seconds_since(start));
    if (expectation < 0 && !is_bad(report.verdict)) continue;
    Failure failure;
    failure.index = i;
    failure.origin = plan.origin ? plan.origin(i) : "";
    failure.item = item;
    failure.report = report;
    failure.key = expectation < 0 ? failure_key(item, report) : fmt::format("known {}", expectation);
    const auto [it, fresh] = told.emplace(failure.key, result.failures.size());
    if (expectation >= 0) {
      if (fresh && options.on_known) options.on_known(expectation, failure);
      continue;
    }
    if (!fresh) {
      ++result.failures[it->second].equal;
      continue;
    }
    result.failures.push_back(std::move(failure));
    if (options.on_failure) options.on_failure(result.failures.back());
    result.stopped = result.stopped || static_cast<int>(result.failures.size()) >= options.max_failures;
  }
  result.seconds = seconds_since(start);
  return result;
}

}  // namespace twincheck
