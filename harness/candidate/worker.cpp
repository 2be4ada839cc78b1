#include "harness/candidate/worker.h"

#include <fmt/format.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "harness/candidate/manners.h"
#include "harness/report/bytes.h"
#include "harness/report/message.h"

namespace twincheck {
namespace {

constexpr std::size_t kRequestBytes = std::size_t{256} << 20;
constexpr std::size_t kAnswerBytes = std::size_t{64} << 20;

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

const volatile int* interrupt_flag = nullptr;

// Shared between processes, so not the private kind of futex.
void futex_wait(std::atomic<uint32_t>& word, uint32_t value, long nanoseconds) {
  const timespec time{.tv_sec = 0, .tv_nsec = nanoseconds};
  syscall(SYS_futex, &word, FUTEX_WAIT, value, nanoseconds > 0 ? &time : nullptr, nullptr, 0);
}
void futex_wake(std::atomic<uint32_t>& word) { syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0); }

bool interrupted() { return interrupt_flag != nullptr && *interrupt_flag != 0; }

}  // namespace

struct Worker::Shared {
  enum Turn : uint32_t { kStarting, kParent, kChild, kBroken };
  std::atomic<uint32_t> turn;
  uint64_t request_size, answer_size;
  char error[2048];
  char request[kRequestBytes];
  char answer[kAnswerBytes];
};

Worker::Worker(Prepare prepare, Limits limits)
    : prepare_(std::move(prepare)),
      limits_(limits),
      memory_(std::make_unique<SharedMemory>(sizeof(Shared))),
      shared_(reinterpret_cast<Shared*>(memory_->data())) {}
Worker::~Worker() = default;

void Worker::set_interrupt(const volatile int* flag) { interrupt_flag = flag; }

void Worker::stop() { process_.reset(); }

Worker::Outcome Worker::start() {
  shared_->turn = Shared::kStarting;
  process_ = std::make_unique<Process>([this] {
    Answer answer;
    try {
      answer = prepare_();
    } catch (const std::exception& e) {
      std::snprintf(shared_->error, sizeof shared_->error, "%s", e.what());
      shared_->turn = Shared::kBroken;
      futex_wake(shared_->turn);
      return;
    }
    shared_->turn = Shared::kParent;
    futex_wake(shared_->turn);
    while (true) {
      if (shared_->turn != Shared::kChild) {
        futex_wait(shared_->turn, Shared::kParent, 0);
        continue;
      }
      const std::string result = answer({shared_->request, shared_->request_size});
      shared_->answer_size = std::min(result.size(), kAnswerBytes);
      std::memcpy(shared_->answer, result.data(), shared_->answer_size);
      shared_->turn = Shared::kParent;
      futex_wake(shared_->turn);
    }
  });
  Outcome outcome = wait_for(Shared::kStarting, limits_.load_timeout);
  if (outcome.end != End::kAnswered) {
    if (interrupted()) return outcome;
    std::string what = outcome.end == End::kHung ? fmt::format("did not finish loading in {:g} s", limits_.load_timeout)
                                                 : fmt::format("ended its process while it was loaded: {}", outcome.reason);
    if (!outcome.output.empty()) what += fmt::format("; it printed: {}", printable(outcome.output));
    throw LoadError(what);
  }
  if (shared_->turn == Shared::kBroken) {
    shared_->error[sizeof shared_->error - 1] = 0;
    const std::string what = shared_->error;
    stop();
    throw LoadError(what);
  }
  return outcome;
}

// Waits until it is no longer `turn`.
Worker::Outcome Worker::wait_for(uint32_t turn, double seconds) {
  const Clock::time_point start = Clock::now();
  Outcome outcome;
  const auto give_up = [&](End end, std::string reason) {
    outcome.end = end;
    outcome.reason = std::move(reason);
    if (process_) {
      process_->kill();
      outcome.output = process_->output_tail();
    }
    stop();
    return outcome;
  };
  double memory_looked = 0;
  while (shared_->turn == turn) {
    if (interrupted()) return give_up(End::kDied, "interrupted");
    futex_wait(shared_->turn, turn, 2'000'000);
    if (shared_->turn != turn) break;
    if (const auto reason = process_->ended()) return give_up(End::kDied, *reason);
    const double waited = seconds_since(start);
    if (waited > seconds) return give_up(End::kHung, "");
    if (waited - memory_looked > 0.005) {
      memory_looked = waited;
      process_->trim_output();
      if (const uint64_t resident = process_->resident_bytes(); resident > limits_.memory)
        return give_up(End::kMemory, fmt::format("resident memory {}, past the limit of {}", bytes_text(resident),
                                                 bytes_text(limits_.memory)));
    }
  }
  return outcome;
}

