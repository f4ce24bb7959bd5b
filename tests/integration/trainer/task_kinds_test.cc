// Tasks besides the plain chain: retries and selection of modules, whole-model distillation,
// few-shot training, test sets of their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "tests/integration/trainer/training_fixture.h"
#include "tests/support/status_matchers.h"
#include "worker/training/tensor_file.h"

namespace distill::training {
namespace {

using Files = std::map<std::string, std::string>;

class TaskKindsTest : public testing::Test {
 protected:
  std::string Metrics(const std::string& name, double accuracy) {
    const std::string path = job_.PathOf(name);
    EXPECT_THAT(WriteFileAtomically(path, absl::StrCat("{\"accuracy\": ", accuracy, "}\n")),
                IsOk());
    return path;
  }

  Files DistillInputs() { return {{"meta", job_.Meta()}, {"teacher_stage", job_.TeacherStage(1)}}; }

  // A retry after a first module whose hybrid has `accuracy`, with a gate of 0.05 below 0.8.
  v1::MemberEnded Retry(const std::string& first, double accuracy) {
    v1::TaskSpec spec = job_.Task(v1::TASK_KIND_DISTILL_MODULE, 1);
    spec.set_seed(77);
    spec.mutable_quality_gate()->set_largest_accuracy_gap(0.05);
    Files inputs = DistillInputs();
    inputs["previous_module"] = first;
    inputs["previous_metrics"] = Metrics("previous.json", accuracy);
    inputs["teacher_metrics"] = Metrics("teacher.json", 0.8);
    RecordingObserver observer;
    job_.Run({job_.Assign("retry", spec, inputs)}, observer);
    return observer.EndOf("retry");
  }

  v1::TaskSpec FewShot() const {
    v1::TaskSpec spec = job_.Task(v1::TASK_KIND_FEW_SHOT);
    v1::FewShotSpec& few_shot = *spec.mutable_few_shot();
    *few_shot.mutable_dataset() = spec.dataset();
    few_shot.set_ways(4);
    few_shot.set_shots(3);
    few_shot.set_test_images(5);
    spec.mutable_recipe()->set_batch_size(12);
    spec.mutable_recipe()->set_total_images(120);
    return spec;
  }

  // An episode whose recipe leaves images as they are.
  v1::TaskSpec PlainFewShot(v1::FewShotFeatures features) const {
    v1::TaskSpec spec = FewShot();
    v1::TrainingRecipe& recipe = *spec.mutable_recipe();
    recipe.set_drop_path(0);
    recipe.set_mixup_alpha(0);
    recipe.set_cutmix_alpha(0);
    recipe.set_crop_padding(0);
    recipe.set_horizontal_flip(0);
    recipe.set_random_erasing(0);
    spec.mutable_few_shot()->set_features(features);
    return spec;
  }

