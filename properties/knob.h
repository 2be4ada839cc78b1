// A candidate's knob (twincheck_set), turned for as long as this lives.
#pragma once

#include <cstdint>

#include "harness/candidate/candidate.h"

namespace twincheck::relate {

class Knob {
 public:
  // Nothing happens where the candidate does not know the key or cannot say what it was.
  Knob(const Candidate& candidate, const char* key, int64_t value) : candidate_(candidate), key_(key) {
    if (candidate.set == nullptr || candidate.get == nullptr) return;
    was_ = candidate.get(key);
    turned_ = was_ != -1 && candidate.set(key, value) == 0;
  }
  ~Knob() {
    if (turned_) candidate_.set(key_, was_);
  }
  Knob(const Knob&) = delete;
  Knob& operator=(const Knob&) = delete;

  bool turned() const { return turned_; }

 private:
  const Candidate& candidate_;
  const char* key_;
  int64_t was_ = -1;
  bool turned_ = false;
};

}  // namespace twincheck::relate
