// The count of stored blobs that turned out corrupt, whoever found them.
#pragma once

#include "base/metrics.h"

namespace distill::server {

// Made when a service starts, so that the first one is seen as an increase from 0.
inline Counter& CorruptBlobs(Metrics& metrics) {
  return metrics.AddCounter("distill_blob_corruption_total",
                            "Stored blobs that are not what their digest says.");
}

}  // namespace distill::server
