// The calls of libc themselves, which stand behind ours of the same names.
#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace distill::power_loss {

template <class Function>
Function* FindInLibc(Function*, const char* name) {
  void* const found = dlsym(RTLD_NEXT, name);
  if (found == nullptr) {
    fprintf(stderr, "power loss: libc has no call %s\n", name);
    abort();
  }
  return reinterpret_cast<Function*>(found);
}

}  // namespace distill::power_loss

#define DISTILL_LIBC(name) \
  ::distill::power_loss::FindInLibc(static_cast<decltype(&::name)>(nullptr), #name)
