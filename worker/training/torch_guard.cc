#include "worker/training/torch_guard.h"

#include <torch/torch.h>

#include <exception>
#include <new>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace distill::training {
namespace {

// LibTorch has no exception type of its own for a failed allocation on the CPU.
bool SpeaksOfMemory(absl::string_view what) {
  return absl::StrContains(what, "allocate memory") || absl::StrContains(what, "out of memory") ||
         absl::StrContains(what, "not enough memory");
}

}  // namespace

absl::Status StatusOfCurrentException(absl::string_view action) {
  std::string what;
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat("cannot ", action, ": out of memory"));
  } catch (const c10::Error& error) {
    what = error.what_without_backtrace();
  } catch (const std::exception& error) {
    what = error.what();
  } catch (...) {
    what = "unknown exception";
  }
  const std::string message = absl::StrCat("cannot ", action, ": ", what);
  if (SpeaksOfMemory(what)) return absl::ResourceExhaustedError(message);
  return absl::InternalError(message);
}

}  // namespace distill::training
