// A case's buffers outside the judge's bench, for laws that call a candidate where an answer other than success is right or
// that choose whose memory the buffers are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "harness/case/case.h"
#include "harness/judge/check.h"

namespace twincheck::relate {

// Where buffers come from. Host-accessible memory; allocate throws where there is none.
struct Memory {
  void* (*allocate)(std::size_t bytes);
  void (*release)(void* p);
};
Memory heap();

// Tight buffers of a literal case, each between guards of 64 bytes.
class Buffers {
 public:
  explicit Buffers(const Case& literal, Memory memory = heap());
  ~Buffers();
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  AppendArgs args;

  // Writes guards and outputs with a byte, and the inputs of a literal case of the same shape (the same tokens or fewer: the
  // rows behind keep what they hold).
  void paint(std::byte with);
  void write_inputs(const Case& literal);

  // Empty, or the first guard or input byte that is not as it was written: "out_ids: a byte before it changed".
  std::string changed() const;

  Outputs outputs() const;

 private:
  struct Part {
    std::byte* memory = nullptr;   // guard, elements, guard
    std::size_t bytes = 0;         // of the elements
    std::vector<std::byte> dense;  // an input's elements
  };
  twincheck_matrix& matrix(int operand);

  Memory memory_;
  Part parts_[kOperands];
  std::byte painted_{};
};

}  // namespace twincheck::relate
