// One case on its way to a verdict: begin, then for each run before, call, after; then finish. The callers decide what lies
// between: on a device the buffers travel before and after the call.
#pragma once

#include <cstdint>
#include <string>

#include "harness/candidate/candidate.h"
#include "harness/judge/check.h"
#include "harness/judge/memory.h"
#include "harness/judge/trial.h"
#include "harness/report/verdict.h"

namespace twincheck {

class Proceeding {
 public:
  explicit Proceeding(Memory& memory) : trial_(memory) {}

  // Lays the case out; one that needs more than max_bytes, or memory that is not there, is over.
  void begin(const Case& c, uint64_t max_bytes);

  void before(int run);  // paints the buffers
  void call(const Candidate& candidate, void* stream);
  void after(int run, const Candidate& candidate);  // judges what is in the buffers
  void finish();                                    // gives memory back

  bool over() const { return over_; }  // the verdict stands, and nothing more is to be done
  void outputs(Outputs& out) const;    // of the last run; unchanged where the case is not valid or not answered with kOk

  Report report;

 private:
  void crashed(std::string detail);
  bool fail(const char* law, std::string detail);
  bool judge(int run, const Candidate& candidate);
  bool judge_refusal(const Candidate& candidate, bool clean);
  bool judge_values(int run, bool clean);

  Trial trial_;
  bool over_ = false, valid_ = false, values_right_ = true;
  int32_t status_ = 0;
  std::string said_;
};

}  // namespace twincheck
