#include "harness/cli/mutants.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bitset>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <set>

#include "harness/candidate/process.h"
#include "harness/cli/cases.h"
#include "harness/judge/check.h"
#include "properties/relate.h"

namespace twincheck {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int kPollMs = 20;
constexpr std::size_t kMaxLaws = 64;
constexpr std::size_t kGeneratedColumn = 0, kCorpusColumn = 1, kFirstLawColumn = 2;

// Where a mutant is often wrong its share is known after so many kills; deaths cost a process each.
constexpr uint64_t kEnoughKills = 40, kEnoughCorpusKills = 12, kEnoughDeaths = 4;

// Cases of the corpus with so many tokens take most of its time: they are for mutants that nothing before them has killed.
constexpr int64_t kManyTokens = 4096;

constexpr auto& kPromises = promise::kAll;
constexpr std::size_t kNoCrashIndex = kPromises.size() - 1;
using Promises = std::bitset<kPromises.size()>;

// What check() can only say because the reference says what is right.
bool needs_reference(std::string_view broken) {
  return broken == promise::kRoutedIds || broken == promise::kAppendedIds || broken == promise::kRoutedWeights ||
         broken == promise::kAppendedWeights || broken == promise::kRefusal || broken == promise::kRefusalStatus ||
         broken == promise::kRuntimeError;
}

// Laws that are a comparison with the reference: they see with open eyes.
bool judges_by_reference(const Law& law) {
  return law.name == "equals_reference" || law.name == "refuses_like_reference" || law.name == "sequence";
}

// Was the law's own statement broken, or a promise that any law would have seen broken?
bool is_own(const Law* law, const Report& report) {
  if (law == nullptr || law->name == "equals_reference" || law->name == "refuses_like_reference") return true;
  // Of these the first call alone is equals_reference's; what the others are like, the law says.
  if (law->name == "sequence" || law->name == "device_follows_outputs") return report.detail.rfind("with ", 0) == 0;
  return report.law == law->name;
}

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t\r") - first + 1));
}

