// What projects use, a series each, and one for all beyond the first fifty, so that nobody can make
// any number of series.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "server/scheduler/core.h"

namespace distill::server {

// Thread-compatible.
class ProjectGauges {
 public:
  // `metrics` must outlive this. The project of jobs that name none has its series at once.
  explicit ProjectGauges(Metrics& metrics);

  // `projects`: all that use anything.
  void Set(const std::vector<QuotaView>& projects);

 private:
  struct Use {
    int slots = 0;
    int tasks = 0;
  };

  Metrics* const metrics_;
  std::map<std::string, Use> uses_;
};

}  // namespace distill::server
