// The mistakes that candidate_on_device can be told to make, one at a time, and the law that must see each.
//
// Chosen by the environment when it is loaded, ON_DEVICE=name, or by twincheck_set("mistake", index in the table).
#pragma once

#include <array>
#include <string_view>

namespace on_device {

enum class Mistake {
  kNone,
  kFirstStream,
  kCapturedInputs,
  kOneStruct,
  kSynchronizes,
  kErrorUnread,
  kErrorUnnamed,
  kErrorKept,
  kCurrentDevice,
  kDeviceLeft,
  kLastRow,
  kLastRow32,
  kFarShared,
  kRowsIn18Bits,
  kOtherBits,
  kNanIsZero,
  kFaults,
  kBeginsEarly,
};

struct Row {
  Mistake mistake;
  std::string_view name, law;  // law: empty where no law is about it
};

inline constexpr std::array kMistakes{
    Row{Mistake::kNone, "none", ""},
    Row{Mistake::kFirstStream, "first_stream", "inputs_pending"},       // on the stream of the first call
    Row{Mistake::kCapturedInputs, "captured_inputs", "graph_replays"},  // a captured call has the inputs of the capture
    Row{Mistake::kOneStruct, "one_struct", "streams_and_threads"},      // the kernel's arguments lie in one place
    Row{Mistake::kSynchronizes, "synchronizes", ""},                    // waits for its kernel: cannot be captured
    Row{Mistake::kErrorUnread, "error_unread", "launch_errors"},        // a refused launch is no matter
    Row{Mistake::kErrorUnnamed, "error_unnamed", "launch_errors"},      // it is, without the runtime's name
    Row{Mistake::kErrorKept, "error_kept", "launch_errors"},            // and the next call's too
    Row{Mistake::kCurrentDevice, "current_device", "other_device"},     // launches on the current device
    Row{Mistake::kDeviceLeft, "device_left", "other_device"},           // leaves the outputs' device current
    Row{Mistake::kLastRow, "last_row", "far_offsets"},                  // past 2^31 elements of out_ids a row is lost
    Row{Mistake::kLastRow32, "last_row_32", "far_offsets"},             // past 2^32 elements of out_weights
    Row{Mistake::kFarShared, "far_shared", "far_offsets"},              // past 2^31 of shared its first row is read
    Row{Mistake::kRowsIn18Bits, "rows_in_18_bits", "many_rows"},        // rows past 2^18 are lost
    Row{Mistake::kOtherBits, "other_bits", ""},                         // acceptable weights, not the same ones
    Row{Mistake::kNanIsZero, "nan_is_zero", ""},                        // a converted NaN becomes 0
    Row{Mistake::kFaults, "faults", ""},                                // with base_id 666 an illegal address
    Row{Mistake::kBeginsEarly, "begins_early", "inputs_pending"},       // beside its own kernel of the call before
};

}  // namespace on_device
