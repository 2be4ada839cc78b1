#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <stdexcept>
#include <utility>

#include "harness/bench/contestant.h"
#include "harness/bench/files.h"
#include "harness/cli/record.h"
#include "harness/cli/session.h"
#include "harness/cli/verbs.h"

namespace twincheck {
namespace {

constexpr double kSeconds = 0.2;  // of passes, a shape and candidate
constexpr int kRounds = 3;        // in which the candidates take turns
constexpr double kLonger = 10;    // times kSeconds for --again
constexpr uint64_t kSeed = 0x7c1;

// One that takes part: a candidate, or the empty kernel.
struct Entrant {
  Participant participant;
  bool is_empty = false;
  std::unique_ptr<bench::Contestant> contestant;
  Totals totals;
  uint64_t timed = 0;
};

// The platform on which everything runs: --platform, or that of the first --candidate, or a GPU's, or cpu.
std::string chosen_platform(const Options& options) {
  if (!options.platform.empty()) return options.platform;
  if (!options.candidates.empty()) {
    const MemoryKind memory = probe_candidate(options.candidates.front(), limits_of(options)).memory;
    return memory == MemoryKind::kHost ? "cpu" : std::string(name(memory));
  }
  for (const Platform& platform : find_platforms())
    if (platform.here && platform.name != "cpu") return platform.name;
  return "cpu";
}

// The project's own on the platform, where they are built, and --candidate.
std::vector<Participant> participants(const Options& options, const std::string& platform, Console& console) {
  Options all = options;
  all.platform = platform;
  all.candidates.clear();
  for (const std::string& library : options.bench.alone ? std::vector<std::string>{} : own_libraries(platform)) {
    try {
      (void)find_library(library);
      all.candidates.push_back(library);
    } catch (const LoadError&) {
      console.line(fmt::format("{}: {} is not built", platform, library));
    }
  }
  const auto given = std::find_if(options.candidates.begin(), options.candidates.end(), [&](const std::string& c) {
    return std::find(all.candidates.begin(), all.candidates.end(), c) == all.candidates.end();
  });
  all.candidates.insert(all.candidates.end(), given, options.candidates.end());
  if (all.candidates.empty())
    throw UsageError(options.bench.alone ? "bench: --alone needs a --candidate"
                                         : fmt::format("bench: there is no candidate on {}", platform));
  std::vector<Participant> chosen = choose_candidates(all, console);
  for (const Participant& p : chosen)
    if (p.platform != platform)
      throw UsageError(fmt::format("bench: {} is a candidate of {}, and this run is on {}; see --platform", p.info.path,
                                   p.platform, platform));
  return chosen;
}

std::string rate_text(double bytes_per_second) { return fmt::format("{:.0f}", bytes_per_second / 1e9); }

class Run {
 public:
  Run(const Options& options)
      : options_(options), console_(options), record_(options.record->bench), seconds_(options.seconds.value_or(kSeconds)) {}

  int go() {
    const std::string platform = chosen_platform(options_);
    baseline_ = read_baseline();
    enter(platform);
    lay_out_shapes(platform);
    const bench::Machine machine =
        bench::look_at_machine(entrants_.front().participant.info.memory, options_.device, limits_of(options_));
    record_.run = true;
    record_.platform = platform;
    record_.device = machine.device;
    record_.copy_bytes_per_second = machine.copy_bytes_per_second;
    if (baseline_ && (baseline_->platform != platform || baseline_->device != machine.device))
      throw UsageError(fmt::format("bench: --baseline {} is of {} on {}, and this machine is {} on {}",
                                   options_.bench.baseline, baseline_->device, baseline_->platform, machine.device,
                                   platform));
    introduce();
    if (shapes_.empty()) {
      console_.always(empty_shard(options_));
      return kGood;
    }
    measure_all();
    return finish();
  }

