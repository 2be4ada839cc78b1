#include "runtime.h"

using namespace twincheck::hip_cpu;

namespace {

hipError_t find_event(hipEvent_t event) {
  State& s = state();
  Lock guard(s.lock);
  return s.events.count(event) != 0 ? hipSuccess : hipErrorInvalidHandle;
}

}  // namespace

hipError_t hipEventCreate(hipEvent_t* event) { return hipEventCreateWithFlags(event, hipEventDefault); }

hipError_t hipEventCreateWithFlags(hipEvent_t* event, unsigned flags) {
  hipError_t error = enter_device(hipErrorOutOfMemory);
  if (error == hipSuccess && (event == nullptr || (flags & ~(hipEventBlockingSync | hipEventDisableTiming)) != 0)) {
    error = hipErrorInvalidValue;
  }
  if (error != hipSuccess) return finish(error);
  State& s = state();
  Lock guard(s.lock);
  *event = new ihipEvent_t{current_device(), (flags & hipEventDisableTiming) == 0, nullptr, nullptr, {}};
  s.events.insert(*event);
  ++s.live_handles;
  return hipSuccess;
}

hipError_t hipEventDestroy(hipEvent_t event) {
  const hipError_t told = enter(hipErrorOperatingSystem);
  State& s = state();
  Lock guard(s.lock);
  const hipError_t error = find_event(event);
  if (error == hipSuccess) {
    s.events.erase(event);
    --s.live_handles;
    delete event;
  }
  return finish(told != hipSuccess ? told : error);
}

hipError_t hipEventRecord(hipEvent_t event, hipStream_t handle) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorOperatingSystem);
  if (error == hipSuccess) error = find_stream_for_work(handle, &stream);
  State& s = state();
  Lock guard(s.lock);
  if (error == hipSuccess) error = find_event(event);
  if (error == hipSuccess && event->device != stream->device) error = hipErrorInvalidHandle;
  if (error != hipSuccess) return finish(error);
  if (stream->capture) {
    if (stream->capture->spoiled) return finish(hipErrorStreamCaptureInvalidated);
    event->capture = stream->capture;
    event->tail = stream->tail;
    return hipSuccess;
  }
  const auto marker = std::make_shared<Marker>();
  error = enqueue(*stream, [marker] {
    marker->when = std::chrono::steady_clock::now();
    marker->reached = true;
  });
  if (error != hipSuccess) return finish(error);
  event->capture.reset();
  event->tail.clear();
  event->marker = marker;
  return hipSuccess;
}

hipError_t hipEventSynchronize(hipEvent_t event) {
  hipError_t error = enter_device(hipErrorOperatingSystem);
  State& s = state();
  Lock guard(s.lock);
  if (error == hipSuccess) error = find_event(event);
  if (error == hipSuccess && event->capture) error = hipErrorCapturedEvent;
  if (error != hipSuccess) return finish(error);
  if (event->marker) drain(*event->marker);
  return finish(s.sticky[event->device]);
}

hipError_t hipEventQuery(hipEvent_t event) {
  hipError_t error = enter_device(hipErrorOperatingSystem);
  State& s = state();
  Lock guard(s.lock);
  if (error == hipSuccess) error = find_event(event);
  if (error == hipSuccess && event->capture) error = hipErrorCapturedEvent;
  if (error != hipSuccess) return finish(error);
  if (event->marker && !event->marker->reached) {
    run_one();
    return finish(hipErrorNotReady);
  }
  return finish(s.sticky[event->device]);
}

hipError_t hipEventElapsedTime(float* milliseconds, hipEvent_t start, hipEvent_t stop) {
  hipError_t error = enter_device(hipErrorOperatingSystem);
  if (error == hipSuccess && milliseconds == nullptr) error = hipErrorInvalidValue;
  State& s = state();
  Lock guard(s.lock);
  if (error == hipSuccess) error = find_event(start);
  if (error == hipSuccess) error = find_event(stop);
  if (error == hipSuccess && (start->capture || stop->capture)) error = hipErrorCapturedEvent;
  if (error == hipSuccess && (!start->timed || !stop->timed || !start->marker || !stop->marker))
    error = hipErrorInvalidHandle;
  if (error == hipSuccess && (!start->marker->reached || !stop->marker->reached)) error = hipErrorNotReady;
  if (error == hipSuccess) {
    *milliseconds = std::chrono::duration<float, std::milli>(stop->marker->when - start->marker->when).count();
  }
  return finish(error);
}
