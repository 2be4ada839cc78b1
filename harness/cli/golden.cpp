// `twincheck golden`: recorded outputs of other implementations against the reference; with --candidate, their inputs
// through it too.
#include <fmt/format.h>

#include <fstream>

#include "harness/cli/golden.h"
#include "harness/cli/record.h"
#include "harness/cli/session.h"
#include "harness/cli/verbs.h"
#include "harness/judge/recorded.h"

namespace twincheck {

GoldenOutcome check_golden(const std::string& path, const Options& options, Console& console, uint64_t& number) {
  std::ifstream file(path);
  if (!file) throw UsageError(fmt::format("{}: cannot be read, expected a file of JSON objects, one a line", path));
  GoldenOutcome outcome;
  Bench bench;
  std::size_t at = 0;  // the line
  for (std::string line; interrupt_signal == 0 && std::getline(file, line);) {
    ++at;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (!options.shard.owns(number++)) continue;
    Recorded record;
    try {
      record = parse_record(line);
    } catch (const RecordError& e) {
      throw UsageError(fmt::format("{}:{}: {}", path, at, e.what()));
    }
    const Report report = check_recorded(record, bench);
    ++outcome.records;
    outcome.inputs.items.push_back({.law = "equals_reference", .c = record.input});
    outcome.inputs.origins.push_back(fmt::format("{}:{}", path, at));
    outcome.ids += static_cast<uint64_t>(report.ids_compared);
    outcome.weights += static_cast<uint64_t>(report.weights_compared);
    if (report.verdict == Verdict::kTooLarge) {
      ++outcome.skipped;
      console.always(fmt::format("{}:{}: skipped: {}", path, at, report.detail));
    }
    if (!is_bad(report.verdict)) continue;
    if (static_cast<int>(++outcome.wrong) > options.max_failures) continue;
    Context context;
    context.candidate = record.origin.empty() ? "recorded" : record.origin;
    context.origin = outcome.inputs.origins.back();
    context.replay = fmt::format("twincheck golden {}", shell_word(path));
    context.notes.push_back("case: " + text(record.input).substr(0, 4000));
    console.always(failure_message(report, context, console.style()));
    options.record->failures.push_back(failure_record("golden", outcome.inputs.items.back(), report, context));
  }
  outcome.inputs.files = 1;
  // Records do not depend on each other.
  for (std::size_t i = 1; i <= outcome.inputs.items.size(); ++i) outcome.inputs.file_ends.push_back(i);
  options.record->golden.push_back(golden_record(path, outcome));
  return outcome;
}

int golden(const Options& options) {
  Console console(options);
  bool bad = false;
  uint64_t compared = 0, records = 0, number = 0;
  CaseList inputs;
  for (const std::string& path : options.arguments) {
    if (interrupt_signal != 0) break;
    console.always(fmt::format("twincheck golden: {} against the reference", path));
    GoldenOutcome outcome = check_golden(path, options, console, number);
    records += outcome.records;
    bad |= outcome.wrong > 0 || outcome.skipped > 0;
    compared += outcome.ids + outcome.weights;
    const std::string verdict = outcome.wrong + outcome.skipped > 0 ? console.style().bad("FAILED")
                                : interrupt_signal != 0             ? "all right as far as it came"
                                                                    : console.style().good("PASSED");
    console.always(fmt::format("{}: {}: {} records, {} ids and {} weights compared, {} records wrong, {} skipped", verdict,
                               path, outcome.records, outcome.ids, outcome.weights, outcome.wrong, outcome.skipped));
    const std::size_t before = inputs.items.size();
    for (Item& item : outcome.inputs.items) inputs.items.push_back(std::move(item));
    for (std::string& origin : outcome.inputs.origins) inputs.origins.push_back(std::move(origin));
    for (const std::size_t end : outcome.inputs.file_ends) inputs.file_ends.push_back(before + end);
    ++inputs.files;
  }
  if (interrupt_signal != 0) {
    console.always("interrupted");
    return bad ? kBad : kInterrupted;
  }
  const bool empty = records == 0 && options.shard.count > 1;
  const int status = bad ? kBad : compared == 0 && !empty ? kUnusable : kGood;
  if (empty) {
    console.always(empty_shard(options));
  } else if (compared == 0)
    console.always(fmt::format("{}: no output element was compared", console.style().bad("NOTHING COMPARED")));
  if (options.candidates.empty() && options.platform.empty()) return status;
  Session session("golden", options);
  for (std::size_t i = 0; i < session.participants().size() && !session.interrupted(); ++i)
    if (!inputs.empty()) (void)session.stage("recorded inputs", i, plan_of(inputs), 0, false);
  const int candidates = session.finish();
  if (status == kBad || candidates == kBad) return kBad;
  return candidates != kGood ? candidates : status;
}

}  // namespace twincheck
