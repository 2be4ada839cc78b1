// What a run's cases were like: how many belong to each class of each field, and the least that a run may have of each.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "harness/case/case.h"
#include "harness/case/generate.h"

namespace twincheck {

// The cases that a class is counted among.
enum class Population : uint8_t {
  kAll,
  kValid,
  kInvalid,
  kWeights,  // valid ones of one source
  kLogits,
  kGate,
};
inline constexpr std::size_t kPopulations = 6;
inline constexpr std::array<std::string_view, kPopulations> kPopulationNames{"all",     "valid",  "invalid",
                                                                             "weights", "logits", "gate"};

// What a domain must allow for a class to be expected.
enum Need : uint16_t {
  kNeedsNothing = 0,
  kNeedsInPlace = 1,
  kNeedsRemap = 2,
  kNeedsOddLayouts = 4,
  kNeedsSparse = 8,
  kNeedsWideIds = 16,
  kNeedsShortStructs = 32,
  kNeedsTokens = 64,  // max_tokens >= 64
  kNeedsAllSources = 128,
  kNeedsBoth = 256,  // Validity::kBoth
};

struct Class {
  std::string_view field, name;
  Population among;
  double floor;  // the least fraction of the population, above 0
  uint16_t needs;
};
inline constexpr std::size_t kClasses = 266;

// The one table of classes and their floors, a field's classes next to each other. A case may be in several classes of one
// field (its matrices have different strides) or in none.
std::span<const Class, kClasses> classes();

// Counts of a run. Trivially copyable, so that processes can hand them over.
struct ClassCounts {
  std::array<uint64_t, kPopulations> cases{};
  std::array<uint64_t, kClasses> members{};  // indexed like classes()

  // About 0.3 us. Validity is judged from the case alone, without addresses: exact for drawn cases.
  void add(const Case& c);
  void merge(const ClassCounts& other);
};

// Whether any field of the case is a defect, as far as the case alone tells.
bool has_defect(const Case& c);

// A line a field: its population and each class's share in percent.
std::string distribution(const ClassCounts& counts);

// A class of which a run had fewer than its floor allows, by more than chance explains: members < expected - 4
// sqrt(expected) with expected = floor * population. Runs too short to tell have none.
struct Shortfall {
  const Class* of;
  uint64_t members, population;
  std::string message;  // "only 0 of 12000 valid cases have remap=interleaved: expected at least 1.5 %"
};
std::vector<Shortfall> shortfalls(const ClassCounts& counts, const Domain& domain = {});

}  // namespace twincheck
