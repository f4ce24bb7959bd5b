// Compiles a function twice, for any x86-64 and for those with AVX2, and calls the faster one that
// the machine has. For plain loops that the compiler turns into vector instructions. Both give the
// same bits: integers, or floats without contraction (CMakeLists.txt).
#pragma once

#if defined(__x86_64__) && defined(__clang__)
#define DISTILL_VECTORISED(result, name, parameters, arguments, ...)             \
  inline __attribute__((always_inline)) result name##Body parameters __VA_ARGS__ \
      __attribute__((target("avx2"))) result name##Avx2 parameters {             \
    return name##Body arguments;                                                 \
  }                                                                              \
  result name##Plain parameters { return name##Body arguments; }                 \
  result name parameters {                                                       \
    static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;            \
    return has_avx2 ? name##Avx2 arguments : name##Plain arguments;              \
  }
#else
#define DISTILL_VECTORISED(result, name, parameters, arguments, ...) \
  result name parameters __VA_ARGS__
#endif
