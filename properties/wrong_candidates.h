// Candidates that are wrong in one way each, and the law that must see it. For the laws' own tests.
#pragma once

#include <span>
#include <string_view>

#include "contract/words.h"
#include "harness/candidate/candidate.h"

namespace twincheck::wrong {

struct Wrong {
  std::string_view name;
  std::string_view law;  // that sees it
  // The broken promise as the report names it.
  std::string_view promise;
  // How the law comes to see it: by itself, told nothing of the reference's opinion (relate::Blindfold), or through check().
  enum class Sight { kBlind, kWithReference } sight;
  // Whether one case alone, by itself, passes equals_reference: only a law that relates calls can see it.
  bool within_reference;
  std::string_view sentence;
  decltype(&twincheck_append) append;
  decltype(&twincheck_set) set = nullptr;
  decltype(&twincheck_get) get = nullptr;
};

std::span<const Wrong> candidates();

// The candidate, everything that it remembers forgotten.
Candidate fresh(const Wrong& wrong);

const Wrong& candidate(std::string_view name);

// The defect of vLLM#52383 for session::Graphs: what is captured reads the shared values as they are now, for good. Keeps
// them until the next forget_staged().
void stage_shared(AppendArgs& args);
void forget_staged();

// A right one: the independent implementation.
Candidate independent_candidate();

}  // namespace twincheck::wrong
