#include "server/rpc/plan_costs.h"

#include <map>
#include <utility>
#include <vector>

#include "base/status_macros.h"

namespace distill::server {
namespace {

// Enough to know what a project does of late, few enough to be read while somebody waits.
constexpr int kJobsRead = 10;
constexpr int kTasksRead = 1000;

// All of a task that decides how much work an image is.
std::string ShapeOf(const v1::TaskSpec& task) {
  v1::TaskSpec shape = task;
  // Middle modules of one network are alike; the first and the last are not.
  const int last = task.modules() - 1;
  shape.set_module_index(task.module_index() == 0 ? 0 : task.module_index() == last ? 2 : 1);
  shape.clear_seed();
  shape.clear_inputs();
  shape.clear_outputs();
  shape.clear_semantics_version();
  shape.clear_checkpoint_interval_seconds();
  shape.clear_distillation();
  shape.clear_quality_gate();
  shape.mutable_dataset()->clear_subset_seed();
  const int batch_size = task.recipe().batch_size();
  shape.clear_recipe();
  if (batch_size > 0) shape.mutable_recipe()->set_batch_size(batch_size);
  return shape.SerializeAsString();
}

}  // namespace

int64_t TrainingImages(const v1::TaskSpec& task) {
  return task.has_recipe() ? task.recipe().total_images() : 0;
}

absl::StatusOr<PlanCosts> PlanCosts::Read(const storage::StateStore& store,
                                          const ProjectId& project) {
  PlanCosts costs;
  storage::JobPageRequest page;
  page.project = project;
  page.limit = kJobsRead;
  DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::JobRecord> jobs, store.ListJobs(page));
  for (const storage::JobRecord& job : jobs) {
    DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::TaskRecord> tasks,
                             store.ListTasks(job.id, /*after_index=*/-1, kTasksRead));
    DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::AttemptRecord> attempts,
                             store.ListJobAttempts(job.id));
    std::map<std::pair<TaskId, int32_t>, const storage::AttemptRecord*> winners;
    for (const storage::AttemptRecord& attempt : attempts) {
      winners[{attempt.task, attempt.number}] = &attempt;
    }
    for (const storage::TaskRecord& task : tasks) {
      const auto winner = winners.find({task.id, task.status.winner_attempt});
      v1::TaskSpec spec;
      v1::AttemptStats stats;
      if (winner == winners.end() || !spec.ParseFromString(task.definition.spec) ||
          !stats.ParseFromString(winner->second->stats)) {
        continue;
      }
      costs.Learn(spec, stats);
    }
  }
  return costs;
}

void PlanCosts::Learn(const v1::TaskSpec& task, const v1::AttemptStats& stats) {
  // An attempt that went on from a checkpoint near the end says little.
  if (TrainingImages(task) > 0 && 2 * stats.images_seen() < TrainingImages(task)) return;
  Sum& sum = sums_[ShapeOf(task)];
  sum.seconds += stats.wall_seconds();
  sum.images += static_cast<double>(stats.images_seen());
  ++sum.attempts;
}

std::optional<double> PlanCosts::Predict(const v1::TaskSpec& task) const {
  const auto found = sums_.find(ShapeOf(task));
  if (found == sums_.end()) return std::nullopt;
  const Sum& sum = found->second;
  const int64_t images = TrainingImages(task);
  if (images > 0 && sum.images > 0) return sum.seconds / sum.images * static_cast<double>(images);
  return sum.seconds / sum.attempts;
}

}  // namespace distill::server
