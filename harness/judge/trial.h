// One case on the bench, in phases: lay out, paint, (the candidate runs), inspect. check() drives them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "harness/case/case.h"
#include "harness/judge/check.h"
#include "harness/judge/memory.h"
#include "harness/report/verdict.h"
#include "reference/oracle.h"

namespace twincheck {

inline constexpr int kRuns = 2;

class Trial {
 public:
  explicit Trial(Memory& memory) : memory_(memory) {}

  enum class Ready { kValid, kInvalid, kTooLarge };

  // Lays the case out in memory of at most max_bytes and asks the reference what it is. Everything of an earlier case is
  // forgotten.
  Ready lay_out(const Case& c, uint64_t max_bytes);

  // Writes guards, gaps, outputs (each run with other bytes, complements of each other) and the inputs.
  void paint(int run);

  // The struct to call the candidate with; `stream` is what it says of one.
  const AppendArgs* arguments(void* stream = nullptr);

  // Evaluates the reference on what is painted. Valid cases only, before the candidate runs.
  void expect();

  // After a run: is all that must not change as it was painted? `outputs_too`: nor the outputs. Names the first thing that
  // changed in `report` and answers false.
  bool untouched(int run, bool outputs_too, Report& report);

  // Keeps the outputs of the first run.
  void keep_first();

  // After the second run: is every output element written, and as in the first run? Else names the first that is not.
  struct Repetition {
    bool all_written = true, same = true;
  };
  Repetition compare_with_first(Report& report);

  // Compares the outputs of the last run with the reference. Counts, and describes at most ten mismatches.
  // False where anything is wrong; report.law is then the broken promise.
  bool compare(Report& report);

  void outputs(Outputs& out) const;

  // Gives back memory that one large case took.
  void finish();

  const reference::Expected& expected() const { return expected_; }
  Status expected_status() const { return expected_status_; }
  std::size_t output_elements() const { return static_cast<std::size_t>(rows_ * columns_); }

 private:
  struct Part {                   // one operand
    Matrix told{};                // what the candidate is told, with this process's pointer
    void* device_data = nullptr;  // the pointer that the candidate is told
    bool has_buffer = false;
    bool is_output = false;
    bool as_implied = false;  // the shape is the one that the case's sizes imply
    Buffer buffer;
    std::size_t element = 0;       // bytes
    std::vector<std::byte> dense;  // an input's elements, tight
    std::size_t dense_row = 0;     // bytes of a row of dense; 0 where the input has no data of its own
  };

  bool shape_of(Operand o, BufferShape& shape) const;
  void fill_inputs();
  void set_pointers();
  template <typename OnRow, typename OnFill>
  bool walk(const Part& part, OnRow on_row, OnFill on_fill) const;
  const Part& part(Operand o) const { return parts_[static_cast<std::size_t>(o)]; }
  Part& part(Operand o) { return parts_[static_cast<std::size_t>(o)]; }
  bool in_place(Operand input) const;
  const std::byte* output_row(Operand o, int64_t row) const;

  Memory& memory_;
  const Case* case_ = nullptr;
  std::array<Part, kOperands> parts_;
  AppendArgs args_{};  // with this process's pointers
  AppendArgs told_{};  // with the candidate's
  void* args_in_place_ = nullptr;
  std::size_t args_bytes_ = 0;
  Status expected_status_ = Status::kOk;
  reference::Expected expected_;
  int64_t rows_ = 0, columns_ = 0;
  bool large_ = false;
  std::vector<std::byte> first_ids_, first_weights_;
};

}  // namespace twincheck
