// `twincheck gate`: the whole gate on this machine's platforms, as a list of stages a candidate.
#include <fmt/format.h>

#include <array>

#include "harness/case/enumerate.h"
#include "harness/cli/session.h"
#include "harness/cli/verbs.h"

namespace twincheck {
namespace {

struct Gate {
  const Options& options;
  Session& session;
  CaseList saved, corpus;
  double seconds;  // of generated cases, a candidate
};

// A stage runs its cases against one candidate and answers false where the gate must go no further with it.
struct Stage {
  const char* name;
  bool (*run)(Gate&, const char* name, std::size_t participant);
};

bool saved_failures(Gate& gate, const char* name, std::size_t participant) {
  return gate.saved.empty() || gate.session.stage(name, participant, plan_of(gate.saved), 0, false);
}

bool corpus(Gate& gate, const char* name, std::size_t participant) {
  return gate.corpus.empty() || gate.session.stage(name, participant, plan_of(gate.corpus), 0, false);
}

bool small_domain(Gate& gate, const char* name, std::size_t participant) {
  const Options& options = gate.options;
  if (options.tier == "smoke") return true;
  const uint64_t size = small_domain_size();
  Plan plan;
  plan.size = size / options.shards + (options.shard < size % options.shards ? 1 : 0);
  const auto index = [&options](uint64_t i) { return i * options.shards + options.shard; };
  plan.item = [index](uint64_t i) { return Item{.law = "equals_reference", .c = small_domain_case(index(i))}; };
  plan.origin = [index](uint64_t i) { return fmt::format("small domain case {}", index(i)); };
  return plan.size == 0 || gate.session.stage(name, participant, plan, 0, false);
}

bool generated_laws(Gate& gate, const char* name, std::size_t participant) {
  const Options& options = gate.options;
  const Generated generated{.seed = gate.session.seed(),
                            .shard = options.shard,
                            .shards = options.shards,
                            .laws = chosen_laws(options),
                            .short_structs = gate.session.participants()[participant].info.exact_status,
                            .cases = options.cases};
  const double seconds = options.cases && !options.seconds ? 0 : gate.seconds;
  return generated.size() == 0 || gate.session.stage(name, participant, generated.plan(), seconds, true);
}

constexpr std::array kStages{
    Stage{"saved failures", saved_failures},
    Stage{"corpus", corpus},
    Stage{"small domain", small_domain},
    Stage{"laws", generated_laws},
};

double default_seconds(const std::string& tier) {
  if (tier == "smoke") return 2;
  return tier == "nightly" ? 600 : 4;
}

}  // namespace

int gate(const Options& options) {
  (void)chosen_laws(options);
  CaseList saved, cases;
  if (!options.no_corpus) {
    saved = cases_under(options.save, /*nightly=*/true, options.shard, options.shards);
    cases = cases_under(corpus_folder(options), options.tier == "nightly", options.shard, options.shards);
  }
  Session session("gate", options);
  Gate gate{options, session, std::move(saved), std::move(cases), options.seconds.value_or(default_seconds(options.tier))};
  session.console().always(fmt::format("  tier {}: {} saved failures, {} corpus cases in {} files, {}laws for {:g} s",
                                       options.tier, gate.saved.items.size(), gate.corpus.items.size(), gate.corpus.files,
                                       options.tier == "smoke" ? "" : fmt::format("{} small cases, ", small_domain_size()),
                                       gate.seconds));
  for (std::size_t i = 0; i < session.participants().size() && !session.interrupted(); ++i)
    for (const Stage& stage : kStages)
      if (!stage.run(gate, stage.name, i)) break;
  return session.finish();
}

}  // namespace twincheck