 private:
  std::optional<BenchRecord> read_baseline() const {
    if (options_.bench.baseline.empty()) return std::nullopt;
    std::ifstream file(options_.bench.baseline, std::ios::binary);
    if (!file) throw UsageError(fmt::format("bench: --baseline {} cannot be read", options_.bench.baseline));
    try {
      return bench::from_json(std::string(std::istreambuf_iterator<char>(file), {}));
    } catch (const bench::FormatError& e) {
      throw UsageError(fmt::format("bench: --baseline {}: {}", options_.bench.baseline, e.what()));
    }
  }

  void enter(const std::string& platform) {
    for (Participant& p : participants(options_, platform, console_)) entrants_.emplace_back().participant = std::move(p);
    try {
      const std::string library = find_library(fmt::format("libtwincheck_{}_empty.so", platform));
      Entrant empty;
      empty.participant = {.info = probe_candidate(library, limits_of(options_)), .platform = platform, .own = true};
      empty.is_empty = true;
      record_.empty = empty.participant.info.name;
      entrants_.push_back(std::move(empty));
    } catch (const LoadError&) {
      console_.line(fmt::format("{}: the empty kernel (libtwincheck_{}_empty.so) is not built", platform, platform));
    }
    const bench::Setting setting{
        .device = options_.device, .max_bytes = options_.memory_limit / 2, .limits = limits_of(options_)};
    for (Entrant& e : entrants_)
      e.contestant = std::make_unique<bench::Contestant>(e.participant.info.path, setting, /*checked=*/!e.is_empty);
  }

  void lay_out_shapes(const std::string& platform) {
    bench::ShapeLists lists = options_.bench.shapes;
    if (lists.tokens.empty())
      lists.tokens = bench::parse_numbers(platform == "cpu" ? "1..32768*8" : "1..4096*8,32768,131072,1048576,4194304");
    const uint64_t seed = options_.seed.value_or(kSeed);
    options_.record->seed = seed;
    const std::vector<Case> all = bench::shapes_of(lists, seed);
    for (uint64_t i = 0; i < options_.shard.size(all.size()); ++i) shapes_.push_back(all[options_.shard.unit(i)]);
  }

  void introduce() {
    std::string who;
    for (const Entrant& e : entrants_) who += fmt::format("\n  {}   {}", e.participant.info.name, e.participant.info.path);
    console_.always(
        fmt::format("twincheck bench: seed 0x{:x}, {} shape{}, {:g} s of passes each; results are compared with the "
                    "reference:{}",
                    options_.record->seed, shapes_.size(), shapes_.size() == 1 ? "" : "s", seconds_, who));
    const bool clock = record_.platform == "cpu";
    console_.line(
        fmt::format("{}: {}; a large copy moves {} GB/s, read and written bytes counted{}", record_.platform, record_.device,
                    record_.copy_bytes_per_second > 0 ? rate_text(record_.copy_bytes_per_second) : "an unknown number of",
                    clock ? ". Times are the processor's, by the clock: they say nothing about a GPU" : ""));
  }

