#include "server/rpc/plan_message.h"

#include <algorithm>
#include <map>

#include "absl/container/flat_hash_map.h"
#include "base/check.h"

namespace distill::server {
namespace {

// Within one job, too, equal tasks run once.
KnownResult WithinJob(const PlannedTask& task, const KnownResult& known,
                      absl::flat_hash_map<Digest, std::string>& first) {
  if (task.key.empty() || known.execution != v1::PLANNED_EXECUTION_RUNS) return known;
  const auto [entry, is_first] = first.try_emplace(task.key, task.name);
  if (is_first) return known;
  return {v1::PLANNED_EXECUTION_JOINS, entry->second, 0};
}

void AddToSums(const v1::PlannedTask& task, std::map<std::string, double>& ends,
               v1::JobPlan& message) {
  double start = 0;
  for (const std::string& producer : task.depends_on()) start = std::max(start, ends[producer]);
  const bool runs = task.execution() == v1::PLANNED_EXECUTION_RUNS;
  ends[task.id()] = start + (runs ? task.predicted_seconds() : 0);
  message.set_critical_path_seconds(std::max(message.critical_path_seconds(), ends[task.id()]));
  if (!runs) {
    message.set_saved_seconds(message.saved_seconds() + task.predicted_seconds());
    return;
  }
  message.set_largest_memory_bytes(
      std::max(message.largest_memory_bytes(), task.predicted_memory_bytes()));
  message.set_predicted_seconds(message.predicted_seconds() + task.predicted_seconds());
  if (!task.has_predicted_seconds()) message.set_unpredicted_tasks(message.unpredicted_tasks() + 1);
}

}  // namespace

v1::JobPlan ToProto(const JobPlan& plan, const std::vector<KnownResult>& known,
                    const PlanCosts& costs) {
  DISTILL_CHECK(known.size() == plan.tasks.size(), "every task is looked up");
  v1::JobPlan message;
  *message.mutable_job()->mutable_spec() = plan.spec;
  message.mutable_job()->set_tasks_total(static_cast<int>(plan.tasks.size()));
  absl::flat_hash_map<Digest, std::string> first;
  std::map<std::string, double> ends;
  for (size_t i = 0; i < plan.tasks.size(); ++i) {
    const PlannedTask& planned = plan.tasks[i];
    v1::PlannedTask& task = *message.add_tasks();
    task.set_id(planned.name);
    *task.mutable_spec() = planned.spec;
    task.set_key(planned.key.str());
    for (const std::string& producer : planned.depends_on) task.add_depends_on(producer);
    task.set_bundle_group(planned.bundle_group);
    task.set_predicted_memory_bytes(planned.predicted_memory_bytes);
    const KnownResult result = WithinJob(planned, known[i], first);
    task.set_execution(result.execution);
    task.set_equal_task(result.task);
    const std::optional<double> seconds = result.device_seconds > 0
                                              ? std::optional<double>(result.device_seconds)
                                              : costs.Predict(planned.spec);
    if (seconds.has_value()) task.set_predicted_seconds(*seconds);
    task.set_training_images(TrainingImages(planned.spec));
    AddToSums(task, ends, message);
  }
  return message;
}

}  // namespace distill::server
