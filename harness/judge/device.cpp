#include "harness/judge/device.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <initializer_list>

namespace twincheck {
namespace {

// The functions used of a runtime, by their documented C signatures. Both runtimes return 0 for success.
class Library {
 public:
  explicit Library(std::initializer_list<const char*> names) {
    for (const char* name : names)
      if ((handle_ = dlopen(name, RTLD_NOW | RTLD_GLOBAL)) != nullptr) return;
    throw DeviceError(fmt::format("{} cannot be loaded", *names.begin()));
  }

  template <typename Function>
  void find(Function& function, const char* symbol) const {
    function = reinterpret_cast<Function>(dlsym(handle_, symbol));
    if (function == nullptr) throw DeviceError(fmt::format("the runtime has no {}", symbol));
  }

 private:
  void* handle_ = nullptr;  // stays loaded: runtimes do not like to go
};

class HipDevice final : public Device {
 public:
  explicit HipDevice(int index) : library_({"libamdhip64.so", "libamdhip64.so.7", "libamdhip64.so.6", "libamdhip64.so.5"}) {
    library_.find(error_name_, "hipGetErrorName");
    library_.find(set_device_, "hipSetDevice");
    library_.find(malloc_, "hipMalloc");
    library_.find(free_, "hipFree");
    library_.find(host_malloc_, "hipHostMalloc");
    library_.find(host_free_, "hipHostFree");
    library_.find(copy_, "hipMemcpyAsync");
    library_.find(stream_create_, "hipStreamCreateWithFlags");
    library_.find(stream_synchronize_, "hipStreamSynchronize");
    library_.find(get_last_error_, "hipGetLastError");
    library_.find(device_name_, "hipDeviceGetName");
    index_ = index;
    require(set_device_(index), "hipSetDevice");
    require(stream_create_(&stream_, kNonBlocking), "hipStreamCreateWithFlags");
  }

  std::string name() override {
    char text[256] = {};
    require(device_name_(text, sizeof text, index_), "hipDeviceGetName");
    return text;
  }
  void* allocate(std::size_t bytes) override {
    void* p = nullptr;
    if (malloc_(&p, bytes) == 0) return p;
    (void)get_last_error_();
    return nullptr;
  }
  void release(void* p) override { require(free_(p), "hipFree"); }
  void* allocate_host(std::size_t bytes) override {
    void* p = nullptr;
    if (host_malloc_(&p, bytes, 0) == 0) return p;
    (void)get_last_error_();
    return nullptr;
  }
  void release_host(void* p) override { require(host_free_(p), "hipHostFree"); }
  void upload(void* device, const void* host, std::size_t bytes) override {
    require(copy_(device, host, bytes, kHostToDevice, stream_), "hipMemcpyAsync");
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    require(copy_(host, device, bytes, kDeviceToHost, stream_), "hipMemcpyAsync");
  }
  void synchronize() override { require(stream_synchronize_(stream_), "hipStreamSynchronize"); }
  void* stream() override { return stream_; }

 private:
  static constexpr unsigned kNonBlocking = 1;
  static constexpr int kHostToDevice = 1, kDeviceToHost = 2;

  void require(int error, const char* call) const {
    if (error != 0) throw DeviceError(fmt::format("{}: {}", call, error_name_(error)));
  }

  Library library_;
  int index_ = 0;
  void* stream_ = nullptr;
  const char* (*error_name_)(int);
  int (*set_device_)(int);
  int (*malloc_)(void**, std::size_t);
  int (*free_)(void*);
  int (*host_malloc_)(void**, std::size_t, unsigned);
  int (*host_free_)(void*);
  int (*copy_)(void*, const void*, std::size_t, int, void*);
  int (*stream_create_)(void**, unsigned);
  int (*stream_synchronize_)(void*);
  int (*get_last_error_)();
  int (*device_name_)(char*, int, int);
};

// The driver API; its primary context is the one that the runtime API of a candidate uses.
class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int index) : library_({"libcuda.so.1", "libcuda.so"}) {
    library_.find(error_name_, "cuGetErrorName");
    library_.find(init_, "cuInit");
    library_.find(device_get_, "cuDeviceGet");
    library_.find(retain_, "cuDevicePrimaryCtxRetain");
    library_.find(set_current_, "cuCtxSetCurrent");
    library_.find(malloc_, "cuMemAlloc_v2");
    library_.find(free_, "cuMemFree_v2");
    library_.find(host_malloc_, "cuMemHostAlloc");
    library_.find(host_free_, "cuMemFreeHost");
    library_.find(upload_, "cuMemcpyHtoDAsync_v2");
    library_.find(download_, "cuMemcpyDtoHAsync_v2");
    library_.find(stream_create_, "cuStreamCreate");
    library_.find(stream_synchronize_, "cuStreamSynchronize");
    library_.find(device_name_, "cuDeviceGetName");
    require(init_(0), "cuInit");
    require(device_get_(&device_, index), "cuDeviceGet");
    void* context = nullptr;
    require(retain_(&context, device_), "cuDevicePrimaryCtxRetain");
    require(set_current_(context), "cuCtxSetCurrent");
    require(stream_create_(&stream_, kNonBlocking), "cuStreamCreate");
  }

  std::string name() override {
    char text[256] = {};
    require(device_name_(text, sizeof text, device_), "cuDeviceGetName");
    return text;
  }
  void* allocate(std::size_t bytes) override {
    unsigned long long p = 0;
    return malloc_(&p, bytes) == 0 ? reinterpret_cast<void*>(p) : nullptr;
  }
  void release(void* p) override { require(free_(reinterpret_cast<unsigned long long>(p)), "cuMemFree"); }
  void* allocate_host(std::size_t bytes) override {
    void* p = nullptr;
    return host_malloc_(&p, bytes, 0) == 0 ? p : nullptr;
  }
  void release_host(void* p) override { require(host_free_(p), "cuMemFreeHost"); }
  void upload(void* device, const void* host, std::size_t bytes) override {
    require(upload_(reinterpret_cast<unsigned long long>(device), host, bytes, stream_), "cuMemcpyHtoDAsync");
  }
  void download(void* host, const void* device, std::size_t bytes) override {
    require(download_(host, reinterpret_cast<unsigned long long>(device), bytes, stream_), "cuMemcpyDtoHAsync");
  }
  void synchronize() override { require(stream_synchronize_(stream_), "cuStreamSynchronize"); }
  void* stream() override { return stream_; }

 private:
  static constexpr unsigned kNonBlocking = 1;

  void require(int error, const char* call) const {
    if (error == 0) return;
    const char* text = nullptr;
    (void)error_name_(error, &text);
    throw DeviceError(fmt::format("{}: {}", call, text != nullptr ? text : fmt::format("error {}", error)));
  }

  Library library_;
  int device_ = 0;
  void* stream_ = nullptr;
  int (*error_name_)(int, const char**);
  int (*init_)(unsigned);
  int (*device_get_)(int*, int);
  int (*retain_)(void**, int);
  int (*set_current_)(void*);
  int (*malloc_)(unsigned long long*, std::size_t);
  int (*free_)(unsigned long long);
  int (*host_malloc_)(void**, std::size_t, unsigned);
  int (*host_free_)(void*);
  int (*upload_)(unsigned long long, const void*, std::size_t, void*);
  int (*download_)(void*, unsigned long long, std::size_t, void*);
  int (*stream_create_)(void**, unsigned);
  int (*stream_synchronize_)(void*);
  int (*device_name_)(char*, int, int);
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
