// The driver's library for tests on machines without a GPU: device memory is heap memory, a module is a shared library, and
// a launch calls its function for every thread of every block, in order, before it returns. Events are times of the host's
// clock. While the stream is captured, work is kept instead; a kernel that does not say how large its parameters are
// (SYMBOL_parameter_sizes, ended by 0) cannot be.
#include <dlfcn.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace {

using Kernel = void (*)(void** parameters, uint32_t block, uint32_t threads, uint32_t thread);

constexpr int kInvalidValue = 1, kOutOfMemory = 2, kFileNotFound = 301, kInvalidHandle = 400, kNotFound = 500,
              kCaptureUnsupported = 900, kCaptureInvalidated = 901;
constexpr std::size_t kMost = std::size_t{1} << 30;

// A device copies what a sanitizer has marked on the host as nobody's, so not by memcpy(), which looks.
void transfer(void* to, const void* from, std::size_t bytes) {
  auto* const t = static_cast<volatile unsigned char*>(to);
  const auto* const f = static_cast<const volatile unsigned char*>(from);
  for (std::size_t i = 0; i < bytes; ++i) t[i] = f[i];
}

struct Function {
  Kernel kernel;
  const uint32_t* parameter_sizes;  // null where it does not say
};
std::map<std::string, std::unique_ptr<Function>> functions;

using Graph = std::vector<std::function<void()>>;

// A stream that is not null; at most one is captured at a time.
struct Stream {
  bool capturing = false, invalid = false;
  Graph captured;
};

template <typename Work>
int enqueue(void* stream, Work work) {
  auto* const s = static_cast<Stream*>(stream);
  if (s == nullptr) return kInvalidHandle;
  if (s->capturing)
    s->captured.push_back(work);
  else
    work();
  return 0;
}

using Clock = std::chrono::steady_clock;

}  // namespace

#define FAKE extern "C" __attribute__((visibility("default"))) int

FAKE cuInit(unsigned) { return 0; }
FAKE cuDeviceGetCount(int* count) {
  *count = 1;
  return 0;
}
FAKE cuDeviceGet(int* device, int index) {
  *device = index;
  return 0;
}
FAKE cuDeviceGetName(char* name, int length, int) {
  std::strncpy(name, "a fake device", static_cast<std::size_t>(length));
  return 0;
}
FAKE cuGetErrorName(int error, const char** name) {
  switch (error) {
    case kInvalidValue:
      *name = "CUDA_ERROR_INVALID_VALUE";
      return 0;
    case kFileNotFound:
      *name = "CUDA_ERROR_FILE_NOT_FOUND";
      return 0;
    case kInvalidHandle:
      *name = "CUDA_ERROR_INVALID_HANDLE";
      return 0;
    case kNotFound:
      *name = "CUDA_ERROR_NOT_FOUND";
      return 0;
    case kCaptureUnsupported:
      *name = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED";
      return 0;
    case kCaptureInvalidated:
      *name = "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED";
      return 0;
    default:
      *name = "CUDA_ERROR_UNKNOWN";
      return 0;
  }
}
FAKE cuDevicePrimaryCtxRetain(void** context, int) {
  static int only;
  *context = &only;
  return 0;
}
FAKE cuCtxSetCurrent(void*) { return 0; }
FAKE cuMemAlloc_v2(unsigned long long* p, std::size_t bytes) {
  void* memory = bytes > kMost ? nullptr : std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  *p = reinterpret_cast<uintptr_t>(memory);
  return memory != nullptr ? 0 : kOutOfMemory;
}
FAKE cuMemFree_v2(unsigned long long p) {
  std::free(reinterpret_cast<void*>(p));
  return 0;
}
FAKE cuMemHostAlloc(void** p, std::size_t bytes, unsigned) {
  *p = std::malloc(bytes);
  return *p != nullptr ? 0 : kOutOfMemory;
}
FAKE cuMemFreeHost(void* p) {
  std::free(p);
  return 0;
}
FAKE cuMemGetInfo_v2(std::size_t* available, std::size_t* total) {
  *available = *total = kMost;
  return 0;
}
FAKE cuDeviceTotalMem_v2(std::size_t* bytes, int) {
  *bytes = kMost;
  return 0;
}
FAKE cuDeviceGetAttribute(int* value, int attribute, int) {
  constexpr int kWave = 10, kMultiprocessors = 16;
  if (attribute != kWave && attribute != kMultiprocessors) return kInvalidValue;
  *value = attribute == kWave ? 32 : 1;
  return 0;
}
FAKE cuMemcpyHtoDAsync_v2(unsigned long long device, const void* host, std::size_t bytes, void* stream) {
  return enqueue(stream, [=] { transfer(reinterpret_cast<void*>(device), host, bytes); });
}
FAKE cuMemcpyDtoHAsync_v2(void* host, unsigned long long device, std::size_t bytes, void* stream) {
  return enqueue(stream, [=] { transfer(host, reinterpret_cast<const void*>(device), bytes); });
}
FAKE cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, std::size_t bytes, void* stream) {
  return enqueue(stream, [=] { transfer(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes); });
}
FAKE cuMemsetD8Async(unsigned long long device, unsigned char byte, std::size_t bytes, void* stream) {
  return enqueue(stream, [=] { std::memset(reinterpret_cast<void*>(device), byte, bytes); });
}