  // All candidates on one shape; a point each, in the order of the entrants.
  std::vector<BenchPoint> measure(const Case& c, double seconds) {
    std::vector<BenchPoint> points(entrants_.size());
    std::vector<std::vector<double>> samples(entrants_.size());
    std::vector<Report> reports(entrants_.size());
    const auto usable = [&](std::size_t i) { return reports[i].verdict == Verdict::kPassed && interrupt_signal == 0; };
    for (std::size_t i = 0; i < entrants_.size(); ++i)
      if (interrupt_signal == 0) reports[i] = entrants_[i].contestant->prepare(c);
    for (int round = 0; round < kRounds; ++round)
      for (std::size_t i = 0; i < entrants_.size(); ++i)
        if (usable(i))
          if (const auto report = entrants_[i].contestant->time(seconds / kRounds, samples[i])) reports[i] = *report;
    for (std::size_t i = 0; i < entrants_.size(); ++i)
      if (usable(i)) reports[i] = entrants_[i].contestant->check();
    if (interrupt_signal != 0) return {};

    for (std::size_t i = 0; i < entrants_.size(); ++i) {
      const bench::Contestant& contestant = *entrants_[i].contestant;
      BenchPoint& p = points[i];
      p.candidate = entrants_[i].participant.info.name;
      p.label = bench::label_of(c);
      p.case_text = text(c);
      p.tokens = c.tokens;
      p.verdict = name(reports[i].verdict);
      p.detail = reports[i].detail;
      if (reports[i].verdict == Verdict::kPassed && !samples[i].empty()) {
        p.bytes = bench::bytes_to_move(c);
        std::sort(samples[i].begin(), samples[i].end());
        const std::size_t n = samples[i].size();
        p.microseconds = samples[i][n / 2];
        p.low = samples[i][n / 10];
        p.high = samples[i][n - 1 - n / 10];
        p.method = bench::kMethodNames[static_cast<std::size_t>(contestant.plan().method)];
        p.calls = n * static_cast<uint64_t>(contestant.plan().calls);
      }
      if (!entrants_[i].is_empty) count(entrants_[i], c, reports[i]);
    }
    return points;
  }

  void count(Entrant& e, const Case& c, const Report& report) {
    ++e.totals.cases;
    ++e.totals.verdicts[static_cast<std::size_t>(report.verdict)];
    if (c.source >= 0 && c.source < 4) ++e.totals.sources[static_cast<std::size_t>(c.source)];
    e.totals.ids_compared += static_cast<uint64_t>(report.ids_compared);
    e.totals.weights_compared += static_cast<uint64_t>(report.weights_compared);
    if (report.verdict == Verdict::kPassed) ++e.timed;
    if (!is_bad(report.verdict)) return;
    const Item item{.law = "equals_reference", .c = c};
    Context context;
    context.candidate = e.participant.info.name;
    context.origin = "bench";
    context.output = e.contestant->output();
    context.replay = replay_command(e.participant, options_, item);
    const std::string path =
        save_failure(options_.save, e.participant, item.law, {&item, 1}, failure_message(report, context, {}));
    console_.always(failure_message(report, context, console_.style()));
    options_.record->failures.push_back(failure_record("bench", item, report, context));
    options_.record->failures.back().saved = path;
  }

  void measure_all() {
    std::vector<std::vector<BenchPoint>> results;
    std::string label;
    for (std::size_t i = 0; i < shapes_.size(); ++i) {
      if (const std::string now = bench::label_of(shapes_[i]); now != label) {
        label = now;
        head(label);
      }
      console_.progress(fmt::format("shape {} of {}: {}", i + 1, shapes_.size(), label));
      results.push_back(measure(shapes_[i], seconds_));
      if (results.back().empty()) break;
      row(results.back());
    }
    again(results);
    for (std::vector<BenchPoint>& points : results)
      record_.points.insert(record_.points.end(), std::make_move_iterator(points.begin()),
                            std::make_move_iterator(points.end()));
  }

  // Those shapes on which the first candidate looks worst against the second are timed once more, longer.
  void again(std::vector<std::vector<BenchPoint>>& results) {
    const auto ratio = [](const std::vector<BenchPoint>& points) {
      const bool both = points.size() > 1 && points[0].timed() && points[1].timed();
      return both ? points[0].microseconds / points[1].microseconds : 0;
    };
    std::vector<std::size_t> order(results.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return ratio(results[a]) > ratio(results[b]); });
    order.resize(std::min<std::size_t>(order.size(), options_.bench.again));
    std::string label;
    for (const std::size_t i : order) {
      if (interrupt_signal != 0) return;
      console_.progress(fmt::format("once more: {}", text(shapes_[i])));
      if (std::vector<BenchPoint> points = measure(shapes_[i], seconds_ * kLonger); !points.empty()) {
        if (label.empty()) console_.line("\nOnce more, longer:");
        if (points[0].label != label) head(label = points[0].label);
        row(points);
        results[i] = std::move(points);
      }
    }
  }

