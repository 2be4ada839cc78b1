#include "harness/cli/session.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <random>
#include <set>
#include <utility>

#include "harness/cli/outputs.h"
#include "harness/cli/record.h"
#include "harness/cli/same_bits.h"
#include "harness/cli/smaller.h"
#include "harness/cli/view.h"
#include "harness/judge/check.h"
#include "harness/report/conclude.h"

namespace twincheck {
namespace {

namespace fs = std::filesystem;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

constexpr std::size_t kLongestReplayLine = 20000;  // bytes of a case's text: a shell's argument ends at 128 KiB
constexpr uint64_t kGateSeed = 0x7c1;
constexpr std::size_t kDeviceBatch = std::size_t{1} << 16;  // cases on their way at most, in one process
constexpr std::size_t kDeviceBatchOfMany = 512;             // in each of several

std::string hex_hash(std::string_view text) {
  const uint64_t h = hash_of(text);
  return fmt::format("{:08x}", (h ^ (h >> 32)) & 0xffffffffu);
}

std::string file_word(std::string_view words) {
  std::string safe;
  for (const char c : words)
    safe += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ? c : '_';
  return safe.substr(0, 60);
}

std::string fault(uint64_t n, std::string_view one, std::string_view many) {
  return fmt::format("{} {}", n, n == 1 ? one : many);
}

}  // namespace

Console::Console(const Options& options)
    : style_(style_for(STDOUT_FILENO, options.no_color)),
      quiet_(options.quiet),
      live_(!options.quiet && isatty(STDOUT_FILENO) != 0),
      last_(now()) {}

void Console::always(std::string_view text) {
  end_progress();
  fmt::print("{}{}", text, text.empty() || text.back() != '\n' ? "\n" : "");
  std::fflush(stdout);
}

void Console::line(std::string_view text) {
  if (!quiet_) always(text);
}

void Console::progress(const std::string& text) {
  if (quiet_) return;
  const double time = now();
  if (time - last_ < (live_ ? 0.2 : 10.0)) return;
  last_ = time;
  if (live_) {
    winsize size{};
    const bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
    fmt::print("\r\x1b[K{}", known ? text.substr(0, size.ws_col - 1u) : text);
    shown_ = true;
  } else {
    fmt::print("{}\n", text);
  }
  std::fflush(stdout);
}

void Console::conclusion(const CandidateRecord& candidate) {
  if (candidate.sentence.empty()) return;
  const std::string_view word = verdict_word(candidate);
  const bool good = word == "PASSED";
  always(fmt::format("{}{}{}",
                     good           ? style_.good(word)
                     : word.empty() ? ""
                                    : style_.bad(word),
                     word.empty() ? "" : ": ", candidate.sentence));
}

void Console::end_progress() {
  if (shown_) fmt::print("\r\x1b[K");
  shown_ = false;
}

std::vector<std::string> own_libraries(std::string_view platform) {
  std::vector<std::string> names;
  for (const char* p : {"cpu", "hip", "cuda"}) {
    if (!platform.empty() && platform != p) continue;
    names.push_back(fmt::format("libtwincheck_{}.so", p));
    names.push_back(fmt::format("libtwincheck_{}_unfused.so", p));
  }
  return names;
}

std::vector<Participant> choose_candidates(const Options& options, Console& console) {
  const std::vector<Platform> platforms = find_platforms();
  options.record->platforms = platform_records(platforms);
  if (!options.platform.empty()) require_platform(platforms, options.platform, "--platform " + options.platform);
  std::vector<Participant> chosen;
  const auto add = [&](const std::string& library, bool own) {
    Limits limits = limits_of(options);
    Participant p{.info = probe_candidate(library, limits), .platform = {}, .own = own};
    p.platform = p.info.memory == MemoryKind::kHost ? "cpu" : std::string(name(p.info.memory));
    for (const Platform& platform : platforms)
      if (platform.name == p.platform && static_cast<std::size_t>(options.device) < platform.architectures.size())
        p.architecture = platform.architectures[static_cast<std::size_t>(options.device)];
    require_platform(platforms, p.platform, p.info.path);
    if (fs::path(p.info.path).filename().string().rfind("libtwincheck_", 0) == 0) p.own = true;
    const std::string said = p.info.name;
    const auto taken = [&] {
      return std::any_of(chosen.begin(), chosen.end(), [&](const Participant& c) { return c.info.name == p.info.name; });
    };
    for (int n = 2; taken(); ++n) p.info.name = fmt::format("{}#{}", said, n);
    chosen.push_back(std::move(p));
  };
  if (!options.candidates.empty()) {
    for (const std::string& library : options.candidates) add(library, false);
    return chosen;
  }
  for (const Platform& platform : platforms) {
    if (!options.platform.empty() && platform.name != options.platform) continue;
    if (!platform.here) {
      console.line(fmt::format("{}: not here: {}", platform.name, platform.reason));
      continue;
    }
    const bool required = platform.name == "cpu" || !options.platform.empty();
    bool first = true;
    for (const std::string& library : own_libraries(platform.name)) {
      try {
        (void)find_library(library);
      } catch (const LoadError&) {
        if (required && first) throw;
        console.line(fmt::format("{}: {} is not built", platform.name, library));
        first = false;
        continue;
      }
      first = false;
      add(library, true);
    }
  }
  return chosen;
}

Limits limits_of(const Options& options) { return {.timeout = options.timeout, .memory = options.memory_limit}; }

namespace {

// Threads of a process that has a device. Two, where the calls take turns: one calls while the other paints and inspects.
int threads_of(const Participant& participant, const Options& options) {
  return participant.info.takes_turns ? std::min(options.jobs, 2) : options.jobs;
}

}  // namespace

MakeJudge judge_of(const Participant& participant, const Options& options) {
  const std::string path = participant.info.path;
  // The bench's share: the rest is the candidate's, and the reference's.
  const uint64_t bench_bytes = options.memory_limit / 2;
  const DeviceLayout layout = options.in_process ? DeviceLayout::kExact : DeviceLayout::kGuarded;
  return [path, bench_bytes, device = options.device, threads = threads_of(participant, options), layout,
          twin = options.same_bits_as]() -> Judge {
    struct State {
      Candidate candidate;
      Bench bench;
      std::optional<Candidate> twin;
    };
    Candidate candidate = load_candidate(path);
    Bench bench(candidate.memory, bench_bytes, device, threads, layout);
    auto state = std::make_shared<State>(State{std::move(candidate), std::move(bench), std::nullopt});
    if (!twin.empty()) state->twin = load_candidate(find_library(twin));
    if (state->twin && state->twin->memory != MemoryKind::kHost)
      throw LoadError(fmt::format("--same-bits-as: {} is in {} memory, expected host memory", state->twin->name,
                                  name(state->twin->memory)));
    return [state, bench_bytes](std::span<const Item> items) {
      std::vector<Report> reports(items.size());
      const double begin = now();
      state->bench.for_each(items.size(), [&](std::size_t i, Bench& own) {
        const Law* law = find_law(items[i].law);
        Report& report = reports[i];
        report =
            law == nullptr ? check(items[i].c, state->candidate, own) : run_law(*law, items[i].c, state->candidate, own);
        if (state->twin && report.verdict == Verdict::kPassed)
          report = check_same_bits(items[i].c, state->candidate, own, *state->twin, bench_bytes);
      });
      // Of cases that ran side by side there is no other time than their share.
      for (Report& report : reports) report.seconds = (now() - begin) / static_cast<double>(items.size());
      return reports;
    };
  };
}

namespace {

std::string replay_prefix(const Participant& participant, const Options& options) {
  std::string command = "twincheck replay";
  if (!participant.own) {
    command += " --candidate " + shell_word(participant.info.path);
  } else if (participant.platform != "cpu") {
    command += " --platform " + participant.platform;
  }
  if (!options.same_bits_as.empty()) command += " --same-bits-as " + shell_word(options.same_bits_as);
  if (options.device != 0 && participant.platform != "cpu") command += fmt::format(" --device {}", options.device);
  return command;
}

}  // namespace

std::string replay_command(const Participant& participant, const Options& options, const Item& item) {
  std::string command = replay_prefix(participant, options);
  if (item.law != "equals_reference") command += " --law " + item.law;
  const std::string words = text(item.c);
  if (words.size() > kLongestReplayLine) return {};
  return command + " '" + words + "'";
}

std::string replay_command(const Participant& participant, const Options& options, const std::string& file) {
  return replay_prefix(participant, options) + " " + shell_word(file);
}

std::string save_failure(const std::string& folder, const Participant& participant, std::string_view law,
                         std::span<const Item> sequence, std::string_view message, const std::string& over) {
  if (folder.empty()) return {};
  std::string lines;
  for (const Item& item : sequence) lines += text(item.c) + "\n";
  std::string contents;
  for (std::string_view rest = message; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    contents += fmt::format("# {}\n", rest.substr(0, std::min<std::size_t>(end, 1000)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  contents += fmt::format("# law: {}\n{}", law, lines);
  const std::string path = !over.empty() ? over
                                         : (fs::path(folder) / fmt::format("{}-{}-{}.case", file_word(participant.info.name),
                                                                           file_word(law), hex_hash(lines)))
                                               .string();
  std::error_code ignored;
  fs::create_directories(folder, ignored);
  if (const std::string trouble = write_whole(path, contents); !trouble.empty()) {
    fmt::print(stderr, "twincheck: {}\n", trouble);
    return {};
  }
  return path;
}

std::string empty_shard(const Options& options) {
  return fmt::format("shard {} of {} (from 0) is empty: nothing to do", options.shard.index, options.shard.count);
}

std::string law_option(const Options& options) {
  if (options.law.empty() || find_law(options.law) != nullptr) return options.law;
  std::string names;
  for (const Law& law : all_laws()) names += fmt::format("{}{}", names.empty() ? "" : ", ", law.name);
  throw UsageError(fmt::format("--law: there is no law '{}', expected one of: {}", options.law, names));
}

std::vector<const Law*> chosen_laws(const Options& options) {
  if (const std::string name = law_option(options); !name.empty()) return {find_law(name)};
  std::vector<const Law*> all{find_law("equals_reference")};
  for (const Law& law : laws())
    if (&law != all[0]) all.push_back(&law);
  return all;
}

Session::Session(const char* verb, const Options& options)
    : verb_(verb), options_(options), console_(options), seed_(options.seed.value_or(kGateSeed)) {
  (void)law_option(options);
  if (!options.known_failures.empty()) known_ = read_known_failures(options.known_failures);
  if (!options.seed && std::string_view(verb) != "gate") {
    std::random_device device;
    seed_ = (uint64_t{device()} << 32) | device();
  }
  participants_ = choose_candidates(options, console_);
  results_.resize(participants_.size());
  options_.record->seed = seed_;
  for (const KnownFailure& k : known_)
    options_.record->known_failures.push_back({.file = options_.known_failures,
                                               .line = k.line,
                                               .law = k.law,
                                               .pattern = k.pattern(),
                                               .on = k.on,
                                               .candidate = k.candidate,
                                               .reason = k.reason,
                                               .link = k.link,
                                               .expires = k.expires});
  record();
  std::string who;
  for (const Participant& p : participants_) who += fmt::format("\n  {}   {}", p.info.name, p.info.path);
  console_.always(fmt::format(
      "twincheck {}: seed 0x{:x}, {}{}; against the reference:{}", verb_, seed_,
      fault(static_cast<uint64_t>(options.jobs), "worker", "workers"),
      options.shard.count > 1 ? fmt::format(", shard {} of {} (from 0)", options.shard.index, options.shard.count) : "",
      who));
}

bool Session::stage(const std::string& name, std::size_t index, const Plan& plan, double seconds, bool generated) {
  if (interrupted_ || interrupt_signal != 0) {
    interrupted_ = true;
    return false;
  }
  const Participant& participant = participants_[index];
  Result& result = results_[index];
  const bool with_classes = generated && (options_.classes || !options_.report.empty());
  RunOptions run_options;
  run_options.jobs = options_.jobs;
  run_options.limits = limits_of(options_);
  run_options.seconds = seconds;
  run_options.max_failures = options_.max_failures - static_cast<int>(result.failures.size());
  if (run_options.max_failures < 1 || result.stopped) return false;
  if (participant.info.memory != MemoryKind::kHost) {
    // One process has the device, on as many threads: contexts of several processes take turns. They are the lesser evil
    // where the candidate's calls take turns in a process.
    const bool many = participant.info.takes_turns;
    run_options.jobs = many ? options_.jobs : 1;
    run_options.threads = threads_of(participant, options_);
    run_options.batch = many ? kDeviceBatchOfMany : kDeviceBatch;
  }
  // Behind a tally's counters two for each known failure: cases that it is about, and those that failed as it says.
  const std::size_t own_counters = counter_count(with_classes);
  const std::vector<int> known_here = known_of(participant);
  const auto expectation = [this, &known_here](const Item& item, const Report& report) {
    const std::string words = full_text(item.c);
    for (const int k : known_here) {
      const KnownFailure& known = known_[static_cast<std::size_t>(k)];
      if (known.explains(item.law, report.law) && known.meets(item.law, words)) return k;
    }
    return -1;
  };
  run_options.counters = own_counters + 2 * known_.size();
  run_options.count = [&, with_classes](const Item& item, const Report& report, std::span<uint64_t> counters) {
    count_item(item, report, with_classes, counters);
    if (known_here.empty()) return;
    const std::string words = full_text(item.c);
    for (const int k : known_here)
      if (known_[static_cast<std::size_t>(k)].meets(item.law, words))
        ++counters[own_counters + 2 * static_cast<std::size_t>(k)];
    if (report.verdict == Verdict::kKnown)
      ++counters[own_counters + 2 * static_cast<std::size_t>(expectation(item, report)) + 1];
  };
  if (!known_here.empty()) run_options.known = expectation;
  run_options.on_known = [&](int k, const Failure& failure) {
    KnownFailureRecord& recorded = options_.record->known_failures[static_cast<std::size_t>(k)];
    if (recorded.replay.empty()) recorded.replay = replay_command(participant, options_, failure.item);
  };
  run_options.interrupt = &interrupt_signal;
  std::set<std::string> known;
  for (const Failure& f : result.failures) known.insert(f.key);
  run_options.on_failure = [&](const Failure& failure) {
    if (known.contains(failure.key)) return;
    result.failures.push_back(failure);
    told(name, participant, result, failure);
  };
  run_options.on_tick = [&](uint64_t done, double elapsed) {
    std::string left;
    if (seconds > 0) {
      left = fmt::format(", {} left", duration(std::max(0.0, seconds - elapsed)));
    } else if (plan.size != UINT64_MAX) {
      left = fmt::format(" of {}", plan.size);
      if (done > 0 && elapsed > 1)
        left += fmt::format(", {} left", duration(elapsed / static_cast<double>(done) *
                                                  static_cast<double>(plan.size - std::min(done, plan.size))));
    }
    console_.progress(fmt::format("{} {}: {} cases{}, {:.0f} cases/s, {}", participant.info.name, name, done, left,
                                  static_cast<double>(done) / std::max(elapsed, 1e-3),
                                  fault(result.failures.size(), "failure", "failures")));
  };
  const RunResult run = options_.in_process ? run_in_process(plan, judge_of(participant, options_), run_options)
                                            : twincheck::run(plan, judge_of(participant, options_), run_options);
  console_.end_progress();
  const Tally tally = tally_of(run.counters, run.seconds, with_classes);
  result.tally.add(tally);
  if (generated) result.generated.add(tally);
  for (std::size_t k = 0; k < known_.size(); ++k) {
    options_.record->known_failures[k].tried += run.counters[own_counters + 2 * k];
    options_.record->known_failures[k].failed += run.counters[own_counters + 2 * k + 1];
  }
  for (const Failure& f : run.failures)
    for (Failure& known_failure : result.failures)
      if (known_failure.key == f.key) known_failure.equal = std::max(known_failure.equal, f.equal);
  result.isolation_seconds = std::max(result.isolation_seconds, run.isolation_seconds);
  console_.line(fmt::format("{} {}: {} cases, {:.1f} s: {}", participant.info.name, name, tally.totals.cases, run.seconds,
                            verdict_line(tally.totals)));
  if (run.printed_bytes > 0)
    console_.line(fmt::format("  it printed {}, kept out of this log", bytes_text(run.printed_bytes)));
  if (run.stopped) {
    result.stopped = true;
    console_.always(fmt::format("{}: stopped: {} in {} cases, of which {} hung", participant.info.name,
                                fault(result.failures.size(), "kind of failure", "kinds of failures"),
                                result.tally.totals.cases, result.tally.totals.count(Verdict::kHung)));
  }
  interrupted_ = run.interrupted;
  options_.record->stages.push_back({.candidate = participant.info.name,
                                     .name = name,
                                     .seconds = run.seconds,
                                     .verdicts = tally.totals.verdicts,
                                     .complete = !run.interrupted && !run.stopped});
  record();
  return !run.interrupted && !run.stopped;
}

bool Session::device_laws(std::size_t index) {
  const Participant& participant = participants_[index];
  if (participant.info.memory == MemoryKind::kHost || !options_.law.empty()) return true;
  if (options_.in_process) return true;  // some provoke errors, which whoever watches would take for the candidate's
  const auto platform = std::find_if(options_.record->platforms.begin(), options_.record->platforms.end(),
                                     [&](const PlatformRecord& p) { return p.name == participant.platform; });
  const std::size_t devices = platform != options_.record->platforms.end() ? platform->devices.size() : 0;
  std::vector<const Law*> laws;
  for (const Law& law : twincheck::device_laws()) {
    if (!law.two_devices || devices > 1)
      laws.push_back(&law);
    else
      console_.line(
          fmt::format("{}: law {}: not here: a second {} device", participant.info.name, law.name, participant.platform));
  }
  const uint64_t each = options_.tier == "smoke" ? 10 : options_.tier == "nightly" ? 1000 : 100;
  const DeviceLawCases cases(seed_, std::move(laws), each, options_.shard);
  return stage("device laws", index, cases.plan(), 0, false);
}

void Session::fail(const std::string& message) {
  failed_ = true;
  console_.always(fmt::format("{} {}", console_.style().bad("FAIL"), message));
}

void Session::complain(const std::string& subject, const std::string& message, const std::string& file) {
  fail(message);
  options_.record->complaints.push_back({subject, message, file});
}

std::vector<int> Session::known_of(const Participant& participant) const {
  const std::string today = today_utc();
  std::vector<int> indices;
  for (std::size_t k = 0; k < known_.size(); ++k)
    if (!known_[k].expired(today) &&
        known_[k].applies(participant.info.name, participant.platform, participant.architecture))
      indices.push_back(static_cast<int>(k));
  return indices;
}

// What became of each known failure of this run's candidates. One that has expired is a failure of the run.
void Session::judge_known_failures() {
  const std::string today = today_utc();
  for (std::size_t k = 0; k < known_.size(); ++k) {
    const KnownFailure& known = known_[k];
    KnownFailureRecord& recorded = options_.record->known_failures[k];
    const std::string where = fmt::format("{}:{}", recorded.file, recorded.line);
    if (std::none_of(participants_.begin(), participants_.end(),
                     [&](const Participant& p) { return known.applies(p.info.name, p.platform, p.architecture); })) {
      recorded.state = "elsewhere";
    } else if (known.expired(today)) {
      recorded.state = "expired";
      fail(fmt::format("{}   the known failure of law {} expired on {}: mend it, or renew its date ({}; {})", where,
                       known.law, known.expires, known.reason, known.link));
    } else if (recorded.failed > 0) {
      recorded.state = "fails";
      console_.line(fmt::format("known failure {}: law {} fails in {} of {} cases: {} ({}), until {}", where, known.law,
                                recorded.failed, recorded.tried, known.reason, known.link, known.expires));
    } else if (recorded.tried > 0) {
      recorded.state = "passes";
      console_.always(fmt::format("KNOWN FAILURE PASSES: {}: law {} holds in all of {} cases: take it out ({}; {})", where,
                                  known.law, recorded.tried, known.reason, known.link));
    } else {
      recorded.state = "not_met";
      console_.line(fmt::format("known failure {}: no case met it", where));
    }
  }
}

void Session::told(const std::string& stage, const Participant& participant, Result& result, const Failure& failure) {
  Context context;
  context.candidate = participant.info.name;
  context.origin = failure.origin;
  context.output = failure.output;
  context.replay = replay_command(participant, options_, failure.item);
  const std::vector<Item> one{failure.item};
  const std::vector<Item>& sequence = failure.sequence.empty() ? one : failure.sequence;
  Context in_file = context;
  if (sequence.size() > 1) {  // the case alone would not show it
    in_file.replay.clear();
    in_file.notes.push_back("the cases below lead to it, in this order: twincheck replay with this file");
  }
  const std::string plain = failure_message(failure.report, in_file, {});
  const std::string path = save_failure(options_.save, participant, failure.item.law, sequence, plain);
  result.saved.push_back(path);
  if ((!failure.sequence.empty() || context.replay.empty()) && !path.empty()) {
    context.replay = replay_command(participant, options_, path);
    if (failure.sequence.size() > 1)
      context.notes.push_back(fmt::format("the sequence that leads to it has {} cases", failure.sequence.size()));
  }
  console_.always(failure_message(failure.report, context, console_.style()));
  result.recorded.push_back(options_.record->failures.size());
  options_.record->failures.push_back(failure_record(stage, failure.item, failure.report, context));
  options_.record->failures.back().saved = path;
}

void Session::shrink_failures(const Participant& participant, Result& result) {
  for (std::size_t i = 0; i < result.failures.size(); ++i) {
    if (interrupt_signal != 0) return;
    const Failure& failure = result.failures[i];
    if (failure.sequence.size() > 1) shrink_sequence(participant, result, i);
    if (!failure.repeats_alone || failure.report.verdict == Verdict::kHung) continue;
    console_.progress(fmt::format("{}: looking for a smaller case", participant.info.name));
    Smaller smaller = smaller_case(failure.item, failure.report, judge_of(participant, options_), limits_of(options_), 2.0);
    console_.end_progress();
    if (smaller.item.c == failure.item.c) continue;
    Context context;
    context.candidate = participant.info.name;
    context.origin = failure.origin;
    context.replay = replay_command(participant, options_, smaller.item);
    const std::string plain = failure_message(smaller.report, context, {});
    const std::string path = save_failure(options_.save, participant, smaller.item.law, {&smaller.item, 1}, plain);
    if (!path.empty()) {
      std::error_code ignored;
      if (!result.saved[i].empty() && result.saved[i] != path) fs::remove(result.saved[i], ignored);
      result.saved[i] = path;
      context.notes.push_back("saved: " + path);
    }
    FailureRecord& recorded = options_.record->failures[result.recorded[i]];
    const std::string stage = recorded.stage, found_as = recorded.case_text;
    recorded = failure_record(stage, smaller.item, smaller.report, context);
    recorded.found_as = found_as;
    recorded.saved = result.saved[i];
    context.origin = "the smallest case found";
    console_.always(failure_message(smaller.report, context, console_.style()));
  }
}

void Session::shrink_sequence(const Participant& participant, Result& result, std::size_t index) {
  const Failure& failure = result.failures[index];
  console_.progress(fmt::format("{}: looking for a smaller sequence", participant.info.name));
  SmallerSequence smaller = smaller_sequence(failure.sequence, failure.report, judge_of(participant, options_),
                                             limits_of(options_), /*seconds=*/1);
  console_.end_progress();
  if (smaller.items.empty()) return;
  smaller.report.verdict = Verdict::kFlaky;
  Context context;
  context.candidate = participant.info.name;
  context.origin = fmt::format("the smallest sequence found, the last of {} cases", smaller.items.size());
  context.notes = lines_of(smaller.items);
  const std::string plain = failure_message(smaller.report, context, {});
  // Over the file that the failure's first message names.
  const std::string path =
      save_failure(options_.save, participant, failure.item.law, smaller.items, plain, result.saved[index]);
  if (!path.empty()) context.replay = replay_command(participant, options_, path);
  console_.always(failure_message(smaller.report, context, console_.style()));
  FailureRecord& recorded = options_.record->failures[result.recorded[index]];
  const std::string stage = recorded.stage, found_as = recorded.case_text;
  recorded = failure_record(stage, smaller.items.back(), smaller.report, context);
  recorded.found_as = found_as;
  recorded.saved = result.saved[index];
}

// What was expected and what came, of failures that are small enough to be looked at.
void Session::show_failures(const Participant& participant, Result& result) {
  if (result.failures.empty()) return;
  Worker worker(trial_of(participant, options_), limits_of(options_));
  for (std::size_t i = 0; i < result.failures.size() && interrupt_signal == 0; ++i) {
    FailureRecord& recorded = options_.record->failures[result.recorded[i]];
    if (!result.failures[i].repeats_alone || recorded.report.verdict != Verdict::kFailed) continue;
    const Case c = recorded.found_as.empty() ? result.failures[i].item.c : parse(recorded.case_text);
    recorded.matrices = matrix_records(c, ask_for_outputs(worker, {.law = recorded.law, .c = c}));
  }
}

// The record's part that grows with every stage.
void Session::record() {
  std::vector<CandidateRecord>& candidates = options_.record->candidates;
  candidates.resize(participants_.size());
  for (std::size_t i = 0; i < participants_.size(); ++i) {
    const Result& r = results_[i];
    const std::string verdict = candidates[i].verdict, sentence = candidates[i].sentence;
    candidates[i] = candidate_record(participants_[i], r.tally, r.generated);
    candidates[i].verdict = verdict;
    candidates[i].sentence = sentence;
    candidates[i].max_unsupported = options_.max_unsupported.value_or(participants_[i].own ? 0 : 100);
    candidates[i].isolation_seconds = r.isolation_seconds;
    candidates[i].stopped = r.stopped;
    for (std::size_t f = 0; f < r.recorded.size(); ++f) options_.record->failures[r.recorded[f]].count = r.failures[f].equal;
  }
}

int Session::finish() {
  for (std::size_t i = 0; i < participants_.size(); ++i) {
    if (interrupted_) break;
    shrink_failures(participants_[i], results_[i]);
    if (!options_.report.empty()) show_failures(participants_[i], results_[i]);
  }
  if (interrupt_signal != 0) interrupted_ = true;
  record();
  summary();
  judge_known_failures();

  RunReport& run = *options_.record;
  run.interrupted = interrupted_;
  bool bad = failed_, idle = false;
  for (CandidateRecord& candidate : run.candidates) {
    conclude(candidate, run, /*may_be_empty=*/options_.shard.count > 1);
    bad |= candidate.verdict == "failed" || candidate.verdict == "unsupported";
    idle |= candidate.verdict == "nothing_compared";
    console_.conclusion(candidate);
  }
  if (interrupted_) {
    console_.always("interrupted");
    return bad ? kBad : kInterrupted;
  }
  if (!bad && !idle && options_.shard.count > 1 && compared(run) == 0 && !run.kills.run) {
    console_.always(empty_shard(options_));
    return kGood;
  }
  const std::string_view verdict = bad ? "FAILED" : idle ? "NOTHING COMPARED" : "PASSED";
  console_.always(fmt::format("{}: {}: {}", verb_,
                              bad || idle ? console_.style().bad(verdict) : console_.style().good(verdict),
                              compared_line(run)));
  return bad ? kBad : idle ? kUnusable : kGood;
}

void Session::summary() {
  Totals all, generated;
  double isolation = 0;
  for (std::size_t i = 0; i < participants_.size(); ++i) {
    const Result& r = results_[i];
    all.add(r.tally.totals);
    generated.add(r.generated.totals);
    isolation = std::max(isolation, r.isolation_seconds);
    for (const Failure& f : r.failures)
      if (f.equal > 1)
        console_.line(fmt::format("{}: law={} {} {} times", participants_[i].info.name, f.report.law, name(f.report.verdict),
                                  f.equal));
    if (r.tally.totals.count(Verdict::kUnsupported) > 0)
      console_.line(fmt::format("{}: unsupported {} of {} cases{}", participants_[i].info.name,
                                r.tally.totals.count(Verdict::kUnsupported), r.tally.totals.cases,
                                unsupported_text(r.tally)));
    if (options_.classes && r.generated.totals.cases > 0)
      console_.always(
          fmt::format("{}: the generated cases\n{}", participants_[i].info.name, distribution(r.generated.classes)));
  }
  // verify's rate and distribution are those of its generated cases where there are any: a corpus says little of either.
  const Totals& shown = generated.cases > 0 && std::string_view(verb_) == "verify" ? generated : all;
  if (shown.cases == 0) return;
  console_.line(verdict_line(all));
  console_.always(rate_line(shown));
  console_.line(distribution_line(shown));
  if (isolation > 0 && shown.cases > 0)
    console_.line(fmt::format(
        "isolation: {:.2f} us a case, {:.1f} % of a worker's time", isolation * 1e6,
        100 * isolation * static_cast<double>(shown.cases) / (shown.seconds * static_cast<double>(options_.jobs))));
}

}  // namespace twincheck
