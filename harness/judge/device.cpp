#include "harness/judge/device.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <optional>

namespace twincheck {
namespace {

using Address = unsigned long long;  // of the device, as both runtimes take it

Address address(const void* p) { return reinterpret_cast<Address>(p); }

constexpr unsigned kNonBlocking = 1;
constexpr int kCaptureOfThisThread = 1;
constexpr int kNotReady = 600;

// Physical memory of a device, and who may use it; the layout of both runtimes.
struct Location {
  int kind = 1;  // a device
  int index = 0;
};
struct Physical {
  int kind = 1;  // pinned
  int handle_kind = 0;
  Location location;
  void* unused = nullptr;
  unsigned char flags[8] = {};
};
struct Access {
  Location location;
  int flags = 3;  // to read and write
};

// What the two runtimes call alike but not by the same name or number.
struct Words {
  std::array<const char*, 4> libraries;
  const char *malloc, *free, *host_malloc, *host_free, *memory_info, *total_memory, *device_name, *device_attribute,
      *device_count;
  const char *granularity, *reserve, *create, *map, *set_access;
  const char *upload, *download, *copy, *fill;
  const char *stream_create, *stream_destroy, *stream_synchronize, *stream_wait, *synchronize;
  const char *event_create, *event_destroy, *event_record, *event_query, *event_synchronize, *event_elapsed;
  const char *capture_begin, *capture_end, *instantiate, *launch, *exec_destroy, *graph_destroy;
  // Attributes of a device.
  int multiprocessors, wave, l2, clock, memory_clock, memory_bus;
};

constexpr Words kHipWords{
    .libraries = {"libamdhip64.so", "libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5"},
    .malloc = "hipMalloc",
    .free = "hipFree",
    .host_malloc = "hipHostMalloc",
    .host_free = "hipHostFree",
    .memory_info = "hipMemGetInfo",
    .total_memory = "hipDeviceTotalMem",
    .device_name = "hipDeviceGetName",
    .device_attribute = "hipDeviceGetAttribute",
    .device_count = "hipGetDeviceCount",
    .granularity = "hipMemGetAllocationGranularity",
    .reserve = "hipMemAddressReserve",
    .create = "hipMemCreate",
    .map = "hipMemMap",
    .set_access = "hipMemSetAccess",
    .upload = "hipMemcpyHtoDAsync",
    .download = "hipMemcpyDtoHAsync",
    .copy = "hipMemcpyDtoDAsync",
    .fill = "hipMemsetD8Async",
    .stream_create = "hipStreamCreateWithFlags",
    .stream_destroy = "hipStreamDestroy",
    .stream_synchronize = "hipStreamSynchronize",
    .stream_wait = "hipStreamWaitEvent",
    .synchronize = "hipDeviceSynchronize",
    .event_create = "hipEventCreateWithFlags",
    .event_destroy = "hipEventDestroy",
    .event_record = "hipEventRecord",
    .event_query = "hipEventQuery",
    .event_synchronize = "hipEventSynchronize",
    .event_elapsed = "hipEventElapsedTime",
    .capture_begin = "hipStreamBeginCapture",
    .capture_end = "hipStreamEndCapture",
    .instantiate = "hipGraphInstantiateWithFlags",
    .launch = "hipGraphLaunch",
    .exec_destroy = "hipGraphExecDestroy",
    .graph_destroy = "hipGraphDestroy",
    .multiprocessors = 63,
    .wave = 87,
    .l2 = 19,
    .clock = 5,
    .memory_clock = 60,
    .memory_bus = 59,
};

// The driver's; its primary context is the one that the runtime API of a candidate uses.
constexpr Words kCudaWords{
    .libraries = {"libcuda.so.1", "libcuda.so"},
    .malloc = "cuMemAlloc_v2",
    .free = "cuMemFree_v2",
    .host_malloc = "cuMemHostAlloc",
    .host_free = "cuMemFreeHost",
    .memory_info = "cuMemGetInfo_v2",
    .total_memory = "cuDeviceTotalMem_v2",
    .device_name = "cuDeviceGetName",
    .device_attribute = "cuDeviceGetAttribute",
    .device_count = "cuDeviceGetCount",
    .granularity = "cuMemGetAllocationGranularity",
    .reserve = "cuMemAddressReserve",
    .create = "cuMemCreate",
    .map = "cuMemMap",
    .set_access = "cuMemSetAccess",
    .upload = "cuMemcpyHtoDAsync_v2",
    .download = "cuMemcpyDtoHAsync_v2",
    .copy = "cuMemcpyDtoDAsync_v2",
    .fill = "cuMemsetD8Async",
    .stream_create = "cuStreamCreate",
    .stream_destroy = "cuStreamDestroy_v2",
    .stream_synchronize = "cuStreamSynchronize",
    .stream_wait = "cuStreamWaitEvent",
    .synchronize = "cuCtxSynchronize",
    .event_create = "cuEventCreate",
    .event_destroy = "cuEventDestroy_v2",
    .event_record = "cuEventRecord",
    .event_query = "cuEventQuery",
    .event_synchronize = "cuEventSynchronize",
    .event_elapsed = "cuEventElapsedTime",
    .capture_begin = "cuStreamBeginCapture_v2",
    .capture_end = "cuStreamEndCapture",
    .instantiate = "cuGraphInstantiateWithFlags",
    .launch = "cuGraphLaunch",
    .exec_destroy = "cuGraphExecDestroy",
    .graph_destroy = "cuGraphDestroy",
    .multiprocessors = 16,
    .wave = 10,
    .l2 = 38,
    .clock = 13,
    .memory_clock = 36,
    .memory_bus = 37,
};

class Library {
 public:
  explicit Library(const Words& words) {
    for (const char* name : words.libraries)
      if (name != nullptr && (handle_ = dlopen(name, RTLD_NOW | RTLD_GLOBAL)) != nullptr) return;
    throw DeviceError(fmt::format("{} cannot be loaded", words.libraries[0]));
  }

