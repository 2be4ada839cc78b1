#include "harness/bench/stage.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstring>
#include <new>
#include <vector>

#include "harness/judge/memory.h"

#if defined(__SANITIZE_ADDRESS__)
#define TWINCHECK_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TWINCHECK_ASAN 1
#endif
#endif
#ifdef TWINCHECK_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace twincheck::bench {
namespace {

constexpr std::size_t kAlign = 256;
constexpr std::size_t kReserved = std::size_t{1} << 38;
constexpr std::size_t kKept = std::size_t{64} << 20;  // of memory that was touched once

std::byte* reserve(std::size_t bytes) {
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  return static_cast<std::byte*>(p);
}

}  // namespace

// The image of one set, in this process: buffers one behind the other, each between its guards.
class SetMemory final : public Memory {
 public:
  SetMemory() : base_(reserve(kReserved)) {}
  ~SetMemory() override { munmap(base_, kReserved); }
  SetMemory(const SetMemory&) = delete;
  SetMemory& operator=(const SetMemory&) = delete;

  bool place(std::size_t, const BufferShape& shape, Buffer& out) override {
    const std::size_t bytes = kGuardBefore + shape.offset + shape.extent() + shape.tail + kGuardAfter;
    if (bytes > kReserved - used_ - kAlign) return false;
    std::byte* const begin = base_ + used_;
    used_ += (bytes + kAlign - 1) / kAlign * kAlign;
    out.shape = shape;
    out.data = begin + kGuardBefore + shape.offset;
    out.segments.assign(1, {begin, bytes});
    out.to_device = 0;
    return true;
  }
  void* place_arguments(const void* source, std::size_t size) override {
    arguments_.assign(static_cast<const std::byte*>(source), static_cast<const std::byte*>(source) + size);
    return arguments_.data();
  }
  void trim() override {
    if (used_ > kKept) madvise(base_, used_, MADV_DONTNEED);
    used_ = 0;
  }

  std::byte* base() const { return base_; }
  std::size_t used() const { return used_; }

 private:
  std::byte* base_;
  std::size_t used_ = 0;
  std::vector<std::byte> arguments_;
};

Stage::Stage(Device* device) : device_(device), image_(std::make_unique<SetMemory>()), trial_(*image_) {}
Stage::~Stage() {
  try {
    release();
  } catch (const DeviceError&) {
    // The device is gone, and its memory with it.
  }
}

std::size_t Stage::set_bytes() const { return image_->used(); }

void Stage::release() {
  if (sets_memory_ == nullptr) return;
  if (device_ != nullptr)
    device_->release(sets_memory_);
  else
    munmap(sets_memory_, capacity_);
  sets_memory_ = nullptr;
  capacity_ = 0;
}

Trial::Ready Stage::lay_out(const Case& c, uint64_t max_bytes) {
  trial_.finish();
  image_->trim();
  sets_ = 0;
  expected_ = false;
  case_ = c;
  const Trial::Ready ready = trial_.lay_out(case_, max_bytes);
  if (ready == Trial::Ready::kValid) arguments_ = *trial_.arguments();
  return ready;
}

bool Stage::allocate(int sets) {
  sets_ = 0;
  const std::size_t bytes = static_cast<std::size_t>(sets) * set_bytes();
  if (bytes > capacity_) {
    release();
    if (device_ != nullptr) {
      sets_memory_ = static_cast<std::byte*>(device_->allocate(bytes));
    } else {
      sets_memory_ = bytes < kReserved ? reserve(bytes) : nullptr;
    }
    if (sets_memory_ == nullptr) return false;
    capacity_ = bytes;
  }
  sets_ = sets;
  return true;
}

void Stage::put(int set) {
  if (device_ != nullptr)
    device_->upload(base(set), image_->base(), set_bytes());
  else
    std::memcpy(base(set), image_->base(), set_bytes());
}

void Stage::get(int set) {
  if (device_ != nullptr) {
    device_->download(image_->base(), base(set), set_bytes());
    device_->synchronize();
  } else {
    std::memcpy(image_->base(), base(set), set_bytes());
  }
}

void Stage::paint() {
  for (int run = 0; run < kRuns && run < sets_; ++run) {
    trial_.paint(run);
#ifdef TWINCHECK_ASAN
    ASAN_UNPOISON_MEMORY_REGION(image_->base(), set_bytes());
#endif
    if (!expected_) trial_.expect();
    expected_ = true;
    put(run);
    if (device_ != nullptr) device_->synchronize();
    for (int set = run + kRuns; set < sets_; set += kRuns) {
      if (device_ != nullptr)
        device_->copy(base(set), base(run), set_bytes());
      else
        std::memcpy(base(set), base(run), set_bytes());
    }
  }
  if (device_ != nullptr) device_->synchronize();
}

AppendArgs Stage::arguments(int set, void* stream) {
  AppendArgs args = arguments_;
  args.stream = stream;
  for (const auto matrix : kMatrices) {
    void*& data = (args.*matrix).data;
    if (data != nullptr) data = base(set) + (static_cast<std::byte*>(data) - image_->base());
  }
  return args;
}

Report Stage::check() {
  Report report;
  for (int set = 0; set < sets_; ++set) {
    get(set);
    report = {};
    (void)trial_.untouched(set % kRuns, /*outputs_too=*/false, report);
    (void)trial_.compare(report);
    if (report.law.empty()) continue;
    report.verdict = Verdict::kFailed;
    if (report.detail.empty())
      report.detail = fmt::format("after timing, in set {} of {}", set + 1, sets_);
    else
      report.detail += fmt::format(" (after timing, in set {} of {})", set + 1, sets_);
    return report;
  }
  return report;
}

}  // namespace twincheck::bench