bool is_law_or_promise(std::string_view name) {
  return find_law(name) != nullptr || std::find(kPromises.begin(), kPromises.end(), name) != kPromises.end();
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The cases of each column, the same for every mutant: generated, the corpus', then each law's in the order of laws().
class Columns {
 public:
  explicit Columns(const MatrixOptions& options)
      : corpus_(cases_under(options.corpus, /*nightly=*/false, {}).items), law_cases_(options.law_cases) {
    const auto large =
        std::stable_partition(corpus_.begin(), corpus_.end(), [](const Item& item) { return item.c.tokens < kManyTokens; });
    first_large_ = static_cast<uint64_t>(large - corpus_.begin());
    const auto add = [&](const Law& law, uint64_t cases) {
      generated_.push_back({.seed = options.seed, .laws = {&law}, .short_structs = true, .cases = cases});
    };
    add(*find_law("equals_reference"), options.default_cases);
    add(*find_law("equals_reference"), 0);  // in the corpus' place
    for (const Law& law : laws()) add(law, law.name == "equals_reference" ? 0 : options.named_law_cases);
  }

  std::size_t size() const { return generated_.size(); }

  Item item(std::size_t column, uint64_t index) const {
    return column == kCorpusColumn ? corpus_[index] : generated_[column].item(index);
  }

  // How many cases of a column a mutant meets at most. `killed`: something has killed it before.
  uint64_t cases(std::size_t column, const Mutant& mutant, bool killed) const {
    if (column == kCorpusColumn) return killed ? first_large_ : corpus_.size();
    const uint64_t all = generated_[column].size();
    if (column == kGeneratedColumn) return all;
    const Law& law = laws()[column - kFirstLawColumn];
    return law.name == mutant.law || law.name == "refuses_like_reference" ? all : std::min(all, law_cases_);
  }

 private:
  std::vector<Item> corpus_;
  uint64_t first_large_ = 0;  // of the corpus, which lie behind the others
  uint64_t law_cases_;
  std::vector<Generated> generated_;
};

// What parent and worker share about the mutant in hand. A worker goes on where the one before it died.
struct Slot {
  struct Cell {
    uint64_t cases, kills, first, deaths;
    uint32_t by_itself;
  };
  enum Phase : uint32_t { kLoading, kBetween, kInCall, kFinished, kBroken };
  std::atomic<uint32_t> phase;
  std::atomic<uint64_t> turns;  // items begun, so that the parent sees progress
  uint64_t column, index;
  uint64_t first;  // cases up to the first kill
  uint64_t judged;
  uint32_t promises, without_reference;
  Cell cells[kFirstLawColumn + kMaxLaws];
  char error[1024];

  void reset() {
    std::memset(cells, 0, sizeof cells);
    column = index = first = judged = 0;
    promises = without_reference = 0;
    phase = kLoading;
  }
};

// Is there nothing left to learn in the slot's column?
bool enough(const Slot& slot, const Columns& columns, const Mutant& mutant) {
  const Slot::Cell& cell = slot.cells[slot.column];
  if (slot.index >= columns.cases(slot.column, mutant, slot.first > 0)) return true;
  if (slot.column == kGeneratedColumn) return cell.kills >= kEnoughKills || cell.deaths >= kEnoughDeaths;
  if (slot.column == kCorpusColumn) return cell.kills >= kEnoughCorpusKills || cell.deaths >= kEnoughDeaths;
  return cell.by_itself != 0 || cell.deaths > 0;
}

// Books a verdict and moves on.
void book(Slot& slot, const Item& item, const Report& report, bool died) {
  Slot::Cell& cell = slot.cells[slot.column];
  ++cell.cases;
  ++slot.judged;
  ++slot.index;
  if (!is_bad(report.verdict)) return;
  if (cell.kills++ == 0) cell.first = cell.cases;
  if (slot.first == 0) slot.first = slot.judged;
  if (died) ++cell.deaths;
  const auto known = std::find(kPromises.begin(), kPromises.end(), report.law);
  if (known != kPromises.end()) slot.promises |= 1u << (known - kPromises.begin());
  if (is_own(find_law(item.law), report)) cell.by_itself = 1;
  if (died || !needs_reference(report.law)) slot.without_reference = 1;
}

void work(Slot& slot, const Columns& columns, const Mutant& mutant, const Limits& limits) {
  try {
    const Candidate candidate = load_candidate(mutant.library);
    Bench bench(candidate.memory, limits.memory / 2);
    slot.phase = Slot::kBetween;
    for (; slot.column < columns.size(); ++slot.column, slot.index = 0) {
      while (!enough(slot, columns, mutant)) {
        const Item item = columns.item(slot.column, slot.index);
        const Law* law = find_law(item.law);
        std::optional<relate::Blindfold> blindfold;
        if (law != nullptr && !judges_by_reference(*law)) blindfold.emplace();
        ++slot.turns;
        slot.phase = Slot::kInCall;
        const Report report = law == nullptr ? check(item.c, candidate, bench) : run_law(*law, item.c, candidate, bench);
        slot.phase = Slot::kBetween;
        book(slot, item, report, report.verdict == Verdict::kCrashed);
      }
    }
    slot.phase = Slot::kFinished;
  } catch (const std::exception& e) {
    std::snprintf(slot.error, sizeof slot.error, "%s", e.what());
    slot.phase = Slot::kBroken;
  }
}

class Trials {
 public:
  Trials(const std::vector<Mutant>& mutants, const MatrixOptions& options)
      : mutants_(mutants),
        options_(options),
        columns_(options),
        jobs_(std::clamp<std::size_t>(static_cast<std::size_t>(std::max(1, options.jobs)), 1,
                                      std::max<std::size_t>(1, mutants.size()))),
        memory_(jobs_ * sizeof(Slot)),
        workers_(jobs_) {
    matrix_.seed = options.seed;
    matrix_.mutants.resize(mutants.size());
    for (std::size_t w = 0; w < jobs_; ++w) workers_[w].slot = reinterpret_cast<Slot*>(memory_.data()) + w;
  }

  KillMatrix go() {
    const Clock::time_point start = Clock::now();
    for (Worker& w : workers_) take_next(w);
    while (std::any_of(workers_.begin(), workers_.end(), [](const Worker& w) { return w.process != nullptr; })) {
      if (options_.interrupt != nullptr && *options_.interrupt != 0) {
        matrix_.interrupted = true;
        for (Worker& w : workers_) w.process.reset();
        break;
      }
      std::vector<pollfd> ends;
      for (const Worker& w : workers_)
        if (w.process && w.process->descriptor() >= 0) ends.push_back({w.process->descriptor(), POLLIN, 0});
      poll(ends.data(), ends.size(), kPollMs);
      for (Worker& w : workers_)
        if (w.process) look_at(w);
      if (options_.on_tick) options_.on_tick();
    }
    if (matrix_.interrupted) std::erase_if(matrix_.mutants, [](const MutantResult& r) { return r.mutant.id.empty(); });
    matrix_.seconds = seconds_since(start);
    return std::move(matrix_);
  }

 private:
  struct Worker {
    Slot* slot = nullptr;
    std::unique_ptr<Process> process;
    std::size_t mutant = 0;
    uint64_t seen = 0;
    Clock::time_point since;
  };

  void take_next(Worker& w) {
    w.process.reset();
    if (next_ == mutants_.size()) return;
    w.mutant = next_++;
    w.slot->reset();
    spawn(w);
  }

  void spawn(Worker& w) {
    w.slot->phase = Slot::kLoading;
    w.since = Clock::now();
    w.process = std::make_unique<Process>([this, &w] { work(*w.slot, columns_, mutants_[w.mutant], options_.limits); });
  }

  Item item_in_hand(const Slot& slot) const { return columns_.item(slot.column, slot.index); }

  void look_at(Worker& w) {
    Slot& slot = *w.slot;
    if (const auto reason = w.process->ended()) {
      switch (slot.phase) {
        case Slot::kFinished:
          finished(w);
          return;
        case Slot::kBroken:
          slot.error[sizeof slot.error - 1] = 0;
          throw LoadError(fmt::format("mutant {}: {}", mutants_[w.mutant].id, slot.error));
        case Slot::kLoading:
          throw LoadError(
              fmt::format("mutant {}: it ended its process while it was loaded: {}", mutants_[w.mutant].id, *reason));
        case Slot::kBetween:
          // By something that an earlier call left behind.
          slot.promises |= 1u << kNoCrashIndex;
          ++slot.cells[slot.column].deaths;
          ++slot.index;
          break;
        default:
          book(slot, item_in_hand(slot), crashed(*reason), /*died=*/true);
          break;
      }
      spawn(w);
      return;
    }
    const uint64_t turns = slot.turns;
    if (turns != w.seen || slot.phase != Slot::kInCall) {
      w.seen = turns;
      w.since = Clock::now();
      return;
    }
    if (seconds_since(w.since) < options_.limits.timeout) return;
    w.process->kill();
    if (slot.phase == Slot::kInCall && slot.turns == turns)
      book(slot, item_in_hand(slot), hung(options_.limits.timeout, 0), /*died=*/true);
    spawn(w);
  }

  void finished(Worker& w) {
    const Slot& slot = *w.slot;
    MutantResult& result = matrix_.mutants[w.mutant];
    result.mutant = mutants_[w.mutant];
    const auto kills = [](const Slot::Cell& cell) {
      return Kills{.cases = cell.cases, .kills = cell.kills, .first = cell.first, .by_itself = cell.by_itself != 0};
    };
    result.generated = kills(slot.cells[kGeneratedColumn]);
    result.corpus = kills(slot.cells[kCorpusColumn]);
    bool other_law = false;
    for (std::size_t l = 0; l < laws().size(); ++l) {
      Kills k = kills(slot.cells[kFirstLawColumn + l]);
      if (laws()[l].name == "equals_reference") {
        k = {.cases = result.generated.cases + result.corpus.cases,
             .kills = result.generated.kills + result.corpus.kills,
             .first = slot.first,
             .by_itself = result.generated.kills + result.corpus.kills > 0};
      } else if (!judges_by_reference(laws()[l])) {
        other_law = other_law || k.by_itself;
      }
      result.laws.push_back(k);
    }
    for (std::size_t p = 0; p < kPromises.size(); ++p)
      if ((slot.promises >> p & 1) != 0) result.promises.emplace_back(kPromises[p]);
    result.first = slot.first;
    result.reference_only = slot.first > 0 && slot.without_reference == 0 && !other_law;
    ++done_;
    if (options_.on_mutant) options_.on_mutant(done_, result);
    take_next(w);
  }

  const std::vector<Mutant>& mutants_;
  const MatrixOptions& options_;
  const Columns columns_;
  const std::size_t jobs_;
  SharedMemory memory_;
  std::vector<Worker> workers_;
  std::size_t next_ = 0;
  uint64_t done_ = 0;
  KillMatrix matrix_;
};

char letter(std::size_t law) { return static_cast<char>(law < 26 ? 'a' + law : 'A' + (law - 26)); }

}  // namespace

