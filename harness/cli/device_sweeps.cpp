#include "harness/cli/device_sweeps.h"

#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "harness/judge/device_sweep.h"

namespace twincheck {

Sweep::Piece sweep_piece_of(const Item& item) {
  return {item.c.seed / kSweepChunk, item.c.of(Operand::kShared).offset != 0};
}

std::string oracle_library(const std::string& platform) {
  return find_library(fmt::format("libtwincheck_{}_oracle.so", platform));
}

std::string prove_oracle(const Sweep& sweep, const Participant& participant, const Options& options) {
  const std::string library = oracle_library(participant.platform);
  Limits limits = limits_of(options);
  limits.timeout = 600;  // a millisecond for some ten thousand samples
  Worker worker(
      [&, library]() -> Answer {
        std::shared_ptr<Device> device = open_device(participant.info.memory, options.device);
        auto oracle = std::make_shared<DeviceOracle>(*device, library);
        return [&, device, oracle](std::string_view) -> std::string {
          try {
            const DeviceOracle::Proof proof = oracle->prove(sweep, options.oracle_samples, options.jobs);
            return fmt::format("+{} oracle on {}: as the CPU's for {} inputs, {} of which it leaves to it", sweep.name,
                               participant.platform, proof.inputs, proof.left);
          } catch (const std::exception& e) {
            return fmt::format("-{}", e.what());
          }
        };
      },
      limits);
  const Worker::Outcome outcome = worker.ask("");
  if (outcome.end != Worker::End::kAnswered || outcome.answer.empty())
    throw LoadError(fmt::format("{} ended its process: {}", library,
                                outcome.end == Worker::End::kHung ? "no answer in time" : outcome.reason));
  if (outcome.answer[0] != '+') throw LoadError(outcome.answer.substr(1));
  return outcome.answer.substr(1);
}

MakeJudge sweep_judge_on_device(const Sweep& sweep, const Participant& participant, const Options& options,
                                ResultOf result_of) {
  return [&sweep, &options, result_of, path = participant.info.path, platform = participant.platform]() -> Judge {
    struct State {
      Candidate candidate;
      Bench bench;
      DeviceSweepBench sweep;
      State(Candidate c, const Options& o, const std::string& oracle)
          : candidate(std::move(c)), bench(candidate.memory, o.memory_limit / 2, o.device), sweep(bench, oracle) {}
    };
    auto state = std::make_shared<State>(load_candidate(path), options, oracle_library(platform));
    return [&sweep, result_of, state](std::span<const Item> items) {
      std::vector<Sweep::Piece> pieces;
      std::vector<SweepResult*> results;
      for (const Item& item : items) {
        pieces.push_back(sweep_piece_of(item));
        results.push_back(&result_of(pieces.back()));
      }
      return state->sweep.run(sweep, pieces, state->candidate, results);
    };
  };
}

}  // namespace twincheck
