// Chooses the instruction set, and with it the table of kernels.
#include "worker/models/kernels/cpu_kernels.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "worker/models/kernels/kernel_tables.h"

namespace distill::models::kernels {
namespace {

InstructionSet BestOfProcessor() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")) {
    return InstructionSet::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return InstructionSet::kAvx2;
#endif
  return InstructionSet::kBaseline;
}

InstructionSet Choose() {
  const InstructionSet best = BestOfProcessor();
  const char* name = std::getenv("ATEN_CPU_CAPABILITY");
  if (name == nullptr) return best;
  if (std::strcmp(name, "default") == 0) return InstructionSet::kBaseline;
  if (std::strcmp(name, "avx2") == 0) return std::min(best, InstructionSet::kAvx2);
  return best;
}

template <typename Scalar>
struct Tables;
template <>
struct Tables<float> {
  static const KernelTable<float>& Baseline() { return baseline::kFloatTable; }
#if defined(__x86_64__)
  static const KernelTable<float>& Avx2() { return avx2::kFloatTable; }
  static const KernelTable<float>& Avx512() { return avx512::kFloatTable; }
#endif
};
template <>
struct Tables<double> {
  static const KernelTable<double>& Baseline() { return baseline::kDoubleTable; }
#if defined(__x86_64__)
  static const KernelTable<double>& Avx2() { return avx2::kDoubleTable; }
  static const KernelTable<double>& Avx512() { return avx512::kDoubleTable; }
#endif
};

}  // namespace

InstructionSet ActiveInstructionSet() {
  static const InstructionSet set = Choose();
  return set;
}

int64_t MaskedAttentionWorkspace(const MaskedAttentionShape& shape) {
  constexpr int64_t kWidest = 16;  // lanes of the widest vector
  const int64_t sender_pad = shape.senders + kWidest - 1;
  const int64_t element_pad = shape.head_elements + kWidest - 1;
  const int64_t most = std::max(shape.receivers, shape.senders);
  // Both passes hold a packed matrix or two, a block or all of the scores, and a result.
  return 2 * (most + kWidest) * (element_pad + kWidest) +
         std::max(shape.receivers, kReceiverBlock) * sender_pad +
         std::max(most, kReceiverBlock) * element_pad;
}

template <typename Scalar>
const KernelTable<Scalar>& Kernels([[maybe_unused]] InstructionSet set) {
#if defined(__x86_64__)
  if (set == InstructionSet::kAvx512) return Tables<Scalar>::Avx512();
  if (set == InstructionSet::kAvx2) return Tables<Scalar>::Avx2();
#endif
  return Tables<Scalar>::Baseline();
}

template const KernelTable<float>& Kernels<float>(InstructionSet set);
template const KernelTable<double>& Kernels<double>(InstructionSet set);

}  // namespace distill::models::kernels
