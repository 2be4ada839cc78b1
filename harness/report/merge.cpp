#include "harness/report/merge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "harness/report/conclude.h"

namespace twincheck {
namespace {

PartRecord part_of(const RunReport& run) {
  PartRecord part{.work = run.work,
                  .host = run.host,
                  .started = run.started,
                  .seconds = run.seconds,
                  .seed = run.seed,
                  .shard = run.shard,
                  .shards = run.shards,
                  .candidates = {},
                  .verdict = run.verdict,
                  .exit_status = run.exit_status,
                  .interrupted = run.interrupted,
                  .error = run.error};
  for (const CandidateRecord& c : run.candidates) part.candidates.push_back(c.name);
  return part;
}

std::vector<PartRecord> parts_of(const RunReport& run) {
  return run.parts.empty() ? std::vector<PartRecord>{part_of(run)} : run.parts;
}

// What the shards of one work have in common. The same work may be done whole on several machines.
auto whole_of(const PartRecord& p) {
  return std::tuple(p.work, p.seed, p.candidates, p.shards, p.shards == 1 ? p.host : std::string());
}
auto place_of(const PartRecord& p) { return std::tuple_cat(whole_of(p), std::tuple(p.shard)); }

std::string name_of(const PartRecord& p) {
  std::string who;
  for (const std::string& c : p.candidates) who += fmt::format("{}{}", who.empty() ? " of " : ", ", c);
  const std::string name = fmt::format("{}{}, seed 0x{:x}", p.work.empty() ? "a run" : p.work, who, p.seed);
  return p.shards == 1 ? name : fmt::format("{}, shard {} of {} (from 0)", name, p.shard, p.shards);
}

void add_error(RunReport& run, const std::string& words) { run.error += (run.error.empty() ? "" : "; ") + words; }

// Tells of shards that are missing and of parts that could not go on; refuses one that is there twice. `parts` are sorted.
void look_at_parts(RunReport& merged) {
  const std::vector<PartRecord>& parts = merged.parts;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const PartRecord& p = parts[i];
    if (i > 0 && place_of(parts[i - 1]) == place_of(p))
      throw ResultsError(fmt::format("twice the same part: {}", name_of(p)));
    if (!p.error.empty()) add_error(merged, fmt::format("{}: {}", name_of(p), p.error));
    merged.interrupted |= p.interrupted;
  }
  for (std::size_t first = 0, last; first < parts.size(); first = last) {
    std::set<uint64_t> here;
    for (last = first; last < parts.size() && whole_of(parts[last]) == whole_of(parts[first]); ++last)
      here.insert(parts[last].shard);
    const uint64_t shards = parts[first].shards;
    if (here.size() == shards) continue;
    std::string missing;
    uint64_t told = 0;
    for (uint64_t s = 0; s < shards && told < 10; ++s)
      if (!here.contains(s)) missing += fmt::format("{}{}", told++ == 0 ? "" : ", ", s);
    if (shards - here.size() > told) missing += fmt::format(" and {} more", shards - here.size() - told);
    PartRecord whole = parts[first];
    whole.shards = 1;
    add_error(merged, fmt::format("{}: {} of {} shards missing: {} (from 0)", name_of(whole), shards - here.size(), shards,
                                  missing));
  }
}

// The one of `all` for which `is` holds; `fresh` where there is none yet.
template <class T, class Is>
T& find_or_add(std::vector<T>& all, Is is, const T& fresh) {
  const auto it = std::find_if(all.begin(), all.end(), is);
  return it != all.end() ? *it : all.emplace_back(fresh);
}

void add(std::array<uint64_t, kVerdicts>& to, const std::array<uint64_t, kVerdicts>& from) {
  for (std::size_t v = 0; v < kVerdicts; ++v) to[v] += from[v];
}

void add(Grid& to, const Grid& from) {
  if (to.rows != from.rows || to.columns != from.columns)
    throw ResultsError(
        fmt::format("the reports' grids '{}' have other rows or columns: made by different twinchecks", to.name));
  for (std::size_t i = 0; i < to.cells.size(); ++i) {
    to.cells[i].cases += from.cells[i].cases;
    to.cells[i].bad += from.cells[i].bad;
    to.cells[i].unsupported += from.cells[i].unsupported;
  }
}

void add(CandidateRecord& to, const CandidateRecord& from) {
  to.totals.add(from.totals);
  to.isolation_seconds = std::max(to.isolation_seconds, from.isolation_seconds);
  to.max_unsupported = std::min(to.max_unsupported, from.max_unsupported);
  to.stopped |= from.stopped;
  for (const LawResult& l : from.laws) {
    LawResult& mine = find_or_add(to.laws, [&](const LawResult& m) { return m.law == l.law; }, {.law = l.law});
    mine.seconds += l.seconds;
    add(mine.verdicts, l.verdicts);
  }
  for (const Grid& g : from.grids) {
    Grid none = g;
    std::fill(none.cells.begin(), none.cells.end(), Grid::Cell{});
    add(find_or_add(
            to.grids, [&](const Grid& m) { return m.name == g.name; }, none),
        g);
  }
  for (const ClassRecord& k : from.classes) {
    ClassRecord none = k;
    none.members = none.population = 0;
    ClassRecord& mine = find_or_add(
        to.classes, [&](const ClassRecord& m) { return m.field == k.field && m.name == k.name && m.among == k.among; },
        none);
    mine.members += k.members;
    mine.population += k.population;
  }
}

void add(SweepRecord& to, const SweepRecord& from) {
  to.seconds += from.seconds;
  to.values += from.values;
  to.wrong += from.wrong;
  to.failed |= from.failed;
  to.interrupted |= from.interrupted;
  to.unsupported |= from.unsupported;
  to.ulp.resize(std::max(to.ulp.size(), from.ulp.size()));
  for (std::size_t i = 0; i < from.ulp.size(); ++i) to.ulp[i] += from.ulp[i];
  if (from.max_ulp > to.max_ulp || (from.max_ulp == to.max_ulp && from.max_at < to.max_at)) {
    to.max_ulp = from.max_ulp;
    to.max_at = from.max_at;
  }
}

void add(GoldenRecord& to, const GoldenRecord& from) {
  to.records += from.records;
  to.ids += from.ids;
  to.weights += from.weights;
  to.wrong += from.wrong;
  to.skipped += from.skipped;
}

// The same kind of failure elsewhere: the smaller case shows it.
void add(FailureRecord& to, const FailureRecord& from) {
  const auto size = [](const FailureRecord& f) { return std::tuple(f.case_text.size(), f.case_text, f.origin); };
  const uint64_t count = to.count + from.count;
  if (size(from) < size(to)) to = from;
  to.count = count;
}

// What makes failures one: their kind; of a sweep, the sweep too; where cases were named one by one, the case too.
auto identity_of(const FailureRecord& f) {
  const bool one_by_one = f.stage == "golden" || f.stage == "replay" || f.stage == "shrink";
  const std::string within = one_by_one ? f.stage + f.origin + f.case_text : f.stage.starts_with("sweep ") ? f.stage : "";
  return std::tuple(f.candidate, failure_kind(f.law, f.report), within);
}

// The same mutant tried elsewhere.
void add(MutantRecord& to, const MutantRecord& from) {
  const auto weight = [](char c) { return c == 'x' ? 2 : c == '+' ? 1 : 0; };
  for (std::size_t i = 0; i < std::min(to.cells.size(), from.cells.size()); ++i)
    if (weight(from.cells[i]) > weight(to.cells[i])) to.cells[i] = from.cells[i];
  if (to.complaint.empty()) to.complaint = from.complaint;
  for (const std::string& p : from.promises)
    if (std::find(to.promises.begin(), to.promises.end(), p) == to.promises.end()) to.promises.push_back(p);
  to.cases += from.cases;
  to.kills += from.kills;
  to.first = to.first == 0 || from.first == 0 ? std::max(to.first, from.first) : std::min(to.first, from.first);
  to.reference_only &= from.reference_only;
}

void add(RunReport& to, const MatrixOfKills& from) {
  if (!from.run) return;
  MatrixOfKills& kills = to.kills;
  kills.seed = kills.run && kills.seed != from.seed ? 0 : from.seed;
  kills.run = true;
  kills.seconds += from.seconds;
  kills.interrupted |= from.interrupted;
  for (const MutantRecord& m : from.mutants) {
    const auto it =
        std::find_if(kills.mutants.begin(), kills.mutants.end(), [&](const MutantRecord& k) { return k.id == m.id; });
    if (it == kills.mutants.end()) {
      kills.mutants.push_back(m);
    } else {
      add(*it, m);
    }
  }
}

// What a kill matrix comes to, from its mutants.
void conclude(MatrixOfKills& kills, const std::vector<LawRecord>& laws) {
  std::sort(kills.mutants.begin(), kills.mutants.end(),
            [](const MutantRecord& a, const MutantRecord& b) { return a.id < b.id; });
  // The laws about devices stand behind the others and have no column.
  std::size_t columns = 0;
  for (const MutantRecord& m : kills.mutants) columns = std::max(columns, m.cells.size());
  kills.idle_laws.clear();
  for (std::size_t l = 0; l < std::min(columns, laws.size()); ++l)
    if (std::none_of(kills.mutants.begin(), kills.mutants.end(),
                     [&](const MutantRecord& m) { return l < m.cells.size() && m.cells[l] == 'x'; }))
      kills.idle_laws.push_back(laws[l].name);
  std::vector<uint64_t> firsts;
  kills.rare = 0;
  for (const MutantRecord& m : kills.mutants) {
    if (m.first == 0) continue;
    firsts.push_back(m.first);
    kills.rare += 100 * m.kills < m.cases;
  }
  std::sort(firsts.begin(), firsts.end());
  kills.median_first = firsts.empty() ? 0 : firsts[(firsts.size() - 1) / 2];
}

// What became of a known failure in all parts together.
void add(KnownFailureRecord& to, const KnownFailureRecord& from) {
  const bool expired = to.state == "expired" || from.state == "expired";
  const bool elsewhere = to.state == "elsewhere" && from.state == "elsewhere";
  to.tried += from.tried;
  to.failed += from.failed;
  to.state = expired ? "expired" : to.failed > 0 ? "fails" : to.tried > 0 ? "passes" : elsewhere ? "elsewhere" : "not_met";
  if (to.replay.empty()) to.replay = from.replay;
}

// Times of several devices are told apart, and there is no ceiling that they have in common.
void add(BenchRecord& to, BenchRecord from) {
  if (!from.run) return;
  if (!to.run) {
    to = std::move(from);
    return;
  }
  constexpr std::string_view kAnd = "; ";  // behind each of several devices
  const auto where = [](const BenchRecord& b) { return fmt::format("{}: {}", b.platform, b.device); };
  if (where(to) != where(from)) {
    for (BenchRecord* b : {&to, &from}) {
      if (b->device.find(kAnd) != std::string::npos) continue;  // done
      for (BenchPoint& p : b->points) p.label += fmt::format(", {}", where(*b));
      b->device = where(*b) + std::string(kAnd);
    }
    if (to.device.find(from.device) == std::string::npos) to.device += from.device;
    to.copy_bytes_per_second = 0;
    to.empty.clear();
  }
  for (BenchPoint& p : from.points) to.points.push_back(std::move(p));
  for (BenchRecord::Ratio& r : from.ratios) to.ratios.push_back(std::move(r));
  for (BenchRecord::Ratio& r : from.slower) to.slower.push_back(std::move(r));
}

void add(RunReport& to, const RunReport& from) {
  to.seconds += from.seconds;
  to.jobs = std::max(to.jobs, from.jobs);
  to.started = to.started.empty() ? from.started : std::min(to.started, from.started);
  for (const PlatformRecord& p : from.platforms) {
    PlatformRecord& mine = find_or_add(
        to.platforms, [&](const PlatformRecord& m) { return m.name == p.name; }, p);
    if (p.here && !mine.here) mine = p;
  }
  for (const LawRecord& l : from.laws)
    find_or_add(
        to.laws, [&](const LawRecord& m) { return m.name == l.name; }, l);
  for (const CandidateRecord& c : from.candidates) {
    const auto it =
        std::find_if(to.candidates.begin(), to.candidates.end(), [&](const CandidateRecord& m) { return m.name == c.name; });
    if (it == to.candidates.end()) {
      to.candidates.push_back(c);
    } else {
      add(*it, c);
    }
  }
  for (const StageRecord& s : from.stages) {
    StageRecord& mine =
        find_or_add(to.stages, [&](const StageRecord& m) { return m.candidate == s.candidate && m.name == s.name; },
                    {.candidate = s.candidate, .name = s.name});
    mine.seconds += s.seconds;
    mine.complete &= s.complete;
    add(mine.verdicts, s.verdicts);
  }
  for (const FailureRecord& f : from.failures) {
    const auto it = std::find_if(to.failures.begin(), to.failures.end(),
                                 [&](const FailureRecord& m) { return identity_of(m) == identity_of(f); });
    if (it == to.failures.end()) {
      to.failures.push_back(f);
    } else {
      add(*it, f);
    }
  }
  for (const ComplaintRecord& c : from.complaints)
    find_or_add(
        to.complaints,
        [&](const ComplaintRecord& m) { return m.subject == c.subject && m.message == c.message && m.file == c.file; }, c);
  for (const SweepRecord& s : from.sweeps) {
    SweepRecord none;
    none.candidate = s.candidate;
    none.name = s.name;
    none.total = s.total;
    none.max_at = UINT64_MAX;
    add(find_or_add(
            to.sweeps, [&](const SweepRecord& m) { return m.candidate == s.candidate && m.name == s.name; }, none),
        s);
  }
  for (const GoldenRecord& g : from.golden)
    add(find_or_add(to.golden, [&](const GoldenRecord& m) { return m.file == g.file; }, {.file = g.file}), g);
  for (const KnownFailureRecord& k : from.known_failures) {
    const auto it = std::find_if(to.known_failures.begin(), to.known_failures.end(), [&](const KnownFailureRecord& m) {
      return std::tie(m.file, m.line, m.law, m.pattern) == std::tie(k.file, k.line, k.law, k.pattern);
    });
    if (it == to.known_failures.end()) {
      to.known_failures.push_back(k);
    } else {
      add(*it, k);
    }
  }
  add(to, from.kills);
  add(to.bench, from.bench);
}

// Does the report itself say that something is wrong?
bool has_failed(const RunReport& run) {
  const auto any = [](const auto& records, auto is) { return std::any_of(records.begin(), records.end(), is); };
  return !run.failures.empty() || !run.complaints.empty() || !run.bench.slower.empty() ||
         any(run.known_failures, [](const KnownFailureRecord& k) { return k.state == "expired"; }) ||
         any(run.candidates, [](const CandidateRecord& c) { return c.verdict == "failed" || c.verdict == "unsupported"; }) ||
         any(run.sweeps, [](const SweepRecord& s) { return s.failed; }) ||
         any(run.golden, [](const GoldenRecord& g) { return g.wrong + g.skipped > 0; }) ||
         any(run.kills.mutants, [](const MutantRecord& m) { return !m.complaint.empty(); });
}

}  // namespace

