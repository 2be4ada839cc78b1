#include <algorithm>

#include "runtime.h"

using namespace twincheck::hip_cpu;

namespace {

void leave_capture(Capture& capture) {
  State& s = state();
  capture.ended = true;
  for (ihipStream_t* stream : capture.streams) {
    stream->capture.reset();
    stream->tail.clear();
  }
  capture.streams.clear();
  s.active.remove_if([&](const auto& active) { return active.get() == &capture; });
  s.captures = static_cast<int>(s.active.size());
}

// Every node of every stream that joined comes before the origin's next one.
bool is_joined(const Capture& capture) {
  std::vector<bool> before(capture.nodes.size());
  for (std::size_t node : capture.origin->tail) before[node] = true;
  for (std::size_t node = capture.nodes.size(); node-- > 0;) {
    if (!before[node]) continue;
    for (std::size_t earlier : capture.nodes[node].after) before[earlier] = true;
  }
  for (const ihipStream_t* stream : capture.streams) {
    for (std::size_t node : stream->tail) {
      if (!before[node]) return false;
    }
  }
  return true;
}

void merge(std::vector<std::size_t>& tail, const std::vector<std::size_t>& more) {
  for (std::size_t node : more) {
    if (std::find(tail.begin(), tail.end(), node) == tail.end()) tail.push_back(node);
  }
}

hipError_t wait_in_capture(ihipStream_t& stream, const ihipEvent_t& event) {
  const std::shared_ptr<Capture> capture = event.capture;
  if (!capture) {
    stream.capture->spoiled = true;
    return hipErrorStreamCaptureIsolation;
  }
  if (capture->ended) return hipErrorCapturedEvent;
  if (capture->spoiled) return hipErrorStreamCaptureInvalidated;
  if (stream.legacy) {
    capture->spoiled = true;
    return hipErrorStreamCaptureImplicit;
  }
  if (!stream.capture) {
    stream.capture = capture;
    capture->streams.push_back(&stream);
  } else if (stream.capture != capture) {
    stream.capture->spoiled = capture->spoiled = true;
    return hipErrorStreamCaptureMerge;
  }
  merge(stream.tail, event.tail);
  return hipSuccess;
}

}  // namespace

hipError_t hipStreamCreate(hipStream_t* stream) { return hipStreamCreateWithFlags(stream, hipStreamDefault); }

hipError_t hipStreamCreateWithPriority(hipStream_t* stream, unsigned flags, int) {
  return hipStreamCreateWithFlags(stream, flags);
}

hipError_t hipStreamCreateWithFlags(hipStream_t* stream, unsigned flags) {
  hipError_t error = enter_device(hipErrorOutOfMemory);
  if (error == hipSuccess && (stream == nullptr || flags > hipStreamNonBlocking)) error = hipErrorInvalidValue;
  if (error != hipSuccess) return finish(error);
  State& s = state();
  Lock guard(s.lock);
  *stream = new ihipStream_t{current_device(), false, flags == hipStreamDefault, flags, {}, nullptr, {}};
  s.streams.insert(*stream);
  ++s.live_handles;
  return hipSuccess;
}

hipError_t hipStreamDestroy(hipStream_t handle) {
  const hipError_t told = enter(hipErrorOperatingSystem);
  ihipStream_t* stream = nullptr;
  const hipError_t error = handle == nullptr ? hipErrorInvalidHandle : find_stream(handle, &stream);
  if (error != hipSuccess) return finish(told != hipSuccess ? told : error);
  drain(*stream);
  State& s = state();
  Lock guard(s.lock);
  if (stream->capture) {
    const std::shared_ptr<Capture> capture = stream->capture;
    capture->spoiled = true;
    if (capture->origin == stream) {
      leave_capture(*capture);
    } else {
      capture->streams.erase(std::find(capture->streams.begin(), capture->streams.end(), stream));
    }
  }
  s.streams.erase(stream);
  --s.live_handles;
  delete stream;
  return finish(told);
}

hipError_t hipStreamSynchronize(hipStream_t handle) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorOperatingSystem);
  if (error == hipSuccess) error = find_stream(handle, &stream);
  if (error == hipSuccess) error = unless_capturing(*stream);
  if (error != hipSuccess) return finish(error);
  drain(*stream);
  return finish(state().sticky[stream->device]);
}

hipError_t hipStreamQuery(hipStream_t handle) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorOperatingSystem);
  if (error == hipSuccess) error = find_stream(handle, &stream);
  if (error == hipSuccess) error = unless_capturing(*stream);
  if (error != hipSuccess) return finish(error);
  if (run_one(*stream)) return finish(hipErrorNotReady);
  return finish(state().sticky[stream->device]);
}

