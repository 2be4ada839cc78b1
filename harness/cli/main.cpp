#include <fmt/format.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <array>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <thread>

#include "harness/candidate/candidate.h"
#include "harness/candidate/worker.h"
#include "harness/case/case.h"
#include "harness/cli/options.h"
#include "harness/cli/record.h"
#include "harness/cli/verbs.h"
#include "harness/report/conclude.h"
#include "harness/report/github.h"

namespace twincheck {

volatile int interrupt_signal = 0;

namespace {

void interrupted(int signal) { interrupt_signal = signal; }

template <typename T>
T number(std::string_view option, std::string_view text, std::string_view expected, int base = 10) {
  T value{};
  if (base == 16 && text.substr(0, 2) == "0x") text.remove_prefix(2);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty())
    throw CLI::ValidationError(fmt::format("{}: found '{}', expected {}", option, text, expected));
  return value;
}

double positive_seconds(std::string_view option, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || *end != 0 || !(value > 0) || value > 1e9)
    throw CLI::ValidationError(fmt::format("{}: found '{}', expected seconds above 0", option, text));
  return value;
}

// "4G", "512M", "1000000"
uint64_t bytes(std::string_view option, std::string_view text) {
  constexpr std::string_view kExpected = "bytes, or a number with K, M or G";
  std::string_view digits = text;
  int shift = 0;
  if (!digits.empty()) {
    const std::size_t unit = std::string_view("KMG").find(digits.back());
    if (unit != std::string_view::npos) {
      shift = 10 * (static_cast<int>(unit) + 1);
      digits.remove_suffix(1);
    }
  }
  const auto value = number<uint64_t>(option, digits, kExpected);
  if (value == 0 || value > (UINT64_MAX >> shift))
    throw CLI::ValidationError(fmt::format("{}: found '{}', expected {}", option, text, kExpected));
  return value << shift;
}

void shard(Options& o, const std::string& text) {
  const std::string expected = "i/n, as in 3/8";
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos)
    throw CLI::ValidationError(fmt::format("--shard: found '{}', expected {}", text, expected));
  const auto i = number<uint64_t>("--shard", std::string_view(text).substr(0, slash), expected);
  const auto n = number<uint64_t>("--shard", std::string_view(text).substr(slash + 1), expected);
  if (n == 0 || i > n || n > 1000000)
    throw CLI::ValidationError(fmt::format("--shard: found '{}', expected i/n with i from 0 or 1 up to n", text));
  o.shard = {.index = i % n, .count = n};
}

