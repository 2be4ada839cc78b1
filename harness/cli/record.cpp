#include "harness/cli/record.h"

#include <fmt/format.h>

#include <algorithm>

#include "properties/law.h"

namespace twincheck {

std::vector<LawRecord> law_records() {
  std::vector<LawRecord> records;
  for (const Law& law : all_laws())
    records.push_back({.name = std::string(law.name),
                       .sentence = std::string(law.sentence),
                       .file = fmt::format("properties/{}.cpp", law.name),
                       .line = law.line});
  return records;
}

std::vector<PlatformRecord> platform_records(const std::vector<Platform>& platforms) {
  std::vector<PlatformRecord> records;
  for (const Platform& p : platforms) records.push_back({p.name, p.here, p.reason, p.devices});
  return records;
}

CandidateRecord candidate_record(const Participant& participant, const Tally& tally, const Tally& generated) {
  CandidateRecord record;
  record.name = participant.info.name;
  record.path = participant.info.path;
  record.platform = participant.platform;
  record.own = participant.own;
  record.totals = tally.totals;
  const bool on_device = participant.info.memory != MemoryKind::kHost;
  for (std::size_t l = 0; l < all_laws().size(); ++l) {
    LawResult result{.law = std::string(all_laws()[l].name), .seconds = 0, .verdicts = {}};
    if (l < tally.laws.size()) {
      result.seconds = tally.law_seconds[l];
      result.verdicts = tally.laws[l];
    }
    const bool had_cases = std::any_of(result.verdicts.begin(), result.verdicts.end(), [](uint64_t n) { return n > 0; });
    if (l < laws().size() || on_device || had_cases) record.laws.push_back(std::move(result));
  }
  record.grids = grids(tally.space);
  if (generated.classes.cases[0] == 0) return record;
  for (std::size_t k = 0; k < kClasses; ++k) {
    const Class& of = classes()[k];
    const auto among = static_cast<std::size_t>(of.among);
    record.classes.push_back({.field = std::string(of.field),
                              .name = std::string(of.name),
                              .among = std::string(kPopulationNames[among]),
                              .members = generated.classes.members[k],
                              .population = generated.classes.cases[among],
                              .floor = of.floor});
  }
  return record;
}

FailureRecord failure_record(std::string_view stage, const Item& item, const Report& report, const Context& context) {
  FailureRecord record;
  record.candidate = context.candidate;
  record.stage = stage;
  record.law = item.law;
  record.origin = context.origin;
  record.case_text = text(item.c).substr(0, kLongestCase);
  record.replay = context.replay;
  record.output = printable(context.output);
  record.message = failure_message(report, context, {});
  record.report = report;
  record.report.detail = printable(report.detail);
  return record;
}

SweepRecord sweep_record(const Sweep& sweep, const Participant& participant, const SweepOutcome& outcome) {
  const SweepResult& r = outcome.result;
  return SweepRecord{.candidate = participant.info.name,
                     .name = std::string(sweep.name),
                     .seconds = outcome.seconds,
                     .values = r.values,
                     .total = sweep.values(),
                     .wrong = r.wrong,
                     .failed = outcome.failed,
                     .interrupted = outcome.interrupted,
                     .unsupported = outcome.unsupported,
                     .ulp = {r.ulp.begin(), r.ulp.end()},
                     .max_ulp = r.max_ulp,
                     .max_at = r.max_at};
}

MatrixOfKills kills_record(const KillMatrix& matrix) {
  MatrixOfKills record;
  record.run = true;
  record.seed = matrix.seed;
  record.seconds = matrix.seconds;
  record.interrupted = matrix.interrupted;
  for (const std::string_view law : matrix.idle_laws()) record.idle_laws.emplace_back(law);
  record.median_first = matrix.median_first();
  record.rare = matrix.rare();
  for (const MutantResult& r : matrix.mutants) {
    MutantRecord m{.id = r.mutant.id,
                   .name = r.mutant.name,
                   .sentence = r.mutant.sentence,
                   .bug = r.mutant.bug,
                   .law = r.mutant.law,
                   .file = fmt::format("optimized/mutants/{}-{}.patch", r.mutant.id, r.mutant.name),
                   .cells = {},
                   .complaint = complaint(r),
                   .promises = r.promises,
                   .cases = r.generated.cases,
                   .kills = r.generated.kills,
                   .first = r.first,
                   .reference_only = r.reference_only};
    for (const Kills& k : r.laws) m.cells += k.by_itself ? 'x' : k.kills > 0 ? '+' : '.';
    record.mutants.push_back(std::move(m));
  }
  return record;
}

GoldenRecord golden_record(const std::string& path, const GoldenOutcome& outcome) {
  return {.file = path,
          .records = outcome.records,
          .ids = outcome.ids,
          .weights = outcome.weights,
          .wrong = outcome.wrong,
          .skipped = outcome.skipped};
}

}  // namespace twincheck
