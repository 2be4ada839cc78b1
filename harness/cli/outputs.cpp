#include "harness/cli/outputs.h"

#include <fmt/format.h>

#include "harness/cli/view.h"
#include "harness/report/bytes.h"

namespace twincheck {

Prepare trial_of(const Participant& participant, const Options& options) {
  return [participant, options]() -> Answer {
    const Judge judge = judge_of(participant, options)();
    struct State {
      Candidate candidate;
      Bench bench;
    };
    auto state = std::make_shared<State>(State{load_candidate(participant.info.path),
                                               Bench(participant.info.memory, options.memory_limit / 2, options.device)});
    return [judge, state](std::string_view request) {
      const bool with_outputs = request.substr(0, 1) == "1";
      const Item item = item_from(request.substr(1));
      if (with_outputs) {
        Outputs outputs;
        try {
          (void)check(item.c, state->candidate, state->bench, outputs);
        } catch (const std::exception&) {
          outputs = {};
        }
        return to_bytes(outputs);
      }
      try {
        return to_bytes(judge({&item, 1}).at(0));
      } catch (const std::exception& e) {
        return to_bytes(crashed(fmt::format("exception: {}", e.what())));
      }
    };
  };
}

Worker::Outcome ask_for_report(Worker& worker, const Item& item) { return worker.ask("0" + to_bytes(item)); }

Outputs ask_for_outputs(Worker& worker, const Item& item) { return outputs_from(worker.ask("1" + to_bytes(item)).answer); }

}  // namespace twincheck