  void* symbol(const char* name) const { return dlsym(handle_, name); }

 private:
  void* handle_ = nullptr;  // stays loaded: runtimes do not like to go
};

// A function of the runtime by its documented C signature. It returns 0 for success.
template <typename... A>
struct Function {
  const char* name = nullptr;
  int (*call)(A...) = nullptr;

  void find(const Library& library, const char* symbol) {
    name = symbol;
    call = reinterpret_cast<int (*)(A...)>(library.symbol(symbol));
  }
};

class RuntimeDevice : public Device {
 public:
  explicit RuntimeDevice(const Words& words) : library_(words), words_(words) {
    malloc_.find(library_, words.malloc);
    free_.find(library_, words.free);
    host_malloc_.find(library_, words.host_malloc);
    host_free_.find(library_, words.host_free);
    memory_info_.find(library_, words.memory_info);
    total_memory_.find(library_, words.total_memory);
    device_name_.find(library_, words.device_name);
    device_attribute_.find(library_, words.device_attribute);
    device_count_.find(library_, words.device_count);
    granularity_.find(library_, words.granularity);
    reserve_.find(library_, words.reserve);
    create_.find(library_, words.create);
    map_.find(library_, words.map);
    set_access_.find(library_, words.set_access);
    upload_.find(library_, words.upload);
    download_.find(library_, words.download);
    copy_.find(library_, words.copy);
    fill_.find(library_, words.fill);
    stream_create_.find(library_, words.stream_create);
    stream_destroy_.find(library_, words.stream_destroy);
    stream_synchronize_.find(library_, words.stream_synchronize);
    stream_wait_.find(library_, words.stream_wait);
    synchronize_.find(library_, words.synchronize);
    event_create_.find(library_, words.event_create);
    event_destroy_.find(library_, words.event_destroy);
    event_record_.find(library_, words.event_record);
    event_query_.find(library_, words.event_query);
    event_synchronize_.find(library_, words.event_synchronize);
    event_elapsed_.find(library_, words.event_elapsed);
    capture_begin_.find(library_, words.capture_begin);
    capture_end_.find(library_, words.capture_end);
    instantiate_.find(library_, words.instantiate);
    launch_.find(library_, words.launch);
    exec_destroy_.find(library_, words.exec_destroy);
    graph_destroy_.find(library_, words.graph_destroy);
  }