Mutant read_mutant(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw FileError(fmt::format("{}: cannot be read", path));
  Mutant mutant;
  bool patch = false;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("--- ", 0) == 0) {
      patch = true;
      break;
    }
    const auto take = [&](std::string_view key, std::string& field) {
      if (line.rfind(key, 0) == 0) field = trimmed(std::string_view(line).substr(key.size()));
    };
    take("id:", mutant.id);
    take("sentence:", mutant.sentence);
    take("bug:", mutant.bug);
    take("law:", mutant.law);
  }
  const std::string stem = fs::path(path).stem().string();
  const std::size_t digits = stem.rfind("libmutant_", 0) == 0 ? 10 : 0;
  const std::string id = stem.substr(digits, 3);
  const auto expect = [&](bool right, std::string_view what) {
    if (!right) throw FileError(fmt::format("{}: expected {}", path, what));
  };
  expect(patch, "a line that begins with \"--- \" behind the header");
  expect(mutant.id.size() == 3 && mutant.id.find_first_not_of("0123456789") == std::string::npos,
         "a line \"id: NNN\" of three digits");
  expect(id == mutant.id && stem.size() > digits + 4,
         fmt::format("a name that begins with its id, {}-short-name.patch", mutant.id));
  expect(!mutant.sentence.empty(), "a line \"sentence: ...\": what is wrong");
  expect(
      is_law_or_promise(mutant.law),
      fmt::format("a line \"law: NAME\" with a law of properties/laws.inc or a promise of check(), found '{}'", mutant.law));
  expect(mutant.bug.empty() || mutant.bug.find('#') != std::string::npos, "a line \"bug: project#number\", or none");
  mutant.name = stem.substr(digits + 4);
  std::replace(mutant.name.begin(), mutant.name.end(), '_', '-');
  return mutant;
}

