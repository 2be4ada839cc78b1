// The kernel runs on the device that owns the outputs, whichever is current, and that one is current again afterwards. For
// candidates with a runtime of several devices (devices, host_device, device); any other is only judged.
#include <fmt/format.h>

#include "properties/knob.h"
#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {

Law device_follows_outputs() {
  return {
      .name = "device_follows_outputs",
      .line = __LINE__,
      .sentence = "the kernel runs on the outputs' device, and the current device is left as it was found",
      .domain = {.validity = Validity::kValid, .sparse = false, .max_tokens = 32},
      .holds =
          [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) {
            relate::Session session("device_follows_outputs", candidate, bench);
            Outputs first, there;
            if (!session.given(c, first)) return session.report();
            const relate::Knob devices(candidate, "devices", 2), owner(candidate, "host_device", 2);
            if (!devices.turned() || !owner.turned()) return session.report();
            const auto literal = relate::literalize(c);
            if (!literal) {
              session.too_large();
              return session.report();
            }
            const int64_t current = candidate.get("device");
            constexpr const char* kHow = "the buffers on device 1 of 2";
            if (!session.related(c, there, kHow)) return session.report();
            if (const int64_t now = candidate.get("device"); now != current) {
              session.fail(fmt::format("with {}: device {} was current, and {} is afterwards", kHow, current, now));
              return session.report();
            }
            for (int64_t t = 0; t < c.tokens; ++t)
              if (!session.same_bits({*literal, first, t}, {*literal, there, t}, first.columns, kHow)) break;
            return session.report();
          },
  };
}

}  // namespace twincheck::law
