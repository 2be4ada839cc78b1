// `twincheck replay`: cases one by one, shown in full. More than one case in a file is a sequence over the same buffers.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "harness/cli/outputs.h"
#include "harness/cli/record.h"
#include "harness/cli/session.h"
#include "harness/cli/verbs.h"
#include "harness/cli/view.h"
#include "harness/report/bytes.h"
#include "harness/report/conclude.h"

namespace twincheck {
namespace {

constexpr std::size_t kShownInFull = 8;

Report report_of(const Worker::Outcome& outcome, double timeout) {
  switch (outcome.end) {
    case Worker::End::kHung:
      return hung(timeout, 0);
    case Worker::End::kDied:
      return crashed(outcome.reason + " in the call");
    case Worker::End::kMemory:
      return crashed(outcome.reason);
    case Worker::End::kAnswered:
      break;
  }
  return report_from(outcome.answer);
}

void show(const Item& item, const Report& report, const Outputs& outputs, const std::string& output,
          const std::string& origin, const std::string& command, const Participant& participant, Console& console,
          RunReport& record) {
  std::string shown = fmt::format("{}\n  {}\n", text(item.c).substr(0, 4000), description(item.c));
  shown += fmt::format("  expected status {}, got {}\n", name(report.expected_status),
                       report.verdict == Verdict::kCrashed || report.verdict == Verdict::kHung ? "none"
                       : std::string(word(kStatusNames, report.got_status)) == "?"
                           ? fmt::format("{}", report.got_status)
                           : std::string(word(kStatusNames, report.got_status)));
  if (!outputs.ids.empty()) shown += matrices(item.c, outputs, console.style());
  if (is_bad(report.verdict)) {
    Context context;
    context.candidate = participant.info.name;
    context.origin = origin;
    context.output = output;
    context.replay = command;
    console.always(shown + failure_message(report, context, console.style()));
    record.failures.push_back(failure_record("replay", item, report, context));
    if (!outputs.ids.empty()) record.failures.back().matrices = matrix_records(item.c, outputs);
    return;
  }
  std::string verdict = fmt::format("{} {}   law={}   {} of {} weights, {} of {} ids wrong\n",
                                    console.style().good(name(report.verdict)), participant.info.name, item.law,
                                    report.weights_wrong, report.weights_compared, report.ids_wrong, report.ids_compared);
  if (!report.detail.empty()) verdict += fmt::format("  {}\n", printable(report.detail));
  console.line(shown + verdict);
}

}  // namespace

int replay(const Options& options) {
  const CaseList list = cases_from_arguments(options.arguments, law_option(options), options.shard);
  Console console(options);
  const std::vector<Participant> participants = choose_candidates(options, console);
  bool bad = false, idle = false;
  if (list.empty()) console.always(empty_shard(options));
  for (const Participant& participant : participants) {
    if (list.empty()) {
      options.record->candidates.push_back(candidate_record(participant, {}, {}));
      continue;
    }
    console.always(fmt::format("twincheck replay: {} against the reference: {}   {}",
                               list.items.size() == 1 ? "1 case" : fmt::format("{} cases, in order", list.items.size()),
                               participant.info.name, participant.info.path));
    Worker worker(trial_of(participant, options), limits_of(options));
    std::vector<uint64_t> counters(counter_count(/*with_classes=*/false));
    CandidateRecord& recorded = options.record->candidates.emplace_back(candidate_record(participant, {}, {}));
    const auto start = std::chrono::steady_clock::now();
    std::size_t shown = 0;
    for (std::size_t i = 0; i < list.items.size() && interrupt_signal == 0; ++i) {
      const Item& item = list.items[i];
      const auto asked = std::chrono::steady_clock::now();
      const Worker::Outcome outcome = ask_for_report(worker, item);
      if (interrupt_signal != 0 && outcome.end != Worker::End::kAnswered) break;  // nothing is known of the case
      Report report = report_of(outcome, options.timeout);
      report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - asked).count();
      count_item(item, report, /*with_classes=*/false, counters);
      const bool died = outcome.end != Worker::End::kAnswered;
      if (!is_bad(report.verdict) && list.items.size() > kShownInFull) continue;
      if (++shown > static_cast<std::size_t>(options.max_failures) + kShownInFull) continue;
      Outputs outputs;
      // In a sequence another call would change what follows.
      if (!died && list.items.size() == 1) outputs = ask_for_outputs(worker, item);
      const std::string output = died ? outcome.output : is_bad(report.verdict) ? worker.output_tail() : "";
      // What came before in a file may be what it takes.
      const std::string origin = list.origins[i];
      const std::string file = origin.substr(0, origin.rfind(':'));
      const std::string command = file == origin || file.empty() ? replay_command(participant, options, item)
                                                                 : replay_command(participant, options, file);
      show(item, report, outputs, output, origin, command, participant, console, *options.record);
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    const Tally tally = tally_of(counters, seconds, /*with_classes=*/false);
    const Totals& totals = tally.totals;
    recorded = candidate_record(participant, tally, {});
    options.record->interrupted = interrupt_signal != 0;
    conclude(recorded, *options.record, /*may_be_empty=*/false);
    console.always(fmt::format("{}: {} of {} cases: {}; {} output elements compared", participant.info.name, totals.cases,
                               list.items.size(), verdict_line(totals), totals.elements()));
    if (totals.bad() > 0) {
      bad = true;
    } else if (interrupt_signal != 0) {
      break;
    } else if (totals.elements() == 0) {
      idle = true;
      console.always(fmt::format("{}: {}: no output element of a valid case was compared",
                                 console.style().bad("NOTHING COMPARED"), participant.info.name));
    }
    if (interrupt_signal != 0) break;
  }
  if (interrupt_signal != 0) {
    console.always("interrupted");
    return bad ? kBad : kInterrupted;
  }
  return bad ? kBad : idle || participants.empty() ? kUnusable : kGood;
}

}  // namespace twincheck
