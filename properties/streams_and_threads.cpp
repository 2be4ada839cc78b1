// Two host threads call at once, each on its own stream and buffers, and each gets its own results: a call keeps nothing
// that another one uses.
#include <barrier>
#include <exception>
#include <thread>

#include "properties/device_buffers.h"
#include "properties/list.h"

namespace twincheck::law {
namespace {

constexpr int kCalls = 4;  // of a thread, one behind the other

struct Side {
  const Case& c;
  const Outputs& expected;
  void* stream;
  relate::DeviceBuffers buffers;
  int32_t status = TWINCHECK_OK;
  std::exception_ptr error{};

  Side(Device& device, const Case& literal, const Outputs& right)
      : c(literal), expected(right), stream(device.create_stream()), buffers(device, literal) {}
};

void work(Device& device, const Candidate& candidate, Side& side, std::barrier<>& start) {
  start.arrive_and_wait();
  try {
    device.make_current();
    for (int i = 0; i < kCalls && side.status == TWINCHECK_OK; ++i) {
      side.buffers.paint(0x5a);
      side.status = candidate.append(&side.buffers.args);
    }
  } catch (...) {
    side.error = std::current_exception();
  }
}

bool both_hold(relate::OnDevice& law) {
  Device& device = *law.device;
  const Case other = relate::turned(law.tight);
  Outputs of_other;
  if (!law.session.related(other, of_other, "the rows the other way round")) return false;
  Side first(device, law.tight, law.right), second(device, other, of_other);
  device.synchronize();
  first.buffers.args.stream = first.stream;
  second.buffers.args.stream = second.stream;
  std::barrier start(2);
  std::thread thread([&] { work(device, law.session.candidate(), second, start); });
  work(device, law.session.candidate(), first, start);
  thread.join();
  for (const Side* side : {&first, &second})
    if (side->error != nullptr) std::rethrow_exception(side->error);

  constexpr const char* kHow = "two threads at once, each on its own stream";
  bool right = true;
  for (Side* side : {&first, &second}) {
    device.synchronize(side->stream);
    if (right && side->status != TWINCHECK_OK)
      right = law.session.fail(std::string(kHow) + ": answered " + std::string(word(kStatusNames, side->status)));
    right = right && law.holds(side->buffers, side->c, side->expected, 0, side->c.tokens, kHow);
  }
  for (const Side* side : {&first, &second}) device.destroy_stream(side->stream);
  return right;
}

}  // namespace

Law streams_and_threads() {
  return {
      .name = "streams_and_threads",
      .line = __LINE__,
      .sentence = "two threads that call at once, each on its own stream, get each its own results",
      .domain = {.validity = Validity::kValid, .sparse = false, .max_tokens = 48},
      .holds = [](const Case& c, Choices&, const Candidate& candidate,
                  Bench& bench) { return relate::on_device("streams_and_threads", c, candidate, bench, both_hold); },
  };
}

}  // namespace twincheck::law
