#include "harness/cli/tally.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <string_view>

#include "properties/law.h"

namespace twincheck {
namespace {

// The counters of a run, one after another.
enum Field : std::size_t {
  kVerdictField = 0,
  kSourceField = kVerdictField + kVerdicts,
  kIdsField = kSourceField + 4,
  kWeightsField,
  kCaseField,
  kSpaceField,
};
constexpr std::size_t kLawField = kSpaceField + sizeof(ShapeSpace) / sizeof(uint64_t);
constexpr std::size_t kPerLaw = kVerdicts + 1;  // verdicts, then nanoseconds

constexpr std::array<std::string_view, ShapeSpace::kLayouts> kLayoutNames{"tight", "strided", "offset", "in_place"};

std::size_t class_field() { return kLawField + all_laws().size() * kPerLaw; }

std::size_t layout_of(const Case& c) {
  const auto any = [&](auto is) { return std::any_of(c.layout.begin(), c.layout.end(), is); };
  if (c.in_place != InPlace::kNone) return 3;
  if (any([](const Layout& l) { return l.row_stride.has_value(); })) return 1;
  if (any([](const Layout& l) { return l.offset != 0; })) return 2;
  return 0;
}

// Which of the dtype cells; kNoDtypes where a dtype is none that its matrix may have.
constexpr std::size_t kNoDtypes = ShapeSpace::kIds * ShapeSpace::kWeights * ShapeSpace::kWeights;
std::size_t dtypes_of(const Case& c) {
  const auto ids = static_cast<std::size_t>(c.ids_dtype) - static_cast<std::size_t>(Dtype::kI32);
  const auto weights = static_cast<std::size_t>(c.weights_dtype) - static_cast<std::size_t>(Dtype::kF32);
  const auto shared = static_cast<std::size_t>(c.shared_dtype) - static_cast<std::size_t>(Dtype::kF32);
  if (ids >= ShapeSpace::kIds || weights >= ShapeSpace::kWeights || shared >= ShapeSpace::kWeights) return kNoDtypes;
  return (ids * ShapeSpace::kWeights + weights) * ShapeSpace::kWeights + shared;
}

std::size_t bin_of(int64_t size, std::size_t bins) {
  if (size < 0) return 0;
  return std::min(bins - 1, 1 + static_cast<std::size_t>(std::bit_width(static_cast<uint64_t>(size))));
}

std::string bin_name(std::size_t bin, std::size_t bins) {
  if (bin == 0) return "< 0";
  if (bin <= 2) return fmt::format("{}", bin - 1);
  const uint64_t least = uint64_t{1} << (bin - 2);
  return bin == bins - 1 ? fmt::format("{} and more", least) : fmt::format("{}-{}", least, 2 * least - 1);
}

std::vector<std::string> bin_names(std::size_t bins) {
  std::vector<std::string> names;
  for (std::size_t bin = 0; bin < bins; ++bin) names.push_back(bin_name(bin, bins));
  return names;
}

template <std::size_t N>
Grid grid(std::string name, std::string row_name, std::vector<std::string> rows, std::string column_name,
          std::vector<std::string> columns, const std::array<Grid::Cell, N>& cells) {
  return {.name = std::move(name),
          .row_name = std::move(row_name),
          .column_name = std::move(column_name),
          .rows = std::move(rows),
          .columns = std::move(columns),
          .cells = {cells.begin(), cells.end()}};
}

// A part of the space, for unsupported_text().
struct Part {
  std::string name;
  Grid::Cell cell;
};

void add(Grid::Cell& to, const Grid::Cell& cell) {
  to.cases += cell.cases;
  to.bad += cell.bad;
  to.unsupported += cell.unsupported;
}

std::string parts_text(std::string_view field, std::vector<Part> parts) {
  std::erase_if(parts, [](const Part& part) { return part.cell.unsupported == 0; });
  if (parts.empty()) return {};
  std::stable_sort(parts.begin(), parts.end(),
                   [](const Part& a, const Part& b) { return a.cell.unsupported > b.cell.unsupported; });
  const std::size_t shown = std::min<std::size_t>(parts.size(), 4);
  std::string text = fmt::format("\n    {}:", field);
  for (std::size_t i = 0; i < shown; ++i)
    text +=
        fmt::format("{} {} ({} of {})", i == 0 ? "" : ",", parts[i].name, parts[i].cell.unsupported, parts[i].cell.cases);
  if (parts.size() > shown) text += fmt::format(", and {} more", parts.size() - shown);
  return text;
}

}  // namespace

void ShapeSpace::add(const Case& c, Verdict verdict) {
  const auto visit = [&](Grid::Cell& cell) {
    ++cell.cases;
    cell.bad += is_bad(verdict);
    cell.unsupported += verdict == Verdict::kUnsupported;
  };
  visit(sizes[bin_of(c.tokens, kTokenBins) * kTopKBins + bin_of(c.top_k, kTopKBins)]);
  if (const std::size_t d = dtypes_of(c); d != kNoDtypes) visit(dtypes[d]);
  const std::size_t source = c.source >= 0 && c.source < 4 ? static_cast<std::size_t>(c.source) : kSources - 1;
  visit(layouts[source * kLayouts + layout_of(c)]);
}

void ShapeSpace::merge(const ShapeSpace& other) {
  const auto all = [](auto& mine, const auto& others) {
    for (std::size_t i = 0; i < mine.size(); ++i) twincheck::add(mine[i], others[i]);
  };
  all(sizes, other.sizes);
  all(dtypes, other.dtypes);
  all(layouts, other.layouts);
}

std::vector<Grid> grids(const ShapeSpace& space) {
  std::vector<std::string> pairs, shared, sources(kSourceNames.begin(), kSourceNames.end());
  for (const Dtype ids : {Dtype::kI32, Dtype::kI64})
    for (const Dtype weights : {Dtype::kF32, Dtype::kBf16, Dtype::kF16})
      pairs.push_back(fmt::format("{} {}", name(ids), name(weights)));
  for (const Dtype d : {Dtype::kF32, Dtype::kBf16, Dtype::kF16}) shared.emplace_back(name(d));
  sources.resize(4);
  sources.emplace_back("none");
  return {grid("sizes", "tokens", bin_names(ShapeSpace::kTokenBins), "top_k", bin_names(ShapeSpace::kTopKBins), space.sizes),
          grid("dtypes", "ids and weights", pairs, "source", shared, space.dtypes),
          grid("layouts", "source", sources, "layout", {kLayoutNames.begin(), kLayoutNames.end()}, space.layouts)};
}

std::string unsupported_text(const Tally& tally) {
  const ShapeSpace& space = tally.space;
  std::vector<Part> sources, dtypes, layouts;
  for (std::size_t s = 0; s < 4; ++s) {
    sources.push_back({std::string(kSourceNames[s]), {}});
    for (std::size_t l = 0; l < ShapeSpace::kLayouts; ++l)
      add(sources.back().cell, space.layouts[s * ShapeSpace::kLayouts + l]);
  }
  for (std::size_t d = 0; d < space.dtypes.size(); ++d)
    dtypes.push_back({fmt::format("{}/{}/{}", kDtypeNames[1 + d / 9], kDtypeNames[3 + d / 3 % 3], kDtypeNames[3 + d % 3]),
                      space.dtypes[d]});
  for (std::size_t l = 0; l < ShapeSpace::kLayouts; ++l) {
    layouts.push_back({std::string(kLayoutNames[l]), {}});
    for (std::size_t s = 0; s < ShapeSpace::kSources; ++s)
      add(layouts.back().cell, space.layouts[s * ShapeSpace::kLayouts + l]);
  }
  return parts_text("source", sources) + parts_text("dtypes", dtypes) + parts_text("layout", layouts);
}

void Tally::add(const Tally& other) {
  totals.add(other.totals);
  if (laws.size() < other.laws.size()) laws.resize(other.laws.size());
  if (law_seconds.size() < other.law_seconds.size()) law_seconds.resize(other.law_seconds.size());
  for (std::size_t l = 0; l < other.laws.size(); ++l) {
    for (std::size_t v = 0; v < kVerdicts; ++v) laws[l][v] += other.laws[l][v];
    law_seconds[l] += other.law_seconds[l];
  }
  space.merge(other.space);
  classes.merge(other.classes);
}

std::size_t counter_count(bool with_classes) {
  return class_field() + (with_classes ? sizeof(ClassCounts) / sizeof(uint64_t) : 0);
}

void count_item(const Item& item, const Report& report, bool with_classes, std::span<uint64_t> counters) {
  const auto verdict = static_cast<std::size_t>(report.verdict);
  ++counters[kVerdictField + verdict];
  ++counters[kCaseField];
  counters[kIdsField] += static_cast<uint64_t>(report.ids_compared);
  counters[kWeightsField] += static_cast<uint64_t>(report.weights_compared);
  if (item.c.source >= 0 && item.c.source < 4) ++counters[kSourceField + static_cast<std::size_t>(item.c.source)];
  reinterpret_cast<ShapeSpace*>(counters.data() + kSpaceField)->add(item.c, report.verdict);
  for (std::size_t l = 0; l < all_laws().size(); ++l) {
    if (all_laws()[l].name != item.law) continue;
    ++counters[kLawField + l * kPerLaw + verdict];
    counters[kLawField + l * kPerLaw + kVerdicts] += static_cast<uint64_t>(report.seconds * 1e9);
  }
  if (with_classes) reinterpret_cast<ClassCounts*>(counters.data() + class_field())->add(item.c);
}

Tally tally_of(std::span<const uint64_t> n, double seconds, bool with_classes) {
  Tally tally;
  tally.totals.cases = n[kCaseField];
  tally.totals.seconds = seconds;
  for (std::size_t v = 0; v < kVerdicts; ++v) tally.totals.verdicts[v] = n[kVerdictField + v];
  for (std::size_t s = 0; s < 4; ++s) tally.totals.sources[s] = n[kSourceField + s];
  tally.totals.ids_compared = n[kIdsField];
  tally.totals.weights_compared = n[kWeightsField];
  for (std::size_t l = 0; l < all_laws().size(); ++l) {
    const std::size_t first = kLawField + l * kPerLaw;
    tally.laws.emplace_back();
    for (std::size_t v = 0; v < kVerdicts; ++v) tally.laws[l][v] = n[first + v];
    tally.law_seconds.push_back(static_cast<double>(n[first + kVerdicts]) * 1e-9);
  }
  tally.space = *reinterpret_cast<const ShapeSpace*>(n.data() + kSpaceField);
  if (with_classes) tally.classes = *reinterpret_cast<const ClassCounts*>(n.data() + class_field());
  return tally;
}

}  // namespace twincheck