Worker::Outcome Worker::ask(std::string_view request, double patience) {
  if (request.size() > kRequestBytes) throw std::length_error("a request of more than 256 MiB");
  if (!process_)
    if (Outcome outcome = start(); outcome.end != End::kAnswered) return outcome;
  std::memcpy(shared_->request, request.data(), request.size());
  shared_->request_size = request.size();
  shared_->turn = Shared::kChild;
  futex_wake(shared_->turn);
  Outcome outcome = wait_for(Shared::kChild, limits_.timeout * patience);
  if (outcome.end == End::kAnswered)
    outcome.answer.assign(shared_->answer, std::min<uint64_t>(shared_->answer_size, kAnswerBytes));
  return outcome;
}

Report crashed(std::string reason) {
  Report report;
  report.verdict = Verdict::kCrashed;
  report.law = "no_crash";
  report.detail = std::move(reason);
  return report;
}

Report hung(double seconds, double seconds_alone) {
  Report report;
  report.verdict = Verdict::kHung;
  report.law = "no_hang";
  report.detail = fmt::format("did not return within {:g} s", seconds);
  if (seconds_alone > 0) report.detail += fmt::format(", nor within {:g} s in a fresh process", seconds_alone);
  return report;
}

std::string to_bytes(const Item& item) {
  const std::vector<uint8_t> c = encode(item.c);
  std::string bytes = item.law;
  bytes.push_back('\0');
  bytes.append(reinterpret_cast<const char*>(c.data()), c.size());
  return bytes;
}

Item item_from(std::string_view bytes) {
  const std::size_t end = std::min(bytes.find('\0'), bytes.size());
  Item item{.law = std::string(bytes.substr(0, end)), .c = {}};
  bytes.remove_prefix(std::min(end + 1, bytes.size()));
  item.c = decode({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  return item;
}

Solo::Solo(MakeJudge make_judge, Limits limits)
    : worker_(
          [make_judge = std::move(make_judge)]() -> Answer {
            return [judge = make_judge(), manners = Manners()](std::string_view request) {
              const Item item = item_from(request);
              std::string reply(1, '\0');
              Report report;
              try {
                report = judge({&item, 1}).at(0);
              } catch (const std::exception& e) {
                report = crashed(fmt::format("exception: {}", e.what()));
                reply[0] = 1;
              }
              if (const std::string complaint = manners.complaint(); !complaint.empty()) {
                if (!is_bad(report.verdict)) report = crashed(complaint);
                reply[0] = 1;
              }
              return reply + to_bytes(report);
            };
          },
          limits) {}

Report Solo::judge(const Item& item, double patience) {
  output_.clear();
  Worker::Outcome outcome = worker_.ask(to_bytes(item), patience);
  output_ = std::move(outcome.output);
  switch (outcome.end) {
    case Worker::End::kHung:
      return hung(0, 0);
    case Worker::End::kDied:
    case Worker::End::kMemory:
      return crashed(outcome.reason);
    case Worker::End::kAnswered:
      break;
  }
  const bool leave = outcome.answer.empty() || outcome.answer[0] != 0;
  Report report = report_from(std::string_view(outcome.answer).substr(outcome.answer.empty() ? 0 : 1));
  if (leave || is_bad(report.verdict)) output_ = worker_.output_tail();
  if (leave) worker_.stop();
  return report;
}

CandidateInfo probe_candidate(const std::string& path_or_name, const Limits& limits) {
  const std::string path = find_library(path_or_name);
  Worker worker(
      [path]() -> Answer {
        const Candidate candidate = load_candidate(path);
        std::string words = fmt::format("{}{}{}{}", static_cast<int>(candidate.memory), candidate.exact_status ? 1 : 0,
                                        candidate.takes_turns ? 1 : 0, candidate.name);
        return [words](std::string_view) { return words; };
      },
      limits);
  Worker::Outcome outcome;
  try {
    outcome = worker.ask("");
  } catch (const LoadError& e) {
    // load_candidate's own messages name the path.
    const std::string what = e.what();
    throw LoadError(what.find(path) == std::string::npos ? fmt::format("{} {}", path, what) : what);
  }
  if (outcome.end != Worker::End::kAnswered || outcome.answer.size() < 4)
    throw LoadError(fmt::format("{} ended its process while it was loaded: {}", path, outcome.reason));
  CandidateInfo info;
  info.path = path;
  info.memory = static_cast<MemoryKind>(outcome.answer[0] - '0');
  info.exact_status = outcome.answer[1] == '1';
  info.takes_turns = outcome.answer[2] == '1';
  info.name = printable(outcome.answer.substr(3));
  std::replace(info.name.begin(), info.name.end(), '\n', '?');
  return info;
}

}  // namespace twincheck
