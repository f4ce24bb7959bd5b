#include "tests/fault/small_job.h"

#include <cstdlib>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace distill {
namespace {

void SetNetwork(v1::VitSpec& vit, int depth) {
  vit.set_embed_dim(16);
  vit.set_heads(2);
  vit.set_depth(depth);
}

}  // namespace

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  int64_t value = 0;
  return text != nullptr && absl::SimpleAtoi(text, &value) ? value : otherwise;
}

v1::JobSpec SmallJob(const std::string& dataset, int gang_size) {
  v1::JobSpec spec;
  spec.mutable_dataset()->set_path(dataset);
  spec.set_modules(2);
  spec.set_patch_size(7);
  SetNetwork(*spec.mutable_meta(), 2);
  SetNetwork(*spec.mutable_teacher(), 4);
  SetNetwork(*spec.mutable_student()->mutable_vmoe()->mutable_backbone(), 2);
  for (v1::TrainingRecipe* recipe :
       {spec.mutable_pretrain_meta(), spec.mutable_incubate_teacher(),
        spec.mutable_finetune_teacher(), spec.mutable_distill_modules(),
        spec.mutable_finetune_student()}) {
    recipe->set_epochs(4);
    recipe->set_batch_size(16);
  }
  if (gang_size > 1) {
    for (v1::TrainingRecipe* recipe :
         {spec.mutable_pretrain_meta(), spec.mutable_finetune_teacher(),
          spec.mutable_finetune_student()}) {
      recipe->set_gang_size(gang_size);
    }
  }
  spec.mutable_evaluation()->add_corruptions("none");
  spec.mutable_execution()->set_checkpoint_interval_seconds(0.05);
  spec.mutable_execution()->set_max_infrastructure_failures(1000);
  return spec;
}

Outcome Examine(client::Client& client, const v1::Job& job) {
  Outcome outcome;
  const auto tasks = client.ListTasks(job.id());
  EXPECT_THAT(tasks.status(), IsOk());
  if (!tasks.ok()) return outcome;
  for (const v1::Task& task : *tasks) {
    EXPECT_EQ(task.state(), v1::TASK_STATE_SUCCEEDED) << task.id();
    int winners = 0;
    for (const v1::Attempt& attempt : task.attempts()) {
      winners += attempt.state() == "SUCCEEDED" && attempt.gang_rank() == 0 ? 1 : 0;
      ++outcome.attempts;
    }
    EXPECT_EQ(winners, 1) << task.id();
    for (const v1::ArtifactRef& result : task.results()) {
      outcome.digests[absl::StrCat(task.id(), "/", result.name())] = result.digest();
    }
  }
  return outcome;
}

absl::StatusOr<v1::Job> Watcher::Join() {
  thread_.join();
  return done_;
}

void Watcher::Watch(client::Client& client, const std::string& job) {
  int64_t last_revision = 0;
  done_ = client.WatchJob(job, 0, client::WatchProgress::kYes, [&](const v1::JobEvent& event) {
    if (event.has_progress()) return;
    EXPECT_GT(event.revision(), last_revision);
    last_revision = event.revision();
    if (event.task().state() == v1::TASK_STATE_SUCCEEDED) succeeded_.insert(event.task().id());
  });
}

}  // namespace distill
