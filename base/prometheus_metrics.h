// Metrics in the text format that Prometheus scrapes.
//
//   PrometheusMetrics metrics;
//   Counter& granted = metrics.AddCounter("distill_leases_granted_total", "Leases granted.");
//   granted.Increment();
//   metrics.Expose();  // "# HELP distill_leases_granted_total Leases granted.\n..."
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "base/metrics.h"
#include "base/mutex.h"

namespace distill {

// Thread-safe. A name keeps the type, the help text and the bounds of its first use; reuse of a
// name with another type, or a name that Prometheus does not allow, is a bug of ours and aborts.
class PrometheusMetrics : public Metrics {
 public:
  PrometheusMetrics();
  ~PrometheusMetrics() override;

  Counter& AddCounter(absl::string_view name, absl::string_view help,
                      const MetricLabels& labels = {}) override ABSL_LOCKS_EXCLUDED(mu_);
  Gauge& AddGauge(absl::string_view name, absl::string_view help,
                  const MetricLabels& labels = {}) override ABSL_LOCKS_EXCLUDED(mu_);
  Histogram& AddHistogram(absl::string_view name, absl::string_view help,
                          const std::vector<double>& bounds,
                          const MetricLabels& labels = {}) override ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(absl::string_view name, const MetricLabels& labels) override ABSL_LOCKS_EXCLUDED(mu_);

  // Returns all metrics in the text exposition format, version 0.0.4.
  std::string Expose() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  struct Families;

  mutable Mutex mu_;
  const std::unique_ptr<Families> families_ ABSL_PT_GUARDED_BY(mu_);
};

}  // namespace distill
