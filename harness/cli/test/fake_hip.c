/* A HIP runtime with two devices, as far as asking for them goes. */
#include <string.h>

int hipGetDeviceCount(int* count) { return *count = 2, 0; }
const char* hipGetErrorName(int error) { return error == 0 ? "hipSuccess" : "hipErrorUnknown"; }
int hipDeviceGetName(char* name, int size, int device) {
  strncpy(name, device == 0 ? "AMD Instinct MI300X" : "Radeon gfx", (size_t)size);
  return 0;
}
/* The architecture lies somewhere behind the device's name, which may look like one. */
int hipGetDevicePropertiesR0600(void* properties, int device) {
  char* bytes = (char*)properties;
  strcpy(bytes, device == 0 ? "AMD Instinct MI300X" : "Radeon gfx");
  strcpy(bytes + 1160, device == 0 ? "gfx942:sramecc+:xnack-" : "gfx1100");
  return 0;
}