  DeviceProperties properties() override {
    DeviceProperties p;
    std::array<char, 256> text{};
    require(device_name_, text.data(), static_cast<int>(text.size()) - 1, device_);
    p.name = text.data();
    std::size_t total = 0;
    require(total_memory_, &total, device_);
    p.memory_bytes = total;
    p.multiprocessors = attribute(words_.multiprocessors);
    p.wave = attribute(words_.wave);
    p.l2_bytes = attribute(words_.l2);
    p.clock_khz = attribute(words_.clock);
    p.memory_clock_khz = attribute(words_.memory_clock);
    p.memory_bus_bits = attribute(words_.memory_bus);
    return p;
  }
  std::size_t free_bytes() override {
    std::size_t available = 0, total = 0;
    require(memory_info_, &available, &total);
    return available;
  }

  void* allocate(std::size_t bytes) override {
    Address p = 0;
    if (attempt(malloc_, &p, bytes) == 0) return reinterpret_cast<void*>(p);
    forget_error();
    return nullptr;
  }
  void release(void* p) override { require(free_, address(p)); }
  void* allocate_host(std::size_t bytes) override {
    void* p = nullptr;
    if (attempt(host_malloc_, &p, bytes, 0U) == 0) return p;
    forget_error();
    return nullptr;
  }
  void release_host(void* p) override { require(host_free_, p); }

  std::size_t page_bytes() override {
    if (page_bytes_) return *page_bytes_;
    const Physical physical{.location = {.index = device_}};
    std::size_t bytes = 0;
    const bool has_all = granularity_.call != nullptr && reserve_.call != nullptr && create_.call != nullptr &&
                         map_.call != nullptr && set_access_.call != nullptr;
    page_bytes_ = has_all && succeeds(granularity_, &bytes, &physical, 0) ? bytes : 0;
    return *page_bytes_;
  }
  void* reserve(std::size_t bytes) override {
    Address p = 0;
    return succeeds(reserve_, &p, bytes, std::size_t{0}, Address{0}, 0ULL) ? reinterpret_cast<void*>(p) : nullptr;
  }
  bool back(void* page) override {
    const std::size_t bytes = page_bytes();
    const Physical physical{.location = {.index = device_}};
    const Access access{.location = {.index = device_}};
    unsigned long long handle = 0;
    return succeeds(create_, &handle, bytes, &physical, 0ULL) &&
           succeeds(map_, address(page), bytes, std::size_t{0}, handle, 0ULL) &&
           succeeds(set_access_, address(page), bytes, &access, std::size_t{1});
  }

  void upload(void* device, const void* host, std::size_t bytes, void* stream) override {
    require(upload_, address(device), host, bytes, or_own(stream));
  }
  void download(void* host, const void* device, std::size_t bytes, void* stream) override {
    require(download_, host, address(device), bytes, or_own(stream));
  }
  void copy(void* to, const void* from, std::size_t bytes, void* stream) override {
    require(copy_, address(to), address(from), bytes, or_own(stream));
  }
  void fill(void* device, uint8_t byte, std::size_t bytes, void* stream) override {
    require(fill_, address(device), static_cast<unsigned char>(byte), bytes, or_own(stream));
  }

  void* stream() override { return stream_; }
  void* create_stream() override {
    void* stream = nullptr;
    require(stream_create_, &stream, kNonBlocking);
    return stream;
  }
  void destroy_stream(void* stream) override { require(stream_destroy_, stream); }
  void synchronize(void* stream) override { require(stream_synchronize_, or_own(stream)); }
  void drain() override { require(synchronize_); }

