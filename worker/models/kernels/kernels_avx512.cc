// The kernels compiled for vectors of 64 bytes (avx512).
#define DISTILL_KERNEL_SET avx512
#define DISTILL_KERNEL_BYTES 64
#include "worker/models/kernels/kernels_body.h"
