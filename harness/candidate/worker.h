// One worker process that answers one question at a time, and is replaced when a question kills it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/candidate/candidate.h"
#include "harness/candidate/process.h"
#include "harness/case/case.h"
#include "harness/report/verdict.h"

namespace twincheck {

// What a worker may use up before it is killed.
struct Limits {
  double timeout = 10;                  // seconds a case
  uint64_t memory = uint64_t{4} << 30;  // resident bytes
  double load_timeout = 120;            // seconds to load the candidate and open its device
};

// Bytes in, bytes out. Made in the worker, once, by a Prepare; an exception that leaves the Prepare is a LoadError in the
// parent.
using Answer = std::function<std::string(std::string_view request)>;
using Prepare = std::function<Answer()>;

class Worker {
 public:
  Worker(Prepare prepare, Limits limits);
  ~Worker();

  enum class End : uint8_t { kAnswered, kDied, kHung, kMemory };
  struct Outcome {
    End end = End::kAnswered;
    std::string answer;
    std::string reason;  // of a death: "SIGSEGV", "exit status 0", "resident memory 1.2 GiB, past the limit of 1.0 GiB"
    std::string output;  // of a death: the tail of what it printed
  };

  // Starts a process where there is none. `patience` multiplies the timeout. Throws LoadError where the worker cannot be
  // prepared, std::length_error where a request takes more than 256 MiB. An answer is cut off after 64 MiB.
  Outcome ask(std::string_view request, double patience = 1);

  void stop();  // the next ask() starts a fresh process
  bool fresh() const { return !process_; }
  std::string output_tail() const { return process_ ? process_->output_tail() : std::string(); }

  // Where set and true, ask() gives up at once with kDied and "interrupted", while a worker is still being prepared too.
  static void set_interrupt(const volatile int* flag);

 private:
  struct Shared;
  Outcome start();
  Outcome wait_for(uint32_t turn, double seconds);

  Prepare prepare_;
  Limits limits_;
  std::unique_ptr<SharedMemory> memory_;
  Shared* shared_ = nullptr;
  std::unique_ptr<Process> process_;
};

// One piece of work: a law, by name, and a case to judge it on.
struct Item {
  std::string law;
  Case c;
};

// Judges items in the worker, in order; one report an item. Made in the worker, once.
using Judge = std::function<std::vector<Report>(std::span<const Item>)>;
using MakeJudge = std::function<Judge()>;

// Judges one item at a time, alone in a worker: whatever it does, there is a report.
class Solo {
 public:
  Solo(MakeJudge make_judge, Limits limits);

  // kCrashed and kHung where the worker died or did not answer; a fresh one is there for the next item. With `patience` it
  // has so many times the timeout.
  Report judge(const Item& item, double patience = 1);
  const std::string& output() const { return output_; }  // what the last item's worker had printed, where it died

  void restart() { worker_.stop(); }  // the next item meets a candidate that has just been loaded

 private:
  Worker worker_;
  std::string output_;
};

// The report of a case that ended its process.
Report crashed(std::string reason);
Report hung(double seconds, double seconds_alone);

// What a candidate says of itself, asked in a worker. Throws LoadError.
struct CandidateInfo {
  std::string name, path;
  MemoryKind memory = MemoryKind::kHost;
  bool exact_status = false, takes_turns = false;
};
CandidateInfo probe_candidate(const std::string& path_or_name, const Limits& limits = {});

// Item and bytes.
std::string to_bytes(const Item& item);
Item item_from(std::string_view bytes);

}  // namespace twincheck
