// One case, laid out many times over in a candidate's memory, so that a caller can go round and meet other addresses each
// time. Runs in the process that runs the candidate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "harness/case/case.h"
#include "harness/judge/device.h"
#include "harness/judge/trial.h"
#include "harness/report/verdict.h"

namespace twincheck::bench {

class SetMemory;

// The sets differ in addresses and in what guards, gaps and outputs are painted with, not in inputs.
class Stage {
 public:
  explicit Stage(Device* device);  // null: host memory
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  // Forgets the case before. kTooLarge where one set takes more than max_bytes on the host.
  Trial::Ready lay_out(const Case& c, uint64_t max_bytes);
  std::size_t set_bytes() const;
  // False where the candidate's memory does not hold so many sets.
  bool allocate(int sets);
  int sets() const { return sets_; }

  // Brings every set to its start: guards, gaps, poisoned outputs, inputs. The first time the reference is asked too.
  void paint();
  AppendArgs arguments(int set, void* stream);

  // Of every set: are the outputs what the reference says, and inputs, guards and gaps as they were? kPassed or kFailed,
  // with the first set that is wrong.
  Report check();

 private:
  std::byte* base(int set) const { return sets_memory_ + static_cast<std::size_t>(set) * set_bytes(); }
  void put(int set);  // the image into a set
  void get(int set);
  void release();

  Device* device_;
  std::unique_ptr<SetMemory> image_;
  Trial trial_;
  Case case_;
  AppendArgs arguments_{};  // of set 0
  bool expected_ = false;
  int sets_ = 0;
  std::byte* sets_memory_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace twincheck::bench
