#include "harness/judge/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace twincheck {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kReserved = std::size_t{64} << 30;  // address space a range; costs nothing until touched
constexpr std::size_t kCommitStep = std::size_t{64} << 10;
constexpr std::size_t kTrimAbove = std::size_t{1} << 20;  // memory that a range may keep from case to case
constexpr uint64_t kSparseExtent = uint64_t{16} << 20;    // below it a buffer is laid out densely

constexpr uint64_t round_up(uint64_t n, uint64_t unit) { return (n + unit - 1) / unit * unit; }

std::byte* reserve(std::size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : static_cast<std::byte*>(p);
}

}  // namespace

HostMemory::HostMemory() {
  for (int i = 0; i < kOperands; ++i)
    for (Range* range : {&low_[i], &high_[i]}) {
      // One inaccessible page on either side, whatever else is mapped next to it.
      std::byte* p = reserve(kReserved + 2 * kPage);
      if (p == nullptr) throw std::bad_alloc();
      *range = {p + kPage, kReserved, 0};
    }
  std::byte* p = reserve(3 * kPage);
  if (p == nullptr) throw std::bad_alloc();
  arguments_ = {p + kPage, kPage, 0};
  if (!commit(arguments_, kPage, false)) throw std::bad_alloc();
}

HostMemory::~HostMemory() {
  trim();
  for (int i = 0; i < kOperands; ++i)
    for (Range* range : {&low_[i], &high_[i]}) munmap(range->base - kPage, range->reserved + 2 * kPage);
  munmap(arguments_.base - kPage, 3 * kPage);
}

bool HostMemory::commit(Range& range, std::size_t bytes, bool from_end) {
  if (bytes <= range.committed) return true;
  bytes = std::max(round_up(bytes, kCommitStep), std::min(2 * range.committed, range.reserved));
  bytes = range.reserved == kPage ? kPage : bytes;
  if (bytes > range.reserved) return false;
  std::byte* begin = from_end ? range.base + range.reserved - bytes : range.base;
  if (mprotect(begin, bytes, PROT_READ | PROT_WRITE) != 0) return false;
  range.committed = bytes;
  return true;
}

bool Memory::is_sparse(const BufferShape& s) {
  return s.rows > 1 && s.extent() > kSparseExtent && s.stride > 4 * (s.row + 2 * kPage);
}

uint64_t Memory::resident(const BufferShape& s) {
  if (is_sparse(s)) return static_cast<uint64_t>(s.rows) * round_up(s.row + kPage, kPage);
  return s.extent() + s.tail + kGuardBefore + kGuardAfter;
}

bool HostMemory::place(std::size_t operand, const BufferShape& s, Buffer& out) {
  out.shape = s;
  out.segments.clear();
  out.to_device = 0;
  if (sparse_[operand].data != nullptr) {
    munmap(sparse_[operand].data, sparse_[operand].bytes);
    sparse_[operand] = {};
  }
  if (is_sparse(s)) {
    const std::size_t lead = kPage + s.offset;
    const std::size_t bytes = round_up(lead + s.extent() + s.tail, kPage) + kPage;
    std::byte* p = reserve(bytes);
    if (p == nullptr) return false;
    sparse_[operand] = {p, bytes};
    out.data = p + lead;
    for (int64_t r = 0; r < s.rows; ++r) {
      const bool last = r + 1 == s.rows;
      const std::size_t from = (lead + static_cast<uint64_t>(r) * s.stride) / kPage * kPage;
      const std::size_t to = round_up(lead + static_cast<uint64_t>(r) * s.stride + s.row + (last ? s.tail : 0), kPage);
      if (mprotect(p + from, to - from, PROT_READ | PROT_WRITE) != 0) return false;
      out.segments.push_back({p + from, to - from});
    }
    return true;
  }
  const std::size_t extent = s.extent() + s.tail;
  if (s.place == Place::kEnd) {
    Range& range = high_[operand];
    if (!commit(range, extent + kGuardBefore, true)) return false;
    out.data = range.base + range.reserved - extent;
    out.segments.push_back({out.data - kGuardBefore, extent + kGuardBefore});
  } else {
    Range& range = low_[operand];
    const std::size_t lead = s.place == Place::kBegin ? 0 : kGuardBefore + s.offset;
    if (!commit(range, lead + extent + kGuardAfter, false)) return false;
    out.data = range.base + lead;
    out.segments.push_back({range.base, lead + extent + kGuardAfter});
  }
  return true;
}

void* HostMemory::place_arguments(const void* source, std::size_t size) {
  std::byte* p = arguments_.base + kPage - round_up(size, 8);
  std::memcpy(p, source, size);
  return p;
}

void HostMemory::trim() {
  for (int i = 0; i < kOperands; ++i) {
    if (sparse_[i].data != nullptr) munmap(sparse_[i].data, sparse_[i].bytes);
    sparse_[i] = {};
    if (low_[i].committed > kTrimAbove) madvise(low_[i].base + kTrimAbove, low_[i].committed - kTrimAbove, MADV_DONTNEED);
    if (high_[i].committed > kTrimAbove) {
      std::byte* begin = high_[i].base + high_[i].reserved - high_[i].committed;
      madvise(begin, high_[i].committed - kTrimAbove, MADV_DONTNEED);
    }
  }
}

}  // namespace twincheck