void add_common(CLI::App& app, Options& o) {
  app.add_option("--platform", o.platform, "platform of the project's own candidates; all that are here unless told")
      ->check(CLI::IsMember({"cpu", "hip", "cuda"}))
      ->type_name("cpu|hip|cuda");
  app.add_option("--candidate", o.candidates, "a candidate library: a path or a name (repeatable)")
      ->type_name("LIB")
      ->allow_extra_args(false);
  app.add_option("--tier", o.tier, "how much the gate does")
      ->check(CLI::IsMember({"smoke", "pr", "nightly"}))
      ->type_name("smoke|pr|nightly");
  const auto add = [&](const char* name, const char* type, const char* help, auto set) {
    app.add_option_function<std::string>(name, set, help)->type_name(type);
  };
  add("--cases", "N", "generated cases a candidate",
      [&o](const std::string& s) { o.cases = number<uint64_t>("--cases", s, "a count"); });
  add("--seconds", "S", "seconds of generated cases a candidate",
      [&o](const std::string& s) { o.seconds = positive_seconds("--seconds", s); });
  add("--seed", "HEX", "seed of the generated cases; printed where it is not given",
      [&o](const std::string& s) { o.seed = number<uint64_t>("--seed", s, "up to 16 hexadecimal digits", 16); });
  add("--jobs", "N", "worker processes; one a core unless told", [&o](const std::string& s) {
    o.jobs = number<int>("--jobs", s, "a count from 1 to 1024");
    if (o.jobs < 1 || o.jobs > 1024)
      throw CLI::ValidationError(fmt::format("--jobs: found '{}', expected a count from 1 to 1024", s));
  });
  add("--shard", "i/n", "one of n parts of the work, the same part every time", [&o](const std::string& s) { shard(o, s); });
  add("--timeout", "S", "seconds a case may take (10)",
      [&o](const std::string& s) { o.timeout = positive_seconds("--timeout", s); });
  add("--device", "N", "index of the GPU", [&o](const std::string& s) {
    o.device = number<int>("--device", s, "an index from 0");
    if (o.device < 0) throw CLI::ValidationError(fmt::format("--device: found '{}', expected an index from 0", s));
  });
  add("--oracle-samples", "N", "sweeps on a GPU: f32 inputs by which its oracle is held against the CPU's (65536)",
      [&o](const std::string& s) { o.oracle_samples = number<uint64_t>("--oracle-samples", s, "a count"); });
  app.add_option("--known-failures", o.known_failures, "file of failures that verify and gate expect")->type_name("FILE");
  app.add_option("--report", o.report, "folder for report files")->type_name("DIR");
  app.add_flag("--quiet", o.quiet, "failures and the verdict only");
  app.add_flag("--no-color", o.no_color, "no colours (as NO_COLOR does)");
  app.add_option("--save", o.save, "folder for failing cases; '' saves none")->type_name("DIR")->capture_default_str();
  add("--max-failures", "N", "distinct failures after which a candidate's run stops (10)", [&o](const std::string& s) {
    o.max_failures = number<int>("--max-failures", s, "a count from 1");
    if (o.max_failures < 1)
      throw CLI::ValidationError(fmt::format("--max-failures: found '{}', expected a count from 1", s));
  });
  add("--max-unsupported", "PERCENT", "more unsupported cases than this fail; 0 for the project's own candidates",
      [&o](const std::string& s) {
        char* end = nullptr;
        o.max_unsupported = std::strtod(s.c_str(), &end);
        if (end == s.c_str() || *end != 0 || !(*o.max_unsupported >= 0 && *o.max_unsupported <= 100))
          throw CLI::ValidationError(fmt::format("--max-unsupported: found '{}', expected a percentage from 0 to 100", s));
      });
  add("--memory-limit", "BYTES", "resident memory a worker may have, as 512M or 4G (4G)",
      [&o](const std::string& s) { o.memory_limit = bytes("--memory-limit", s); });
  app.add_flag("--classes", o.classes, "print how the generated cases are distributed");
  app.add_option("--same-bits-as", o.same_bits_as,
                 "a second library, in host memory: wherever both are right their bits must be equal")
      ->type_name("LIB");
  app.add_option("--law", o.law, "this law only")->type_name("NAME");
  app.add_option("--corpus", o.corpus, "folder of *.case files; the project's own unless told")->type_name("DIR");
  app.add_option("--mutants", o.mutants, "folder of mutants; lib/mutants beside the program's unless told")
      ->type_name("DIR");
  app.add_flag("--in-process", o.in_process,
               "no isolation and exact allocations on a GPU, one case at a time: for compute-sanitizer and its like");
  app.add_flag("--no-corpus", o.no_corpus, "leave out saved failures and the corpus");
}

// The GPU that CTest has set apart for this test, "id:2,slots:1"; 0 where it has not.
int device_of_ctest() {
  const char* group = std::getenv("CTEST_RESOURCE_GROUP_0_GPUS");
  constexpr std::string_view kId = "id:";
  std::string_view text = group == nullptr ? "" : group;
  text = text.substr(0, std::min(text.find(','), text.size()));
  if (text.substr(0, kId.size()) != kId) return 0;
  text.remove_prefix(kId.size());
  int device = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), device);
  return error == std::errc{} && end == text.data() + text.size() && device >= 0 ? device : 0;
}

// The verb and the options that say what is compared, but for the candidates and the seed. Shards have it in common.
std::string work_of(const Verb& verb, const Options& o) {
  std::string words = fmt::format("{} --tier {}", verb.name, o.tier);
  const auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) words += fmt::format(" {} {}", option, shell_word(value));
  };
  if (o.cases) add("--cases", fmt::format("{}", *o.cases));
  if (o.seconds) add("--seconds", fmt::format("{:g}", *o.seconds));
  add("--platform", o.platform);
  add("--law", o.law);
  add("--corpus", o.corpus);
  add("--mutants", o.mutants);
  add("--known-failures", o.known_failures);
  if (o.no_corpus) words += " --no-corpus";
  for (const std::string& argument : o.arguments) words += " " + shell_word(argument);
  return words;
}

// Runs the verb. What it cannot go on with is told and recorded, and it ends in 2.
int run_verb(const Verb& verb, const Options& options) {
  const auto unusable = [&](const std::string& words) {
    fmt::print(stderr, "twincheck: {}\n", words);
    options.record->error = words;
    return kUnusable;
  };
  try {
    return verb.run(options);
  } catch (const UsageError& e) {
    return unusable(e.what());
  } catch (const LoadError& e) {
    if (interrupt_signal == 0) return unusable(e.what());
    fmt::print("interrupted\n");  // it says nothing of the candidate
    return kInterrupted;
  } catch (const FileError& e) {
    return unusable(e.what());
  } catch (const std::exception& e) {
    return unusable(fmt::format("cannot go on: {}", e.what()));
  }
}

