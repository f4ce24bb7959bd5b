// The job files of deploy/jobs, built into the program so that `demo` needs no source tree.
#pragma once

#include "absl/strings/string_view.h"

namespace distill::client {

extern const absl::string_view kFashionMnistVmoeJob;
extern const absl::string_view kFashionMnistVitJob;

}  // namespace distill::client
