// A management library with two GPUs: the second does not tell its power, and had one error.
#include <cstdio>

namespace {

constexpr int kSuccess = 0;
constexpr int kNotSupported = 3;
constexpr int kTimeout = 10;

int first_device = 0;
int second_device = 0;
bool error_pending = false;

struct EventData {
  void* device;
  unsigned long long type;
  unsigned long long data;
  unsigned gpu_instance;
  unsigned compute_instance;
};

unsigned IndexOf(const void* device) { return device == &second_device ? 1 : 0; }

}  // namespace

extern "C" {

int nvmlInit_v2() {
  error_pending = true;
  return kSuccess;
}
int nvmlShutdown() { return kSuccess; }
const char* nvmlErrorString(int) { return "an error"; }
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return kSuccess;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = index == 0 ? &first_device : &second_device;
  return kSuccess;
}
int nvmlDeviceGetName(void*, char* name, unsigned size) {
  snprintf(name, size, "Fake GPU");
  return kSuccess;
}
int nvmlDeviceGetUUID(void* device, char* uuid, unsigned size) {
  snprintf(uuid, size, "GPU-%u", IndexOf(device));
  return kSuccess;
}
int nvmlDeviceGetUtilizationRates(void* device, unsigned* rates) {
  rates[0] = IndexOf(device) == 0 ? 75 : 0;
  rates[1] = 10;
  return kSuccess;
}
int nvmlDeviceGetMemoryInfo(void*, unsigned long long* memory) {
  memory[0] = 8ULL << 30;
  memory[1] = 6ULL << 30;
  memory[2] = 2ULL << 30;
  return kSuccess;
}
int nvmlDeviceGetTemperature(void*, unsigned, unsigned* degrees) {
  *degrees = 61;
  return kSuccess;
}
int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) {
  if (IndexOf(device) == 1) return kNotSupported;
  *milliwatts = 312500;
  return kSuccess;
}
int nvmlEventSetCreate(void** set) {
  *set = &error_pending;
  return kSuccess;
}
int nvmlEventSetFree(void*) { return kSuccess; }
int nvmlDeviceRegisterEvents(void*, unsigned long long, void*) { return kSuccess; }
int nvmlEventSetWait_v2(void*, EventData* event, unsigned) {
  if (!error_pending) return kTimeout;
  error_pending = false;
  *event = {&second_device, 8, 79, 0, 0};
  return kSuccess;
}

}  // extern "C"
