// The memory of one case: a guarded buffer for each operand.
//
// A buffer is one or more segments of accessible memory. The rows of its matrix lie in them; every other byte of a segment
// is a guard (before the first row, after the last) or a gap (between rows) and is painted, so that a write to it shows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "harness/case/case.h"

namespace twincheck {

struct Segment {
  std::byte* data;
  std::size_t bytes;
};

// What a buffer must hold. All sizes in bytes; stride >= row where rows > 1.
struct BufferShape {
  int64_t rows = 0;
  uint64_t row = 0, stride = 0;
  uint64_t offset = 0;  // of the first row past a 256-byte boundary; Place::kMiddle only
  uint64_t head = 0;    // bytes before the first row that another operand may lie in: kGuardBefore at most
  uint64_t tail = 0;    // further bytes that must be accessible behind the last row
  Place place = Place::kMiddle;

  uint64_t extent() const { return rows == 0 ? 0 : static_cast<uint64_t>(rows - 1) * stride + row; }
};

// A buffer laid out. `data` is where its first row starts, in this process; `to_device` is what to add to an address in it
// for the candidate's (0 for host memory).
struct Buffer {
  std::byte* data = nullptr;
  BufferShape shape;
  std::vector<Segment> segments;
  uintptr_t to_device = 0;
};

inline constexpr std::size_t kGuardBefore = 256, kGuardAfter = 512;

// Where buffers come from.
class Memory {
 public:
  virtual ~Memory() = default;

  // Lays out the buffer of `operand` (0..kOperands-1). False where the address space or the memory for it cannot be had.
  virtual bool place(std::size_t operand, const BufferShape& shape, Buffer& out) = 0;

  // A copy of the `size` bytes of an argument struct, 8-byte aligned, for the candidate to read.
  virtual void* place_arguments(const void* source, std::size_t size) = 0;

  // Gives back what large and sparse buffers took. Buffers laid out before are invalid afterwards.
  virtual void trim() = 0;

  // Are the rows so far apart that only what lies next to them gets memory?
  static bool is_sparse(const BufferShape& shape);
  // The bytes that place() makes resident in this process.
  static uint64_t resident(const BufferShape& shape);
};

// Host memory for the seven operands: a fixed range of addresses each, the same case after case, between inaccessible pages.
// A matrix whose rows are far apart gets memory for the pages that hold rows alone; the rest stays inaccessible.
class HostMemory final : public Memory {
 public:
  HostMemory();
  ~HostMemory() override;
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;

  // What an earlier layout of the same operand held is lost.
  bool place(std::size_t operand, const BufferShape& shape, Buffer& out) override;
  // Ends (as far as alignment allows) at an inaccessible page. One at a time.
  void* place_arguments(const void* source, std::size_t size) override;
  void trim() override;

 private:
  struct Range {  // an address range of which a prefix or a suffix is accessible
    std::byte* base = nullptr;
    std::size_t reserved = 0, committed = 0;
  };
  bool commit(Range& range, std::size_t bytes, bool from_end);

  Range low_[kOperands];            // accessible from the base on: Place::kMiddle and kBegin
  Range high_[kOperands];           // accessible up to the end: Place::kEnd
  Segment sparse_[kOperands] = {};  // mapped for the current case
  Range arguments_;
};

}  // namespace twincheck
