// The kernels compiled for vectors of 32 bytes (avx2).
#define DISTILL_KERNEL_SET avx2
#define DISTILL_KERNEL_BYTES 32
#include "worker/models/kernels/kernels_body.h"