  void head(const std::string& label) {
    std::string names = "            ", units = "    tokens  ";
    for (const Entrant& e : entrants_) {
      names += fmt::format("{:>26}", e.participant.info.name.substr(0, 25));
      units += e.is_empty ? fmt::format("{:>26}", "us") : fmt::format("{:>10}{:>8}{:>8}", "us", "GB/s", "copy");
    }
    console_.line(fmt::format("\n{}\n{}\n{}", label, names, console_.style().dim(units)));
  }

  void row(const std::vector<BenchPoint>& points) {
    std::string line = fmt::format("{:>10}  ", points.front().tokens);
    for (std::size_t i = 0; i < points.size(); ++i) {
      const BenchPoint& p = points[i];
      const char* by = p.method == "events" ? "e" : " ";
      if (!p.timed()) {
        line += fmt::format("{:>26}", p.verdict);
      } else if (entrants_[i].is_empty) {
        line += fmt::format("{:>25.2f}{}", p.microseconds, by);
      } else {
        const double copy = record_.copy_bytes_per_second;
        line += fmt::format("{:>9.2f}{}{:>8}{:>8}", p.microseconds, by, rate_text(p.bytes_per_second()),
                            copy > 0 ? fmt::format("{:.1f} %", 100 * p.bytes_per_second() / copy) : "");
      }
    }
    console_.line(line);
  }

  // The first candidate against every other.
  void compare_candidates() {
    for (std::size_t other = 1; other < entrants_.size(); ++other) {
      if (entrants_[other].is_empty) continue;
      BenchRecord::Ratio r;
      r.candidate = entrants_[0].participant.info.name;
      r.against = entrants_[other].participant.info.name;
      for (std::size_t i = 0; i + entrants_.size() <= record_.points.size(); i += entrants_.size()) {
        const BenchPoint &a = record_.points[i], &b = record_.points[i + other];
        if (!a.timed() || !b.timed()) continue;
        const double ratio = a.microseconds / b.microseconds;
        if (r.shapes == 0 || ratio < r.least) r.least = ratio;
        if (ratio > r.most) {
          r.most = ratio;
          r.most_at = a.case_text;
        }
        ++r.shapes;
      }
      if (r.shapes == 0) continue;
      console_.line(fmt::format("{} takes {:.2f} to {:.2f} times as long as {} ({} shape{}); {:.2f} at\n  {}", r.candidate,
                                r.least, r.most, r.against, r.shapes, r.shapes == 1 ? "" : "s", r.most, r.most_at));
      record_.ratios.push_back(std::move(r));
    }
  }

  // Shapes that the baseline has too.
  uint64_t compare_with_baseline() {
    std::map<std::pair<std::string, std::string>, double> before;
    for (const BenchPoint& p : baseline_->points)
      if (p.timed()) before[{p.candidate, p.case_text}] = p.microseconds;
    uint64_t common = 0;
    for (const BenchPoint& p : record_.points) {
      const auto it = before.find({p.candidate, p.case_text});
      if (!p.timed() || it == before.end() || p.candidate == record_.empty) continue;
      ++common;
      const double ratio = p.microseconds / it->second;
      if (ratio <= options_.bench.max_slowdown) continue;
      console_.always(fmt::format("{}: {} took {:.2f} us and takes {:.2f}, {:.2f} times as long\n  {}",
                                  console_.style().bad("SLOWER"), p.candidate, it->second, p.microseconds, ratio,
                                  p.case_text));
      record_.slower.push_back({.candidate = p.candidate,
                                .against = options_.bench.baseline,
                                .shapes = 1,
                                .least = ratio,
                                .most = ratio,
                                .most_at = p.case_text});
    }
    console_.always(fmt::format("{} of {} times have one in {}, {} of them slower by more than a factor of {:g}", common,
                                record_.points.size(), options_.bench.baseline, record_.slower.size(),
                                options_.bench.max_slowdown));
    return common;
  }