std::vector<Mutant> mutants_in(const std::string& folder, bool libraries) {
  std::error_code error;
  std::vector<Mutant> mutants;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    fs::path path = it->path();
    if (path.extension() != (libraries ? ".so" : ".patch")) continue;
    if (libraries && path.filename().string().rfind("libmutant_", 0) != 0) continue;
    Mutant mutant = read_mutant(path.replace_extension(".patch").string());
    if (libraries) mutant.library = fs::absolute(it->path()).lexically_normal().string();
    mutants.push_back(std::move(mutant));
  }
  if (error) throw FileError(fmt::format("{}: cannot be read: {}", folder, error.message()));
  std::sort(mutants.begin(), mutants.end(), [](const Mutant& a, const Mutant& b) { return a.id < b.id; });
  for (std::size_t i = 1; i < mutants.size(); ++i)
    if (mutants[i].id == mutants[i - 1].id)
      throw FileError(fmt::format("{}: two mutants have the id {}: {} and {}", folder, mutants[i].id, mutants[i - 1].name,
                                  mutants[i].name));
  return mutants;
}

double MutantResult::share() const {
  return generated.cases == 0 ? 0 : static_cast<double>(generated.kills) / static_cast<double>(generated.cases);
}

bool MutantResult::as_expected() const {
  const auto broke = [&](std::string_view promise) {
    return std::find(promises.begin(), promises.end(), promise) != promises.end();
  };
  if (broke(mutant.law)) return true;
#ifdef TWINCHECK_SANITIZED
  if (broke(promise::kNoCrash)) return true;
#endif
  for (std::size_t l = 0; l < laws.size(); ++l)
    if (twincheck::laws()[l].name == mutant.law && laws[l].by_itself) return true;
  return false;
}

std::vector<std::string_view> KillMatrix::idle_laws() const {
  std::vector<std::string_view> idle;
  for (std::size_t l = 0; l < laws().size(); ++l)
    if (std::none_of(mutants.begin(), mutants.end(), [&](const MutantResult& r) { return r.laws[l].by_itself; }))
      idle.push_back(laws()[l].name);
  return idle;
}

