// Holds LibTorch and its BLAS to one thread and to deterministic algorithms, and tells in which
// numeric class this process really computes: bits agree between processes of one class only.
#pragma once

#include <torch/torch.h>

#include <string>

namespace distill::worker {

// Call once, in main, before any tensor is made.
void ConfigureNumericRuntime();

// What the worker pins this process to; the processor when it pins nothing.
torch::DeviceType PinnedDevice();

// Whether there is such a device, and a LibTorch that can use it.
bool IsAvailable(torch::DeviceType device);

// On the processor "cpu-x86-avx512", "cpu-x86-avx2" or "cpu-x86-default" when LibTorch's and
// OpenBLAS's kernels are both of that class, as the environment pins them; otherwise a name made of
// the two, which no task asks for. On a GPU "cuda-sm90-libtorch2.11": its architecture, and the
// library that brings the kernels.
std::string ActiveNumericClass(torch::DeviceType device);

// The version of LibTorch that this program runs with.
std::string LibTorchVersion();

}  // namespace distill::worker
