// Streams. Work of a stream is done in its order: at once, unless the `deferred` knob makes it wait for a synchronization.
//
// The null stream is the current device's legacy stream: it waits for the device's blocking streams and they for it. A
// stream of a device that is not current is refused (hipErrorInvalidHandle) for launches, copies and records, but may be
// waited for. A handle that is not a live stream is hipErrorInvalidHandle (real runtimes crash).
#pragma once

#include "error.h"

struct ihipStream_t;
using hipStream_t = ihipStream_t*;
struct ihipEvent_t;
using hipEvent_t = ihipEvent_t*;
struct ihipGraph;
using hipGraph_t = ihipGraph*;

inline constexpr unsigned hipStreamDefault = 0;
inline constexpr unsigned hipStreamNonBlocking = 1;

enum hipStreamCaptureMode : int {
  hipStreamCaptureModeGlobal = 0,
  hipStreamCaptureModeThreadLocal,
  hipStreamCaptureModeRelaxed,
};
enum hipStreamCaptureStatus : int {
  hipStreamCaptureStatusNone = 0,
  hipStreamCaptureStatusActive,
  hipStreamCaptureStatusInvalidated,
};

hipError_t hipStreamCreate(hipStream_t* stream);
hipError_t hipStreamCreateWithFlags(hipStream_t* stream, unsigned flags);
hipError_t hipStreamCreateWithPriority(hipStream_t* stream, unsigned flags, int priority);
hipError_t hipStreamDestroy(hipStream_t stream);  // finishes its work first; releases even when told to fail
hipError_t hipStreamSynchronize(hipStream_t stream);
hipError_t hipStreamQuery(hipStream_t stream);  // hipErrorNotReady while work is left
hipError_t hipStreamWaitEvent(hipStream_t stream, hipEvent_t event, unsigned flags = 0);
hipError_t hipStreamGetFlags(hipStream_t stream, unsigned* flags);
hipError_t hipStreamGetDevice(hipStream_t stream, int* device);  // ROCm 5.6 and later

// Runs fn(data) in the stream's order. It may not call the runtime.
hipError_t hipLaunchHostFunc(hipStream_t stream, void (*fn)(void*), void* data);

// Capture: what is enqueued on the stream, and on streams that wait for its events, is recorded and not run. The null stream
// cannot be captured. While a capture is active a call that would synchronize, allocate or free in a way that cannot be
// recorded is refused with hipErrorStreamCaptureUnsupported and spoils the capture: on a capturing stream always; elsewhere
// for every thread in global mode, for the capturing thread in thread-local mode.
hipError_t hipStreamBeginCapture(hipStream_t stream, hipStreamCaptureMode mode);
hipError_t hipStreamEndCapture(hipStream_t stream, hipGraph_t* graph);
hipError_t hipStreamIsCapturing(hipStream_t stream, hipStreamCaptureStatus* status);
