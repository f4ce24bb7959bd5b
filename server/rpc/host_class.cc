#include "server/rpc/host_class.h"

namespace distill::server {

std::string HostNumericClass() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl");
  if (avx512) return "cpu-x86-avx512";
  if (avx2) return "cpu-x86-avx2";
#endif
  return "cpu-x86-default";
}

}  // namespace distill::server