  void write(const std::string& option, const std::string& path, const std::string& contents) {
    if (path.empty()) return;
    if (const std::string trouble = write_whole(path, contents); !trouble.empty())
      throw UsageError(fmt::format("bench: {}: {}", option, trouble));
    console_.line(fmt::format("{}: {}", option, path));
  }

  // What is told of one candidate: verdict and sentence.
  std::pair<const char*, std::string> verdict_of(const Entrant& e) const {
    const std::string& who = e.participant.info.name;
    const uint64_t unsupported = e.totals.count(Verdict::kUnsupported);
    const double share =
        e.totals.cases > 0 ? 100.0 * static_cast<double>(unsupported) / static_cast<double>(e.totals.cases) : 0;
    const double allowed = options_.max_unsupported.value_or(e.participant.own ? 0 : 100);
    const std::string what = fmt::format("{}, {} of {} shapes timed and right", who, e.timed, e.totals.cases);
    if (e.totals.bad() > 0) return {"failed", what};
    if (share > allowed) return {"unsupported", fmt::format("{}: {:.1f} % of the shapes are not supported", who, share)};
    if (interrupt_signal != 0) return {"interrupted", what};
    if (e.timed == 0) return {"nothing_compared", fmt::format("{}: no shape was timed", who)};
    return {"passed", what};
  }

  int finish() {
    console_.line("");
    compare_candidates();
    bool bad = false, idle = false;
    if (baseline_) {
      idle = compare_with_baseline() == 0;
      bad = !record_.slower.empty();
    }
    write("--csv", options_.bench.csv, bench::csv(record_));
    write("--json", options_.bench.json, bench_json(record_));
    write("--plot", options_.bench.plot, bench::svg(record_));
    for (const Entrant& e : entrants_) {
      if (e.is_empty) continue;
      CandidateRecord record = candidate_record(e.participant, {}, {});
      record.totals = e.totals;
      std::tie(record.verdict, record.sentence) = verdict_of(e);
      const bool passed = record.verdict == "passed";
      bad |= record.verdict == "failed" || record.verdict == "unsupported";
      idle |= record.verdict == "nothing_compared";
      std::string word = record.verdict == "nothing_compared" ? "NOTHING COMPARED"
                         : passed                             ? "PASSED"
                         : record.verdict == "interrupted"    ? "INTERRUPTED"
                                                              : "FAILED";
      console_.always(
          fmt::format("{}: {}", passed ? console_.style().good(word) : console_.style().bad(word), record.sentence));
      options_.record->candidates.push_back(std::move(record));
    }
    if (bad) return kBad;
    if (interrupt_signal != 0) return kInterrupted;
    return idle ? kUnusable : kGood;
  }

  const Options& options_;
  Console console_;
  BenchRecord& record_;
  double seconds_;
  std::vector<Entrant> entrants_;  // the empty kernel last, where it is there
  std::vector<Case> shapes_;
  std::optional<BenchRecord> baseline_;
};

template <typename Word, typename Names>
std::vector<Word> words(std::string_view option, std::string_view text, const Names& names, int first) {
  std::vector<Word> list;
  for (std::string_view rest = text;;) {
    const std::string_view item = rest.substr(0, rest.find(','));
    int value = first;
    std::string expected;
    for (const std::string_view name : names) {
      if (name == item) list.push_back(static_cast<Word>(value));
      expected += fmt::format("{}{}", expected.empty() ? "" : ", ", name);
      ++value;
    }
    if (list.empty() || std::count(text.begin(), text.end() - static_cast<std::ptrdiff_t>(rest.size()), ',') + 1 !=
                            static_cast<std::ptrdiff_t>(list.size()))
      throw CLI::ValidationError(fmt::format("{}: found '{}', expected a list of {}", option, item, expected));
    if (item.size() == rest.size()) return list;
    rest.remove_prefix(item.size() + 1);
  }
}

}  // namespace

