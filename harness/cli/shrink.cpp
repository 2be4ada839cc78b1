// `twincheck shrink`: the smallest case that still breaks the same law.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <span>

#include "harness/cli/record.h"
#include "harness/cli/session.h"
#include "harness/cli/smaller.h"
#include "harness/cli/verbs.h"
#include "harness/report/conclude.h"

namespace twincheck {
namespace {

// Cases of one file none of which fails alone: does one fail after the others? Then fewer and smaller ones are looked for.
// True where one does.
bool shrink_in_order(std::span<const Item> items, const Participant& participant, const Options& options, double seconds,
                     Console& console) {
  Solo solo(judge_of(participant, options), limits_of(options));
  Report report;
  std::size_t count = 0;
  while (count < items.size() && !is_bad(report.verdict) && interrupt_signal == 0) report = solo.judge(items[count++]);
  if (!is_bad(report.verdict) || interrupt_signal != 0) return false;
  const SmallerSequence smaller =
      smaller_sequence(items.first(count), report, judge_of(participant, options), limits_of(options), seconds);
  if (smaller.items.empty()) return false;
  Context context;
  context.candidate = participant.info.name;
  context.origin = fmt::format("the last of {} cases, {} sequences tried", smaller.items.size(), smaller.tried);
  context.notes = lines_of(smaller.items);
  const Item& last = smaller.items.back();
  const std::string path =
      save_failure(options.save, participant, last.law, smaller.items, failure_message(smaller.report, context, {}));
  if (!path.empty()) context.replay = replay_command(participant, options, path);
  console.always(failure_message(smaller.report, context, console.style()));
  FailureRecord& recorded = options.record->failures.emplace_back(failure_record("shrink", last, smaller.report, context));
  recorded.found_as = text(items[count - 1].c).substr(0, kLongestCase);
  recorded.saved = path;
  return true;
}

}  // namespace

int shrink_verb(const Options& options) {
  const CaseList list = cases_from_arguments(options.arguments, law_option(options), options.shard);
  Console console(options);
  const double seconds = options.seconds.value_or(10);
  bool bad = false, idle = false;
  if (list.empty()) console.always(empty_shard(options));
  for (const Participant& participant : choose_candidates(options, console)) {
    if (list.empty()) {
      options.record->candidates.push_back(candidate_record(participant, {}, {}));
      continue;
    }
    console.always(fmt::format("twincheck shrink: {} cases, at most {:g} s each, against the reference: {}   {}",
                               list.items.size(), seconds, participant.info.name, participant.info.path));
    uint64_t elements = 0;
    std::vector<uint64_t> counters(counter_count(/*with_classes=*/false));
    CandidateRecord& candidate = options.record->candidates.emplace_back(candidate_record(participant, {}, {}));
    std::size_t file_begin = 0;
    bool alone = false;  // a case of the file fails by itself
    for (std::size_t i = 0; i < list.items.size(); ++i) {
      const Item& item = list.items[i];
      Solo solo(judge_of(participant, options), limits_of(options));
      const auto asked = std::chrono::steady_clock::now();
      Report report = solo.judge(item);
      report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - asked).count();
      elements += static_cast<uint64_t>(report.ids_compared + report.weights_compared);
      if (interrupt_signal != 0) {
        console.always("interrupted");
        return bad ? kBad : kInterrupted;
      }
      count_item(item, report, /*with_classes=*/false, counters);
      const Tally tally = tally_of(counters, report.seconds, /*with_classes=*/false);
      candidate = candidate_record(participant, tally, {});
      if (!is_bad(report.verdict)) {
        conclude(candidate, *options.record, /*may_be_empty=*/false);
        console.always(
            fmt::format("{}: nothing to shrink: the case {} on {}", list.origins[i].empty() ? "case" : list.origins[i],
                        report.verdict == Verdict::kPassed ? "passes" : fmt::format("is {}", name(report.verdict)),
                        participant.info.name));
      }
      alone = alone || is_bad(report.verdict);
      if (std::find(list.file_ends.begin(), list.file_ends.end(), i + 1) != list.file_ends.end()) {
        const std::span<const Item> file(list.items.data() + file_begin, i + 1 - file_begin);
        if (!alone && file.size() > 1 && shrink_in_order(file, participant, options, seconds, console)) {
          bad = true;
          candidate.verdict = "failed";
        }
        alone = false;
        file_begin = i + 1;
      }
      if (!is_bad(report.verdict)) continue;
      bad = true;
      const auto start = std::chrono::steady_clock::now();
      const Smaller smaller = smaller_case(item, report, judge_of(participant, options), limits_of(options), seconds);
      const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      Context context;
      context.candidate = participant.info.name;
      context.origin = fmt::format("{} cases tried in {:.1f} s", smaller.tried, took);
      context.replay = replay_command(participant, options, smaller.item);
      const std::string path = save_failure(options.save, participant, smaller.item.law, {&smaller.item, 1},
                                            failure_message(smaller.report, context, {}));
      if (!path.empty()) context.notes.push_back("saved: " + path);
      console.always(failure_message(smaller.report, context, console.style()));
      FailureRecord& recorded =
          options.record->failures.emplace_back(failure_record("shrink", smaller.item, smaller.report, context));
      recorded.found_as = text(item.c).substr(0, kLongestCase);
      recorded.saved = path;
      conclude(candidate, *options.record, /*may_be_empty=*/false);
    }
    idle = idle || elements == 0;
  }
  if (interrupt_signal != 0) {
    console.always("interrupted");
    return bad ? kBad : kInterrupted;
  }
  return bad ? kBad : idle ? kUnusable : kGood;
}

}  // namespace twincheck
