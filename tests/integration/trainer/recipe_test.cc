// What recipes switch on, through the trainer: averages of weights, optimisers, precision,
// accumulation, repeated augmentation, router losses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "tests/integration/trainer/training_fixture.h"
#include "tests/support/status_matchers.h"
#include "worker/training/tensor_file.h"

namespace distill::training {
namespace {

using Change = std::function<void(v1::TaskSpec*)>;

class RecipeTest : public testing::Test {
 protected:
  v1::TaskSpec Baseline(const Change& change) const {
    v1::TaskSpec spec = job_.Task(v1::TASK_KIND_TRAIN_BASELINE);
    change(&spec);
    return spec;
  }

  NamedTensors Train(const std::string& name, const Change& change) {
    const auto files = job_.RunTask(name, Baseline(change), {});
    if (files.empty()) return {};
    absl::StatusOr<TensorFile> file = ReadTensorFile(files.at("model"));
    EXPECT_THAT(file, IsOk());
    return file->tensors;
  }

  v1::MemberEnded RunOne(const v1::TaskSpec& spec) {
    RecordingObserver observer;
    job_.Run({job_.Assign("one", spec, {})}, observer);
    return observer.EndOf("one");
  }

  static double LargestDifference(const NamedTensors& a, const NamedTensors& b) {
    double largest = 0;
    for (const auto& [name, tensor] : a) {
      largest = std::max(largest, (tensor - b.at(name)).abs().max().item<double>());
    }
    return largest;
  }

  // Nothing that depends on how images are grouped into micro-batches.
  static void MakePlain(v1::TaskSpec* spec) {
    spec->mutable_recipe()->set_mixup_alpha(0);
    spec->mutable_recipe()->set_cutmix_alpha(0);
    spec->mutable_recipe()->set_drop_path(0);
  }

