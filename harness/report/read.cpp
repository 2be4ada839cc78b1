#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "harness/report/run_report.h"

namespace twincheck {
namespace {

using Json = nlohmann::json;

// An object of the document, and the way to it.
class Fields {
 public:
  Fields(const Json& json, std::string at) : json_(json), at_(std::move(at)) {
    if (!json.is_object()) wrong(json, at_, "an object");
  }

  bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  std::string place(const char* key) const { return at_ + "/" + key; }

  const Json& at(const char* key) const {
    const auto it = json_.find(key);
    if (it == json_.end()) throw ResultsError(fmt::format("{}: not there", place(key)));
    return *it;
  }
  Fields object(const char* key) const { return {at(key), place(key)}; }

  std::string text(const char* key) const { return text_of(at(key), place(key)); }
  uint64_t count(const char* key) const { return count_of(at(key), place(key)); }
  int number(const char* key) const {
    if (!at(key).is_number_integer()) wrong(at(key), place(key), "an integer");
    return at(key).get<int>();
  }
  int64_t index(const char* key) const {
    if (!at(key).is_number_integer()) wrong(at(key), place(key), "an integer");
    return at(key).get<int64_t>();
  }
  double real(const char* key) const {
    if (!at(key).is_number()) wrong(at(key), place(key), "a number");
    return at(key).get<double>();
  }
  bool flag(const char* key) const {
    if (!at(key).is_boolean()) wrong(at(key), place(key), "true or false");
    return at(key).get<bool>();
  }
  uint64_t hex(const char* key) const {
    const std::string words = text(key);
    uint64_t value = 0;
    const char* const end = words.data() + words.size();
    if (words.rfind("0x", 0) != 0 || std::from_chars(words.data() + 2, end, value, 16).ptr != end || words.size() == 2)
      wrong(at(key), place(key), "a number in hexadecimal, \"0x1f\"");
    return value;
  }

  // `each` of every element and the way to it.
  template <class F>
  auto list(const char* key, F each) const {
    const Json& all = at(key);
    if (!all.is_array()) wrong(all, place(key), "a list");
    std::vector<decltype(each(all, std::string()))> made;
    for (std::size_t i = 0; i < all.size(); ++i) made.push_back(each(all[i], fmt::format("{}/{}", place(key), i)));
    return made;
  }
  template <class F>
  auto objects(const char* key, F each) const {
    return list(key, [&](const Json& json, std::string at) { return each(Fields(json, std::move(at))); });
  }
  std::vector<std::string> texts(const char* key) const { return list(key, text_of); }
  std::vector<uint64_t> counts(const char* key) const { return list(key, count_of); }

  // One of `names`, as its place among them.
  template <std::size_t N>
  int one_of(const char* key, const std::array<std::string_view, N>& names) const {
    const std::string word = text(key);
    for (std::size_t i = 0; i < N; ++i)
      if (names[i] == word) return static_cast<int>(i);
    wrong(at(key), place(key), fmt::format("a word as \"{}\"", names[0]));
  }

  [[noreturn]] static void wrong(const Json& found, const std::string& at, std::string_view expected) {
    throw ResultsError(fmt::format("{}: found {}, expected {}", at.empty() ? "/" : at,
                                   found.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 60), expected));
  }

  static std::string text_of(const Json& json, const std::string& at) {
    if (!json.is_string()) wrong(json, at, "text");
    return json.get<std::string>();
  }
  static uint64_t count_of(const Json& json, const std::string& at) {
    if (!json.is_number_unsigned()) wrong(json, at, "a count");
    return json.get<uint64_t>();
  }

