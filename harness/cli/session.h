// What verify and gate have in common: candidates, stages of cases, failures as they come, the summary and the exit status.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/candidate/runner.h"
#include "harness/cli/cases.h"
#include "harness/cli/known_failures.h"
#include "harness/cli/options.h"
#include "harness/cli/platform.h"
#include "harness/cli/tally.h"
#include "harness/report/message.h"

namespace twincheck {

// Lines and a live line below them. The live line is only there on a terminal; a log gets a plain line now and then.
class Console {
 public:
  explicit Console(const Options& options);

  const Style& style() const { return style_; }
  void line(std::string_view text);                   // not shown with --quiet
  void always(std::string_view text);                 // shown in any case; a newline is added where there is none
  void conclusion(const CandidateRecord& candidate);  // its verdict and sentence; nothing where it has none
  void progress(const std::string& text);             // as often as one likes
  void end_progress();

 private:
  Style style_;
  bool quiet_, live_;
  bool shown_ = false;
  double last_ = 0;
};

// The file names of the project's own candidates, for every platform or one.
std::vector<std::string> own_libraries(std::string_view platform = "");

// A candidate that takes part.
struct Participant {
  CandidateInfo info;
  std::string platform;        // of its memory: cpu, hip, cuda
  bool own = false;            // one of the project's libraries
  std::string architecture{};  // of the device that it runs on; empty: none, or not known
};

// --candidate, or the project's own candidates on --platform, or on every platform that is here. Names are told apart: a
// second "mine.fused" is "mine.fused#2". Throws UsageError, LoadError; what is left out is told to `console`.
std::vector<Participant> choose_candidates(const Options& options, Console& console);

Limits limits_of(const Options& options);

// Judges items by their laws, in a worker.
MakeJudge judge_of(const Participant& participant, const Options& options);

// The command that replays a case, or a file: what a failure message ends with. Empty where a case's text is too long for a
// command line.
std::string replay_command(const Participant& participant, const Options& options, const Item& item);
std::string replay_command(const Participant& participant, const Options& options, const std::string& file);

// Writes a *.case file with the law and the message as comments into the folder, which is created. Its name tells candidate,
// law and contents; it is `over` where that is given. Returns its path; empty, with a line on stderr, where it cannot be
// written.
std::string save_failure(const std::string& folder, const Participant& participant, std::string_view law,
                         std::span<const Item> sequence, std::string_view message, const std::string& over = {});

// What a run says whose shard has nothing to do.
std::string empty_shard(const Options& options);

// The laws of a run: --law, or all. Throws UsageError.
std::vector<const Law*> chosen_laws(const Options& options);

// "--law X"'s law, or empty; UsageError where there is none of that name.
std::string law_option(const Options& options);

class Session {
 public:
  Session(const char* verb, const Options& options);

  Console& console() { return console_; }
  const std::vector<Participant>& participants() const { return participants_; }
  uint64_t seed() const { return seed_; }

  // Runs a plan against one candidate and prints one line of counts, and failures as they are found. `seconds`: 0 for no
  // limit. False where the run must end: interrupted, or too many failures.
  bool stage(const std::string& name, std::size_t participant, const Plan& plan, double seconds, bool generated);

  // Runs the laws about devices, one case at a time, where the candidate's memory is a device's: in the smoke tier some, in
  // the nightly one many. False as stage() is.
  bool device_laws(std::size_t participant);

  // A stage of its own making failed, for a reason that is no candidate's: told, and the run ends in 1.
  void fail(const std::string& message);
  // The same, and recorded as a complaint about `subject`, where nothing else in the record says so.
  void complain(const std::string& subject, const std::string& message, const std::string& file);

  // Smaller cases for the failures, the summary, and the exit status.
  int finish();

  bool interrupted() const { return interrupted_; }

 private:
  struct Result {
    Tally tally, generated;
    std::vector<Failure> failures;
    std::vector<std::string> saved;     // paths, beside failures; empty where not saved
    std::vector<std::size_t> recorded;  // where the record has them, beside failures
    double isolation_seconds = 0;
    bool stopped = false;
  };

  // The known failures that are this participant's and not expired, as indices into known_.
  std::vector<int> known_of(const Participant& participant) const;
  void judge_known_failures();
  void told(const std::string& stage, const Participant& participant, Result& result, const Failure& failure);
  void shrink_failures(const Participant& participant, Result& result);
  void shrink_sequence(const Participant& participant, Result& result, std::size_t index);
  void show_failures(const Participant& participant, Result& result);
  void record();
  void summary();

  const char* verb_;
  Options options_;
  Console console_;
  std::vector<Participant> participants_;
  std::vector<Result> results_;
  std::vector<KnownFailure> known_;
  uint64_t seed_;
  bool interrupted_ = false, failed_ = false;
};

}  // namespace twincheck
