// The tables that the files compiled for each instruction set define. Only cpu_kernels.cc includes
// this.
#pragma once

#include "worker/models/kernels/cpu_kernels.h"

namespace distill::models::kernels {

#define DISTILL_DECLARE_TABLES_(set)             \
  namespace set {                                \
  extern const KernelTable<float> kFloatTable;   \
  extern const KernelTable<double> kDoubleTable; \
  }

DISTILL_DECLARE_TABLES_(baseline)
DISTILL_DECLARE_TABLES_(avx2)
DISTILL_DECLARE_TABLES_(avx512)

#undef DISTILL_DECLARE_TABLES_

}  // namespace distill::models::kernels
