// Events: a point in a stream's order, and when it was reached.
#pragma once

#include "error.h"
#include "stream.h"

inline constexpr unsigned hipEventDefault = 0;
inline constexpr unsigned hipEventBlockingSync = 1;
inline constexpr unsigned hipEventDisableTiming = 2;

hipError_t hipEventCreate(hipEvent_t* event);
hipError_t hipEventCreateWithFlags(hipEvent_t* event, unsigned flags);
hipError_t hipEventDestroy(hipEvent_t event);  // releases even when told to fail
hipError_t hipEventRecord(hipEvent_t event, hipStream_t stream = nullptr);
hipError_t hipEventSynchronize(hipEvent_t event);  // an event never recorded is reached
hipError_t hipEventQuery(hipEvent_t event);        // hipErrorNotReady until reached

// Milliseconds from start to stop. hipErrorInvalidHandle unless both were recorded with timing; hipErrorNotReady until
// both are reached.
hipError_t hipEventElapsedTime(float* milliseconds, hipEvent_t start, hipEvent_t stop);
