// A case's buffers on a device outside the judge's bench, for laws that say when and on which stream a call is made.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "harness/case/case.h"
#include "harness/judge/check.h"
#include "harness/judge/device.h"
#include "properties/relate.h"

namespace twincheck::relate {

// There is not the memory that a law needs.
struct NoRoom : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Tight buffers of a literal case, each between guards of 256 bytes. What a member enqueues goes to args.stream; host memory
// is pinned, and a member that writes it must not be called while an earlier one's work is pending.
class DeviceBuffers {
 public:
  // With its inputs written and all else painted, once the device's stream has drained. Throws NoRoom.
  DeviceBuffers(Device& device, const Case& literal);
  ~DeviceBuffers();
  DeviceBuffers(const DeviceBuffers&) = delete;
  DeviceBuffers& operator=(const DeviceBuffers&) = delete;

  AppendArgs args;  // the device's pointers and its stream

  void paint(uint8_t with);                // enqueues: outputs and guards hold that byte
  void write_inputs(const Case& literal);  // enqueues: of the same shape, the same tokens or fewer

  // Waits for the stream, and tells what is there.
  Outputs outputs();
  // Empty, or the first guard or input byte that is not as it was written: "out_ids: a byte before it changed". Of what
  // outputs() has seen.
  std::string changed() const;
  // Is every byte of the outputs still the painted one? Waits for the stream.
  bool outputs_untouched();

 private:
  struct Part {
    std::byte *memory = nullptr, *host = nullptr;  // guard, elements, guard
    std::size_t bytes = 0;                         // of the elements
    std::vector<std::byte> dense;                  // an input's elements
  };
  void fetch();

  Device& device_;
  std::array<Part, kOperands> parts_;
  uint8_t painted_ = 0;
};

// A law on a device: given() has judged the case, and `right` holds its outputs; `tight` is the case as literal bits, laid
// out tightly. Answers false where the law has nothing more to say: host memory, a verdict that stands, or too many
// elements.
struct OnDevice {
  Session session;
  Device* device = nullptr;
  Case tight;
  Outputs right;

  OnDevice(std::string_view law, const Candidate& candidate, Bench& bench) : session(law, candidate, bench) {}
  bool begin(const Case& c);

  // Calls the candidate. False, and the session's verdict, where it does not answer kOk.
  bool call(const AppendArgs& args, std::string_view when);
  // The outputs, guards and inputs of `buffers` after a call: are rows [first, last) those of `expected`, of the case
  // `literal`, from its row 0 on?
  bool holds(DeviceBuffers& buffers, const Case& literal, const Outputs& expected, int64_t first, int64_t last,
             std::string_view when);
};

// Runs a law's body, a function of an OnDevice whose begin() was true, where there is something to see: at least one token,
// and columns. NoRoom is kTooLarge.
template <typename Body>
Report on_device(std::string_view law, const Case& c, const Candidate& candidate, Bench& bench, Body body) {
  OnDevice run(law, candidate, bench);
  try {
    if (run.begin(c) && c.tokens > 0 && run.right.columns > 0) body(run);
  } catch (const NoRoom& e) {
    run.session.end(Verdict::kTooLarge, e.what());
  }
  return run.session.report();
}

// The same case with its tokens' rows the other way round: other inputs of the same shape.
Case turned(const Case& literal);

}  // namespace twincheck::relate
