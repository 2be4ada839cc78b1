// The kernel runs on the device that owns the outputs, whichever is current, and that one is current again afterwards
// (TileKernels#28). Where there is one device there is nothing to see.
#include "properties/device_buffers.h"
#include "properties/list.h"

namespace twincheck::law {
namespace {

bool runs_there(relate::OnDevice& law) {
  Device& here = *law.device;
  const std::unique_ptr<Device> there = open_device(law.session.candidate().memory, (here.index() + 1) % here.count());
  bool right = false;
  {
    relate::DeviceBuffers buffers(*there, law.tight);
    there->synchronize();
    here.make_current();
    constexpr const char* kHow = "the buffers on a device that is not current";
    right = law.call(buffers.args, kHow);
    if (right && !here.is_current())
      right = law.session.fail("with the buffers on another device: the current device is not what it was");
    there->make_current();
    right = right && law.holds(buffers, law.tight, law.right, 0, law.tight.tokens, kHow);
  }
  here.make_current();
  return right;
}

}  // namespace

Law other_device() {
  return {
      .name = "other_device",
      .line = __LINE__,
      .sentence = "the kernel runs on the outputs' device, and the current device is left as it was found",
      .domain = {.validity = Validity::kValid, .sparse = false, .max_tokens = 48},
      .holds =
          [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) {
            return relate::on_device("other_device", c, candidate, bench, [](relate::OnDevice& law) {
              if (law.device->count() > 1) runs_there(law);
            });
          },
      .cost = 4,
      .two_devices = true,
  };
}

}  // namespace twincheck::law
