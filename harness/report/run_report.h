// What a run did and found, as data: what --report writes, in every format. Verbs fill it in as they go, so that it is whole
// whenever a run ends, an interruption included.
#pragma once

#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "harness/report/message.h"
#include "harness/report/verdict.h"

namespace twincheck {

// The version of results.json: a reader of version N reads every file of version N, whatever fields have come since. Raised
// where a field goes away or changes its meaning.
inline constexpr int kResultsVersion = 1;

struct PlatformRecord {
  std::string name;
  bool here = false;
  std::string reason;  // why not
  std::vector<std::string> devices;
};

struct LawRecord {
  std::string name, sentence;
  std::string file;  // from the project's root
  int line = 0;      // from 1
};

// One law on one candidate.
struct LawResult {
  std::string law;
  double seconds = 0;  // of judging, all workers together
  std::array<uint64_t, kVerdicts> verdicts{};

  uint64_t cases() const;
  uint64_t bad() const;
};

// Cases on one candidate that belong together: the corpus, the small domain, the generated ones.
struct StageRecord {
  std::string candidate, name;
  double seconds = 0;
  std::array<uint64_t, kVerdicts> verdicts{};
  bool complete = true;  // not interrupted, not stopped at --max-failures
};

// A part of the space of cases, as rows and columns: how often each cell was visited, how often it failed (crashed, hung,
// was flaky), how often it was not supported.
struct Grid {
  struct Cell {
    uint64_t cases = 0, bad = 0, unsupported = 0;
  };
  std::string name, row_name, column_name;
  std::vector<std::string> rows, columns;
  std::vector<Cell> cells;  // row-major

  const Cell& at(std::size_t row, std::size_t column) const { return cells[row * columns.size() + column]; }
};

// A class of generated cases, as harness/case/classes.h defines it.
struct ClassRecord {
  std::string field, name, among;
  uint64_t members = 0, population = 0;
  double floor = 0;
};

struct CandidateRecord {
  std::string name, path, platform;
  bool own = false;
  // passed, failed, unsupported (more than allowed), nothing_compared, interrupted, not_run
  std::string verdict = "not_run";
  std::string sentence;          // the same for people
  double max_unsupported = 100;  // percent of its cases that may be unsupported
  Totals totals;
  std::vector<LawResult> laws;  // beside RunReport::laws
  std::vector<Grid> grids;
  std::vector<ClassRecord> classes;  // of the generated cases
  double isolation_seconds = 0;      // what isolation adds to one case
  bool stopped = false;              // at --max-failures
};

// What was expected and what came, where both are small enough to be shown.
struct MatrixRecord {
  struct Cell {
    std::string expected, got;  // got: empty where there is none
    bool wrong = false;
  };
  std::string name;  // out_ids, out_weights
  std::size_t columns = 0;
  std::vector<Cell> cells;  // row-major, a row a token
};

// The first failure of its kind (candidate, law, broken promise, verdict, reason).
struct FailureRecord {
  std::string candidate;  // of the reference's own failures: who recorded the outputs
  std::string stage;      // "corpus", "sweep f32-bf16", "golden"
  std::string law;        // that was run
  std::string origin;     // where the case comes from
  std::string case_text;  // the smallest case found; cut short past kLongestCase
  std::string found_as;   // the case as it was met, where a smaller one was found
  std::string replay;     // the command; empty where there is none
  std::string saved;      // the file; empty where it was not saved
  std::string output;     // the tail of what the candidate printed
  std::string message;    // the whole message, as on the terminal
  uint64_t count = 1;     // failures of this kind
  Report report;
  std::vector<MatrixRecord> matrices;
};
inline constexpr std::size_t kLongestCase = 20000;

// A failure that is no candidate's.
struct ComplaintRecord {
  std::string subject;  // generators, reference, mutants, sweep
  std::string message;
  std::string file;  // from the project's root, that it is about; may be empty
};

// A failure that --known-failures expects, and what became of it.
struct KnownFailureRecord {
  std::string file;
  int line = 0;
  std::string law, pattern, on, candidate, reason, link, expires;
  // fails: as expected; passes: met, and no case failed; not_met: no case is like it; expired; elsewhere: of other
  // candidates or devices
  std::string state = "not_met";
  uint64_t tried = 0, failed = 0;  // cases that it is about; those that failed as it says
  std::string replay = {};         // the command for one of them
};

struct SweepRecord {
  std::string candidate, name;
  double seconds = 0;
  uint64_t values = 0, total = 0;  // compared, each path counted; of the dtype
  uint64_t wrong = 0;              // of those compared
  bool failed = false, interrupted = false, unsupported = false;
  // Results by their distance from the correctly rounded value in ulp of the dtype stored: 0, 1, ... then more, then NaN,
  // then a NaN for a number or the reverse.
  std::vector<uint64_t> ulp;
  uint64_t max_ulp = 0, max_at = 0;
};

struct MutantRecord {
  std::string id, name, sentence, bug, law;
  std::string file;       // the patch, from the project's root
  std::string cells;      // a law a character: 'x' its own statement was broken, '+' only what any law sees, '.' no kill
  std::string complaint;  // what is wrong with this result; empty where nothing is
  std::vector<std::string> promises;
  uint64_t cases = 0, kills = 0;  // default cases; those on which it is wrong
  uint64_t first = 0;             // cases up to the first kill; 0: survives
  bool reference_only = false;
};

struct MatrixOfKills {
  bool run = false;
  uint64_t seed = 0;
  double seconds = 0;
  bool interrupted = false;
  std::vector<std::string> idle_laws;  // that kill nothing
  uint64_t median_first = 0, rare = 0;
  std::vector<MutantRecord> mutants;
};

struct GoldenRecord {
  std::string file;
  uint64_t records = 0, ids = 0, weights = 0, wrong = 0, skipped = 0;
};

// One candidate on one shape, as `bench` timed it.
struct BenchPoint {
  std::string candidate;
  std::string label;      // the shape without its tokens, in words
  std::string case_text;  // the case that was timed
  int64_t tokens = 0;
  uint64_t bytes = 0;  // that must be moved
  // Of one call, over the passes: the median, and what a tenth of them is below and above. 0 where it was not timed.
  double microseconds = 0, low = 0, high = 0;
  std::string method;  // graph, events, clock
  uint64_t calls = 0;  // that were timed
  std::string verdict = "not_run", detail;