hipError_t hipStreamWaitEvent(hipStream_t handle, hipEvent_t event, unsigned flags) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorOperatingSystem);
  if (error == hipSuccess) error = find_stream(handle, &stream);
  if (error == hipSuccess && flags != 0) error = hipErrorInvalidValue;
  if (error != hipSuccess) return finish(error);
  State& s = state();
  Lock guard(s.lock);
  if (s.events.count(event) == 0) return finish(hipErrorInvalidHandle);
  if (stream->capture || event->capture) return finish(wait_in_capture(*stream, *event));
  if (s.deferred && event->marker) stream->queue.push_back({[] {}, event->marker, ++s.sequence});
  return hipSuccess;
}

hipError_t hipStreamGetFlags(hipStream_t handle, unsigned* flags) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter(hipErrorOperatingSystem);
  if (error == hipSuccess && flags == nullptr) error = hipErrorInvalidValue;
  if (error == hipSuccess) error = find_stream(handle, &stream);
  if (error == hipSuccess) *flags = stream->flags;
  return finish(error);
}

hipError_t hipStreamGetDevice(hipStream_t handle, int* device) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter(hipErrorInvalidDevice);
  if (error == hipSuccess && device == nullptr) error = hipErrorInvalidValue;
  if (error == hipSuccess) error = find_stream(handle, &stream);
  if (error == hipSuccess) *device = stream->device;
  return finish(error);
}

hipError_t hipLaunchHostFunc(hipStream_t handle, void (*fn)(void*), void* data) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorOperatingSystem);
  if (error == hipSuccess && fn == nullptr) error = hipErrorInvalidValue;
  if (error == hipSuccess) error = find_stream_for_work(handle, &stream);
  if (error == hipSuccess) {
    const int device = stream->device;
    error = enqueue(*stream, [=] {
      if (state().sticky[device] == hipSuccess) fn(data);
    });
  }
  return finish(error);
}

hipError_t hipStreamBeginCapture(hipStream_t handle, hipStreamCaptureMode mode) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorOperatingSystem);
  if (error == hipSuccess) error = find_stream(handle, &stream);
  if (error == hipSuccess && (mode < hipStreamCaptureModeGlobal || mode > hipStreamCaptureModeRelaxed)) {
    error = hipErrorInvalidValue;
  }
  if (error == hipSuccess && stream->legacy) error = hipErrorStreamCaptureUnsupported;
  if (error != hipSuccess) return finish(error);
  State& s = state();
  Lock guard(s.lock);
  if (stream->capture) return finish(hipErrorIllegalState);
  auto capture = std::make_shared<Capture>();
  capture->mode = mode;
  capture->owner = std::this_thread::get_id();
  capture->origin = stream;
  capture->streams = {stream};
  stream->capture = capture;
  s.active.push_back(capture);
  s.captures = static_cast<int>(s.active.size());
  return hipSuccess;
}

hipError_t hipStreamEndCapture(hipStream_t handle, hipGraph_t* graph) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter_device(hipErrorOperatingSystem);
  if (error == hipSuccess) error = find_stream(handle, &stream);
  if (error == hipSuccess && graph == nullptr) error = hipErrorInvalidValue;
  if (error != hipSuccess) return finish(error);
  *graph = nullptr;
  State& s = state();
  Lock guard(s.lock);
  const std::shared_ptr<Capture> capture = stream->capture;
  if (!capture) return finish(hipErrorIllegalState);
  if (capture->origin != stream) {
    capture->spoiled = true;
    return finish(hipErrorStreamCaptureUnmatched);
  }
  if (capture->mode != hipStreamCaptureModeRelaxed && capture->owner != std::this_thread::get_id()) {
    return finish(hipErrorStreamCaptureWrongThread);
  }
  const bool joined = is_joined(*capture);
  leave_capture(*capture);
  if (capture->spoiled) return finish(hipErrorStreamCaptureInvalidated);
  if (!joined) return finish(hipErrorStreamCaptureUnjoined);
  *graph = new ihipGraph{std::move(capture->nodes)};
  s.graphs.insert(*graph);
  ++s.live_handles;
  return hipSuccess;
}

hipError_t hipStreamIsCapturing(hipStream_t handle, hipStreamCaptureStatus* status) {
  ihipStream_t* stream = nullptr;
  hipError_t error = enter(hipErrorOperatingSystem);
  if (error == hipSuccess && status == nullptr) error = hipErrorInvalidValue;
  if (error == hipSuccess) error = find_stream(handle, &stream);
  if (error != hipSuccess) return finish(error);
  Lock guard(state().lock);
  if (!stream->capture) {
    *status = hipStreamCaptureStatusNone;
  } else {
    *status = stream->capture->spoiled ? hipStreamCaptureStatusInvalidated : hipStreamCaptureStatusActive;
  }
  return hipSuccess;
}
