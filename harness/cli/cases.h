// Where the cases of a run come from: arguments, files, generators.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/candidate/runner.h"
#include "harness/cli/options.h"
#include "properties/law.h"

namespace twincheck {

// Listed cases, each with its law and where it comes from. A file's cases run in order in one worker.
struct CaseList {
  std::vector<Item> items;
  std::vector<std::string> origins;    // "FILE:LINE", or empty
  std::vector<std::size_t> file_ends;  // indices into items
  std::size_t files = 0;

  bool empty() const { return items.empty(); }
};

// A CASE in one argument or in words, or files: what replay and shrink are given, as far as they are the shard's. `law`,
// where not empty, is the law of all of them; else each file says. Throws UsageError, FileError.
CaseList cases_from_arguments(const std::vector<std::string>& arguments, const std::string& law, Shard shard);

// Every *.case file under a folder, by name; those of *.nightly.case only where `nightly`. A folder that is not there is
// empty. Which files are the shard's depends on their names alone, so that files may come while others read. Throws
// FileError.
CaseList cases_under(const std::string& folder, bool nightly, Shard shard);

// The folder of the project's corpus: --corpus, or the installed one, or the source's; empty where there is none.
std::string corpus_folder(const Options& options);

// The list must outlive the plan.
Plan plan_of(const CaseList& list);

// Generated cases: item i is a pure function of the seed and i. Every other case is for the first law, equals_reference; the
// rest take turns. Each group of eight ends with three cases over the memory of earlier ones: one with other contents, one
// with fewer tokens, one with the first contents again, so that results kept from call to call show.
struct Generated {
  uint64_t seed = 0;
  Shard shard{};
  std::vector<const Law*> laws;   // not empty
  bool short_structs = false;     // the candidate is the project's own kind: exact_status
  std::optional<uint64_t> cases;  // of all shards together; without it there is no end

  uint64_t size() const;                    // of this shard
  uint64_t global_index(uint64_t i) const;  // of this shard's case i, among those of all shards
  Item item(uint64_t i) const;
  Plan plan() const;
};

// A shard's cases of the device laws: in all shards together of each law `each` over its cost, every one a pure function of
// the seed and its index among them.
struct DeviceLawCases {
  DeviceLawCases(uint64_t seed, std::vector<const Law*> laws, uint64_t each, Shard shard);
  DeviceLawCases(const DeviceLawCases&) = delete;  // the plan refers to it

  Plan plan() const;

 private:
  uint64_t seed_;
  Shard shard_;
  std::vector<std::pair<const Law*, uint64_t>> items_;  // of all shards, and which of the law's cases
};

}  // namespace twincheck
