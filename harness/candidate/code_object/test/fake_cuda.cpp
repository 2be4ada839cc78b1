// The driver's library for tests on machines without a GPU. Device memory is memory of this process; a module is a shared
// library, and a launch calls its function for every thread of every block, in order.
//
// A stream does as late as it may what it was given: when somebody waits for it or for an event of it, or when memory is
// freed. So what is wrong only where the device is behind shows every time. The null stream does it at once. While a stream
// is captured, work is kept instead; a kernel that does not say how large its parameters are (SYMBOL_parameter_sizes, ended
// by 0) cannot be, and is waited for otherwise. Events are times of the host's clock.
//
// FAKE_CUDA_DEVICES: how many devices there are (1). FAKE_CUDA_MEMORY: bytes of each (1 GiB).
// A host function that calls fake_cuda_fault() is a kernel that meets an illegal address: every call fails from then on.
#include <dlfcn.h>
#include <sys/mman.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace {

using Kernel = void (*)(void** parameters, uint32_t block, uint32_t threads, uint32_t thread);
using Address = unsigned long long;

constexpr int kInvalidValue = 1, kOutOfMemory = 2, kInvalidDevice = 101, kInvalidContext = 201, kFileNotFound = 301,
              kInvalidHandle = 400, kNotFound = 500, kNotReady = 600, kIllegalAddress = 700, kCaptureUnsupported = 900,
              kCaptureInvalidated = 901;
constexpr std::size_t kPage = std::size_t{2} << 20;

int number_of(const char* variable, int otherwise) {
  const char* text = std::getenv(variable);
  return text != nullptr ? std::atoi(text) : otherwise;
}
int devices() { return number_of("FAKE_CUDA_DEVICES", 1); }
std::size_t memory_bytes() {
  const char* text = std::getenv("FAKE_CUDA_MEMORY");
  return text != nullptr ? std::strtoull(text, nullptr, 0) : std::size_t{1} << 30;
}

std::recursive_mutex driver;  // one call at a time
bool faulted = false;

struct Context {
  int device;
};
Context contexts[8] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}};
thread_local Context* current = nullptr;

std::map<Address, std::pair<std::size_t, int>> allocations;  // bytes and device
std::size_t allocated[8] = {};

// Allocations that may be larger than this machine's memory: what is not touched of them takes none.
constexpr std::size_t kHuge = std::size_t{1} << 30;
void* take(std::size_t bytes) {
  if (bytes < kHuge) return std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  void* const p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p != MAP_FAILED ? p : nullptr;
}
void give(void* p, std::size_t bytes) {
  if (bytes < kHuge) {
    std::free(p);
  } else {
    munmap(p, bytes);
  }
}

// A device copies what a sanitizer has marked on the host as nobody's, so not by memcpy(), which looks.
void transfer(void* to, const void* from, std::size_t bytes) {
  auto* const t = static_cast<volatile uint64_t*>(to);
  auto* const f = static_cast<const volatile uint64_t*>(from);
  std::size_t i = 0;
  if ((reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from)) % 8 == 0)
    for (; i < bytes / 8; ++i) t[i] = f[i];
  auto* const tail_to = static_cast<volatile unsigned char*>(to);
  auto* const tail_from = static_cast<const volatile unsigned char*>(from);
  for (i *= 8; i < bytes; ++i) tail_to[i] = tail_from[i];
}

struct Function {
  Kernel kernel;
  const uint32_t* parameter_sizes;  // null where it does not say
};
std::map<std::string, std::unique_ptr<Function>> functions;

using Work = std::function<void()>;
using Graph = std::vector<Work>;

struct Stream {
  Context* context = nullptr;
  std::deque<Work> waiting;
  uint64_t enqueued = 0, done = 0;
  bool capturing = false, invalid = false;
  Graph captured;

  void reach(uint64_t count) {
    while (done < count && !waiting.empty()) {
      const Work work = std::move(waiting.front());
      waiting.pop_front();
      ++done;
      work();
    }
  }
  void finish() { reach(enqueued); }
};
std::vector<Stream*> streams;

struct Event {
  Stream* stream = nullptr;
  uint64_t at = 0;  // how much the stream has done when it is passed
  std::chrono::steady_clock::time_point time;
};

