// A call is enqueued on the stream that it is told: where the stream still has work that writes the inputs, the kernel sees
// them as they are after it. That work is copies, and then kernels: one that is launched early (CUDA's programmatic
// dependent launch) begins beside the kernel before it, and must wait for it by itself.
#include <list>

#include "properties/device_buffers.h"
#include "properties/list.h"

namespace twincheck::law {
namespace {

// A stream of its own that has work to do, half a millisecond or so of a device's.
class BusyStream {
 public:
  explicit BusyStream(Device& device) : device_(device), memory_(device.allocate(kBytes)) {
    if (memory_ == nullptr) throw relate::NoRoom("there is no memory for the law's buffers");
    stream_ = device.create_stream();
  }
  ~BusyStream() {
    try {
      device_.synchronize(stream_);
      device_.release(memory_);
      device_.destroy_stream(stream_);
    } catch (const DeviceError&) {
      // The device is gone, and the stream with it.
    }
  }
  BusyStream(const BusyStream&) = delete;
  BusyStream& operator=(const BusyStream&) = delete;

  void* work() {
    for (int i = 0; i < kTimes; ++i) device_.fill(memory_, static_cast<uint8_t>(i), kBytes, stream_);
    return stream_;
  }

 private:
  static constexpr std::size_t kBytes = std::size_t{64} << 20;
  static constexpr int kTimes = 16;

  Device& device_;
  void *memory_ = nullptr, *stream_ = nullptr;
};

bool waits_for_copies(relate::OnDevice& law) {
  const Case other = relate::turned(law.tight);
  Outputs of_other;
  if (!law.session.related(other, of_other, "the rows the other way round")) return false;
  relate::DeviceBuffers buffers(*law.device, law.tight);
  BusyStream stream(*law.device);
  law.device->synchronize();
  buffers.args.stream = stream.work();
  buffers.paint(0x5a);
  buffers.write_inputs(other);
  constexpr const char* kHow = "with work pending on its stream that writes the inputs";
  return law.call(buffers.args, kHow) && law.holds(buffers, other, of_other, 0, other.tokens, kHow);
}

// Each call's routed columns are those of the call's before it; without a remap all outputs are the same.
bool waits_for_calls(relate::OnDevice& law) {
  constexpr int kCalls = 4;
  Case plain = relate::turned(law.tight);
  plain.remap = 0;
  relate::refit(plain);
  Outputs right;
  if (plain.top_k == 0) return true;
  if (!law.session.related(plain, right, "the rows the other way round, no remap")) return false;
  std::list<relate::DeviceBuffers> chain;
  for (int i = 0; i < kCalls; ++i) chain.emplace_back(*law.device, plain);
  BusyStream stream(*law.device);
  law.device->synchronize();
  void* const busy = stream.work();
  for (relate::DeviceBuffers& buffers : chain) {
    buffers.args.stream = busy;
    buffers.paint(0x5a);
  }
  constexpr const char* kHow = "with a call pending on its stream whose outputs are the inputs";
  const AppendArgs* before = nullptr;
  for (relate::DeviceBuffers& buffers : chain) {
    if (before != nullptr) {
      buffers.args.topk_ids.data = before->out_ids.data;
      buffers.args.topk_ids.row_stride = before->out_ids.row_stride;
      buffers.args.topk_weights.data = before->out_weights.data;
      buffers.args.topk_weights.row_stride = before->out_weights.row_stride;
    }
    before = &buffers.args;
    if (!law.call(buffers.args, kHow)) return false;
  }
  for (relate::DeviceBuffers& buffers : chain)
    if (!law.holds(buffers, plain, right, 0, plain.tokens, kHow)) return false;
  return true;
}

}  // namespace

Law inputs_pending() {
  return {
      .name = "inputs_pending",
      .line = __LINE__,
      .sentence = "a call waits for what its stream has still to do to its inputs",
      .domain = {.validity = Validity::kValid, .sparse = false, .max_tokens = 48},
      .holds =
          [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) {
            return relate::on_device("inputs_pending", c, candidate, bench,
                                     [](relate::OnDevice& law) { return waits_for_copies(law) && waits_for_calls(law); });
          },
  };
}

}  // namespace twincheck::law