uint64_t KillMatrix::median_first() const {
  std::vector<uint64_t> firsts;
  for (const MutantResult& r : mutants)
    if (r.killed()) firsts.push_back(r.first);
  if (firsts.empty()) return 0;
  std::sort(firsts.begin(), firsts.end());
  return firsts[(firsts.size() - 1) / 2];
}

uint64_t KillMatrix::rare() const {
  return static_cast<uint64_t>(
      std::count_if(mutants.begin(), mutants.end(), [](const MutantResult& r) { return r.killed() && r.share() < 0.01; }));
}

bool KillMatrix::good() const {
  return !mutants.empty() && !interrupted &&
         std::all_of(mutants.begin(), mutants.end(), [](const MutantResult& r) { return r.killed() && r.as_expected(); });
}

KillMatrix run_mutants(const std::vector<Mutant>& mutants, const MatrixOptions& options) {
  return Trials(mutants, options).go();
}

std::string matrix_text(const KillMatrix& matrix) {
  std::string text;
  for (std::size_t l = 0; l < laws().size(); ++l)
    text += fmt::format("{}{} {:<26}", l % 4 == 0 ? (l == 0 ? "  " : "\n  ") : "", letter(l), laws()[l].name);
  text +=
      "\n  x the law's own statement is broken   + only what the judge sees without a reference during it: a guard, a "
      "refusal, a death"
      "\n  R nothing but the comparison with the reference kills it\n\n  id   ";
  for (std::size_t l = 0; l < laws().size(); ++l) text += letter(l);
  text += "  R   wrong on default cases   corpus  first kill  mutant\n";
  for (const MutantResult& r : matrix.mutants) {
    std::string row;
    for (const Kills& k : r.laws) row += k.by_itself ? 'x' : k.kills > 0 ? '+' : '.';
    const std::string share = fmt::format("{} of {}, {:.2f} %", r.generated.kills, r.generated.cases, 100 * r.share());
    const std::string corpus = r.corpus.kills > 0 ? fmt::format("{}", r.corpus.first) : "-";
    const std::string first = r.killed() ? fmt::format("{}", r.first) : "survives";
    text += fmt::format("  {}  {}  {}   {:<23}  {:>6}  {:>10}  {}{}\n", r.mutant.id, row, r.reference_only ? 'R' : ' ',
                        share, corpus, first, r.mutant.name, r.mutant.bug.empty() ? "" : fmt::format(" ({})", r.mutant.bug));
  }
  return text;
}

std::string complaint(const MutantResult& r) {
  const std::string who = fmt::format("mutant {} {}", r.mutant.id, r.mutant.name);
  if (!r.killed()) return fmt::format("{} survives: {}\n  {}", who, r.mutant.sentence, r.mutant.library);
  if (r.as_expected()) return {};
  std::string killers;
  for (std::size_t l = 0; l < r.laws.size(); ++l)
    if (r.laws[l].by_itself) killers += fmt::format("{}{}", killers.empty() ? "" : ", ", laws()[l].name);
  for (const std::string& p : r.promises) killers += fmt::format("{}{}", killers.empty() ? "" : ", ", p);
  return fmt::format("{} is not killed by {}, as its header says, but by {}", who, r.mutant.law, killers);
}

std::string matrix_summary(const KillMatrix& matrix) {
  const auto count = [&](auto is) { return std::count_if(matrix.mutants.begin(), matrix.mutants.end(), is); };
  std::string idle;
  for (const std::string_view law : matrix.idle_laws()) idle += fmt::format("{}{}", idle.empty() ? "" : ", ", law);
  return fmt::format(
      "laws that kill nothing: {}\n"
      "{} of {} mutants killed in {:.1f} s, half of them by case {}; {} wrong on fewer than 1 % of default cases, {} killed "
      "by "
      "the comparison with the reference alone\n",
      idle.empty() ? "none" : idle, count([](const MutantResult& r) { return r.killed(); }), matrix.mutants.size(),
      matrix.seconds, matrix.median_first(), matrix.rare(), count([](const MutantResult& r) { return r.reference_only; }));
}

}  // namespace twincheck