  bool timed() const { return microseconds > 0; }
  double bytes_per_second() const { return timed() ? static_cast<double>(bytes) * 1e6 / microseconds : 0; }
};

struct BenchRecord {
  bool run = false;
  std::string platform, device;
  double copy_bytes_per_second = 0;  // of a large copy; 0 where it was not measured
  std::string empty;                 // the candidate whose kernel does nothing; its points are a floor
  std::vector<BenchPoint> points;    // candidates within shapes

  // How one candidate's times compare with another's on the same shapes: the ratio's ends, and the case of the larger one.
  struct Ratio {
    std::string candidate, against;
    uint64_t shapes = 0;
    double least = 0, most = 0;
    std::string most_at;
  };
  std::vector<Ratio> ratios;
  std::vector<Ratio> slower;  // than in the baseline by more than was allowed, each alone; `against` is the file
};

inline constexpr const char* kBenchFormat = "twincheck-bench";
inline constexpr int kBenchVersion = 1;

// A run whose report was merged into another.
struct PartRecord {
  std::string work, host, started;
  double seconds = 0;
  uint64_t seed = 0, shard = 0, shards = 1;
  std::vector<std::string> candidates;
  std::string verdict;
  int exit_status = 0;
  bool interrupted = false;
  std::string error;
};

struct RunReport {
  std::string version, verb;
  std::string work;                    // the verb and the options that say what is compared: what shards divide
  std::vector<std::string> arguments;  // the command line, the program included
  std::string started;                 // UTC, "2024-05-06T07:08:09Z"
  std::string host;
  double seconds = 0;  // of all parts together
  uint64_t seed = 0;   // 0 where the verb has none, or the parts have several
  uint64_t shard = 0, shards = 1;
  std::string tier;
  int jobs = 1;

  std::string verdict;  // passed, failed, nothing_compared, interrupted, error
  int exit_status = 0;
  bool interrupted = false;
  std::string error;  // why the run could not go on; empty where it did

  std::vector<PartRecord> parts;  // of a merged report
  std::vector<PlatformRecord> platforms;
  std::vector<LawRecord> laws;
  std::vector<CandidateRecord> candidates;
  std::vector<StageRecord> stages;
  std::vector<FailureRecord> failures;
  std::vector<KnownFailureRecord> known_failures;
  std::vector<ComplaintRecord> complaints;
  std::vector<SweepRecord> sweeps;
  std::vector<GoldenRecord> golden;
  MatrixOfKills kills;
  BenchRecord bench;

  const LawRecord* law(std::string_view name) const;  // null where there is none
  std::string command() const;                        // `arguments` as a line for a POSIX shell
  std::string cut_short() const;                      // why the run is not whole, in words; empty where it is
};

// What results_json() has written: results_json(read_results(json)) == json. Fields that are not known are ignored, and
// those of later additions may be missing. Throws ResultsError, which says where and what was expected.
struct ResultsError : std::runtime_error {
  using std::runtime_error::runtime_error;
};
RunReport read_results(std::string_view json);

// One format each. Every text in them is valid UTF-8, whatever a candidate printed.
std::string results_json(const RunReport& run);    // docs/results.schema.json
std::string bench_json(const BenchRecord& bench);  // what results.json has under "bench", as a file
std::string junit_xml(const RunReport& run);
std::string results_sarif(const RunReport& run);  // SARIF 2.1.0
std::string index_html(const RunReport& run);     // one page that needs no network

// Creates the folder and tries to write into it. What is wrong, as one line; empty where nothing is.
std::string trouble_with_folder(const std::string& folder);

// Writes a file that is there as a whole or not at all, whatever happens. What is wrong, as one line that begins with the
// path; empty where nothing is.
std::string write_whole(const std::string& path, std::string_view contents);

// Writes results.json, junit.xml, results.sarif and index.html. A reader sees an old file or a new one, never a part of one.
// What is wrong, as one line; empty where nothing is.
std::string write_reports(const RunReport& run, const std::string& folder);

}  // namespace twincheck
