#include "worker/agent/nvml.h"

#include <dlfcn.h>

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"

namespace distill::worker {
namespace {

// The part of nvml.h that is used; its ABI has been the same since version 7 of the library.
using Result = int;
using Device = void*;
using EventSet = void*;
constexpr Result kSuccess = 0;
constexpr unsigned kTemperatureOfGpu = 0;
constexpr unsigned long long kXidErrors = 8;

struct Utilization {
  unsigned gpu;
  unsigned memory;
};
struct Memory {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};
struct EventData {
  Device device;
  unsigned long long type;
  unsigned long long data;
  unsigned gpu_instance;
  unsigned compute_instance;
};

struct Calls {
  Result (*init)() = nullptr;
  Result (*shutdown)() = nullptr;
  const char* (*error_string)(Result) = nullptr;
  Result (*count)(unsigned*) = nullptr;
  Result (*handle)(unsigned, Device*) = nullptr;
  Result (*name)(Device, char*, unsigned) = nullptr;
  Result (*uuid)(Device, char*, unsigned) = nullptr;
  Result (*utilization)(Device, Utilization*) = nullptr;
  Result (*memory)(Device, Memory*) = nullptr;
  Result (*temperature)(Device, unsigned, unsigned*) = nullptr;
  Result (*power)(Device, unsigned*) = nullptr;
  Result (*event_set_create)(EventSet*) = nullptr;
  Result (*event_set_free)(EventSet) = nullptr;
  Result (*register_events)(Device, unsigned long long, EventSet) = nullptr;
  Result (*event_wait)(EventSet, EventData*, unsigned) = nullptr;
};

// Returns the name of the first call that is missing; "" when there is none.
std::string Bind(void* library, Calls& calls) {
  std::string missing;
  const auto bind = [&](const char* name, auto& function) {
    function = reinterpret_cast<std::decay_t<decltype(function)>>(dlsym(library, name));
    if (function == nullptr && missing.empty()) missing = name;
  };
  bind("nvmlInit_v2", calls.init);
  bind("nvmlShutdown", calls.shutdown);
  bind("nvmlErrorString", calls.error_string);
  bind("nvmlDeviceGetCount_v2", calls.count);
  bind("nvmlDeviceGetHandleByIndex_v2", calls.handle);
  bind("nvmlDeviceGetName", calls.name);
  bind("nvmlDeviceGetUUID", calls.uuid);
  bind("nvmlDeviceGetUtilizationRates", calls.utilization);
  bind("nvmlDeviceGetMemoryInfo", calls.memory);
  bind("nvmlDeviceGetTemperature", calls.temperature);
  bind("nvmlDeviceGetPowerUsage", calls.power);
  bind("nvmlEventSetCreate", calls.event_set_create);
  bind("nvmlEventSetFree", calls.event_set_free);
  bind("nvmlDeviceRegisterEvents", calls.register_events);
  bind("nvmlEventSetWait_v2", calls.event_wait);
  return missing;
}

class NvmlImpl : public Nvml {
 public:
  NvmlImpl(void* library, const Calls& calls, std::vector<Device> devices)
      : library_(library), calls_(calls), devices_(std::move(devices)) {
    if (calls_.event_set_create(&events_) != kSuccess) events_ = nullptr;
    for (Device device : devices_) {
      // Some devices have no events; then there is nothing to count.
      if (events_ != nullptr) calls_.register_events(device, kXidErrors, events_);
    }
  }
  ~NvmlImpl() override {
    if (events_ != nullptr) calls_.event_set_free(events_);
    calls_.shutdown();
    dlclose(library_);
  }

  int device_count() const override { return static_cast<int>(devices_.size()); }
  std::string Name(int device) const override { return Text(calls_.name, device); }
  std::string Uuid(int device) const override { return Text(calls_.uuid, device); }

  GpuReading Read(int device) const override {
    Device handle = devices_[static_cast<size_t>(device)];
    GpuReading reading;
    Utilization utilization{};
    if (calls_.utilization(handle, &utilization) == kSuccess) {
      reading.utilization = utilization.gpu / 100.0;
    }
    Memory memory{};
    if (calls_.memory(handle, &memory) == kSuccess) {
      reading.memory_used_bytes = static_cast<double>(memory.used);
      reading.memory_total_bytes = static_cast<double>(memory.total);
    }
    unsigned number = 0;
    if (calls_.temperature(handle, kTemperatureOfGpu, &number) == kSuccess) {
      reading.temperature_celsius = number;
    }
    if (calls_.power(handle, &number) == kSuccess) reading.power_watts = number / 1000.0;
    return reading;
  }

  std::vector<int> TakeErrors() override {
    std::vector<int> errors;
    EventData event{};
    while (events_ != nullptr && calls_.event_wait(events_, &event, 0) == kSuccess) {
      for (size_t i = 0; i < devices_.size(); ++i) {
        if (devices_[i] == event.device) errors.push_back(static_cast<int>(i));
      }
    }
    return errors;
  }

 private:
  std::string Text(Result (*call)(Device, char*, unsigned), int device) const {
    std::array<char, 96> text{};
    const Result result = call(devices_[static_cast<size_t>(device)], text.data(),
                               static_cast<unsigned>(text.size()));
    return result == kSuccess ? text.data() : "";
  }

  void* const library_;
  const Calls calls_;
  const std::vector<Device> devices_;
  EventSet events_ = nullptr;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Nvml>> Nvml::Open(const std::string& library) {
  void* const opened = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) {
    return absl::NotFoundError(absl::StrCat("cannot open library of the GPU driver: ", dlerror()));
  }
  Calls calls;
  const std::string missing = Bind(opened, calls);
  if (!missing.empty()) {
    dlclose(opened);
    return absl::NotFoundError(
        absl::StrCat("cannot use library of the GPU driver: it lacks a call; library=", library,
                     " call=", missing));
  }
  const Result result = calls.init();
  if (result != kSuccess) {
    const std::string cause = calls.error_string(result);
    dlclose(opened);
    return absl::UnavailableError(absl::StrCat("cannot reach the GPU driver: ", cause));
  }
  unsigned count = 0;
  if (calls.count(&count) != kSuccess) count = 0;
  std::vector<Device> devices;
  for (unsigned i = 0; i < count; ++i) {
    Device device = nullptr;
    // Those that this process may not use are refused.
    if (calls.handle(i, &device) == kSuccess) devices.push_back(device);
  }
  return std::make_unique<NvmlImpl>(opened, calls, std::move(devices));
}

}  // namespace distill::worker
