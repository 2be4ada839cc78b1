// A program of calls over the same buffers (program.h) against the model: the reference of the current step, whatever came
// before.
//
// Invariants checked:
// 1. Every call's outputs are the reference's of this call alone: nothing is kept of an earlier one's sizes, data or
//    parameters, nor of what a graph was captured with but its pointers (check()).
// 2. A refusal is a refusal in between, and touches nothing.
// 3. A runtime failure is answered with runtime_error or does no harm, and the next call is right.
// 4. At the end the runtime holds no more memory or handles than at the beginning.
#include <vector>

#include "fuzz/fuzz.h"
#include "fuzz/mutate.h"
#include "fuzz/program.h"
#include "properties/graphs.h"
#include "properties/knob.h"
#include "properties/steps.h"

using namespace twincheck;
using fuzz::Op;

const fuzz::Format fuzz::format = fuzz::Format::kProgram;
const bool fuzz::defects = false;

namespace {

session::Graphs& captured() {
  static session::Graphs graphs;
  return graphs;
}

const Candidate& graphs() {
  static const Candidate it = [] {
    Candidate c = fuzz::candidate();
    c.name += " (graph)";
    c.append = [](const AppendArgs* args) { return captured().append(*args); };
    c.last_error = [] { return captured().message().c_str(); };
    return c;
  }();
  return it;
}

// The candidate, and what it answered last: one of check()'s two calls may meet the fault.
int32_t last_status = TWINCHECK_OK;
const Candidate& faulty() {
  static const Candidate it = [] {
    Candidate c = fuzz::candidate();
    c.append = [](const AppendArgs* args) { return last_status = fuzz::candidate().append(args); };
    return c;
  }();
  return it;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const fuzz::Program program = fuzz::decode_program({data, size});
  const Case first = fuzz::valid_case(program.first);
  const Candidate& direct = fuzz::candidate();
  (void)captured();
  const auto held = [&](const char* what) { return direct.get != nullptr ? direct.get(what) : 0; };
  const int64_t bytes = held("live_bytes"), handles = held("live_handles");
  fuzz::set_machine(fuzz::hash({data, size}));
  std::vector<Case> called;
  const auto judge = [&](const Case& c, const Candidate& candidate, Status expected) {
    called.push_back(c);
    fuzz::show(c);
    const Report report = check(c, candidate, fuzz::bench());
    const bool as_expected = (report.expected_status == Status::kOk) == (expected == Status::kOk);
    if (!as_expected || is_bad(report.verdict)) fuzz::fail(called, report);
  };

  Case now = first;
  judge(now, direct, Status::kOk);
  for (const fuzz::Step& step : program.steps) {
    now = fuzz::valid_case(session::changed(step, first, std::move(now)));
    if (step.op == Op::kCapture || step.op == Op::kReplay) {
      if (step.op == Op::kCapture && fuzz::is_linked()) captured().clear();
      judge(now, fuzz::is_linked() ? graphs() : direct, Status::kOk);
      continue;
    }
    if (step.op == Op::kRefused) judge(session::refused(step, now), direct, Status::kBadParameter);
    if (step.op == Op::kFault) {
      const relate::Knob fault(direct, "fail_nth", session::failing_call(step));
      if (fault.turned()) {
        const Report report = check(now, faulty(), fuzz::bench());
        const bool harmless = report.guards_intact && report.inputs_unchanged && last_status == TWINCHECK_RUNTIME_ERROR;
        if (is_bad(report.verdict) && !harmless) fuzz::fail(now, report);
      }
    }
    judge(now, direct, Status::kOk);
  }
  if (fuzz::is_linked()) captured().clear();
  if (held("live_bytes") != bytes || held("live_handles") != handles)
    fuzz::fail(called, fuzz::broken("sequence", "the runtime holds more than before the program"));
  return 0;
}
