// A captured call is a call of the buffers, not of what was in them: replayed it takes the inputs that are there then
// (vLLM#52383), as many as there are, and writes where it was told to, whatever was called in between (TensorRT-LLM#16290,
// sglang#35113). A candidate that cannot be captured is unsupported for this law.
#include <fmt/format.h>

#include <numeric>

#include "properties/device_buffers.h"
#include "properties/list.h"

namespace twincheck::law {
namespace {

// What is destroyed with the law's run.
struct Captured {
  Device& device;
  void* stream = device.create_stream();
  void* graph = nullptr;

  explicit Captured(Device& d) : device(d) {}
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  ~Captured() {
    try {
      if (graph != nullptr) device.destroy_graph(graph);
      device.destroy_stream(stream);
    } catch (const DeviceError&) {
      // The device is gone, and they with it.
    }
  }
};

// False where the law ends here.
bool capture(relate::OnDevice& law, const AppendArgs& args, Captured& captured) {
  const auto unsupported = [&](const std::string& why) {
    return law.session.end(Verdict::kUnsupported, "cannot be captured: " + why);
  };
  int32_t status = TWINCHECK_OK;
  std::string text;
  try {
    law.device->begin_capture(captured.stream);
    status = law.session.candidate().append(&args);
    if (status != TWINCHECK_OK && law.session.candidate().last_error != nullptr) text = law.session.candidate().last_error();
    captured.graph = law.device->end_capture(captured.stream);
  } catch (const DeviceError& e) {
    return unsupported(e.what());
  }
  return status == TWINCHECK_OK ||
         unsupported(fmt::format("it answers {} ({}) while its stream is captured", word(kStatusNames, status), text));
}

bool replays(relate::OnDevice& law) {
  Device& device = *law.device;
  const Case& tight = law.tight;
  Captured captured(device);
  relate::DeviceBuffers buffers(device, tight);
  device.synchronize();
  buffers.args.stream = captured.stream;
  // Whatever is done once is done before.
  if (!law.call(buffers.args, "in other buffers") ||
      !law.holds(buffers, tight, law.right, 0, tight.tokens, "in other buffers") || !capture(law, buffers.args, captured))
    return false;
  const auto replay = [&] {
    buffers.paint(0x5a);
    device.launch_graph(captured.graph, captured.stream);
  };
  replay();
  if (!law.holds(buffers, tight, law.right, 0, tight.tokens, "replayed")) return false;

  const Case other = relate::turned(tight);
  Outputs of_other;
  if (!law.session.related(other, of_other, "the rows the other way round")) return false;
  buffers.write_inputs(other);
  replay();
  if (!law.holds(buffers, other, of_other, 0, tight.tokens, "replayed on other inputs")) return false;

  std::vector<int64_t> rows(static_cast<std::size_t>((tight.tokens + 1) / 2));
  std::iota(rows.begin(), rows.end(), 0);
  const Case fewer = relate::select_rows(tight, rows);
  Outputs of_fewer;
  if (!law.session.related(fewer, of_fewer, "half of the tokens")) return false;
  Case mixed = other;  // behind the first half lies what lay there
  for (std::size_t i = 0; i < kInputs; ++i)
    std::copy(fewer.literal[i].begin(), fewer.literal[i].end(), mixed.literal[i].begin());
  buffers.write_inputs(mixed);
  replay();
  if (!law.holds(buffers, fewer, of_fewer, 0, fewer.tokens, "replayed on fewer tokens")) return false;

  // A call of more tokens elsewhere: what the candidate keeps for its calls may move, and the graph's must not.
  const Case more = relate::concat(relate::concat(tight, tight), tight);
  Outputs of_more;
  if (!law.session.related(more, of_more, "the tokens three times")) return false;
  relate::DeviceBuffers elsewhere(device, more);
  device.synchronize();
  if (!law.call(elsewhere.args, "a larger call elsewhere") ||
      !law.holds(elsewhere, more, of_more, 0, more.tokens, "a larger call elsewhere"))
    return false;
  elsewhere.paint(0xc3);
  device.synchronize();
  buffers.write_inputs(tight);
  replay();
  if (!law.holds(buffers, tight, law.right, 0, tight.tokens, "replayed after a larger call elsewhere")) return false;
  return elsewhere.outputs_untouched() || law.session.fail("replayed: it wrote into buffers that are not the graph's");
}

}  // namespace

Law graph_replays() {
  return {
      .name = "graph_replays",
      .line = __LINE__,
      .sentence = "a captured call replays on the inputs that are there then, and writes where it was told to",
      .domain = {.validity = Validity::kValid, .sparse = false, .max_tokens = 48},
      .holds = [](const Case& c, Choices&, const Candidate& candidate,
                  Bench& bench) { return relate::on_device("graph_replays", c, candidate, bench, replays); },
  };
}

}  // namespace twincheck::law
