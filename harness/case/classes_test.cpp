#include "harness/case/classes.h"

#include <gtest/gtest.h>

#include <set>

namespace twincheck {
namespace {

constexpr uint64_t kDraws = 100000;

// The counts of default draws, without the cases of which `skip` is true.
template <typename Skip>
ClassCounts counts_without(const Domain& domain, Skip skip) {
  Choices choices = Choices::random(0);
  ClassCounts counts;
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    choices.reseed(seed);
    const Case c = draw_case(choices, domain);
    if (!skip(c)) counts.add(c);
  }
  return counts;
}
ClassCounts counts_of(const Domain& domain) {
  return counts_without(domain, [](const Case&) { return false; });
}

std::size_t index_of(std::string_view field, std::string_view name) {
  for (std::size_t i = 0; i < kClasses; ++i) {
    if (classes()[i].field == field && classes()[i].name == name) return i;
  }
  ADD_FAILURE() << "no class " << field << "=" << name;
  return 0;
}

uint64_t members(const ClassCounts& counts, std::string_view field, std::string_view name) {
  return counts.members[index_of(field, name)];
}

uint64_t members(const char* line, std::string_view field, std::string_view name) {
  ClassCounts counts;
  counts.add(parse(line));
  return members(counts, field, name);
}

std::string messages(const std::vector<Shortfall>& found) {
  std::string all;
  for (const Shortfall& s : found) all += s.message + "\n";
  return all;
}

TEST(Classes, HaveNamesOfTheirOwnAndFloorsAboveZero) {
  std::set<std::pair<std::string_view, std::string_view>> names;
  for (const Class& k : classes()) {
    EXPECT_TRUE(names.emplace(k.field, k.name).second) << k.field << "=" << k.name;
    EXPECT_GT(k.floor, 0) << k.field << "=" << k.name;
    EXPECT_LT(k.floor, 1) << k.field << "=" << k.name;
  }
  for (const std::string_view source : kSourceNames) EXPECT_GE(classes()[index_of("source", source)].floor, 0.15);
}

TEST(Classes, AreAboveTheirFloorsInEveryDomain) {
  const Domain domains[] = {{},
                            {.short_structs = true},
                            {.validity = Validity::kValid},
                            {.validity = Validity::kInvalid, .short_structs = true},
                            {.in_place = false},
                            {.remap = false, .wide_ids = false},
                            {.odd_layouts = false},
                            {.sparse = false, .max_tokens = 8},
                            {.source = Source::kConstant},
                            {.source = Source::kWeights},
                            {.source = Source::kLogits},
                            {.validity = Validity::kValid, .source = Source::kGate}};
  for (const Domain& domain : domains) EXPECT_EQ(messages(shortfalls(counts_of(domain), domain)), "");
}

// A generator that never draws a class, whichever it is, is found out.
TEST(Classes, ThatAreNeverDrawnFallShort) {
  const Domain domain{.short_structs = true};
  const ClassCounts all = counts_of(domain);
  std::set<std::size_t> too_rare;
  for (std::size_t i = 0; i < kClasses; ++i) {
    ClassCounts without = all;
    without.members[i] = 0;
    const auto found = shortfalls(without, domain);
    const double expected =
        classes()[i].floor * static_cast<double>(all.cases[static_cast<std::size_t>(classes()[i].among)]);
    if (expected <= 16) {
      too_rare.insert(i);  // of so few that chance could explain none
      continue;
    }
    ASSERT_EQ(found.size(), 1u) << classes()[i].field << "=" << classes()[i].name;
    EXPECT_EQ(found[0].of, &classes()[i]);
    EXPECT_EQ(found[0].members, 0u);
  }
  EXPECT_LT(too_rare.size(), kClasses / 10);
}

TEST(Classes, TakenFromAGeneratorFallShort) {
  const auto named = [](const std::vector<Shortfall>& found, std::string_view field) {
    bool any = false;
    for (const Shortfall& s : found) any = any || s.of->field == field;
    return any;
  };
  EXPECT_TRUE(named(shortfalls(counts_of({.remap = false})), "remap"));
  EXPECT_TRUE(named(shortfalls(counts_of({.in_place = false})), "in_place"));
  EXPECT_TRUE(named(shortfalls(counts_of({.sparse = false})), "row_stride"));
  EXPECT_TRUE(named(shortfalls(counts_of({.odd_layouts = false})), "misaligned_matrix"));
  EXPECT_TRUE(named(shortfalls(counts_of({.wide_ids = false})), "ids"));
  EXPECT_TRUE(named(shortfalls(counts_of({.validity = Validity::kValid})), "validity"));
  EXPECT_TRUE(named(shortfalls(counts_of({.source = Source::kGate})), "source"));
  EXPECT_TRUE(named(shortfalls(counts_without({}, [](const Case& c) { return c.top_k == 6 || c.top_k > 8; })), "top_k"));
  const auto found = shortfalls(counts_without({}, [](const Case& c) { return c.weights == ValueClass::kNan; }));
  ASSERT_EQ(found.size(), 1u) << messages(found);
  EXPECT_EQ(found[0].message.rfind("only 0 of ", 0), 0u) << found[0].message;
  EXPECT_NE(found[0].message.find("valid cases have topk_weights=nan: expected at least 3.1 %"), std::string::npos)
      << found[0].message;
}

TEST(Classes, OfACaseAreWhatItsLineSays) {
  constexpr const char* kSparse =
      "append source=constant tokens=3 top_k=8 shared=2 out_ids.row_stride=1073741830 topk_ids.offset=1";
  EXPECT_EQ(members(kSparse, "row_stride", "sparse"), 1u);
  EXPECT_EQ(members(kSparse, "row_stride", "tight"), 1u);
  EXPECT_EQ(members(kSparse, "strided_matrix", "out_ids"), 1u);
  EXPECT_EQ(members(kSparse, "strided_matrix", "topk_ids"), 0u);
  EXPECT_EQ(members(kSparse, "misaligned_matrix", "topk_ids"), 1u);
  EXPECT_EQ(members(kSparse, "offset_bytes_mod_16", "4"), 1u);
  EXPECT_EQ(members(kSparse, "validity", "valid"), 1u);
  EXPECT_EQ(members(kSparse, "top_k_form", "power_of_two"), 1u);

  constexpr const char* kRemap = "append source=gate tokens=3 top_k=6 shared=2 hidden=65 remap=8 base_id=28 scale=-0";
  EXPECT_EQ(members(kRemap, "remap", "interleaved"), 1u);
  EXPECT_EQ(members(kRemap, "scale", "-0"), 1u);
  EXPECT_EQ(members(kRemap, "hidden", "65..300"), 1u);
  EXPECT_EQ(members(kRemap, "gate_dtypes", "f32>f32"), 1u);
  EXPECT_EQ(members("append source=gate tokens=3 top_k=6 shared=2 hidden=65 remap=8 base_id=29", "remap", "any"), 1u);

  constexpr const char* kBroadcast =
      "append source=logits tokens=3 top_k=6 shared=2 broadcast=1 shared_dtype=bf16 weights_dtype=f16";
  EXPECT_EQ(members(kBroadcast, "logits_columns", "broadcast"), 1u);
  EXPECT_EQ(members(kBroadcast, "logits_dtypes", "bf16>f16"), 1u);
}

TEST(Defects, AreCountedByTheFieldThatHasThem) {
  const std::vector<std::array<const char*, 3>> lines{
      {"append source=constant tokens=1 top_k=1 shared=-1", "negative_size", "shared"},
      {"append source=constant tokens=1 top_k=1 shared=1 gate.rows=-1", "negative_rows", "gate"},
      {"append source=constant tokens=1 top_k=1 shared=1 args_size=8", "bad_struct", "short"},
      {"append source=9 tokens=1 top_k=1 shared=1", "bad_struct", "unknown_source"},
      {"append source=constant tokens=1 top_k=1 shared=1 ids_dtype=f32", "bad_dtype_pair", "ids"},
      {"append source=gate tokens=1 top_k=1 shared=1 hidden=4 gate.dtype=bf16", "bad_dtype", "gate"},
      {"append source=constant tokens=1 top_k=1 shared=1 out_ids.rows=2", "other_rows", "out_ids"},
      {"append source=weights tokens=1 top_k=1 shared=3 shared.cols=2", "other_cols", "shared"},
      {"append source=gate tokens=1 top_k=1 shared=1", "unused_shape", "hidden_is_0"},
      {"append source=constant tokens=1 top_k=1 shared=1 hidden.cols=2", "unused_shape", "hidden"},
      {"append source=constant tokens=2 top_k=2 shared=1 topk_weights.row_stride=1", "bad_stride", "topk_weights"},
      {"append source=constant tokens=2 top_k=2 shared=1 out_weights.row_stride=9223372036854775807", "extent_overflow",
       "out_weights"},
      {"append source=weights tokens=2 top_k=2 shared=1 scale=0.5", "bad_parameter", "scale_of_weights"},
      {"append source=constant tokens=2 top_k=2 shared=1 scale=inf", "bad_parameter", "scale_not_finite"},
      {"append source=constant tokens=2 top_k=2 shared=2 base_id=2147483647", "id_overflow", "i32"},
      {"append source=constant tokens=2 top_k=2 shared=2 topk_ids.pointer=null", "null_pointer", "topk_ids"},
      {"append source=constant tokens=2 top_k=2 shared=2 out_ids.pointer=skewed+2", "misaligned", "out_ids"},
      {"append source=constant tokens=2 top_k=2 shared=2 out_ids.pointer=out_weights+0", "overlap", "outputs"},
      {"append source=constant tokens=2 top_k=2 shared=2 topk_weights.pointer=out_ids+4", "overlap", "output_and_input"},
      {"append source=constant tokens=2 top_k=2 shared=2 in_place=ids remap=1", "overlap", "in_place_remap"},
      {"append source=constant tokens=2 top_k=2 shared=2 in_place=ids topk_ids.row_stride=5", "overlap", "in_place_stride"}};
  for (const auto& [line, field, name] : lines) {
    EXPECT_EQ(members(line, field, name), 1u) << line;
    EXPECT_EQ(members(line, "validity", "invalid"), 1u) << line;
  }
  for (const char* valid :
       {"append source=constant tokens=1 top_k=1 shared=1 topk_ids.row_stride=-1 gate.dtype=99 gate.row_stride=-3",
        "append source=weights tokens=2 top_k=1 shared=3 shared.cols=1 shared.dtype=bf16",
        "append source=constant tokens=0 top_k=1 shared=1 topk_ids.pointer=null out_ids.pointer=skewed+1",
        "append source=logits tokens=2 top_k=2 shared=2 shared.pointer=topk_weights+0 args_size=1000"}) {
    EXPECT_FALSE(has_defect(parse(valid))) << valid;
  }
}

TEST(Counts, AddUpAndPrint) {
  const Case c = parse("append source=gate tokens=1 top_k=1 shared=1 hidden=4");
  ClassCounts one, two;
  one.add(c);
  two.add(c);
  two.add(parse("append source=constant tokens=1 top_k=1 shared=-1"));
  one.merge(two);
  EXPECT_EQ(one.cases[static_cast<std::size_t>(Population::kAll)], 3u);
  EXPECT_EQ(one.cases[static_cast<std::size_t>(Population::kGate)], 2u);
  EXPECT_EQ(members(one, "source", "gate"), 2u);
  const std::string printed = distribution(one);
  EXPECT_NE(printed.find("source (of 3 all)  constant 33.3 %  weights 0 %  logits 0 %  gate 66.7 %\n"), std::string::npos)
      << printed;
}

}  // namespace
}  // namespace twincheck
