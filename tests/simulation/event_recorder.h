// Metrics of which only one thing is kept: which counters ever rose, and which changes of state of
// tasks there were.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "base/metrics.h"

namespace distill {

// One thread only.
class EventRecorder : public NullMetrics {
 public:
  // (state, event) in words, as the labels of distill_task_transitions_total have them.
  const std::set<std::pair<std::string, std::string>>& transitions() const { return transitions_; }
  // Names of counters that rose.
  const std::set<std::string>& counted() const { return counted_; }

  Counter& AddCounter(absl::string_view name, absl::string_view,
                      const MetricLabels& labels) override {
    if (name == "distill_task_transitions_total") {
      transitions_.insert({labels.at("from"), labels.at("event")});
    }
    std::unique_ptr<RecordingCounter>& counter = counters_[std::string(name)];
    if (counter == nullptr) {
      counter = std::make_unique<RecordingCounter>(std::string(name), counted_);
    }
    return *counter;
  }

 private:
  class RecordingCounter : public Counter {
   public:
    RecordingCounter(std::string name, std::set<std::string>& counted)
        : name_(std::move(name)), counted_(counted) {}
    void Increment(double by) override {
      if (by > 0) counted_.insert(name_);
    }

   private:
    const std::string name_;
    std::set<std::string>& counted_;
  };

  std::set<std::pair<std::string, std::string>> transitions_;
  std::set<std::string> counted_;
  std::map<std::string, std::unique_ptr<RecordingCounter>> counters_;
};

}  // namespace distill