 private:
  const Json& json_;
  std::string at_;
};

std::array<uint64_t, kVerdicts> verdicts_of(const Fields& f) {
  std::array<uint64_t, kVerdicts> counts{};
  for (std::size_t v = 0; v < counts.size(); ++v) {
    const std::string name(kVerdictNames[v]);
    if (f.has(name.c_str())) counts[v] = f.count(name.c_str());
  }
  return counts;
}

Grid grid_of(const Fields& f) {
  Grid grid{.name = f.text("name"),
            .row_name = f.text("row_name"),
            .column_name = f.text("column_name"),
            .rows = f.texts("rows"),
            .columns = f.texts("columns"),
            .cells = {}};
  grid.cells.resize(grid.rows.size() * grid.columns.size());
  const auto take = [&](const char* key, uint64_t Grid::Cell::*field) {
    const auto rows = f.list(key, [](const Json& row, const std::string& at) {
      if (!row.is_array()) Fields::wrong(row, at, "a list");
      std::vector<uint64_t> numbers;
      for (std::size_t c = 0; c < row.size(); ++c) numbers.push_back(Fields::count_of(row[c], fmt::format("{}/{}", at, c)));
      return numbers;
    });
    bool fits = rows.size() == grid.rows.size();
    for (const auto& row : rows) fits &= row.size() == grid.columns.size();
    if (!fits)
      throw ResultsError(
          fmt::format("{}: expected {} rows of {} numbers", f.place(key), grid.rows.size(), grid.columns.size()));
    for (std::size_t i = 0; i < grid.cells.size(); ++i)
      grid.cells[i].*field = rows[i / grid.columns.size()][i % grid.columns.size()];
  };
  take("cases", &Grid::Cell::cases);
  take("failures", &Grid::Cell::bad);
  take("unsupported", &Grid::Cell::unsupported);
  return grid;
}

CandidateRecord candidate_of(const Fields& f) {
  CandidateRecord c;
  c.name = f.text("name");
  c.path = f.text("path");
  c.platform = f.text("platform");
  c.own = f.flag("own");
  c.verdict = f.text("verdict");
  c.sentence = f.text("sentence");
  c.max_unsupported = f.has("max_unsupported") ? f.real("max_unsupported") : c.own ? 0 : 100;
  c.stopped = f.flag("stopped");
  c.totals.cases = f.count("cases");
  c.totals.seconds = f.real("seconds");
  c.isolation_seconds = f.real("isolation_seconds");
  c.totals.ids_compared = f.count("ids_compared");
  c.totals.weights_compared = f.count("weights_compared");
  c.totals.verdicts = verdicts_of(f.object("verdicts"));
  const Fields sources = f.object("sources");
  for (std::size_t s = 0; s < c.totals.sources.size(); ++s)
    c.totals.sources[s] = sources.count(std::string(kSourceNames[s]).c_str());
  c.laws = f.objects("laws", [](const Fields& l) {
    return LawResult{.law = l.text("law"), .seconds = l.real("seconds"), .verdicts = verdicts_of(l.object("verdicts"))};
  });
  c.grids = f.objects("grids", grid_of);
  c.classes = f.objects("classes", [](const Fields& k) {
    return ClassRecord{.field = k.text("field"),
                       .name = k.text("name"),
                       .among = k.text("among"),
                       .members = k.count("members"),
                       .population = k.count("population"),
                       .floor = k.real("floor")};
  });
  return c;
}

FailureRecord failure_of(const Fields& f) {
  FailureRecord record;
  record.candidate = f.text("candidate");
  record.stage = f.text("stage");
  record.law = f.text("law");
  record.origin = f.text("origin");
  record.case_text = f.text("case");
  record.found_as = f.text("found_as");
  record.replay = f.text("replay");
  record.saved = f.text("saved");
  record.output = f.text("output");
  record.message = f.text("message");
  record.count = f.count("count");
  Report& r = record.report;
  r.law = f.text("promise");
  r.verdict = static_cast<Verdict>(f.one_of("verdict", kVerdictNames));
  r.detail = f.text("detail");
  r.expected_status = static_cast<Status>(f.one_of("expected_status", kStatusNames));
  r.got_status = f.number("got_status");
  r.ids_compared = f.index("ids_compared");
  r.ids_wrong = f.index("ids_wrong");
  r.weights_compared = f.index("weights_compared");
  r.weights_wrong = f.index("weights_wrong");
  r.guards_intact = f.flag("guards_intact");
  r.inputs_unchanged = f.flag("inputs_unchanged");
  r.all_written = f.flag("all_written");
  r.mismatches = f.objects("mismatches", [](const Fields& m) {
    return Mismatch{.is_weight = m.text("matrix") == "out_weights",
                    .token = m.index("token"),
                    .slot = m.index("slot"),
                    .shared = m.index("shared"),
                    .expected = m.text("expected"),
                    .got = m.text("got")};
  });
  record.matrices = f.objects("matrices", [](const Fields& m) {
    return MatrixRecord{
        .name = m.text("name"), .columns = m.count("columns"), .cells = m.objects("cells", [](const Fields& c) {
          return MatrixRecord::Cell{c.text("expected"), c.text("got"), c.flag("wrong")};
        })};
  });
  return record;
}

SweepRecord sweep_of(const Fields& f) {
  return {.candidate = f.text("candidate"),
          .name = f.text("name"),
          .seconds = f.real("seconds"),
          .values = f.count("values"),
          .total = f.count("total"),
          .wrong = f.count("wrong"),
          .failed = f.flag("failed"),
          .interrupted = f.flag("interrupted"),
          .unsupported = f.flag("unsupported"),
          .ulp = f.counts("ulp"),
          .max_ulp = f.count("max_ulp"),
          .max_at = f.hex("max_at")};
}

MatrixOfKills kills_of(const Fields& f) {
  MatrixOfKills kills;
  kills.run = true;
  kills.seed = f.hex("seed");
  kills.seconds = f.real("seconds");
  kills.interrupted = f.flag("interrupted");
  kills.idle_laws = f.texts("idle_laws");
  kills.median_first = f.count("median_first_kill");
  kills.rare = f.count("rare");
  kills.mutants = f.objects("mutants", [](const Fields& m) {
    return MutantRecord{.id = m.text("id"),
                        .name = m.text("name"),
                        .sentence = m.text("sentence"),
                        .bug = m.text("bug"),
                        .law = m.text("law"),
                        .file = m.text("file"),
                        .cells = m.text("cells"),
                        .complaint = m.text("complaint"),
                        .promises = m.texts("promises"),
                        .cases = m.count("default_cases"),
                        .kills = m.count("default_kills"),
                        .first = m.count("first_kill"),
                        .reference_only = m.flag("reference_only")};
  });
  return kills;
}

BenchRecord bench_of(const Fields& f) {
  const auto ratio = [](const Fields& r) {
    return BenchRecord::Ratio{.candidate = r.text("candidate"),
                              .against = r.text("against"),
                              .shapes = r.count("shapes"),
                              .least = r.real("least"),
                              .most = r.real("most"),
                              .most_at = r.text("most_at")};
  };
  BenchRecord bench;
  bench.run = true;
  bench.platform = f.text("platform");
  bench.device = f.text("device");
  bench.copy_bytes_per_second = f.real("copy_bytes_per_second");
  bench.empty = f.text("empty");
  bench.points = f.objects("points", [](const Fields& p) {
    return BenchPoint{.candidate = p.text("candidate"),
                      .label = p.text("label"),
                      .case_text = p.text("case"),
                      .tokens = p.index("tokens"),
                      .bytes = p.count("bytes"),
                      .microseconds = p.real("microseconds"),
                      .low = p.real("low"),
                      .high = p.real("high"),
                      .method = p.text("method"),
                      .calls = p.count("calls"),
                      .verdict = p.text("verdict"),
                      .detail = p.text("detail")};
  });
  bench.ratios = f.objects("ratios", ratio);
  bench.slower = f.objects("slower", ratio);
  return bench;
}

KnownFailureRecord known_of(const Fields& f) {
  KnownFailureRecord known;
  known.file = f.text("file");
  known.line = f.number("line");
  known.law = f.text("law");
  known.pattern = f.text("case");
  known.on = f.text("on");
  known.candidate = f.text("candidate");
  known.reason = f.text("reason");
  known.link = f.text("link");
  known.expires = f.text("expires");
  known.state = f.text("state");
  known.tried = f.count("tried");
  known.failed = f.count("failed");
  known.replay = f.text("replay");
  return known;
}

PartRecord part_of(const Fields& f) {
  return {.work = f.text("work"),
          .host = f.text("host"),
          .started = f.text("started"),
          .seconds = f.real("seconds"),
          .seed = f.hex("seed"),
          .shard = f.count("shard"),
          .shards = f.count("shards"),
          .candidates = f.texts("candidates"),
          .verdict = f.text("verdict"),
          .exit_status = f.number("exit_status"),
          .interrupted = f.flag("interrupted"),
          .error = f.text("error")};
}

}  // namespace

