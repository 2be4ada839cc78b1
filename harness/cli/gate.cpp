// `twincheck gate`: the whole gate on this machine's platforms, as a list of stages a candidate.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string_view>
#include <utility>

#include "harness/case/classes.h"
#include "harness/case/enumerate.h"
#include "harness/cli/device_sweeps.h"
#include "harness/cli/golden.h"
#include "harness/cli/kill_matrix.h"
#include "harness/cli/session.h"
#include "harness/cli/sweeps.h"
#include "harness/cli/verbs.h"
#include "harness/report/message.h"

namespace twincheck {
namespace {

struct Gate {
  const Options& options;
  Session& session;
  CaseList saved, corpus;
  double seconds;       // of generated cases, a candidate
  CaseList recorded{};  // inputs of the recorded outputs
};

// A stage runs its cases against one candidate and answers false where the gate must go no further with it.
struct Stage {
  const char* name;
  bool (*run)(Gate&, const char* name, std::size_t participant);
};

bool saved_failures(Gate& gate, const char* name, std::size_t participant) {
  return gate.saved.empty() || gate.session.stage(name, participant, plan_of(gate.saved), 0, false);
}

bool corpus(Gate& gate, const char* name, std::size_t participant) {
  return gate.corpus.empty() || gate.session.stage(name, participant, plan_of(gate.corpus), 0, false);
}

bool small_domain(Gate& gate, const char* name, std::size_t participant) {
  const Options& options = gate.options;
  if (options.tier == "smoke") return true;
  Plan plan;
  plan.size = options.shard.size(small_domain_size());
  const auto index = [&options](uint64_t i) { return options.shard.unit(i); };
  plan.item = [index](uint64_t i) { return Item{.law = "equals_reference", .c = small_domain_case(index(i))}; };
  plan.origin = [index](uint64_t i) { return fmt::format("small domain case {}", index(i)); };
  return plan.size == 0 || gate.session.stage(name, participant, plan, 0, false);
}

bool generated_laws(Gate& gate, const char* name, std::size_t participant) {
  const Options& options = gate.options;
  const Generated generated{.seed = gate.session.seed(),
                            .shard = options.shard,
                            .laws = chosen_laws(options),
                            .short_structs = gate.session.participants()[participant].info.exact_status,
                            .cases = options.cases};
  const double seconds = options.cases && !options.seconds ? 0 : gate.seconds;
  return generated.size() == 0 || gate.session.stage(name, participant, generated.plan(), seconds, true);
}

bool device_laws(Gate& gate, const char*, std::size_t participant) { return gate.session.device_laws(participant); }

bool recorded_inputs(Gate& gate, const char* name, std::size_t participant) {
  return gate.recorded.empty() || gate.session.stage(name, participant, plan_of(gate.recorded), 0, false);
}

// The 16-bit sweeps; the 2^32 ones too in the nightly tier.
bool exhaustive_sweeps(Gate& gate, const char*, std::size_t index) {
  const Participant& participant = gate.session.participants()[index];
  if (gate.options.tier == "smoke") return true;
  if (participant.info.memory != MemoryKind::kHost) {
    try {
      (void)oracle_library(participant.platform);
    } catch (const LoadError& e) {
      gate.session.console().line(fmt::format("{} sweeps: not here: {}", participant.info.name, e.what()));
      return true;
    }
  }
  uint64_t values = 0, unsupported = 0;
  for (const Sweep& sweep : sweeps()) {
    if (sweep.from == Dtype::kF32 && gate.options.tier != "nightly") continue;
    SweepOutcome outcome;
    try {
      outcome = run_sweep(sweep, participant, gate.options, gate.session.console());
    } catch (const LoadError& e) {
      gate.session.fail(fmt::format("{}   sweep {}: {}", participant.info.name, sweep.name, e.what()));
      continue;
    }
    if (outcome.failed) gate.session.fail(fmt::format("{}   sweep {}", participant.info.name, sweep.name));
    if (outcome.interrupted) return false;
    values += outcome.result.values;
    unsupported += outcome.unsupported;
  }
  gate.session.console().line(
      fmt::format("{} sweeps: {} values compared, {} sweeps not supported", participant.info.name, values, unsupported));
  return true;
}

constexpr std::array kStages{
    Stage{"saved failures", saved_failures},
    Stage{"corpus", corpus},
    Stage{"recorded inputs", recorded_inputs},
    Stage{"small domain", small_domain},
    Stage{"sweeps", exhaustive_sweeps},
    Stage{"device laws", device_laws},
    Stage{"laws", generated_laws},
};

// Do the generators still give what the laws are about? A class that stays empty would leave a law without its cases.
void check_classes(Session& session, const Options& options) {
  constexpr int kCases = 10000;
  std::size_t short_of = 0;
  uint64_t index = 0;
  for (const Law* law : chosen_laws(options)) {
    if (interrupt_signal != 0) return;
    if (!options.shard.owns(index++)) continue;
    for (const Shortfall& s : missing_classes(*law, session.seed(), kCases)) {
      ++short_of;
      session.complain("generators", fmt::format("generators   law={}   {}", law->name, s.message),
                       fmt::format("properties/{}.cpp", law->name));
    }
  }
  session.console().line(fmt::format("generators: {} cases of each law's domain, {} of {} classes below their floors",
                                     kCases, short_of, kClasses));
}

// Does the reference agree with what other implementations recorded?
CaseList check_recorded_outputs(Session& session, const Options& options) {
  CaseList inputs;
  std::error_code ignored;
  std::set<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(corpus_folder(options) + "/golden", ignored)) {
    if (entry.path().extension() != ".jsonl") continue;
    // From the current folder where it lies there: reports that code hosting shows want it so.
    const std::filesystem::path here = std::filesystem::proximate(entry.path(), ignored);
    paths.insert((here.empty() || *here.begin() == ".." ? entry.path() : here).string());
  }
  uint64_t record = 0;
  for (const std::string& path : paths) {
    GoldenOutcome outcome = check_golden(path, options, session.console(), record);
    if (outcome.wrong + outcome.skipped > 0)
      session.fail(fmt::format("reference   {}: {} records wrong, {} skipped", path, outcome.wrong, outcome.skipped));
    session.console().line(fmt::format("reference: {}: {} records, {} ids and {} weights compared", path, outcome.records,
                                       outcome.ids, outcome.weights));
    const std::size_t before = inputs.items.size();
    for (Item& item : outcome.inputs.items) inputs.items.push_back(std::move(item));
    for (std::string& origin : outcome.inputs.origins) inputs.origins.push_back(std::move(origin));
    for (const std::size_t end : outcome.inputs.file_ends) inputs.file_ends.push_back(before + end);
    ++inputs.files;
  }
  return inputs;
}

// Do the laws still kill kernels that are wrong on purpose? Asked where the kernel that the mutants stem from is judged.
void check_mutants(Session& session, const Options& options) {
  const auto is_origin = [](const Participant& p) { return p.own && p.platform == "cpu"; };
  const bool whole = options.tier != "smoke" && options.law.empty() && options.candidates.empty();
  const auto& participants = session.participants();
  if (!whole || session.interrupted() || std::none_of(participants.begin(), participants.end(), is_origin)) return;
  try {
    try_mutants(options, session.console(), [&](std::string_view words) { session.fail(std::string(words)); });
  } catch (const UsageError& e) {
    session.complain("mutants", fmt::format("mutants   {}", e.what()), "");
  }
}

struct Ended {
  std::string said;       // its last line, or the FAIL line of a mismatch, which names itself and its replay line first
  std::string last_case;  // where it shows the cases that it runs
  bool good = false;      // it ended in 0
};

Ended run_command(const std::string& command) {
  constexpr std::string_view kCase = "case: ";
  Ended ended;
  ended.said = "no process can be started";
  std::FILE* pipe = popen((command + " 2>&1 </dev/null").c_str(), "r");
  if (pipe == nullptr) return ended;
  ended.said = "nothing";
  std::string line;
  for (int c; (c = std::fgetc(pipe)) != EOF;) {
    if (c != '\n') {
      line += static_cast<char>(c);
      continue;
    }
    if (line.starts_with(kCase)) {
      ended.last_case = line.substr(kCase.size());
    } else if (!line.empty() && !ended.said.starts_with("FAIL ")) {
      ended.said = line;
    }
    line.clear();
  }
  ended.good = pclose(pipe) == 0;
  return ended;
}

// What a fuzzer's command said. One that was taken down without a word runs once more, to show its last case.
Ended run_fuzzer(const std::string& command) {
  Ended ended = run_command(command);
  if (ended.good || ended.said.starts_with("FAIL ") || interrupt_signal != 0) return ended;
  const Ended again = run_command("TWINCHECK_FUZZ_SHOW=1 " + command);
  if (!again.good && !again.last_case.empty()) ended.said += "; replay: twincheck replay " + shell_word(again.last_case);
  return ended;
}

// The program to fuzz with: libFuzzer's, where preset fuzz-fast has been built beside this build and not before it.
std::filesystem::path explorer(const std::filesystem::path& bin, const char* name) {
  std::error_code error;
  const auto fast = bin.parent_path().parent_path() / "fuzz-fast" / "bin" / name;
  const auto built = std::filesystem::last_write_time(fast, error);
  return !error && built >= std::filesystem::last_write_time(bin / name, error) ? fast : bin / name;
}

// The fuzzers beside the program replay the seeds and the regressions, and fuzz for a while: with libFuzzer, or by mutating
// the seeds. Asked where check_mutants() is.
void check_fuzzers(Session& session, const Options& options) {
  namespace fs = std::filesystem;
  const bool whole = options.tier != "smoke" && options.law.empty() && options.candidates.empty();
  if (!whole || session.interrupted()) return;
  std::error_code ignored;
  const fs::path bin = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  const fs::path scratch = fs::temp_directory_path(ignored) / fmt::format("twincheck-fuzz-{}", getpid());
  // 0 would be for ever.
  const double seconds = options.tier == "nightly" ? std::max(1.0, options.seconds.value_or(60)) : 2;
  // What breaks a promise is saved with the other failures, and replayed before anything else the next time.
  const std::string folder = options.save.empty() ? scratch.string() : options.save;
  const std::string prefix = shell_word(fmt::format("-artifact_prefix={}/", folder));
  uint64_t index = 0;
  for (const char* name : {"fuzz_wrapper", "fuzz_append", "fuzz_sequence", "fuzz_case"}) {
    if (interrupt_signal != 0) break;
    if (!options.shard.owns(index++)) continue;
    const std::string seeds = shell_word(corpus_folder(options) + "/seeds/" + name);
    const std::string saved = corpus_folder(options) + "/regressions/" + name;
    if (!fs::exists(bin / name, ignored)) {
      session.console().line(fmt::format("{}: not here: not built", name));
      continue;
    }
    fs::create_directories(folder, ignored);
    const Ended replayed = run_fuzzer(fmt::format("{} {} {} {}", shell_word((bin / name).string()), prefix, seeds,
                                                  fs::exists(saved, ignored) ? shell_word(saved) : ""));
    if (interrupt_signal != 0) break;
    if (!replayed.good)
      session.complain(name, fmt::format("{}   {}", name, replayed.said), fmt::format("fuzz/{}.cpp", name));
    const fs::path fuzzer = explorer(bin, name);
    fs::create_directories(scratch / name, ignored);
    const Ended fuzzed = run_fuzzer(fmt::format(
        "{} -entropic=0 -use_counters=0 -reduce_inputs=0 -max_len=1024 -timeout=20 -max_total_time={:.0f} -seed={} {} {} {}",
        shell_word(fuzzer.string()), seconds, static_cast<uint32_t>(options.seed.value_or(1)) | 1, prefix,
        shell_word((scratch / name).string()), seeds));
    if (interrupt_signal != 0) break;
    if (!fuzzed.good) session.complain(name, fmt::format("{}   {}", name, fuzzed.said), fmt::format("fuzz/{}.cpp", name));
    session.console().line(fmt::format("{}: {}; fuzzed{}: {}", name, replayed.said,
                                       fuzzer == bin / name ? "" : " with libFuzzer", fuzzed.said));
  }
  fs::remove_all(scratch, ignored);
}

double default_seconds(const std::string& tier) {
  if (tier == "smoke") return 2;
  return tier == "nightly" ? 600 : 4;
}

}  // namespace

int gate(const Options& options) {
  (void)chosen_laws(options);
  CaseList saved, cases;
  if (!options.no_corpus) {
    saved = cases_under(options.save, /*nightly=*/true, options.shard);
    cases = cases_under(corpus_folder(options), options.tier == "nightly", options.shard);
  }
  Session session("gate", options);
  Gate gate{options, session, std::move(saved), std::move(cases), options.seconds.value_or(default_seconds(options.tier))};
  session.console().always(fmt::format("  tier {}: {} saved failures, {} corpus cases in {} files, {}laws for {:g} s",
                                       options.tier, gate.saved.items.size(), gate.corpus.items.size(), gate.corpus.files,
                                       options.tier == "smoke" ? "" : fmt::format("{} small cases, ", small_domain_size()),
                                       gate.seconds));
  check_classes(session, options);
  if (!options.no_corpus) gate.recorded = check_recorded_outputs(session, options);
  for (std::size_t i = 0; i < session.participants().size() && !session.interrupted(); ++i)
    for (const Stage& stage : kStages)
      if (!stage.run(gate, stage.name, i)) break;
  check_mutants(session, options);
  check_fuzzers(session, options);
  return session.finish();
}

}  // namespace twincheck
