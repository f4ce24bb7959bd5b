// Records for tests of what stores and keeps them.
#pragma once

#include <string>

#include "storage/state/records.h"

namespace distill {

inline storage::WorkerRecord DrainingWorker(const std::string& id) {
  storage::WorkerRecord worker;
  worker.id = WorkerId(id);
  worker.draining = true;
  return worker;
}

}  // namespace distill