RunReport read_results(std::string_view text) {
  const Json document = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) throw ResultsError("no JSON, expected a results.json of twincheck");
  if (!document.is_object() || document.value("format", Json()) != "twincheck-results")
    throw ResultsError("no report of twincheck, expected \"format\": \"twincheck-results\"");
  const Fields f(document, "");
  if (f.number("version") != kResultsVersion)
    throw ResultsError(
        fmt::format("version {}, expected {}: made by another twincheck", f.number("version"), kResultsVersion));
  RunReport run;
  run.version = f.text("twincheck");
  run.verb = f.text("verb");
  if (f.has("work")) run.work = f.text("work");
  run.arguments = f.texts("arguments");
  run.started = f.text("started");
  run.host = f.text("host");
  run.seconds = f.real("seconds");
  run.seed = f.hex("seed");
  run.shard = f.count("shard");
  run.shards = f.count("shards");
  run.tier = f.text("tier");
  run.jobs = f.number("jobs");
  run.verdict = f.text("verdict");
  run.exit_status = f.number("exit_status");
  run.interrupted = f.flag("interrupted");
  run.error = f.text("error");
  if (f.has("parts")) run.parts = f.objects("parts", part_of);
  run.platforms = f.objects("platforms", [](const Fields& p) {
    return PlatformRecord{p.text("name"), p.flag("here"), p.text("reason"), p.texts("devices")};
  });
  run.laws = f.objects("laws", [](const Fields& l) {
    return LawRecord{l.text("name"), l.text("sentence"), l.text("file"), l.number("line")};
  });
  run.candidates = f.objects("candidates", candidate_of);
  run.stages = f.objects("stages", [](const Fields& s) {
    return StageRecord{.candidate = s.text("candidate"),
                       .name = s.text("name"),
                       .seconds = s.real("seconds"),
                       .verdicts = verdicts_of(s.object("verdicts")),
                       .complete = s.flag("complete")};
  });
  run.failures = f.objects("failures", failure_of);
  run.complaints = f.objects("complaints", [](const Fields& c) {
    return ComplaintRecord{c.text("subject"), c.text("message"), c.text("file")};
  });
  run.sweeps = f.objects("sweeps", sweep_of);
  run.golden = f.objects("golden", [](const Fields& g) {
    return GoldenRecord{.file = g.text("file"),
                        .records = g.count("records"),
                        .ids = g.count("ids"),
                        .weights = g.count("weights"),
                        .wrong = g.count("wrong"),
                        .skipped = g.count("skipped")};
  });
  if (f.has("known_failures")) run.known_failures = f.objects("known_failures", known_of);
  if (f.has("bench")) run.bench = bench_of(f.object("bench"));
  if (f.has("mutants")) run.kills = kills_of(f.object("mutants"));
  return run;
}

}  // namespace twincheck
