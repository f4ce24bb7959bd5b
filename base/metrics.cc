// The metrics that nobody looks at.
#include "base/metrics.h"

namespace distill {
namespace {

class NullCounter : public Counter {
 public:
  void Increment(double) override {}
};
class NullGauge : public Gauge {
 public:
  void Set(double) override {}
  void Add(double) override {}
};
class NullHistogram : public Histogram {
 public:
  void Observe(double) override {}
};

}  // namespace

std::vector<double> LatencyBounds() {
  return {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,  0.1,   0.25, 0.5,
          1.0,    2.5,   5.0,    10.0,  30.0, 60.0,  120.0, 300.0, 600.0};
}

// The statics below have no state, so sharing them between threads and instances is harmless.
Counter& NullMetrics::AddCounter(absl::string_view, absl::string_view, const MetricLabels&) {
  static NullCounter counter;
  return counter;
}

Gauge& NullMetrics::AddGauge(absl::string_view, absl::string_view, const MetricLabels&) {
  static NullGauge gauge;
  return gauge;
}

Histogram& NullMetrics::AddHistogram(absl::string_view, absl::string_view,
                                     const std::vector<double>&, const MetricLabels&) {
  static NullHistogram histogram;
  return histogram;
}

}  // namespace distill
