// A call is enqueued on the stream that it is told: where the stream still has work that writes the inputs, the kernel sees
// them as they are after it.
#include "properties/device_buffers.h"
#include "properties/list.h"

namespace twincheck::law {
namespace {

// Takes a device half a millisecond or so.
constexpr std::size_t kBytes = std::size_t{64} << 20;
constexpr int kTimes = 16;

bool waits(relate::OnDevice& law) {
  Device& device = *law.device;
  const Case other = relate::turned(law.tight);
  Outputs of_other;
  if (!law.session.related(other, of_other, "the rows the other way round")) return false;
  void* const stream = device.create_stream();
  void* const busy = device.allocate(kBytes);
  if (busy == nullptr) throw relate::NoRoom("there is no memory for the law's buffers");
  relate::DeviceBuffers buffers(device, law.tight);
  device.synchronize();
  buffers.args.stream = stream;
  for (int i = 0; i < kTimes; ++i) device.fill(busy, static_cast<uint8_t>(i), kBytes, stream);
  buffers.paint(0x5a);
  buffers.write_inputs(other);
  constexpr const char* kHow = "with work pending on its stream that writes the inputs";
  const bool right = law.call(buffers.args, kHow) && law.holds(buffers, other, of_other, 0, other.tokens, kHow);
  device.synchronize(stream);
  device.release(busy);
  device.destroy_stream(stream);
  return right;
}

}  // namespace

Law inputs_pending() {
  return {
      .name = "inputs_pending",
      .line = __LINE__,
      .sentence = "a call waits for what its stream has still to do to its inputs",
      .domain = {.validity = Validity::kValid, .sparse = false, .max_tokens = 48},
      .holds = [](const Case& c, Choices&, const Candidate& candidate,
                  Bench& bench) { return relate::on_device("inputs_pending", c, candidate, bench, waits); },
  };
}

}  // namespace twincheck::law