  void* create_event() override {
    void* event = nullptr;
    require(event_create_, &event, 0U);
    return event;
  }
  void destroy_event(void* event) override { require(event_destroy_, event); }
  void record(void* event, void* stream) override { require(event_record_, event, or_own(stream)); }
  void wait_for(void* event, void* stream) override { require(stream_wait_, or_own(stream), event, 0U); }
  bool is_done(void* event) override {
    const int error = attempt(event_query_, event);
    if (error == kNotReady)
      forget_error();
    else if (error != 0)
      refuse(event_query_.name, error);
    return error == 0;
  }
  void synchronize_event(void* event) override { require(event_synchronize_, event); }
  double microseconds_between(void* first, void* last) override {
    float milliseconds = 0;
    require(event_elapsed_, &milliseconds, first, last);
    return static_cast<double>(milliseconds) * 1000;
  }

  void begin_capture(void* stream) override { require(capture_begin_, or_own(stream), kCaptureOfThisThread); }
  void* end_capture(void* stream) override {
    void *graph = nullptr, *executable = nullptr;
    require(capture_end_, or_own(stream), &graph);
    const int error = attempt(instantiate_, &executable, graph, 0ULL);
    if (error != 0) forget_error();
    require(graph_destroy_, graph);
    if (error != 0) refuse(instantiate_.name, error);
    return executable;
  }
  void launch_graph(void* graph, void* stream) override { require(launch_, graph, or_own(stream)); }
  void destroy_graph(void* graph) override { require(exec_destroy_, graph); }

 protected:
  virtual std::string error_name(int error) const = 0;
  virtual void forget_error() {}  // one that a call has returned and that the runtime still holds

  const Library& library() const { return library_; }
  void start_stream() { stream_ = create_stream(); }

  template <typename... A>
  void find(Function<A...>& function, const char* symbol) const {
    function.find(library_, symbol);
  }
  template <typename... A, typename... B>
  void require(const Function<A...>& function, B... arguments) {
    if (const int error = attempt(function, arguments...); error != 0) {
      forget_error();
      refuse(function.name, error);
    }
  }

  int index() override { return index_; }
  int count() override {
    int devices = 0;
    require(device_count_, &devices);
    return devices;
  }

  int index_ = 0;
  int device_ = 0;  // the runtime's handle of it

 private:
  template <typename... A, typename... B>
  int attempt(const Function<A...>& function, B... arguments) const {
    if (function.call == nullptr) throw DeviceError(fmt::format("the runtime has no {}", function.name));
    return function.call(arguments...);
  }
  template <typename... A, typename... B>
  bool succeeds(const Function<A...>& function, B... arguments) {
    if (attempt(function, arguments...) == 0) return true;
    forget_error();
    return false;
  }
  [[noreturn]] void refuse(const char* call, int error) const {
    throw DeviceError(fmt::format("{}: {}", call, error_name(error)));
  }
  void* or_own(void* stream) const { return stream != nullptr ? stream : stream_; }
  int attribute(int which) {
    int value = 0;
    if (attempt(device_attribute_, &value, which, device_) == 0) return value;
    forget_error();
    return 0;
  }

