#include "properties/law.h"

#include <algorithm>
#include <array>

#include "properties/list.h"

namespace twincheck {
namespace {

// A case is the whole replay line: what else a law draws follows from the case's own fields.
uint64_t seed_of(const Case& c) {
  uint64_t h = c.seed;
  for (const int64_t field : {static_cast<int64_t>(c.source), c.tokens, c.top_k, c.shared, c.hidden, c.base_id})
    h = (h ^ static_cast<uint64_t>(field)) * 0x9e3779b97f4a7c15u + (h >> 29);
  return h;
}

constexpr std::size_t kEverywhere = 0
#define TWINCHECK_LAW(name) +1
#include "properties/laws.inc"
#undef TWINCHECK_LAW
    ;

}  // namespace

std::span<const Law> all_laws() {
  static const std::array list = {
#define TWINCHECK_LAW(name) law::name(),
#include "properties/laws.inc"
// Behind them, in a block of its own: includes are sorted.
#include "properties/device_laws.inc"
#undef TWINCHECK_LAW
  };
  return list;
}

std::span<const Law> laws() { return all_laws().first(kEverywhere); }
std::span<const Law> device_laws() { return all_laws().subspan(kEverywhere); }

const Law* find_law(std::string_view name) {
  const auto list = all_laws();
  const auto it = std::find_if(list.begin(), list.end(), [&](const Law& law) { return law.name == name; });
  return it == list.end() ? nullptr : &*it;
}

Report run_law(const Law& law, Choices& choices, const Candidate& candidate, Bench& bench, Case* drawn) {
  Domain domain = law.domain;
  domain.short_structs = domain.short_structs && candidate.exact_status;
  const Case c = draw_case(choices, domain);
  if (drawn != nullptr) *drawn = c;
  return run_law(law, c, candidate, bench);
}

Report run_law(const Law& law, const Case& c, const Candidate& candidate, Bench& bench) {
  Choices choices = Choices::random(seed_of(c));
  return law.holds(c, choices, candidate, bench);
}

std::vector<Shortfall> missing_classes(const Law& law, uint64_t seed, int cases, Case (*draw)(Choices&, const Domain&)) {
  Choices choices = Choices::random(seed);
  ClassCounts counts;
  for (int i = 0; i < cases; ++i) {
    choices.reseed(seed + static_cast<uint64_t>(i));
    counts.add(draw(choices, law.domain));
  }
  return shortfalls(counts, law.domain);
}

}  // namespace twincheck
