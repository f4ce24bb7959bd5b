#include "server/app/project_gauges.h"

namespace distill::server {
namespace {

constexpr char kDefaultProject[] = "default";
constexpr char kOtherProjects[] = "other";
constexpr size_t kMostProjects = 50;

}  // namespace

ProjectGauges::ProjectGauges(Metrics& metrics) : metrics_(&metrics) {
  uses_[kDefaultProject];
  Set({});
}

void ProjectGauges::Set(const std::vector<QuotaView>& projects) {
  // Who uses nothing any more is not among `projects`.
  for (auto& [name, use] : uses_) use = Use();
  for (const QuotaView& view : projects) {
    const std::string& name = view.quota.project.str();
    const bool has_series = uses_.count(name) > 0 || uses_.size() < kMostProjects;
    Use& use = uses_[has_series ? name : kOtherProjects];
    use.slots += view.slots_in_use;
    use.tasks += view.running_tasks;
  }
  for (const auto& [name, use] : uses_) {
    metrics_
        ->AddGauge("distill_project_slots_in_use", "Slots that work for a project.",
                   {{"project", name}})
        .Set(use.slots);
    metrics_
        ->AddGauge("distill_project_running_tasks", "Tasks of a project that run.",
                   {{"project", name}})
        .Set(use.tasks);
  }
}

}  // namespace distill::server