  SmallJob job_{/*modules=*/3};
};

TEST_F(TaskKindsTest, AcceptedModuleIsHandedOnWithoutTraining) {
  const std::string first =
      job_.RunTask("first", job_.Task(v1::TASK_KIND_DISTILL_MODULE, 1), DistillInputs())["module"];
  const v1::MemberEnded ended = Retry(first, 0.75);
  ASSERT_EQ(ended.results_size(), 1) << ended.message();
  EXPECT_EQ(DigestOf(ended.results(0).path()), DigestOf(first));
  EXPECT_EQ(ended.stats().images_seen(), 0);
}

TEST_F(TaskKindsTest, RefusedModuleIsDistilledAgain) {
  const std::string first =
      job_.RunTask("first", job_.Task(v1::TASK_KIND_DISTILL_MODULE, 1), DistillInputs())["module"];
  const v1::MemberEnded ended = Retry(first, 0.74);
  ASSERT_EQ(ended.results_size(), 1) << ended.message();
  EXPECT_NE(DigestOf(ended.results(0).path()), DigestOf(first));
  EXPECT_EQ(ended.stats().images_seen(), 160);
}

TEST_F(TaskKindsTest, RetryWithoutMetricsFails) {
  v1::TaskSpec spec = job_.Task(v1::TASK_KIND_DISTILL_MODULE, 1);
  spec.mutable_quality_gate()->set_largest_accuracy_gap(0.05);
  RecordingObserver observer;
  job_.Run({job_.Assign("retry", spec, DistillInputs())}, observer);
  EXPECT_THAT(observer.EndOf("retry").message(), testing::HasSubstr("input=previous_metrics"));
}

TEST_F(TaskKindsTest, SelectionTakesTheBestAndSaysWhy) {
  Files inputs = {{"teacher_metrics", Metrics("teacher.json", 0.9)}};
  const double accuracies[] = {0.7, 0.85, 0.85};
  for (int i = 0; i < 3; ++i) {
    const std::string path = job_.PathOf(absl::StrCat("candidate-", i));
    // The last was handed on.
    ASSERT_THAT(WriteFileAtomically(path, absl::StrCat("module ", i == 2 ? 1 : i)), IsOk());
    inputs[absl::StrCat("candidate.", i)] = path;
    inputs[absl::StrCat("metrics.", i)] = Metrics(absl::StrCat("m", i), accuracies[i]);
  }
  v1::TaskSpec spec = job_.Task(v1::TASK_KIND_SELECT_MODULE, 2);
  spec.mutable_quality_gate()->set_largest_accuracy_gap(0.05);
  const Files outputs = job_.RunTask("select", spec, inputs);
  EXPECT_EQ(ReadFile(outputs.at("module")).value(), "module 1");
  const auto verdict = nlohmann::json::parse(ReadFile(outputs.at("verdict")).value());
  EXPECT_EQ(verdict["moduleIndex"], 2);
  EXPECT_EQ(verdict["chosen"], 1);
  EXPECT_EQ(verdict["accepted"], true);
  EXPECT_EQ(verdict["teacherAccuracy"], 0.9);
  EXPECT_EQ(verdict["candidates"][0]["handedOn"], false);
  EXPECT_EQ(verdict["candidates"][2]["handedOn"], true);
  spec.mutable_quality_gate()->set_largest_accuracy_gap(0.04);
  const Files strict = job_.RunTask("strict", spec, inputs);
  EXPECT_EQ(nlohmann::json::parse(ReadFile(strict.at("verdict")).value())["accepted"], false);
}

TEST_F(TaskKindsTest, WholeModelDistillationLearnsFromTheTeacher) {
  const Files teacher = job_.RunTask("teacher", job_.Task(v1::TASK_KIND_ASSEMBLE_TEACHER),
                                     {{"stage.0", job_.TeacherStage(0)},
                                      {"stage.1", job_.TeacherStage(1)},
                                      {"stage.2", job_.TeacherStage(2)}});
  v1::TaskSpec spec = job_.Task(v1::TASK_KIND_TRAIN_BASELINE);
  const Files plain = job_.RunTask("plain", spec, {});
  spec.set_baseline(v1::BASELINE_KIND_WHOLE_MODEL_DISTILLATION);
  RecordingObserver observer;
  job_.Run({job_.Assign("distilled", spec, {{"teacher", teacher.at("model")}})}, observer);
  const v1::MemberEnded ended = observer.EndOf("distilled");
  ASSERT_EQ(ended.results_size(), 1) << ended.message();
  EXPECT_NE(DigestOf(ended.results(0).path()), DigestOf(plain.at("model")));
  v1::Series series;
  ASSERT_TRUE(series.ParseFromString(ReadFile(ended.observations(0).path()).value()));
  EXPECT_GT(series.points(0).distillation(), 0);
}

TEST_F(TaskKindsTest, FewShotTrainsTheHeadAloneAndMeasures) {
  const Files model = job_.RunTask("model", job_.Task(v1::TASK_KIND_TRAIN_BASELINE), {});
  const Files result = job_.RunTask("few-shot", FewShot(), model);
  const auto before = ReadTensorFile(model.at("model"));
  const auto after = ReadTensorFile(result.at("model"));
  ASSERT_THAT(before, IsOk());
  ASSERT_THAT(after, IsOk());
  for (const auto& [name, tensor] : after->tensors) {
    if (absl::StrContains(name, ".head.")) {
      EXPECT_EQ(tensor.size(0), 4) << name;
    } else {
      EXPECT_TRUE(tensor.equal(before->tensors.at(name))) << name;
    }
  }
  const auto metrics = nlohmann::json::parse(ReadFile(result.at("metrics")).value());
  EXPECT_EQ(metrics["images"], 4 * 5);
  EXPECT_GE(metrics["accuracy"], 0.25);
}

// Nothing of the frozen part is random in a ViT: what is computed once serves as well.
TEST_F(TaskKindsTest, KeptFeaturesTrainTheSameHead) {
  const Files model = job_.RunTask("model", job_.Task(v1::TASK_KIND_TRAIN_BASELINE), {});
  const Files live = job_.RunTask("live", PlainFewShot(v1::FEW_SHOT_FEATURES_LIVE), model);
  const Files cached = job_.RunTask("cached", PlainFewShot(v1::FEW_SHOT_FEATURES_CACHED), model);
  const auto expected = ReadTensorFile(live.at("model"));
  const auto got = ReadTensorFile(cached.at("model"));
  ASSERT_THAT(expected, IsOk());
  ASSERT_THAT(got, IsOk());
  for (const auto& [name, tensor] : got->tensors) {
    EXPECT_TRUE(torch::allclose(tensor, expected->tensors.at(name), 1e-3, 1e-5)) << name;
  }
  const auto live_metrics = nlohmann::json::parse(ReadFile(live.at("metrics")).value());
  const auto metrics = nlohmann::json::parse(ReadFile(cached.at("metrics")).value());
  EXPECT_EQ(metrics["images"], 4 * 5);
  EXPECT_EQ(metrics["accuracy"], live_metrics["accuracy"]);
  EXPECT_NEAR(metrics["loss"].get<double>(), live_metrics["loss"].get<double>(), 1e-4);
}

// Whether another episode, or this one, went before makes no difference.
TEST_F(TaskKindsTest, KeptFeaturesLeaveNoTraceInTheResult) {
  const Files model = job_.RunTask("model", job_.Task(v1::TASK_KIND_TRAIN_BASELINE), {});
  const v1::TaskSpec spec = PlainFewShot(v1::FEW_SHOT_FEATURES_CACHED);
  const Files first = job_.RunTask("first", spec, model);
  const int64_t held = job_.features().size_bytes();
  EXPECT_GT(held, 0);
  const Files again = job_.RunTask("again", spec, model);
  EXPECT_EQ(job_.features().size_bytes(), held);
  v1::TaskSpec other = spec;
  other.mutable_few_shot()->set_shots(4);
  job_.RunTask("other", other, model);
  job_.features().Select("nothing");
  const Files fresh = job_.RunTask("fresh", spec, model);
  for (const Files* const files : {&again, &fresh}) {
    EXPECT_EQ(DigestOf(files->at("model")), DigestOf(first.at("model")));
    EXPECT_EQ(DigestOf(files->at("metrics")), DigestOf(first.at("metrics")));
  }
}

TEST_F(TaskKindsTest, StoppedEpisodeIsHandedBack) {
  const Files model = job_.RunTask("model", job_.Task(v1::TASK_KIND_TRAIN_BASELINE), {});
  const v1::TaskSpec spec = PlainFewShot(v1::FEW_SHOT_FEATURES_CACHED);
  RecordingObserver observer;
  observer.StopAtPoll(4);  // Among the features.
  job_.Run({job_.Assign("few-shot", spec, model)}, observer);
  EXPECT_EQ(observer.EndOf("few-shot").outcome(), v1::MemberEnded::ENDED_RELEASED);
}

TEST_F(TaskKindsTest, EpisodeWithTooFewImagesIsRefused) {
  const Files model = job_.RunTask("model", job_.Task(v1::TASK_KIND_TRAIN_BASELINE), {});
  v1::TaskSpec spec = FewShot();
  spec.mutable_few_shot()->set_test_images(50);
  RecordingObserver observer;
  job_.Run({job_.Assign("few-shot", spec, model)}, observer);
  EXPECT_EQ(observer.EndOf("few-shot").failure_class(), v1::FAILURE_CLASS_USER);
  EXPECT_THAT(observer.EndOf("few-shot").message(),
              testing::HasSubstr("too few classes have enough images"));
}

// The test set itself under another name: once whole, once with a class that the model never says.
TEST_F(TaskKindsTest, OtherTestSetsCountTheirOwnClasses) {
  v1::TaskSpec spec = job_.Evaluation(v1::EVALUATION_SUBJECT_META);
  v1::OutOfDistributionSet& same = *spec.mutable_evaluation()->add_out_of_distribution();
  same.set_name("same");
  *same.mutable_dataset() = spec.dataset();
  for (int label = 0; label < 10; ++label) same.add_classes(label);
  v1::OutOfDistributionSet& turned = *spec.mutable_evaluation()->add_out_of_distribution();
  turned.set_name("turned");
  *turned.mutable_dataset() = spec.dataset();
  for (int label = 9; label >= 0; --label) turned.add_classes(label);
  const Files result = job_.RunTask("evaluate", spec, {{"model", job_.Meta()}});
  const auto json = nlohmann::json::parse(ReadFile(result.at("metrics")).value());
  ASSERT_EQ(json["outOfDistribution"].size(), 2);
  EXPECT_EQ(json["outOfDistribution"][0]["name"], "same");
  EXPECT_EQ(json["outOfDistribution"][0]["accuracy"], json["accuracy"]);
  EXPECT_EQ(json["outOfDistribution"][0]["classes"], 10);
  EXPECT_NE(json["outOfDistribution"][1]["accuracy"], json["accuracy"]);
}

TEST_F(TaskKindsTest, ClassesThatDoNotMatchAreRefused) {
  v1::TaskSpec spec = job_.Evaluation(v1::EVALUATION_SUBJECT_META);
  v1::OutOfDistributionSet& set = *spec.mutable_evaluation()->add_out_of_distribution();
  set.set_name("short");
  *set.mutable_dataset() = spec.dataset();
  set.add_classes(3);
  RecordingObserver observer;
  job_.Run({job_.Assign("evaluate", spec, {{"model", job_.Meta()}})}, observer);
  EXPECT_EQ(observer.EndOf("evaluate").failure_class(), v1::FAILURE_CLASS_USER);
  EXPECT_THAT(observer.EndOf("evaluate").message(), testing::HasSubstr("set=short got=1"));
}

}  // namespace
}  // namespace distill::training
