// When the n-th runtime call of an append fails, for every n until none does, the caller hears of it by the runtime's own
// name, nothing stays allocated, nothing but the outputs is touched, and the next call works. A call that succeeds keeps
// nothing either: a workspace that is given back when a larger batch comes may be a captured graph's (TensorRT-LLM#16290).
// For candidates with a runtime that fails on request (fail_nth) and counts (live_bytes, live_handles); any other is only
// judged.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "properties/direct.h"
#include "properties/knob.h"
#include "properties/list.h"
#include "properties/relate.h"

namespace twincheck::law {
namespace {

// What a runtime call can be told to fail with.
constexpr std::array<std::string_view, 5> kErrors{"hipErrorLaunchOutOfResources", "hipErrorOutOfMemory",
                                                  "hipErrorInvalidDevice", "hipErrorInvalidDevicePointer",
                                                  "hipErrorOperatingSystem"};
constexpr int64_t kMostCalls = 256;

bool names_error(const char* text) {
  return text != nullptr && std::any_of(kErrors.begin(), kErrors.end(), [&](std::string_view name) {
           return std::string_view(text).find(name) != std::string_view::npos;
         });
}

// What the runtime has handed out; the same number twice where the candidate does not count it.
struct Held {
  int64_t bytes, handles;
};
Held held_by(const Candidate& candidate) { return {candidate.get("live_bytes"), candidate.get("live_handles")}; }

// Empty, or what there is more of now, or less.
std::string more_than(const Held& before, const Candidate& candidate) {
  const Held now = held_by(candidate);
  if (now.bytes != before.bytes) return fmt::format("{} bytes stay allocated", now.bytes - before.bytes);
  if (now.handles != before.handles) return fmt::format("{} handles stay open", now.handles - before.handles);
  return {};
}

bool survives(relate::Session& session, const Case& tight, const Outputs& right) {
  const Candidate& candidate = session.candidate();
  relate::Buffers buffers(tight);
  const auto succeeds = [&](const std::string& when) {
    buffers.paint(std::byte{0x5a});
    const Held held = held_by(candidate);
    const int32_t status = candidate.append(&buffers.args);
    if (status != TWINCHECK_OK) return session.fail(fmt::format("{}: answered {}", when, word(kStatusNames, status)));
    if (const std::string changed = buffers.changed(); !changed.empty())
      return session.fail(fmt::format("{}: {}", when, changed));
    if (const std::string more = more_than(held, candidate); !more.empty())
      return session.fail(fmt::format("{}: {}", when, more));
    const Outputs out = buffers.outputs();
    for (int64_t t = 0; t < tight.tokens; ++t)
      if (!session.agree({tight, right, t}, {tight, out, t}, out.columns, when)) return false;
    return true;
  };
  if (!succeeds("in other buffers")) return false;
  for (int64_t n = 1; n <= kMostCalls; ++n) {
    const Held held = held_by(candidate);
    buffers.paint(std::byte{0xa5});
    int32_t status;
    bool failed;
    std::string text;
    {
      const relate::Knob fault(candidate, "fail_nth", n);
      if (!fault.turned()) return session.fail(fmt::format("fail_nth {} is not accepted", n));
      status = candidate.append(&buffers.args);
      failed = candidate.get("fail_nth") == 0;
      const char* words = status != TWINCHECK_OK && candidate.last_error != nullptr ? candidate.last_error() : nullptr;
      text = words != nullptr ? words : "";
    }
    if (!failed) {
      return status == TWINCHECK_OK ||
             session.fail(fmt::format("no runtime call failed (the {}th was to), yet it answered {} ({})", n,
                                      word(kStatusNames, status), text));
    }
    if (status != TWINCHECK_RUNTIME_ERROR || !names_error(text.c_str()))
      return session.fail(
          fmt::format("runtime call {} failed: expected runtime_error and the runtime's name for it, got {} ({})", n,
                      word(kStatusNames, status), text));
    if (const std::string changed = buffers.changed(); !changed.empty())
      return session.fail(fmt::format("runtime call {} failed ({}): {}", n, text, changed));
    if (const std::string more = more_than(held, candidate); !more.empty())
      return session.fail(fmt::format("runtime call {} failed ({}): {}", n, text, more));
    if (!succeeds(fmt::format("after runtime call {} had failed", n))) return false;
  }
  return session.fail(fmt::format("an append of more than {} runtime calls", kMostCalls));
}

}  // namespace

Law faults() {
  return {
      .name = "faults",
      .line = __LINE__,
      .sentence = "when the n-th runtime call fails, the caller hears its name, nothing leaks, and the next call works",
      .domain = {.validity = Validity::kValid, .sparse = false, .max_tokens = 32},
      .holds =
          [](const Case& c, Choices&, const Candidate& candidate, Bench& bench) {
            relate::Session session("faults", candidate, bench);
            const int64_t before = candidate.get != nullptr ? candidate.get("live_bytes") : -1;
            Outputs right;
            if (!session.given(c, right) || candidate.memory != MemoryKind::kHost) return session.report();
            if (!relate::Knob(candidate, "fail_nth", 0).turned()) return session.report();
            // Those of an earlier call are found too: a workspace grows once in a while, and then stays.
            if (const int64_t live = candidate.get("live_bytes"); live > 0) {
              session.fail(
                  fmt::format("{} bytes stay allocated after {} call", live, live > before ? "this" : "an earlier"));
              return session.report();
            }
            const auto literal = relate::literalize(c);
            if (!literal)
              session.too_large();
            else
              survives(session, relate::with_layout_tight(*literal), right);
            return session.report();
          },
  };
}

}  // namespace twincheck::law