RunReport merge_reports(std::vector<RunReport> reports) {
  RunReport merged;
  std::stable_sort(reports.begin(), reports.end(), [](const RunReport& a, const RunReport& b) {
    return place_of(parts_of(a)[0]) < place_of(parts_of(b)[0]);
  });
  for (const RunReport& run : reports) {
    const RunReport& first = reports[0];
    if (run.version != first.version)
      throw ResultsError(fmt::format("reports of different twinchecks: {} and {}", first.version, run.version));
    add(merged, run);
    const auto same = [&](std::string& mine, const std::string& other, const char* otherwise) {
      mine = &run == &first ? other : mine == other ? mine : otherwise;
    };
    same(merged.verb, run.verb, "merge");
    same(merged.work, run.work, "");
    same(merged.host, run.host, "several");
    merged.seed = &run == &first || merged.seed == run.seed ? run.seed : 0;
    for (PartRecord& part : parts_of(run)) merged.parts.push_back(std::move(part));
    if (run.exit_status == 1 && !has_failed(run))
      merged.complaints.push_back(
          {"merge", fmt::format("{}: it ended in 1 and does not say why", name_of(part_of(run))), ""});
  }
  merged.version = reports.empty() ? "" : reports[0].version;
  merged.tier = reports.empty() ? "pr" : reports[0].tier;
  std::sort(merged.parts.begin(), merged.parts.end(),
            [](const PartRecord& a, const PartRecord& b) { return place_of(a) < place_of(b); });
  std::sort(merged.failures.begin(), merged.failures.end(),
            [](const FailureRecord& a, const FailureRecord& b) { return identity_of(a) < identity_of(b); });
  look_at_parts(merged);
  if (merged.kills.run) conclude(merged.kills, merged.laws);
  bool idle = compared(merged) == 0 && !merged.kills.run && !merged.bench.run;
  for (CandidateRecord& c : merged.candidates) {
    conclude(c, merged, /*may_be_empty=*/false);
    idle |= c.verdict == "nothing_compared";
  }
  merged.exit_status = has_failed(merged) ? 1 : !merged.error.empty() ? 2 : merged.interrupted ? 130 : idle ? 2 : 0;
  return merged;
}

}  // namespace twincheck
