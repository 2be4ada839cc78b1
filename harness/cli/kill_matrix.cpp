// `twincheck mutants`, and the same as a stage of the gate.
#include "harness/cli/kill_matrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "harness/cli/record.h"
#include "harness/cli/verbs.h"

namespace twincheck {
namespace {

namespace fs = std::filesystem;

// A mutant's case takes milliseconds; one that hangs shall not cost the gate its time.
constexpr double kTimeout = 5;

}  // namespace

std::string mutants_folder(const Options& options) {
  std::error_code error;
  if (!options.mutants.empty()) {
    if (!fs::is_directory(options.mutants, error))
      throw UsageError(fmt::format("--mutants: {} is not a folder", options.mutants));
    return options.mutants;
  }
  const fs::path executable = fs::read_symlink("/proc/self/exe", error);
  fs::path folder = executable.parent_path().parent_path() / "lib" / "mutants";
  if (const fs::path installed = folder.parent_path() / "twincheck" / "mutants"; fs::is_directory(installed, error))
    folder = installed;
  if (!fs::is_directory(folder, error))
    throw UsageError(
        fmt::format("there are no mutants in {}: build the target `mutants`, or give --mutants DIR", folder.string()));
  return folder.string();
}

KillMatrix try_mutants(const Options& options, Console& console, const std::function<void(std::string_view)>& fail) {
  const std::string folder = mutants_folder(options);
  const std::vector<Mutant> all = mutants_in(folder, /*libraries=*/true);
  if (all.empty()) throw UsageError(fmt::format("{}: no libmutant_*.so: build the target `mutants`", folder));
  std::vector<Mutant> mutants;
  for (uint64_t i = 0; i < options.shard.size(all.size()); ++i) mutants.push_back(all[options.shard.unit(i)]);
  if (mutants.empty()) return {};

  MatrixOptions matrix_options;
  if (options.seed) matrix_options.seed = *options.seed;
  if (options.cases) matrix_options.default_cases = *options.cases;
  const std::string corpus = corpus_folder(options);
  if (!options.no_corpus && !corpus.empty()) matrix_options.corpus = corpus + "/edges";
  matrix_options.jobs = options.jobs;
  matrix_options.limits = limits_of(options);
  matrix_options.limits.timeout = std::min(kTimeout, options.timeout);
  matrix_options.interrupt = &interrupt_signal;
  uint64_t done = 0, survivors = 0;
  matrix_options.on_mutant = [&](uint64_t n, const MutantResult& result) {
    done = n;
    survivors += result.killed() ? 0 : 1;
  };
  matrix_options.on_tick = [&] {
    console.progress(fmt::format("mutants: {} of {}, {} survived", done, mutants.size(), survivors));
  };
  console.line(fmt::format("mutants: {} in {}, seed 0x{:x}: up to {} default cases, {} and {} of each other law",
                           mutants.size(), folder, matrix_options.seed, matrix_options.default_cases,
                           matrix_options.corpus.empty() ? "no corpus" : "the corpus' edges", matrix_options.law_cases));

  const KillMatrix matrix = run_mutants(mutants, matrix_options);
  console.end_progress();
  console.line(matrix_text(matrix));
  options.record->kills = kills_record(matrix);
  for (const MutantResult& r : matrix.mutants)
    if (const std::string words = complaint(r); !words.empty()) fail(words);
  console.always(matrix_summary(matrix));
  return matrix;
}

int mutants(const Options& options) {
  Console console(options);
  const KillMatrix matrix = try_mutants(options, console, [&](std::string_view words) {
    console.always(fmt::format("{} {}", console.style().bad("FAIL"), words));
  });
  if (matrix.mutants.empty() && !matrix.interrupted) {
    console.always(empty_shard(options));
    return kGood;
  }
  if (matrix.good()) {
    console.always(fmt::format("{}: the judge kills every mutant", console.style().good("PASSED")));
    return kGood;
  }
  if (matrix.interrupted) console.always("interrupted");
  const bool bad =
      std::any_of(matrix.mutants.begin(), matrix.mutants.end(), [](const MutantResult& r) { return !complaint(r).empty(); });
  return bad ? kBad : kInterrupted;
}

}  // namespace twincheck
