// The driver's library for tests on machines without a GPU: device memory is heap memory, a module is a shared library, and
// a launch calls its function for every thread of every block, in order.
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

using Kernel = void (*)(void** parameters, uint32_t block, uint32_t threads, uint32_t thread);

constexpr int kInvalidValue = 1, kOutOfMemory = 2, kFileNotFound = 301, kNotFound = 500;
constexpr std::size_t kMost = std::size_t{1} << 30;

// A device copies what a sanitizer has marked on the host as nobody's, so not by memcpy(), which looks.
void transfer(void* to, const void* from, std::size_t bytes) {
  auto* const t = static_cast<volatile unsigned char*>(to);
  const auto* const f = static_cast<const volatile unsigned char*>(from);
  for (std::size_t i = 0; i < bytes; ++i) t[i] = f[i];
}

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
    case kNotFound:
      *name = "CUDA_ERROR_NOT_FOUND";
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
FAKE cuMemcpyHtoDAsync_v2(unsigned long long device, const void* host, std::size_t bytes, void*) {
  transfer(reinterpret_cast<void*>(device), host, bytes);
  return 0;
}
FAKE cuMemcpyDtoHAsync_v2(void* host, unsigned long long device, std::size_t bytes, void*) {
  transfer(host, reinterpret_cast<const void*>(device), bytes);
  return 0;
}
FAKE cuStreamCreate(void** stream, unsigned) {
  static int only;
  *stream = &only;
  return 0;
}
FAKE cuStreamSynchronize(void*) { return 0; }
FAKE cuModuleLoad(void** module, const char* path) {
  *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  return *module != nullptr ? 0 : kFileNotFound;
}
// The bytes of each parameter lie beside the kernel, up to a 0.
const uint32_t* parameter_bytes = nullptr;
FAKE cuModuleGetFunction(void** function, void* module, const char* symbol) {
  *function = dlsym(module, symbol);
  parameter_bytes = static_cast<const uint32_t*>(dlsym(module, (std::string(symbol) + "_parameters").c_str()));
  return *function != nullptr ? 0 : kNotFound;
}
FAKE cuFuncGetParamInfo(void*, std::size_t index, std::size_t* offset, std::size_t* bytes) {
  *offset = 0;
  *bytes = parameter_bytes != nullptr ? parameter_bytes[index] : 0;
  return *bytes != 0 ? 0 : kInvalidValue;
}
FAKE cuFuncSetAttribute(void*, int, int) { return 0; }
FAKE cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned,
                    void* stream, void** parameters, void**) {
  if (gx == 0 || gy != 1 || gz != 1 || by != 1 || bz != 1 || stream == nullptr) return kInvalidValue;
  const auto kernel = reinterpret_cast<Kernel>(function);
  for (uint32_t block = 0; block < gx; ++block)
    for (uint32_t thread = 0; thread < bx; ++thread) kernel(parameters, block, bx, thread);
  return 0;
}