  SmallJob job_{/*modules=*/3};
};

TEST_F(RecipeTest, AccumulatedMicroBatchesEqualTheLargeBatch) {
  const NamedTensors large = Train("large", MakePlain);
  const NamedTensors small = Train("small", [](v1::TaskSpec* spec) {
    MakePlain(spec);
    spec->mutable_recipe()->set_batch_size(4);
    spec->mutable_recipe()->set_accumulate_steps(4);
  });
  // The optimiser divides by a gradient's size, which magnifies rounding; a wrong divisor would
  // show in the clipped gradients all the same.
  EXPECT_LT(LargestDifference(large, small), 2e-4);
}

// Without an optimiser that forgets scale, the sum instead of the mean would be four times as far.
TEST_F(RecipeTest, AccumulatedGradientsAreAveraged) {
  const auto with_sgd = [](v1::TaskSpec* spec) {
    MakePlain(spec);
    spec->mutable_recipe()->set_optimizer(v1::OPTIMIZER_KIND_SGD);
    spec->mutable_recipe()->set_momentum(0.9);
    spec->mutable_recipe()->set_clip_grad_norm(0);
    spec->mutable_recipe()->set_learning_rate(1e-2);
  };
  const NamedTensors large = Train("large", with_sgd);
  const NamedTensors small = Train("small", [&](v1::TaskSpec* spec) {
    with_sgd(spec);
    spec->mutable_recipe()->set_batch_size(4);
    spec->mutable_recipe()->set_accumulate_steps(4);
  });
  EXPECT_LT(LargestDifference(large, small), 1e-5);
}

TEST_F(RecipeTest, AverageBecomesTheResult) {
  const NamedTensors plain = Train("plain", [](v1::TaskSpec*) {});
  const NamedTensors averaged =
      Train("averaged", [](v1::TaskSpec* spec) { spec->mutable_recipe()->set_ema_decay(0.9); });
  const NamedTensors slow =
      Train("slow", [](v1::TaskSpec* spec) { spec->mutable_recipe()->set_ema_decay(0.999); });
  const NamedTensors untrained =
      Train("untrained", [](v1::TaskSpec* spec) { spec->mutable_recipe()->set_total_images(0); });
  EXPECT_GT(LargestDifference(plain, averaged), 0);
  // The slower the average, the nearer the start.
  EXPECT_LT(LargestDifference(slow, untrained), LargestDifference(averaged, untrained));
  EXPECT_LT(LargestDifference(averaged, untrained), LargestDifference(plain, untrained));
}

TEST_F(RecipeTest, ResumedAverageEqualsTheUninterruptedOne) {
  const v1::TaskSpec spec =
      Baseline([](v1::TaskSpec* task) { task->mutable_recipe()->set_ema_decay(0.8); });
  const auto whole = job_.RunTask("whole", spec, {});
  v1::MemberAssignment assignment = job_.Assign("pieces", spec, {});
  RecordingObserver first;
  first.StopAtPoll(6);
  job_.Run({assignment}, first);
  ASSERT_EQ(first.checkpoints().size(), 1);
  assignment.set_checkpoint_path(first.checkpoints()[0].path());
  RecordingObserver second;
  job_.Run({assignment}, second);
  ASSERT_EQ(second.EndOf("pieces").results_size(), 1) << second.EndOf("pieces").message();
  EXPECT_EQ(DigestOf(second.EndOf("pieces").results(0).path()), DigestOf(whole.at("model")));
}

// Weights stay in float32, and the same run gives the same bits.
TEST_F(RecipeTest, Bfloat16TrainsNearFloat32) {
  const auto narrow = [](v1::TaskSpec* spec) {
    spec->mutable_recipe()->set_precision(v1::PRECISION_BFLOAT16);
  };
  const NamedTensors wide = Train("wide", [](v1::TaskSpec*) {});
  const NamedTensors first = Train("first", narrow);
  ASSERT_FALSE(first.empty());
  for (const auto& [name, tensor] : first) EXPECT_EQ(tensor.scalar_type(), torch::kFloat) << name;
  const double difference = LargestDifference(wide, first);
  EXPECT_GT(difference, 0);
  EXPECT_LT(difference, 0.05);
  EXPECT_EQ(LargestDifference(first, Train("second", narrow)), 0);
}

TEST_F(RecipeTest, Bfloat16DistilsModules) {
  v1::TaskSpec spec = job_.Task(v1::TASK_KIND_DISTILL_MODULE, 1);
  spec.mutable_recipe()->set_precision(v1::PRECISION_BFLOAT16);
  const auto files = job_.RunTask("narrow", spec,
                                  {{"meta", job_.Meta()}, {"teacher_stage", job_.TeacherStage(1)}});
  EXPECT_EQ(files.count("module"), 1);
}

TEST_F(RecipeTest, Float16NeedsCuda) {
  const v1::MemberEnded ended = RunOne(Baseline(
      [](v1::TaskSpec* spec) { spec->mutable_recipe()->set_precision(v1::PRECISION_FLOAT16); }));
  EXPECT_EQ(ended.outcome(), v1::MemberEnded::ENDED_FAILED);
  EXPECT_EQ(ended.failure_class(), v1::FAILURE_CLASS_USER);
  EXPECT_THAT(ended.message(), testing::HasSubstr("recipe.precision: float16 needs CUDA"));
}

TEST_F(RecipeTest, DecayOfAllParametersReachesBiases) {
  const auto with = [](bool all) {
    return [all](v1::TaskSpec* spec) {
      spec->mutable_recipe()->set_decay_all_parameters(all);
      spec->mutable_recipe()->set_weight_decay(1.0);
    };
  };
  const std::string norm = "stages.0.blocks.0.norm1.weight";
  EXPECT_LT(Train("all", with(true)).at(norm).mean().item<double>(),
            Train("matrices", with(false)).at(norm).mean().item<double>() - 1e-3);
}

TEST_F(RecipeTest, RepeatedAugmentationChangesWhatIsSeen) {
  const NamedTensors once = Train("once", [](v1::TaskSpec*) {});
  const NamedTensors thrice = Train(
      "thrice", [](v1::TaskSpec* spec) { spec->mutable_recipe()->set_repeated_augmentation(3); });
  EXPECT_GT(LargestDifference(once, thrice), 0);
}

TEST_F(RecipeTest, AugmentationFieldsReachTheImages) {
  const NamedTensors plain = Train("plain", [](v1::TaskSpec*) {});
  const std::vector<std::pair<std::string, Change>> changes = {
      {"rand-augment",
       [](v1::TaskSpec* spec) { spec->mutable_recipe()->set_rand_augment_operations(2); }},
      {"jitter", [](v1::TaskSpec* spec) { spec->mutable_recipe()->set_color_jitter(0.4); }},
      {"resized-crop", [](v1::TaskSpec* spec) {
         spec->mutable_recipe()->set_crop_padding(0);
         spec->mutable_recipe()->set_random_resized_crop(0.3);
         spec->mutable_dataset()->set_input_size(28);
       }}};
  for (const auto& [name, change] : changes) {
    const NamedTensors changed = Train(name, change);
    ASSERT_FALSE(changed.empty()) << name;
    EXPECT_GT(LargestDifference(plain, changed), 0) << name;
  }
}

// A balance loss of the routers is part of what is trained.
TEST_F(RecipeTest, RouterLossesAreTrained) {
  const auto with_weight = [](double weight) {
    return [weight](v1::TaskSpec* spec) {
      v1::RouterSpec& router = *spec->mutable_student()->mutable_vmoe()->mutable_router();
      router.set_kind(v1::ROUTER_KIND_GSHARD);
      router.set_capacity_factor(1.2);
      router.set_evaluation_capacity_factor(2.4);
      router.set_balance_weight(weight);
    };
  };
  EXPECT_GT(LargestDifference(Train("none", with_weight(0)), Train("some", with_weight(1))), 0);
}

TEST_F(RecipeTest, RouterLossesShowInTheSeries) {
  const v1::MemberEnded ended = RunOne(Baseline([](v1::TaskSpec* spec) {
    v1::RouterSpec& router = *spec->mutable_student()->mutable_vmoe()->mutable_router();
    router.set_kind(v1::ROUTER_KIND_VMOE);
    router.set_load_weight(0.25);
  }));
  ASSERT_EQ(ended.observations_size(), 1) << ended.message();
  v1::Series series;
  ASSERT_TRUE(series.ParseFromString(ReadFile(ended.observations(0).path()).value()));
  for (const v1::Series::Point& point : series.points()) {
    ASSERT_EQ(point.terms_size(), 2);
    EXPECT_EQ(point.terms(0).name(), "router_importance");
    EXPECT_EQ(point.terms(0).weight(), 0.005);
    EXPECT_EQ(point.terms(1).name(), "router_load");
    EXPECT_EQ(point.terms(1).weight(), 0.25);
    EXPECT_GT(point.terms(1).value(), 0.0);
  }
}

TEST_F(RecipeTest, EveryRouterTrainsAndTellsItsLoads) {
  const std::vector<v1::RouterKind> kinds = {v1::ROUTER_KIND_GSHARD, v1::ROUTER_KIND_SWITCH,
                                             v1::ROUTER_KIND_NOISY_TOP_K, v1::ROUTER_KIND_VMOE,
                                             v1::ROUTER_KIND_EXPERT_CHOICE};
  for (const v1::RouterKind kind : kinds) {
    const std::string name = v1::RouterKind_Name(kind);
    const auto route = [kind](v1::TaskSpec* spec) {
      v1::VmoeSpec& vmoe = *spec->mutable_student()->mutable_vmoe();
      vmoe.mutable_router()->set_kind(kind);
      if (kind == v1::ROUTER_KIND_SWITCH) vmoe.set_top_k(1);
    };
    const auto model = job_.RunTask(absl::StrCat("train-", name), Baseline(route), {});
    ASSERT_EQ(model.count("model"), 1) << name;
    v1::TaskSpec evaluation = job_.Evaluation(v1::EVALUATION_SUBJECT_STUDENT);
    route(&evaluation);
    const auto metrics = job_.RunTask(absl::StrCat("evaluate-", name), evaluation, model);
    const auto json = nlohmann::json::parse(ReadFile(metrics.at("metrics")).value());
    ASSERT_EQ(json["expertLoad"].size(), 9) << name;
    ASSERT_EQ(json["expertDropped"].size(), 3) << name;
    for (const double dropped : json["expertDropped"]) {
      EXPECT_GE(dropped, 0) << name;
      EXPECT_LT(dropped, 1) << name;
    }
  }
}

// The rate of an epoch, in steps of the series.
TEST_F(RecipeTest, NacScheduleChangesWithTheEpoch) {
  const v1::TaskSpec spec = Baseline([](v1::TaskSpec* task) {
    task->mutable_recipe()->set_schedule_unit(v1::SCHEDULE_UNIT_EPOCH_NAC);
    task->mutable_recipe()->set_warmup_epochs(1);
    task->mutable_recipe()->set_total_images(3 * 320);
  });
  const v1::MemberEnded ended = RunOne(spec);
  ASSERT_EQ(ended.observations_size(), 1) << ended.message();
  v1::Series series;
  ASSERT_TRUE(series.ParseFromString(ReadFile(ended.observations(0).path()).value()));
  ASSERT_EQ(series.points_size(), 60);
  EXPECT_DOUBLE_EQ(series.points(0).learning_rate(), 1e-6);
  const double last = 1e-5 + 0.5 * (2e-3 - 1e-5) * (1 + std::cos(M_PI * 2 / 3));
  EXPECT_NEAR(series.points(59).learning_rate(), last, 1e-12);
}

}  // namespace
}  // namespace distill::training
