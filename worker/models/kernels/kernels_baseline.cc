// The kernels compiled for vectors of 16 bytes (baseline).
#define DISTILL_KERNEL_SET baseline
#define DISTILL_KERNEL_BYTES 16
#include "worker/models/kernels/kernels_body.h"
