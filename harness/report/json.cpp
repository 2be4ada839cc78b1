#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "harness/report/run_report.h"

namespace twincheck {
namespace {

using Json = nlohmann::ordered_json;

// 64 bits do not fit a reader's double.
std::string hex(uint64_t value) { return fmt::format("0x{:x}", value); }

Json verdicts(const std::array<uint64_t, kVerdicts>& counts) {
  Json object = Json::object();
  for (std::size_t v = 0; v < counts.size(); ++v) object[std::string(kVerdictNames[v])] = counts[v];
  return object;
}

template <typename T, typename F>
Json list(const std::vector<T>& records, F&& each) {
  Json array = Json::array();
  for (const T& record : records) array.push_back(each(record));
  return array;
}

Json grid_json(const Grid& grid) {
  Json object{{"name", grid.name},
              {"row_name", grid.row_name},
              {"column_name", grid.column_name},
              {"rows", grid.rows},
              {"columns", grid.columns}};
  const auto counts = [&](const char* key, uint64_t Grid::Cell::*field) {
    Json rows = Json::array();
    for (std::size_t r = 0; r < grid.rows.size(); ++r) {
      Json row = Json::array();
      for (std::size_t c = 0; c < grid.columns.size(); ++c) row.push_back(grid.at(r, c).*field);
      rows.push_back(std::move(row));
    }
    object[key] = std::move(rows);
  };
  counts("cases", &Grid::Cell::cases);
  counts("failures", &Grid::Cell::bad);
  counts("unsupported", &Grid::Cell::unsupported);
  return object;
}

Json candidate_json(const CandidateRecord& c) {
  Json sources = Json::object();
  for (std::size_t s = 0; s < c.totals.sources.size(); ++s) sources[std::string(kSourceNames[s])] = c.totals.sources[s];
  return {{"name", c.name},
          {"path", c.path},
          {"platform", c.platform},
          {"own", c.own},
          {"verdict", c.verdict},
          {"sentence", c.sentence},
          {"max_unsupported", c.max_unsupported},
          {"stopped", c.stopped},
          {"cases", c.totals.cases},
          {"failures", c.totals.bad()},
          {"seconds", c.totals.seconds},
          {"isolation_seconds", c.isolation_seconds},
          {"ids_compared", c.totals.ids_compared},
          {"weights_compared", c.totals.weights_compared},
          {"verdicts", verdicts(c.totals.verdicts)},
          {"sources", std::move(sources)},
          {"laws", list(c.laws,
                        [](const LawResult& l) {
                          return Json{{"law", l.law},
                                      {"cases", l.cases()},
                                      {"failures", l.bad()},
                                      {"seconds", l.seconds},
                                      {"verdicts", verdicts(l.verdicts)}};
                        })},
          {"grids", list(c.grids, grid_json)},
          {"classes", list(c.classes, [](const ClassRecord& k) {
             return Json{{"field", k.field},           {"name", k.name},  {"among", k.among}, {"members", k.members},
                         {"population", k.population}, {"floor", k.floor}};
           })}};
}

Json failure_json(const FailureRecord& f) {
  const Report& r = f.report;
  return {{"candidate", f.candidate},
          {"stage", f.stage},
          {"law", f.law},
          {"promise", r.law},
          {"verdict", name(r.verdict)},
          {"detail", r.detail},
          {"count", f.count},
          {"origin", f.origin},
          {"case", f.case_text},
          {"found_as", f.found_as},
          {"replay", f.replay},
          {"saved", f.saved},
          {"output", f.output},
          {"message", f.message},
          {"expected_status", name(r.expected_status)},
          {"got_status", r.got_status},
          {"ids_compared", r.ids_compared},
          {"ids_wrong", r.ids_wrong},
          {"weights_compared", r.weights_compared},
          {"weights_wrong", r.weights_wrong},
          {"guards_intact", r.guards_intact},
          {"inputs_unchanged", r.inputs_unchanged},
          {"all_written", r.all_written},
          {"mismatches", list(r.mismatches,
                              [](const Mismatch& m) {
                                return Json{{"matrix", m.is_weight ? "out_weights" : "out_ids"},
                                            {"token", m.token},
                                            {"slot", m.slot},
                                            {"shared", m.shared},
                                            {"expected", m.expected},
                                            {"got", m.got}};
                              })},
          {"matrices", list(f.matrices, [](const MatrixRecord& m) {
             return Json{{"name", m.name},
                         {"columns", m.columns},
                         {"cells", list(m.cells, [](const MatrixRecord::Cell& cell) {
                            return Json{{"expected", cell.expected}, {"got", cell.got}, {"wrong", cell.wrong}};
                          })}};
           })}};
}

Json sweep_json(const SweepRecord& s) {
  return {{"candidate", s.candidate},
          {"name", s.name},
          {"seconds", s.seconds},
          {"values", s.values},
          {"total", s.total},
          {"wrong", s.wrong},
          {"failed", s.failed},
          {"interrupted", s.interrupted},
          {"unsupported", s.unsupported},
          {"ulp", s.ulp},
          {"max_ulp", s.max_ulp},
          {"max_at", hex(s.max_at)}};
}

Json part_json(const PartRecord& p) {
  return {{"work", p.work},
          {"host", p.host},
          {"started", p.started},
          {"seconds", p.seconds},
          {"seed", hex(p.seed)},
          {"shard", p.shard},
          {"shards", p.shards},
          {"candidates", p.candidates},
          {"verdict", p.verdict},
          {"exit_status", p.exit_status},
          {"interrupted", p.interrupted},
          {"error", p.error}};
}

Json kills_json(const MatrixOfKills& k) {
  if (!k.run) return nullptr;
  return {{"seed", hex(k.seed)},
          {"seconds", k.seconds},
          {"interrupted", k.interrupted},
          {"idle_laws", k.idle_laws},
          {"median_first_kill", k.median_first},
          {"rare", k.rare},
          {"mutants", list(k.mutants, [](const MutantRecord& m) {
             return Json{{"id", m.id},
                         {"name", m.name},
                         {"sentence", m.sentence},
                         {"bug", m.bug},
                         {"law", m.law},
                         {"file", m.file},
                         {"killed", m.first > 0},
                         {"complaint", m.complaint},
                         {"cells", m.cells},
                         {"promises", m.promises},
                         {"default_cases", m.cases},
                         {"default_kills", m.kills},
                         {"first_kill", m.first},
                         {"reference_only", m.reference_only}};
           })}};
}

// The same in results.json and in a file of its own.
Json bench_object(const BenchRecord& b) {
  const auto ratio = [](const BenchRecord::Ratio& r) {
    return Json{{"candidate", r.candidate}, {"against", r.against}, {"shapes", r.shapes},
                {"least", r.least},         {"most", r.most},       {"most_at", r.most_at}};
  };
  return {{"platform", b.platform},
          {"device", b.device},
          {"copy_bytes_per_second", b.copy_bytes_per_second},
          {"empty", b.empty},
          {"points", list(b.points,
                          [](const BenchPoint& p) {
                            return Json{{"candidate", p.candidate},
                                        {"label", p.label},
                                        {"case", p.case_text},
                                        {"tokens", p.tokens},
                                        {"bytes", p.bytes},
                                        {"microseconds", p.microseconds},
                                        {"low", p.low},
                                        {"high", p.high},
                                        {"method", p.method},
                                        {"calls", p.calls},
                                        {"verdict", p.verdict},
                                        {"detail", p.detail}};
                          })},
          {"ratios", list(b.ratios, ratio)},
          {"slower", list(b.slower, ratio)}};
}

}  // namespace

std::string bench_json(const BenchRecord& bench) {
  Json document{{"format", kBenchFormat}, {"version", kBenchVersion}};
  document.update(bench_object(bench));
  return document.dump(1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

std::string results_json(const RunReport& run) {
  Totals totals;
  for (const CandidateRecord& c : run.candidates) totals.add(c.totals);
  const Json document{
      {"format", "twincheck-results"},
      {"version", kResultsVersion},
      {"twincheck", run.version},
      {"verb", run.verb},
      {"work", run.work},
      {"arguments", run.arguments},
      {"started", run.started},
      {"host", run.host},
      {"seconds", run.seconds},
      {"seed", hex(run.seed)},
      {"shard", run.shard},
      {"shards", run.shards},
      {"tier", run.tier},
      {"jobs", run.jobs},
      {"verdict", run.verdict},
      {"exit_status", run.exit_status},
      {"interrupted", run.interrupted},
      {"error", run.error},
      {"cases", totals.cases},
      {"verdicts", verdicts(totals.verdicts)},
      {"elements_compared", totals.elements()},
      {"parts", list(run.parts, part_json)},
      {"platforms", list(run.platforms,
                         [](const PlatformRecord& p) {
                           return Json{{"name", p.name}, {"here", p.here}, {"reason", p.reason}, {"devices", p.devices}};
                         })},
      {"laws", list(run.laws,
                    [](const LawRecord& l) {
                      return Json{{"name", l.name}, {"sentence", l.sentence}, {"file", l.file}, {"line", l.line}};
                    })},
      {"candidates", list(run.candidates, candidate_json)},
      {"stages", list(run.stages,
                      [](const StageRecord& s) {
                        return Json{{"candidate", s.candidate},
                                    {"name", s.name},
                                    {"seconds", s.seconds},
                                    {"complete", s.complete},
                                    {"verdicts", verdicts(s.verdicts)}};
                      })},
      {"failures", list(run.failures, failure_json)},
      {"known_failures", list(run.known_failures,
                              [](const KnownFailureRecord& k) {
                                return Json{{"file", k.file},     {"line", k.line},   {"law", k.law},
                                            {"case", k.pattern},  {"on", k.on},       {"candidate", k.candidate},
                                            {"reason", k.reason}, {"link", k.link},   {"expires", k.expires},
                                            {"state", k.state},   {"tried", k.tried}, {"failed", k.failed},
                                            {"replay", k.replay}};
                              })},
      {"complaints", list(run.complaints,
                          [](const ComplaintRecord& c) {
                            return Json{{"subject", c.subject}, {"message", c.message}, {"file", c.file}};
                          })},
      {"sweeps", list(run.sweeps, sweep_json)},
      {"golden", list(run.golden,
                      [](const GoldenRecord& g) {
                        return Json{{"file", g.file},       {"records", g.records}, {"ids", g.ids},
                                    {"weights", g.weights}, {"wrong", g.wrong},     {"skipped", g.skipped}};
                      })},
      {"mutants", kills_json(run.kills)},
      {"bench", run.bench.run ? bench_object(run.bench) : Json(nullptr)}};
  return document.dump(1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace) + "\n";
}

}  // namespace twincheck
