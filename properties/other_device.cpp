// The kernel runs on the device that owns the outputs, whichever is current, and that one is current again afterwards
// (TileKernels#28). Where there is one device there is nothing to see.
#include "properties/device_buffers.h"
#include "properties/list.h"

namespace twincheck::law {
namespace {

// One call for buffers `there` while `here` is current. The default stream is whatever device's is current at the launch; a
// launch in a stream of its own may reach that stream's device by itself.
bool runs_there(relate::OnDevice& law, Device& there, bool default_stream) {
  Device& here = *law.device;
  const char* const how = default_stream ? "the buffers on a device that is not current, the default stream"
                                         : "the buffers on a device that is not current";
  relate::DeviceBuffers buffers(there, law.tight);
  there.synchronize();
  here.make_current();
  AppendArgs args = buffers.args;
  if (default_stream) args.stream = nullptr;
  bool right = law.call(args, how);
  if (right && !here.is_current())
    right = law.session.fail("with the buffers on another device: the current device is not what it was");
  here.make_current();
  here.drain();
  there.make_current();
  there.drain();
  return right && law.holds(buffers, law.tight, law.right, 0, law.tight.tokens, how);
}

void runs_there(relate::OnDevice& law) {
  Device& here = *law.device;
  {
    const std::unique_ptr<Device> there = open_device(law.session.candidate().memory, (here.index() + 1) % here.count());
    if (runs_there(law, *there, /*default_stream=*/false)) runs_there(law, *there, /*default_stream=*/true);
    there->make_current();
  }
  here.make_current();
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
