// `twincheck verify`: saved failures, the corpus, then generated cases against each candidate.
#include <fmt/format.h>

#include "harness/cli/session.h"
#include "harness/cli/verbs.h"

namespace twincheck {

int verify(const Options& options) {
  const std::vector<const Law*> laws = chosen_laws(options);
  CaseList saved, corpus;
  if (!options.no_corpus) {
    saved = cases_under(options.save, /*nightly=*/true, options.shard);
    corpus = cases_under(corpus_folder(options), options.tier == "nightly", options.shard);
  }
  double seconds = options.seconds.value_or(0);
  if (!options.seconds && !options.cases) seconds = 10;

  Session session("verify", options);
  std::string names;
  for (const Law* law : laws) names += fmt::format("{}{}", names.empty() ? "" : ", ", law->name);
  std::string until = options.cases ? fmt::format("{} generated cases", *options.cases) : "generated cases";
  if (seconds > 0) until += fmt::format(" for {:g} s", seconds);
  session.console().always(fmt::format("  {} saved failures, {} corpus cases in {} files, {}", saved.items.size(),
                                       corpus.items.size(), corpus.files, until));
  session.console().line("  laws: " + names);

  for (std::size_t i = 0; i < session.participants().size(); ++i) {
    Generated generated{.seed = session.seed(),
                        .shard = options.shard,
                        .laws = laws,
                        .short_structs = session.participants()[i].info.exact_status,
                        .cases = options.cases};
    const bool go_on = (saved.empty() || session.stage("saved failures", i, plan_of(saved), 0, false)) &&
                       (corpus.empty() || session.stage("corpus", i, plan_of(corpus), 0, false)) && session.device_laws(i) &&
                       (generated.size() == 0 || session.stage("generated", i, generated.plan(), seconds, true));
    if (!go_on && session.interrupted()) break;
  }
  return session.finish();
}

}  // namespace twincheck
