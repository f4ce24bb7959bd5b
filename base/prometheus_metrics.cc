// Wraps prometheus-cpp, which keeps the series and writes the text.
#include "base/prometheus_metrics.h"

#include <map>
#include <utility>

#include "base/check.h"
#include "prometheus/check_names.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"
#include "prometheus/text_serializer.h"

namespace distill {
namespace {

class PrometheusCounter : public Counter {
 public:
  explicit PrometheusCounter(prometheus::Counter& series) : series_(&series) {}
  void Increment(double by) override { series_->Increment(by); }
  prometheus::Counter* series() const { return series_; }

 private:
  prometheus::Counter* const series_;
};

class PrometheusGauge : public Gauge {
 public:
  explicit PrometheusGauge(prometheus::Gauge& series) : series_(&series) {}
  void Set(double value) override { series_->Set(value); }
  void Add(double by) override { series_->Increment(by); }
  prometheus::Gauge* series() const { return series_; }

 private:
  prometheus::Gauge* const series_;
};

class PrometheusHistogram : public Histogram {
 public:
  explicit PrometheusHistogram(prometheus::Histogram& series) : series_(&series) {}
  void Observe(double value) override { series_->Observe(value); }
  prometheus::Histogram* series() const { return series_; }

 private:
  prometheus::Histogram* const series_;
};

// One metric name: its series by label values.
template <typename Series, typename Metric>
struct Family {
  prometheus::Family<Series>* family = nullptr;
  std::map<MetricLabels, std::unique_ptr<Metric>> metrics;

  void Remove(const MetricLabels& labels) {
    const auto found = metrics.find(labels);
    if (found == metrics.end()) return;
    family->Remove(found->second->series());
    metrics.erase(found);
  }
};

template <typename Map>
void RemoveFrom(Map& families, absl::string_view name, const MetricLabels& labels) {
  const auto found = families.find(std::string(name));
  if (found != families.end()) found->second.Remove(labels);
}

}  // namespace

struct PrometheusMetrics::Families {
  prometheus::Registry registry;
  std::map<std::string, Family<prometheus::Counter, PrometheusCounter>> counters;
  std::map<std::string, Family<prometheus::Gauge, PrometheusGauge>> gauges;
  std::map<std::string, Family<prometheus::Histogram, PrometheusHistogram>> histograms;

  // Returns the metric of (name, labels), made with `arguments` unless it exists already.
  template <typename Series, typename Metric, typename Builder, typename... Arguments>
  Metric& FindOrAdd(std::map<std::string, Family<Series, Metric>>& families, Builder builder,
                    absl::string_view name, absl::string_view help, const MetricLabels& labels,
                    const Arguments&... arguments) {
    const std::string key(name);
    Family<Series, Metric>& family = families[key];
    if (family.family == nullptr) {
      DISTILL_CHECK(prometheus::CheckMetricName(key), "metric names are literals of ours");
      DISTILL_CHECK(counters.count(key) + gauges.count(key) + histograms.count(key) == 1,
                    "a metric name has one type");
      family.family = &builder.Name(key).Help(std::string(help)).Register(registry);
    }
    std::unique_ptr<Metric>& metric = family.metrics[labels];
    if (metric == nullptr) {
      metric = std::make_unique<Metric>(family.family->Add(labels, arguments...));
    }
    return *metric;
  }
};

PrometheusMetrics::PrometheusMetrics() : families_(std::make_unique<Families>()) {}
PrometheusMetrics::~PrometheusMetrics() = default;

Counter& PrometheusMetrics::AddCounter(absl::string_view name, absl::string_view help,
                                       const MetricLabels& labels) {
  const MutexLock lock(mu_);
  return families_->FindOrAdd(families_->counters, prometheus::BuildCounter(), name, help, labels);
}

Gauge& PrometheusMetrics::AddGauge(absl::string_view name, absl::string_view help,
                                   const MetricLabels& labels) {
  const MutexLock lock(mu_);
  return families_->FindOrAdd(families_->gauges, prometheus::BuildGauge(), name, help, labels);
}

Histogram& PrometheusMetrics::AddHistogram(absl::string_view name, absl::string_view help,
                                           const std::vector<double>& bounds,
                                           const MetricLabels& labels) {
  const MutexLock lock(mu_);
  return families_->FindOrAdd(families_->histograms, prometheus::BuildHistogram(), name, help,
                              labels, bounds);
}

void PrometheusMetrics::Remove(absl::string_view name, const MetricLabels& labels) {
  const MutexLock lock(mu_);
  RemoveFrom(families_->counters, name, labels);
  RemoveFrom(families_->gauges, name, labels);
  RemoveFrom(families_->histograms, name, labels);
}

std::string PrometheusMetrics::Expose() const {
  const MutexLock lock(mu_);
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

}  // namespace distill