FAKE cuStreamCreate(void** stream, unsigned) {
  *stream = new Stream;
  return 0;
}
FAKE cuStreamDestroy_v2(void* stream) {
  delete static_cast<Stream*>(stream);
  return 0;
}
FAKE cuStreamSynchronize(void* stream) {
  auto* const s = static_cast<Stream*>(stream);
  if (!s->capturing) return 0;
  s->invalid = true;
  return kCaptureUnsupported;
}
FAKE cuStreamWaitEvent(void*, void*, unsigned) { return 0; }

FAKE cuEventCreate(void** event, unsigned) {
  *event = new Clock::time_point;
  return 0;
}
FAKE cuEventDestroy_v2(void* event) {
  delete static_cast<Clock::time_point*>(event);
  return 0;
}
FAKE cuEventRecord(void* event, void* stream) {
  return enqueue(stream, [=] { *static_cast<Clock::time_point*>(event) = Clock::now(); });
}
FAKE cuEventQuery(void*) { return 0; }
FAKE cuEventSynchronize(void*) { return 0; }
FAKE cuEventElapsedTime(float* milliseconds, void* first, void* last) {
  *milliseconds = std::chrono::duration<float, std::milli>(*static_cast<Clock::time_point*>(last) -
                                                           *static_cast<Clock::time_point*>(first))
                      .count();
  return 0;
}

FAKE cuStreamBeginCapture_v2(void* stream, int) {
  auto* const s = static_cast<Stream*>(stream);
  if (s->capturing) return kCaptureUnsupported;
  *s = {true, false, {}};
  return 0;
}
FAKE cuStreamEndCapture(void* stream, void** graph) {
  auto* const s = static_cast<Stream*>(stream);
  *graph = nullptr;
  s->capturing = false;
  if (s->invalid) return kCaptureInvalidated;
  *graph = new Graph(std::move(s->captured));
  return 0;
}
FAKE cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
  *executable = new Graph(*static_cast<Graph*>(graph));
  return 0;
}
FAKE cuGraphLaunch(void* executable, void*) {
  for (const auto& work : *static_cast<Graph*>(executable)) work();
  return 0;
}
FAKE cuGraphExecDestroy(void* executable) {
  delete static_cast<Graph*>(executable);
  return 0;
}
FAKE cuGraphDestroy(void* graph) {
  delete static_cast<Graph*>(graph);
  return 0;
}

FAKE cuModuleLoad(void** module, const char* path) {
  *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  return *module != nullptr ? 0 : kFileNotFound;
}
FAKE cuModuleGetFunction(void** function, void* module, const char* symbol) {
  void* const kernel = dlsym(module, symbol);
  if (kernel == nullptr) return kNotFound;
  const void* const sizes = dlsym(module, (std::string(symbol) + "_parameter_sizes").c_str());
  auto& known = functions[symbol];
  known.reset(new Function{reinterpret_cast<Kernel>(kernel), static_cast<const uint32_t*>(sizes)});
  *function = known.get();
  return 0;
}
FAKE cuFuncSetAttribute(void*, int, int) { return 0; }
FAKE cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned,
                    void* stream, void** parameters, void**) {
  if (gx == 0 || gy != 1 || gz != 1 || by != 1 || bz != 1 || stream == nullptr) return kInvalidValue;
  const Function& f = *static_cast<Function*>(function);
  const auto run = [=](void** p) {
    for (uint32_t block = 0; block < gx; ++block)
      for (uint32_t thread = 0; thread < bx; ++thread) f.kernel(p, block, bx, thread);
  };
  auto* const s = static_cast<Stream*>(stream);
  if (!s->capturing) {
    run(parameters);
    return 0;
  }
  if (f.parameter_sizes == nullptr) {
    s->invalid = true;
    return kCaptureUnsupported;
  }
  std::vector<std::vector<unsigned char>> values;
  for (const uint32_t* size = f.parameter_sizes; *size != 0; ++size, ++parameters)
    values.emplace_back(static_cast<unsigned char*>(*parameters), static_cast<unsigned char*>(*parameters) + *size);
  return enqueue(stream, [values, run]() mutable {
    std::vector<void*> pointers;
    for (auto& value : values) pointers.push_back(value.data());
    run(pointers.data());
  });
}