// `anywhere`: on a stream of another device than the current one too, as a launch is.
int enqueue(void* stream, Work work, bool anywhere = false) {
  if (stream == nullptr) {
    work();
    return 0;
  }
  auto* const s = static_cast<Stream*>(stream);
  if (s->context != current && !anywhere) return kInvalidHandle;
  if (s->invalid) return kCaptureInvalidated;
  if (s->capturing) {
    s->captured.push_back(std::move(work));
  } else {
    s->waiting.push_back(std::move(work));
    ++s->enqueued;
  }
  return 0;
}

void finish_all() {
  for (Stream* s : streams) s->finish();
}

}  // namespace

#define FAKE extern "C" __attribute__((visibility("default"))) int
// Every call but those that only tell something.
#define ENTER                                               \
  const std::lock_guard<std::recursive_mutex> lock(driver); \
  if (faulted) return kIllegalAddress

extern "C" __attribute__((visibility("default"))) void fake_cuda_fault() { faulted = true; }

FAKE cuInit(unsigned) { return 0; }
FAKE cuDeviceGetCount(int* count) {
  *count = devices();
  return 0;
}
FAKE cuDeviceGet(int* device, int index) {
  *device = index;
  return index < devices() ? 0 : kInvalidDevice;
}
FAKE cuDeviceGetName(char* name, int length, int) {
  std::strncpy(name, "a fake device", static_cast<std::size_t>(length));
  return 0;
}
FAKE cuGetErrorName(int error, const char** name) {
  static const std::map<int, const char*> kNames{{kInvalidValue, "CUDA_ERROR_INVALID_VALUE"},
                                                 {kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY"},
                                                 {kInvalidDevice, "CUDA_ERROR_INVALID_DEVICE"},
                                                 {kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT"},
                                                 {kFileNotFound, "CUDA_ERROR_FILE_NOT_FOUND"},
                                                 {kInvalidHandle, "CUDA_ERROR_INVALID_HANDLE"},
                                                 {kNotFound, "CUDA_ERROR_NOT_FOUND"},
                                                 {kNotReady, "CUDA_ERROR_NOT_READY"},
                                                 {kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS"},
                                                 {kCaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
                                                 {kCaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"}};
  const auto it = kNames.find(error);
  *name = it != kNames.end() ? it->second : "CUDA_ERROR_UNKNOWN";
  return 0;
}
FAKE cuDevicePrimaryCtxRetain(void** context, int device) {
  *context = &contexts[device];
  return 0;
}
FAKE cuCtxSetCurrent(void* context) {
  ENTER;
  current = static_cast<Context*>(context);
  return 0;
}
FAKE cuCtxGetCurrent(void** context) {
  ENTER;
  *context = current;
  return 0;
}
FAKE cuCtxGetDevice(int* device) {
  ENTER;
  if (current == nullptr) return kInvalidContext;
  *device = current->device;
  return 0;
}

FAKE cuMemAlloc_v2(Address* p, std::size_t bytes) {
  ENTER;
  if (current == nullptr) return kInvalidContext;
  std::size_t& used = allocated[current->device];
  void* memory = used + bytes > memory_bytes() ? nullptr : take(bytes);
  *p = reinterpret_cast<uintptr_t>(memory);
  if (memory == nullptr) return kOutOfMemory;
  used += bytes;
  allocations[*p] = {bytes, current->device};
  return 0;
}
FAKE cuMemFree_v2(Address p) {
  ENTER;
  finish_all();
  if (const auto it = allocations.find(p); it != allocations.end()) {
    const std::size_t bytes = it->second.first;
    allocated[it->second.second] -= bytes;
    allocations.erase(it);
    give(reinterpret_cast<void*>(p), bytes);
  }
  return 0;
}
FAKE cuMemHostAlloc(void** p, std::size_t bytes, unsigned) {
  ENTER;
  *p = std::malloc(bytes);
  return *p != nullptr ? 0 : kOutOfMemory;
}
FAKE cuMemFreeHost(void* p) {
  ENTER;
  std::free(p);
  return 0;
}
FAKE cuMemGetInfo_v2(std::size_t* available, std::size_t* total) {
  ENTER;
  if (current == nullptr) return kInvalidContext;
  *total = memory_bytes();
  *available = *total - allocated[current->device];
  return 0;
}
FAKE cuDeviceTotalMem_v2(std::size_t* bytes, int) {
  *bytes = memory_bytes();
  return 0;
}
FAKE cuDeviceGetAttribute(int* value, int attribute, int) {
  constexpr int kWave = 10, kMultiprocessors = 16;
  if (attribute != kWave && attribute != kMultiprocessors) return kInvalidValue;
  *value = attribute == kWave ? 32 : 1;
  return 0;
}
FAKE cuPointerGetAttribute(void* value, int attribute, Address p) {
  ENTER;
  constexpr int kDeviceOrdinal = 9;
  auto it = allocations.upper_bound(p);
  if (attribute != kDeviceOrdinal || it == allocations.begin()) return kInvalidValue;
  --it;
  if (p >= it->first + it->second.first) return kInvalidValue;
  std::memcpy(value, &it->second.second, sizeof(int));
  return 0;
}

FAKE cuMemGetAllocationGranularity(std::size_t* bytes, const void*, int) {
  *bytes = kPage;
  return 0;
}
FAKE cuMemAddressReserve(Address* p, std::size_t bytes, std::size_t, Address, unsigned long long) {
  ENTER;
  void* const memory = mmap(nullptr, bytes + kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return kOutOfMemory;
  *p = (reinterpret_cast<uintptr_t>(memory) + kPage - 1) / kPage * kPage;
  return 0;
}
FAKE cuMemCreate(unsigned long long* handle, std::size_t bytes, const void*, unsigned long long) {
  *handle = bytes;
  return 0;
}
FAKE cuMemMap(Address, std::size_t bytes, std::size_t, unsigned long long handle, unsigned long long) {
  return bytes == handle ? 0 : kInvalidValue;
}
FAKE cuMemSetAccess(Address p, std::size_t bytes, const void*, std::size_t) {
  ENTER;
  return mprotect(reinterpret_cast<void*>(p), bytes, PROT_READ | PROT_WRITE) == 0 ? 0 : kOutOfMemory;
}

FAKE cuMemcpyHtoDAsync_v2(Address device, const void* host, std::size_t bytes, void* stream) {
  ENTER;
  return enqueue(stream, [=] { transfer(reinterpret_cast<void*>(device), host, bytes); });
}
FAKE cuMemcpyDtoHAsync_v2(void* host, Address device, std::size_t bytes, void* stream) {
  ENTER;
  return enqueue(stream, [=] { transfer(host, reinterpret_cast<const void*>(device), bytes); });
}
FAKE cuMemcpyDtoDAsync_v2(Address to, Address from, std::size_t bytes, void* stream) {
  ENTER;
  return enqueue(stream, [=] { transfer(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes); });
}
FAKE cuMemsetD8Async(Address device, unsigned char byte, std::size_t bytes, void* stream) {
  ENTER;
  return enqueue(stream, [=] { std::memset(reinterpret_cast<void*>(device), byte, bytes); });
}
FAKE cuLaunchHostFunc(void* stream, void (*function)(void*), void* data) {
  ENTER;
  return enqueue(
      stream, [=] { function(data); }, /*anywhere=*/true);
}

FAKE cuStreamCreate(void** stream, unsigned) {
  ENTER;
  if (current == nullptr) return kInvalidContext;
  auto* const s = new Stream;
  s->context = current;
  streams.push_back(s);
  *stream = s;
  return 0;
}
FAKE cuStreamDestroy_v2(void* stream) {
  ENTER;
  auto* const s = static_cast<Stream*>(stream);
  s->finish();
  std::erase(streams, s);
  delete s;
  return 0;
}
FAKE cuStreamSynchronize(void* stream) {
  ENTER;
  auto* const s = static_cast<Stream*>(stream);
  if (s == nullptr) return 0;
  if (s->capturing) {
    s->invalid = true;
    return kCaptureUnsupported;
  }
  s->finish();
  return faulted ? kIllegalAddress : 0;
}
FAKE cuCtxSynchronize() {
  ENTER;
  for (Stream* s : streams)
    if (s->context == current) s->finish();
  return faulted ? kIllegalAddress : 0;
}
FAKE cuStreamWaitEvent(void* stream, void* event, unsigned) {
  ENTER;
  const Event e = *static_cast<Event*>(event);
  return enqueue(stream, [e] {
    if (e.stream != nullptr) e.stream->reach(e.at);
  });
}

FAKE cuEventCreate(void** event, unsigned) {
  ENTER;
  *event = new Event;
  return 0;
}
FAKE cuEventDestroy_v2(void* event) {
  ENTER;
  if (auto* const e = static_cast<Event*>(event); e->stream != nullptr) e->stream->reach(e->at);
  delete static_cast<Event*>(event);
  return 0;
}
FAKE cuEventRecord(void* event, void* stream) {
  ENTER;
  auto* const e = static_cast<Event*>(event);
  const int error = enqueue(stream, [e] { e->time = std::chrono::steady_clock::now(); });
  auto* const s = static_cast<Stream*>(stream);
  *e = {s, s != nullptr ? s->enqueued : 0, e->time};
  return error;
}
FAKE cuEventQuery(void* event) {
  ENTER;
  // One piece of work further at each question.
  auto* const e = static_cast<Event*>(event);
  if (e->stream == nullptr || e->stream->done >= e->at) return 0;
  e->stream->reach(e->stream->done + 1);
  return faulted ? kIllegalAddress : kNotReady;
}
FAKE cuEventSynchronize(void* event) {
  ENTER;
  auto* const e = static_cast<Event*>(event);
  if (e->stream != nullptr) e->stream->reach(e->at);
  return faulted ? kIllegalAddress : 0;
}
FAKE cuEventElapsedTime(float* milliseconds, void* first, void* last) {
  ENTER;
  *milliseconds =
      std::chrono::duration<float, std::milli>(static_cast<Event*>(last)->time - static_cast<Event*>(first)->time).count();
  return 0;
}

FAKE cuStreamBeginCapture_v2(void* stream, int) {
  ENTER;
  auto* const s = static_cast<Stream*>(stream);
  if (s->capturing) return kCaptureUnsupported;
  s->capturing = true;
  s->invalid = false;
  s->captured.clear();
  return 0;
}
FAKE cuStreamIsCapturing(void* stream, int* status) {
  ENTER;
  *status = stream != nullptr && static_cast<Stream*>(stream)->capturing ? 1 : 0;
  return 0;
}
FAKE cuStreamEndCapture(void* stream, void** graph) {
  ENTER;
  auto* const s = static_cast<Stream*>(stream);
  *graph = nullptr;
  s->capturing = false;
  if (std::exchange(s->invalid, false)) return kCaptureInvalidated;
  *graph = new Graph(std::move(s->captured));
  return 0;
}
FAKE cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long) {
  ENTER;
  *executable = new Graph(*static_cast<Graph*>(graph));
  return 0;
}
FAKE cuGraphLaunch(void* executable, void* stream) {
  ENTER;
  for (const Work& work : *static_cast<Graph*>(executable))
    if (const int error = enqueue(stream, work); error != 0) return error;
  return 0;
}
FAKE cuGraphExecDestroy(void* executable) {
  ENTER;
  delete static_cast<Graph*>(executable);
  return 0;
}
FAKE cuGraphDestroy(void* graph) {
  ENTER;
  delete static_cast<Graph*>(graph);
  return 0;
}

FAKE cuModuleLoad(void** module, const char* path) {
  ENTER;
  *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  return *module != nullptr ? 0 : kFileNotFound;
}
FAKE cuModuleGetFunction(void** function, void* module, const char* symbol) {
  ENTER;
  void* const kernel = dlsym(module, symbol);
  if (kernel == nullptr) return kNotFound;
  const void* const sizes = dlsym(module, (std::string(symbol) + "_parameter_sizes").c_str());
  auto& known = functions[symbol];
  known.reset(new Function{reinterpret_cast<Kernel>(kernel), static_cast<const uint32_t*>(sizes)});
  *function = known.get();
  return 0;
}
FAKE cuFuncGetParamInfo(void* function, std::size_t index, std::size_t* offset, std::size_t* bytes) {
  const uint32_t* const sizes = static_cast<const Function*>(function)->parameter_sizes;
  *offset = 0;
  *bytes = sizes != nullptr ? sizes[index] : 0;
  return *bytes != 0 ? 0 : kInvalidValue;
}
FAKE cuFuncSetAttribute(void*, int, int) { return 0; }
FAKE cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned,
                    void* stream, void** parameters, void**) {
  ENTER;
  if (gx == 0 || gy != 1 || gz != 1 || by != 1 || bz != 1 || stream == nullptr) return kInvalidValue;
  const Function& f = *static_cast<Function*>(function);
  const auto run = [=](void** p) {
    for (uint32_t block = 0; block < gx; ++block)
      for (uint32_t thread = 0; thread < bx; ++thread) f.kernel(p, block, bx, thread);
  };
  auto* const s = static_cast<Stream*>(stream);
  if (f.parameter_sizes == nullptr) {
    if (s->capturing) {
      s->invalid = true;
      return kCaptureUnsupported;
    }
    s->finish();
    run(parameters);
    return 0;
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