  Library library_;
  const Words& words_;
  void* stream_ = nullptr;
  std::optional<std::size_t> page_bytes_;
  Function<Address*, std::size_t> malloc_;
  Function<Address> free_;
  Function<void**, std::size_t, unsigned> host_malloc_;
  Function<void*> host_free_;
  Function<std::size_t*, std::size_t*> memory_info_;
  Function<std::size_t*, int> total_memory_;
  Function<char*, int, int> device_name_;
  Function<int*, int, int> device_attribute_;
  Function<int*> device_count_;
  Function<std::size_t*, const Physical*, int> granularity_;
  Function<Address*, std::size_t, std::size_t, Address, unsigned long long> reserve_;
  Function<unsigned long long*, std::size_t, const Physical*, unsigned long long> create_;
  Function<Address, std::size_t, std::size_t, unsigned long long, unsigned long long> map_;
  Function<Address, std::size_t, const Access*, std::size_t> set_access_;
  Function<Address, const void*, std::size_t, void*> upload_;
  Function<void*, Address, std::size_t, void*> download_;
  Function<Address, Address, std::size_t, void*> copy_;
  Function<Address, unsigned char, std::size_t, void*> fill_;
  Function<void**, unsigned> stream_create_;
  Function<void*> stream_destroy_, stream_synchronize_;
  Function<> synchronize_;
  Function<void*, void*, unsigned> stream_wait_;
  Function<void**, unsigned> event_create_;
  Function<void*> event_destroy_, event_query_, event_synchronize_;
  Function<void*, void*> event_record_;
  Function<float*, void*, void*> event_elapsed_;
  Function<void*, int> capture_begin_;
  Function<void*, void**> capture_end_;
  Function<void**, void*, unsigned long long> instantiate_;
  Function<void*, void*> launch_;
  Function<void*> exec_destroy_, graph_destroy_;
};

class HipDevice final : public RuntimeDevice {
 public:
  explicit HipDevice(int index) : RuntimeDevice(kHipWords) {
    error_name_ = reinterpret_cast<const char* (*)(int)>(library().symbol("hipGetErrorName"));
    last_error_ = reinterpret_cast<int (*)()>(library().symbol("hipGetLastError"));
    find(set_device_, "hipSetDevice");
    find(get_device_, "hipGetDevice");
    index_ = device_ = index;
    make_current();
    start_stream();
  }
  void make_current() override { require(set_device_, device_); }
  bool is_current() override {
    int current = -1;
    require(get_device_, &current);
    return current == device_;
  }

 private:
  std::string error_name(int error) const override {
    const char* text = error_name_ != nullptr ? error_name_(error) : nullptr;
    return text != nullptr ? text : fmt::format("error {}", error);
  }
  void forget_error() override {
    if (last_error_ != nullptr) (void)last_error_();
  }

  const char* (*error_name_)(int) = nullptr;
  int (*last_error_)() = nullptr;
  Function<int> set_device_;
  Function<int*> get_device_;
};

class CudaDevice final : public RuntimeDevice {
 public:
  explicit CudaDevice(int index) : RuntimeDevice(kCudaWords) {
    error_name_ = reinterpret_cast<int (*)(int, const char**)>(library().symbol("cuGetErrorName"));
    Function<unsigned> init;
    Function<int*, int> get;
    Function<void**, int> retain;
    find(init, "cuInit");
    find(get, "cuDeviceGet");
    find(retain, "cuDevicePrimaryCtxRetain");
    find(set_current_, "cuCtxSetCurrent");
    find(get_current_, "cuCtxGetCurrent");
    index_ = index;
    require(init, 0U);
    require(get, &device_, index);
    require(retain, &context_, device_);
    make_current();
    start_stream();
  }
  void make_current() override { require(set_current_, context_); }
  bool is_current() override {
    void* current = nullptr;
    require(get_current_, &current);
    return current == context_;
  }

 private:
  std::string error_name(int error) const override {
    const char* text = nullptr;
    if (error_name_ != nullptr) (void)error_name_(error, &text);
    return text != nullptr ? text : fmt::format("error {}", error);
  }

  int (*error_name_)(int, const char**) = nullptr;
  Function<void*> set_current_;
  Function<void**> get_current_;
  void* context_ = nullptr;
};

}  // namespace

std::unique_ptr<Device> open_device(MemoryKind kind, int index) {
  switch (kind) {
    case MemoryKind::kHip:
      return std::make_unique<HipDevice>(index);
    case MemoryKind::kCuda:
      return std::make_unique<CudaDevice>(index);
    case MemoryKind::kHost:
      break;
  }
  throw DeviceError("host memory needs no device");
}

}  // namespace twincheck