void add_bench_options(CLI::App& app, Options& o) {
  BenchOptions& b = o.bench;
  const auto add = [&app](const char* name, const char* type, const char* help, auto set) {
    app.add_option_function<std::string>(name, set, help)->type_name(type);
  };
  const auto numbers = [&add](const char* name, const char* help, std::vector<int64_t>& list) {
    add(name, "LIST", help, [name, &list](const std::string& s) {
      try {
        list = bench::parse_numbers(s);
      } catch (const std::invalid_argument& e) {
        throw CLI::ValidationError(fmt::format("{}: {}", name, e.what()));
      }
    });
  };
  numbers("--tokens", "as 1,64,512..514,4096..1048576*4; a few from 1 up unless told", b.shapes.tokens);
  numbers("--top-k", "(10)", b.shapes.top_k);
  numbers("--shared", "shared experts (1)", b.shapes.shared);
  numbers("--hidden", "hidden sizes, for source gate (7168)", b.shapes.hidden);
  constexpr std::array<std::string_view, 2> kIdDtypes{"i32", "i64"};
  constexpr std::array<std::string_view, 3> kWeightDtypes{"f32", "bf16", "f16"};
  add("--ids", "LIST", "dtypes of the ids (i32)",
      [&b, kIdDtypes](const std::string& s) { b.shapes.ids = words<Dtype>("--ids", s, kIdDtypes, TWINCHECK_I32); });
  add("--weights", "LIST", "dtypes of the weights (f32)", [&b, kWeightDtypes](const std::string& s) {
    b.shapes.weights = words<Dtype>("--weights", s, kWeightDtypes, TWINCHECK_F32);
  });
  add("--values", "LIST", "dtypes of the shared weights, or of hidden and gate (bf16)",
      [&b, kWeightDtypes](const std::string& s) {
        b.shapes.values = words<Dtype>("--values", s, kWeightDtypes, TWINCHECK_F32);
      });
  add("--source", "LIST", "constant, weights, logits, gate (weights)",
      [&b](const std::string& s) { b.shapes.sources = words<Source>("--source", s, kSourceNames, 0); });
  add("--layout", "LIST", "tight, strided, uneven, in_place, odd (tight)", [&b](const std::string& s) {
    b.shapes.layouts = words<bench::LayoutClass>("--layout", s, bench::kLayoutClassNames, 0);
  });
  app.add_option("--csv", b.csv, "write the times as CSV")->type_name("FILE");
  app.add_option("--json", b.json, "write the times as JSON, for --baseline")->type_name("FILE");
  app.add_option("--plot", b.plot, "draw time and share of the copy rate over tokens, as SVG")->type_name("FILE");
  app.add_option("--baseline", b.baseline, "compare with an earlier run's --json of the same machine")->type_name("FILE");
  add("--max-slowdown", "R", "a shape that takes more than R times as long as in the baseline fails (1.05)",
      [&b](const std::string& s) {
        char* end = nullptr;
        b.max_slowdown = std::strtod(s.c_str(), &end);
        if (end == s.c_str() || *end != 0 || !(b.max_slowdown > 0 && b.max_slowdown < 1e6))
          throw CLI::ValidationError(fmt::format("--max-slowdown: found '{}', expected a factor above 0", s));
      });
  app.add_flag("--alone", b.alone, "the --candidate libraries only, without the project's own");
  add("--again", "N", "time the N shapes once more, and longer, on which the first candidate is slowest against the second",
      [&b](const std::string& s) {
        char* end = nullptr;
        b.again = std::strtoull(s.c_str(), &end, 10);
        if (end == s.c_str() || *end != 0 || s[0] == '-')
          throw CLI::ValidationError(fmt::format("--again: found '{}', expected a count", s));
      });
}

int bench_verb(const Options& options) { return Run(options).go(); }

}  // namespace twincheck
