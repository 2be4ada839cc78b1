// A launch that the runtime refuses is reported by the call that made it, by the runtime's name for it, and not by the next
// one (FreeToken#186). What refuses here is a stream whose capture has been broken.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "properties/device_buffers.h"
#include "properties/list.h"

namespace twincheck::law {
namespace {

// cudaErrorStreamCaptureInvalidated, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, hipErrorStreamCaptureInvalidated
bool names_capture(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text.find("capture") != std::string::npos;
}

bool told_by_their_calls(relate::OnDevice& law) {
  Device& device = *law.device;
  const Candidate& candidate = law.session.candidate();
  void* const stream = device.create_stream();
  relate::DeviceBuffers buffers(device, law.tight);
  device.synchronize();
  AppendArgs args = buffers.args;
  args.stream = stream;
  device.begin_capture(stream);
  try {
    device.synchronize(stream);  // must not be, and breaks the capture
  } catch (const DeviceError&) {
  }
  const int32_t status = candidate.append(&args);
  const char* words = status != TWINCHECK_OK && candidate.last_error != nullptr ? candidate.last_error() : nullptr;
  const std::string text = words != nullptr ? words : "";
  try {
    device.destroy_graph(device.end_capture(stream));
  } catch (const DeviceError&) {
  }
  device.destroy_stream(stream);

  if (status == TWINCHECK_UNSUPPORTED) return law.session.end(Verdict::kUnsupported, "on a stream that is captured");
  if (status == TWINCHECK_OK) return law.session.fail("the runtime refused the launch, and the call answered ok");
  if (status != TWINCHECK_RUNTIME_ERROR || (law.session.strict() && !names_capture(text)))
    return law.session.fail(
        fmt::format("the runtime refused the launch: expected runtime_error and the runtime's name for it, got {} ({})",
                    word(kStatusNames, status), text));
  constexpr const char* kNext = "the call after one whose launch was refused";
  return law.call(buffers.args, kNext) && law.holds(buffers, law.tight, law.right, 0, law.tight.tokens, kNext);
}

}  // namespace

Law launch_errors() {
  return {
      .name = "launch_errors",
      .line = __LINE__,
      .sentence = "a launch that is refused is told by its own call, by name, and not by the next",
      .domain = {.validity = Validity::kValid, .sparse = false, .max_tokens = 48},
      .holds = [](const Case& c, Choices&, const Candidate& candidate,
                  Bench& bench) { return relate::on_device("launch_errors", c, candidate, bench, told_by_their_calls); },
  };
}

}  // namespace twincheck::law