// In one word, from how the run ended.
std::string verdict_of(const RunReport& record) {
  if (record.exit_status == kBad) return "failed";
  if (!record.error.empty()) return "error";
  if (record.interrupted) return "interrupted";
  if (record.exit_status == kUnusable) return "nothing_compared";
  return compared(record) > 0 || record.kills.run || record.bench.run ? "passed"
                                                                      : "nothing_compared";  // an empty shard, or `list`
}

// In a step of GitHub Actions: annotations, and the job's summary.
void tell_github(const RunReport& record) {
  const char* actions = std::getenv("GITHUB_ACTIONS");
  if (actions == nullptr || std::string_view(actions) != "true") return;
  fmt::print("{}", github_annotations(record));
  const char* path = std::getenv("GITHUB_STEP_SUMMARY");
  if (path == nullptr || *path == 0) return;
  std::ofstream file(path, std::ios::binary | std::ios::app);
  file << github_summary(record);
  file.close();
  if (!file) fmt::print(stderr, "twincheck: GITHUB_STEP_SUMMARY: {} cannot be written\n", path);
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

int run(int argc, char** argv) {
  CLI::App app{"Judges kernels that append shared experts to MoE top-k output against a plain reference."};
  app.set_help_flag("-h,--help", "this help");
  app.set_version_flag("--version", "twincheck " TWINCHECK_VERSION);
  app.footer(
      "Exit status: 1 if anything failed, crashed, hung or was flaky; 2 for wrong usage, an absent platform or library,\n"
      "malformed input, or where nothing was compared; 130 if interrupted; otherwise 0. `twincheck VERB --help` says more.");
  Options options;
  options.jobs = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  options.device = device_of_ctest();
  const Verb* chosen = nullptr;
  for (const Verb& verb : kVerbs) {
    CLI::App* sub = app.add_subcommand(verb.name, verb.help);
    add_common(*sub, options);
    if (verb.argument != nullptr) {
      CLI::Option* argument = sub->add_option(verb.argument, options.arguments, verb.argument_help);
      if (verb.needs_argument) argument->required();
    }
    if (verb.add_options != nullptr) verb.add_options(*sub, options);
    if (verb.examples != nullptr) {
      std::string footer = "Examples:\n";
      for (std::string_view rest = verb.examples; !rest.empty();) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        footer += fmt::format("  {}\n", rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
      sub->footer(footer);
    }
    sub->callback([&chosen, &verb] { chosen = &verb; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    std::string what = e.what();
    if (chosen == nullptr && argc > 1 && argv[1][0] != '-' && app.get_subcommands().empty()) {
      what = fmt::format("'{}' is no verb, expected ", argv[1]);
      for (const Verb& verb : kVerbs) what += fmt::format("{}{}", &verb == kVerbs.data() ? "" : ", ", verb.name);
    }
    while (!what.empty() && what.back() == '\n') what.pop_back();
    const std::vector<CLI::App*> parsed = app.get_subcommands();
    const std::string verb = parsed.empty() ? "" : " " + parsed[0]->get_name();
    fmt::print(stderr, "twincheck: {}; see `twincheck{} --help`\n", what, verb);
    return kUnusable;
  }
  if (chosen == nullptr) {
    std::string verbs;
    for (const Verb& verb : kVerbs) verbs += fmt::format("{}{}", verbs.empty() ? "" : ", ", verb.name);
    fmt::print(stderr, "twincheck: no verb given, expected {}; see `twincheck --help`\n", verbs);
    return kUnusable;
  }
  struct sigaction action {};
  action.sa_handler = interrupted;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  Worker::set_interrupt(&interrupt_signal);
  RunReport& record = *options.record;
  record.version = TWINCHECK_VERSION;
  record.verb = chosen->name;
  record.work = work_of(*chosen, options);
  record.arguments.assign(argv, argv + argc);
  record.started = utc_now();
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) == 0) record.host = host.data();
  record.shard = options.shard.index;
  record.shards = options.shard.count;
  record.tier = options.tier;
  record.jobs = options.jobs;
  record.laws = law_records();
  if (!options.report.empty())
    if (const std::string trouble = trouble_with_folder(options.report); !trouble.empty())
      throw UsageError("--report: " + trouble);

  const auto start = std::chrono::steady_clock::now();
  record.exit_status = run_verb(*chosen, options);
  record.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  record.interrupted |= interrupt_signal != 0;
  record.verdict = verdict_of(record);
  if (chosen->run != list) tell_github(record);
  if (options.report.empty()) return record.exit_status;
  if (const std::string trouble = write_reports(record, options.report); !trouble.empty()) {
    fmt::print(stderr, "twincheck: --report: {}\n", trouble);
    if (record.exit_status == kGood) return kUnusable;
  }
  return record.exit_status;
}

}  // namespace
}  // namespace twincheck

int main(int argc, char** argv) {
  using namespace twincheck;
  try {
    return run(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "twincheck: {}\n", e.what());
  }
  return kUnusable;
}
