#include "harness/cli/cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "harness/report/message.h"

namespace twincheck {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kGroup = 8;
constexpr uint64_t kSources = 4;
constexpr uint64_t kForms = 4;  // that a device law may have, by the case's seed

// A file may name a promise of check(), as failure messages do: that is the law equals_reference.
std::string law_named(const std::string& name) { return find_law(name) != nullptr ? name : "equals_reference"; }

void append_file(CaseList& list, const std::string& path, const std::string& shown, const std::string& law) {
  CaseFile file = read_file(path);
  const std::string& named = law.empty() ? file.law : law;
  for (std::size_t i = 0; i < file.cases.size(); ++i) {
    list.items.push_back({.law = law_named(named), .c = std::move(file.cases[i])});
    list.origins.push_back(file.cases.size() == 1 ? shown : fmt::format("{}:{}", shown, file.lines[i]));
  }
  if (!file.cases.empty()) list.file_ends.push_back(list.items.size());
  ++list.files;
}

void append_text(CaseList& list, const std::string& text, const std::string& law) {
  try {
    list.items.push_back({.law = law_named(law), .c = parse(text)});
  } catch (const ParseError& e) {
    throw UsageError(fmt::format("case, column {}: {}", e.column, e.what()));
  }
  list.origins.emplace_back();
  list.file_ends.push_back(list.items.size());
}

uint64_t mixed(uint64_t x) {  // splitmix64's finalizer
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

bool points_only_at_own_buffers(const Case& c) {
  return std::all_of(c.layout.begin(), c.layout.end(),
                     [](const Layout& l) { return l.pointer == Pointer::kOwn && !l.rows && !l.cols; });
}

}  // namespace

CaseList cases_from_arguments(const std::vector<std::string>& arguments, const std::string& law, Shard shard) {
  CaseList list;
  if (std::find(arguments.begin(), arguments.end(), "append") != arguments.end()) {
    std::string text;
    for (const std::string& word : arguments) text += (text.empty() ? "" : " ") + word;
    if (shard.owns(0)) append_text(list, text, law);
    return list;
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (!shard.owns(i)) continue;
    const std::string& argument = arguments[i];
    std::error_code ignored;
    if (fs::exists(argument, ignored)) {
      append_file(list, argument, argument, law);
    } else if (argument.rfind("append ", 0) == 0) {
      append_text(list, argument, law);
    } else {
      throw UsageError(fmt::format("'{}' is neither a file nor a case: a case begins with \"append source=\"",
                                   printable(argument.substr(0, 200))));
    }
  }
  if (list.empty() && list.files > 0)
    throw UsageError("no case in the files given: expected lines that begin with \"append \"");
  return list;
}

CaseList cases_under(const std::string& folder, bool nightly, Shard shard) {
  CaseList list;
  std::error_code error;
  if (folder.empty() || !fs::exists(folder, error)) return list;
  std::vector<fs::path> paths;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->is_regular_file(error) && it->path().extension() == ".case") paths.push_back(it->path());
  if (error) throw FileError(fmt::format("{}: cannot be read: {}", folder, error.message()));
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    if (!nightly && path.stem().extension() == ".nightly") continue;
    const fs::path base = fs::path(folder).lexically_normal();
    const fs::path relative = path.lexically_relative(base);
    if (!shard.owns(hash_of(relative.string()))) continue;
    const fs::path name = base.has_filename() ? base.filename() : base.parent_path().filename();
    append_file(list, path.string(), (name / relative).lexically_normal().string(), "");
  }
  return list;
}

std::string corpus_folder(const Options& options) {
  std::error_code error;
  if (!options.corpus.empty()) {
    if (!fs::is_directory(options.corpus, error))
      throw UsageError(fmt::format("--corpus: {} is not a folder", options.corpus));
    return options.corpus;
  }
  const fs::path executable = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    const fs::path installed = executable.parent_path().parent_path() / "share" / "twincheck" / "corpus";
    if (fs::is_directory(installed, error)) return installed.string();
  }
  return fs::is_directory(TWINCHECK_CORPUS, error) ? TWINCHECK_CORPUS : "";
}

Plan plan_of(const CaseList& list) {
  Plan plan;
  plan.size = list.items.size();
  plan.item = [&list](uint64_t i) { return list.items[i]; };
  plan.piece_end = [&list](uint64_t first) {
    return *std::upper_bound(list.file_ends.begin(), list.file_ends.end(), first);
  };
  plan.origin = [&list](uint64_t i) { return list.origins[i]; };
  return plan;
}

uint64_t Generated::size() const {
  if (!cases) return UINT64_MAX;
  // Shards take whole groups in turn; the last one may be short.
  const uint64_t groups = *cases / kGroup, rest = *cases % kGroup;
  return shard.size(groups) * kGroup + (shard.owns(groups) ? rest : 0);
}

uint64_t Generated::global_index(uint64_t i) const { return shard.unit(i / kGroup) * kGroup + i % kGroup; }

Item Generated::item(uint64_t i) const {
  const uint64_t g = global_index(i), k = g % kGroup;
  const uint64_t base = k < 5 ? g : g - k + (k == 6 ? 2 : 0);
  // Bases of the last three are at even places.
  const Law* law = laws[base % 2 == 0 ? 0 : base / 2 % laws.size()];
  Domain domain = law->domain;
  domain.short_structs = domain.short_structs && short_structs;
  thread_local Choices choices = Choices::random(0);
  choices.reseed(mixed(mixed(seed) + base));
  Item item{.law = std::string(law->name), .c = draw_case(choices, domain)};
  if (k == 5 || k == 6) ++item.c.seed;
  if (k == 6 && item.c.tokens > 1 && points_only_at_own_buffers(item.c)) item.c.tokens = (item.c.tokens + 1) / 2;
  return item;
}

Plan Generated::plan() const {
  Plan plan;
  plan.size = size();
  plan.item = [this](uint64_t i) { return item(i); };
  plan.origin = [this](uint64_t i) { return fmt::format("generated case {} of seed 0x{:x}", global_index(i), seed); };
  return plan;
}

DeviceLawCases::DeviceLawCases(uint64_t seed, std::vector<const Law*> laws, uint64_t each, Shard shard)
    : seed_(seed), shard_(shard) {
  for (const Law* law : laws)
    for (uint64_t i = 0; i < each / law->cost; ++i) items_.emplace_back(law, i);
}

Plan DeviceLawCases::plan() const {
  Plan plan;
  plan.size = shard_.size(items_.size());
  plan.one_by_one = true;
  plan.item = [this](uint64_t i) {
    const auto& [law, number] = items_[shard_.unit(i)];
    Choices choices = Choices::random(mixed(mixed(seed_) + number));
    Item item{.law = std::string(law->name), .c = draw_case(choices, law->domain)};
    // Where a law has few cases, sources and forms take turns.
    while (item.c.source != static_cast<int32_t>(number % kSources)) item.c = draw_case(choices, law->domain);
    item.c.seed = item.c.seed / kForms * kForms + (number / kSources + number) % kForms;
    return item;
  };
  plan.origin = [this](uint64_t i) { return fmt::format("device law case {} of seed 0x{:x}", shard_.unit(i), seed_); };
  return plan;
}

}  // namespace twincheck
