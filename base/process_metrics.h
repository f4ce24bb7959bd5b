// What any program can say about itself, under the names that Prometheus's own libraries use, so
// that ready-made dashboards and rules fit.
#pragma once

#include <string>

namespace distill {

// Returns, in the text exposition format: distill_build_info, process_start_time_seconds,
// process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes,
// process_open_fds and process_max_fds. Read anew from /proc at each call; what cannot be read is
// left out.
std::string ExposeProcessMetrics();

}  // namespace distill
