#include "harness/cli/sweeps.h"

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "harness/candidate/process.h"
#include "harness/cli/device_sweeps.h"
#include "harness/cli/record.h"
#include "harness/cli/smaller.h"
#include "harness/cli/verbs.h"
#include "harness/judge/device_sweep.h"
#include "harness/report/conclude.h"

namespace twincheck {
namespace {

std::string histogram(const SweepResult& r) {
  std::string text;
  for (std::size_t i = 0; i < SweepResult::kBins; ++i) {
    if (r.ulp[i] == 0) continue;
    const std::string bin = i == SweepResult::kFarther       ? fmt::format("{} ulp and more", i)
                            : i == SweepResult::kNan         ? "NaN"
                            : i == SweepResult::kNanOrNumber ? "NaN or not"
                                                             : fmt::format("{} ulp", i);
    text += fmt::format("\n    {:<14} {}", bin, r.ulp[i]);
  }
  return text;
}

// A failing piece is some hundred thousand values, and one is enough to show it.
void tell_smaller(const Failure& failure, const Participant& participant, const Options& options, Console& console,
                  FailureRecord& recorded) {
  if (!failure.repeats_alone || failure.report.verdict == Verdict::kHung) return;
  const Smaller smaller =
      smaller_case(failure.item, failure.report, judge_of(participant, options), limits_of(options), /*seconds=*/2);
  if (smaller.item.c == failure.item.c) return;
  Context context;
  context.candidate = participant.info.name;
  context.origin = "the smallest case found";
  context.replay = replay_command(participant, options, smaller.item);
  const std::string plain = failure_message(smaller.report, context, {});
  const std::string path = save_failure(options.save, participant, smaller.item.law, {&smaller.item, 1}, plain);
  if (!path.empty()) {
    std::error_code ignored;
    if (!recorded.saved.empty() && recorded.saved != path) std::filesystem::remove(recorded.saved, ignored);
    context.notes.push_back("saved: " + path);
  }
  console.always(failure_message(smaller.report, context, console.style()));
  const std::string stage = recorded.stage, found_as = recorded.case_text;
  recorded = failure_record(stage, smaller.item, smaller.report, context);
  recorded.found_as = found_as;
  recorded.saved = path;
}

MakeJudge judge_here(const Sweep& sweep, const Participant& participant, const Options& options, ResultOf result_of) {
  return [&sweep, &options, result_of, path = participant.info.path]() -> Judge {
    struct State {
      Candidate candidate;
      Bench bench;
      SweepBench sweep;
    };
    auto state =
        std::make_shared<State>(State{load_candidate(path), Bench(MemoryKind::kHost, options.memory_limit / 2), {}});
    return [&sweep, result_of, state](std::span<const Item> items) {
      std::vector<Report> reports;
      for (const Item& item : items) {
        const Sweep::Piece p = sweep_piece_of(item);
        reports.push_back(state->sweep.run(sweep, p, state->candidate, state->bench, result_of(p)));
      }
      return reports;
    };
  };
}

}  // namespace

SweepOutcome run_sweep(const Sweep& sweep, const Participant& participant, const Options& options, Console& console) {
  SweepOutcome outcome;
  const auto piece = [&](uint64_t i) { return sweep.piece(options.shard.unit(i)); };
  outcome.pieces = options.shard.size(sweep.pieces());
  if (outcome.pieces == 0) return outcome;
  const bool on_device = participant.info.memory != MemoryKind::kHost;
  if (on_device) console.line(prove_oracle(sweep, participant, options));
  Plan plan;
  plan.size = outcome.pieces;
  plan.item = [&](uint64_t i) { return Item{.law = "equals_reference", .c = sweep_case(sweep, piece(i))}; };
  plan.origin = [&](uint64_t i) {
    return fmt::format("sweep {}, from {:#x} on, {} path", sweep.name, piece(i).chunk * kSweepChunk,
                       piece(i).scalar ? "scalar" : "vector");
  };

  SharedMemory memory(outcome.pieces * sizeof(SweepResult));
  auto* const results = reinterpret_cast<SweepResult*>(memory.data());  // of each piece; a piece tried again starts over
  const auto result_of = [&](Sweep::Piece p) -> SweepResult& {
    SweepResult& result = results[options.shard.place(sweep.index_of(p))];
    return result = {};
  };
  const MakeJudge make_judge = on_device ? sweep_judge_on_device(sweep, participant, options, result_of)
                                         : judge_here(sweep, participant, options, result_of);

  const std::string label = fmt::format("{} {}", participant.info.name, sweep.name);
  RunOptions run_options;
  run_options.jobs = on_device ? 1 : options.jobs;
  run_options.batch = on_device ? DeviceSweepBench::kPieces : 1;
  run_options.limits = limits_of(options);
  run_options.max_failures = options.max_failures;
  run_options.counters = 1;
  run_options.count = [&](const Item&, const Report& report, std::span<uint64_t> unsupported) {
    if (report.verdict == Verdict::kUnsupported) ++unsupported[0];
  };
  run_options.interrupt = &interrupt_signal;
  run_options.on_tick = [&](uint64_t done, double elapsed) {
    if (done == 0) return;
    const double left = elapsed / static_cast<double>(done) * static_cast<double>(plan.size - done);
    console.progress(fmt::format("{}: {:.1f} %, {} left", label,
                                 100.0 * static_cast<double>(done) / static_cast<double>(plan.size), duration(left)));
  };
  run_options.on_failure = [&](const Failure& failure) {
    Context context;
    context.candidate = participant.info.name;
    context.origin = failure.origin;
    context.output = failure.output;
    context.replay = replay_command(participant, options, failure.item);
    const std::string plain = failure_message(failure.report, context, {});
    const std::string path = save_failure(options.save, participant, failure.item.law, {&failure.item, 1}, plain);
    console.always(failure_message(failure.report, context, console.style()));
    options.record->failures.push_back(
        failure_record(fmt::format("sweep {}", sweep.name), failure.item, failure.report, context));
    options.record->failures.back().saved = path;
  };
  const std::size_t first_recorded = options.record->failures.size();
  const RunResult run_result = run(plan, make_judge, run_options);
  console.end_progress();
  for (std::size_t i = 0; i < run_result.failures.size() && interrupt_signal == 0; ++i)
    tell_smaller(run_result.failures[i], participant, options, console, options.record->failures[first_recorded + i]);
  for (std::size_t i = 0; i < run_result.failures.size(); ++i)
    options.record->failures[first_recorded + i].count = run_result.failures[i].equal;

  for (uint64_t i = 0; i < outcome.pieces; ++i) outcome.result.add(results[i]);
  outcome.seconds = run_result.seconds;
  outcome.failed = !run_result.failures.empty();
  outcome.interrupted = run_result.interrupted;
  outcome.unsupported = run_result.counters[0] > 0;
  const SweepResult& r = outcome.result;
  std::string line = fmt::format("{}: {} values in {:.1f} s, {}", label, r.values, outcome.seconds,
                                 outcome.failed        ? "not all right"
                                 : outcome.interrupted ? "all right as far as it came"
                                 : outcome.unsupported ? "not all supported"
                                                       : "all right");
  if (r.wrong > 0) line += fmt::format(", {} wrong, first at {:#x}", r.wrong, r.wrong_at);
  if (run_result.stopped) line += fmt::format("; stopped at {} failures", run_result.failures.size());
  if ((sweep.source == Source::kLogits && r.values > 0) || r.wrong > 0)
    line += fmt::format("; at most {} ulp of {} from the correctly rounded value{}{}", r.max_ulp, name(sweep.to),
                        r.max_ulp > 0 ? fmt::format(", first at {:#x}", r.max_at) : "", histogram(r));
  console.line(line);
  options.record->sweeps.push_back(sweep_record(sweep, participant, outcome));
  return outcome;
}

int sweep(const Options& options) {
  std::vector<const Sweep*> chosen;
  for (const std::string& name : options.arguments) {
    const Sweep* found = find_sweep(name);
    if (found == nullptr) {
      std::string names;
      for (const Sweep& s : sweeps()) names += fmt::format("{}{}", names.empty() ? "" : ", ", s.name);
      throw UsageError(fmt::format("sweep: there is no sweep '{}', expected one of: {}", name, names));
    }
    chosen.push_back(found);
  }
  Console console(options);
  const std::vector<Participant> participants = choose_candidates(options, console);
  bool bad = false, idle = participants.empty();
  for (const Participant& participant : participants) {
    uint64_t pieces = 0;
    CandidateRecord& recorded = options.record->candidates.emplace_back(candidate_record(participant, {}, {}));
    for (const Sweep* s : chosen) {
      console.always(fmt::format("twincheck sweep: {}, {} values: {}   {}", s->name, s->values(), participant.info.name,
                                 participant.info.path));
      const SweepOutcome outcome = run_sweep(*s, participant, options, console);
      bad |= outcome.failed;
      pieces += outcome.pieces;
      if (outcome.interrupted) {
        conclude(recorded, *options.record, /*may_be_empty=*/false);
        console.always("interrupted");
        return bad ? kBad : kInterrupted;
      }
    }
    if (pieces == 0) {
      console.always(empty_shard(options));
      continue;
    }
    conclude(recorded, *options.record, /*may_be_empty=*/false);
    idle |= recorded.verdict == "nothing_compared";
    console.conclusion(recorded);
  }
  return bad ? kBad : idle ? kUnusable : kGood;
}

}  // namespace twincheck
