// One case before a candidate, in an isolated worker: what check() says of it, and what the candidate answers.
#pragma once

#include "harness/candidate/worker.h"
#include "harness/cli/session.h"
#include "harness/judge/check.h"

namespace twincheck {

// Answers the requests below.
Prepare trial_of(const Participant& participant, const Options& options);

// The law's report. A worker that died or hung gives the outcome that says so.
Worker::Outcome ask_for_report(Worker& worker, const Item& item);

// The outputs of a call made apart, for the eye; empty where the worker died.
Outputs ask_for_outputs(Worker& worker, const Item& item);

}  // namespace twincheck
