// Counters, gauges and histograms as a dependency; no global registry. PrometheusMetrics
// (base/prometheus_metrics.h) exports them; NullMetrics is for tests that do not look.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace distill {

using MetricLabels = std::map<std::string, std::string>;

// All thread-safe, and valid for as long as the Metrics that made them.
class Counter {
 public:
  virtual ~Counter() = default;
  virtual void Increment(double by = 1.0) = 0;
};
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void Set(double value) = 0;
  virtual void Add(double by) = 0;
};
class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void Observe(double value) = 0;
};

// Makes metrics. Names follow distill_<noun>_<verb past>_total, _seconds, _bytes; label values come
// from small fixed sets. Asking again for the same name and labels returns the same metric.
class Metrics {
 public:
  virtual ~Metrics() = default;
  virtual Counter& AddCounter(absl::string_view name, absl::string_view help,
                              const MetricLabels& labels = {}) = 0;
  virtual Gauge& AddGauge(absl::string_view name, absl::string_view help,
                          const MetricLabels& labels = {}) = 0;
  virtual Histogram& AddHistogram(absl::string_view name, absl::string_view help,
                                  const std::vector<double>& bounds,
                                  const MetricLabels& labels = {}) = 0;
  // Forgets one labelled series, e.g. of a slot that is gone. Its object must not be used again.
  virtual void Remove(absl::string_view name, const MetricLabels& labels) = 0;
};

// Bounds in seconds from 0.5 ms to 10 min, for latencies of every scale we have.
std::vector<double> LatencyBounds();

class NullMetrics : public Metrics {
 public:
  Counter& AddCounter(absl::string_view, absl::string_view, const MetricLabels&) override;
  Gauge& AddGauge(absl::string_view, absl::string_view, const MetricLabels&) override;
  Histogram& AddHistogram(absl::string_view, absl::string_view, const std::vector<double>&,
                          const MetricLabels&) override;
  void Remove(absl::string_view, const MetricLabels&) override {}
};

}  // namespace distill
