// Runs a network over data sets and counts: how many images it classifies rightly, its mean loss,
// and where its experts' tokens went.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/counter_random.h"
#include "distill/v1/trainer.pb.h"
#include "worker/data/dataset.h"
#include "worker/data/dataset_factory.h"
#include "worker/data/transform.h"
#include "worker/models/expert_load.h"
#include "worker/models/forward_context.h"
#include "worker/training/training_environment.h"

namespace distill::training {

// A loaded network as a function from images [B, C, H, W] to logits [B, K].
using LogitsFunction =
    std::function<torch::Tensor(const torch::Tensor&, const models::ForwardContext&)>;

// What one pass over a data set gives.
struct Score {
  int64_t images = 0;
  int64_t correct = 0;
  double loss_sum = 0;                           // Cross entropy in nats.
  std::vector<models::ExpertLoad> expert_loads;  // One per mixture, in order.

  double accuracy() const {
    return images == 0 ? 0 : static_cast<double>(correct) / static_cast<double>(images);
  }
};

// Scores data sets with one network, one after the other. One thread.
class Scorer {
 public:
  struct Config {
    LogitsFunction logits;
    int64_t batch_size = 250;
    data::TransformConfig transform;
    // Of networks that draw random numbers in evaluation.
    CounterRandom random = CounterRandom(0);
    // Of all data sets, for progress.
    int64_t total_images = 0;
  };

  // `assignment` and what `environment` refers to outlive this.
  Scorer(const v1::MemberAssignment& assignment, const TrainingEnvironment& environment,
         Config config);

  // All images of one data set. Of the logits only the columns `classes` count, in this order; all
  // when it is empty. Labels are places among these. Errors: those of the loader; kCancelled when
  // the member is cancelled or the trainer shall stop.
  absl::StatusOr<Score> Run(std::shared_ptr<const data::Dataset> images,
                            data::CorruptImagePolicy corrupt_images,
                            const std::vector<int64_t>& classes = {});

 private:
  absl::Status CheckGoingOn();
  void Add(const torch::Tensor& images, const torch::Tensor& labels, const torch::Tensor& columns,
           Score* score) const;
  void ReportProgress(int64_t images);

  const v1::MemberAssignment& assignment_;
  const TrainingEnvironment environment_;
  const Config config_;
  int64_t images_done_ = 0;
  int64_t images_since_report_ = 0;
  MonotonicTime last_progress_;
};

}  // namespace distill::training
