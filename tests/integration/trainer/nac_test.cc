// A NAC student through the trainer: prior, modules, assembly, fine-tuning, baseline, evaluation,
// and the promises about bits.
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

constexpr int kModules = 4;  // Read-in, two layers, read-out.

class NacTest : public testing::Test {
 protected:
  static void SetStudent(v1::TaskSpec* spec) {
    v1::NacSpec& nac = *spec->mutable_student()->mutable_nac();
    nac.set_state_dim(16);
    nac.set_code_dim(8);
    nac.set_signature_dim(16);
    nac.set_input_latents(4);
    nac.set_mediator_latents(8);
    nac.set_output_latents(3);
    nac.set_heads(2);
    nac.set_head_dim(8);
    nac.set_ffn_capacity_factor(1.0);
    nac.add_tokenizer_depths(1);
    nac.add_tokenizer_depths(1);
    nac.set_tokenizer_stem(4);
    nac.set_grid_channels(4);
    nac.set_layer_scale(0.1);
    nac.set_code_noise(0.05);
    nac.set_truncation(0.9);
    nac.mutable_prior()->set_kind(v1::GRAPH_PRIOR_KIND_PLANTED_PARTITION);
    nac.mutable_prior()->set_communities(2);
    nac.mutable_prior()->set_fit_steps(50);
    v1::SignatureRegulariserSpec& regulariser = *nac.mutable_regulariser();
    regulariser.set_kind(v1::SIGNATURE_REGULARISER_KIND_GRAPHON);
    regulariser.set_weight(1.0);
    regulariser.set_hinge(0.4);
    regulariser.set_match_every(3);
  }

  v1::TaskSpec Task(v1::TaskKind kind, int module_index = 0, int64_t images = 64) const {
    v1::TaskSpec spec = job_.Task(kind, module_index, images);
    SetStudent(&spec);
    return spec;
  }

  v1::TaskSpec Evaluation(v1::EvaluationSubject subject, int module_index = 0) const {
    v1::TaskSpec spec = job_.Evaluation(subject, module_index);
    SetStudent(&spec);
    return spec;
  }

  const Files& Prior() {
    if (prior_.empty()) {
      v1::TaskSpec spec = Task(v1::TASK_KIND_FIT_PRIOR);
      spec.clear_dataset();
      spec.clear_modules();
      prior_ = job_.RunTask("fit-prior", spec, {});
    }
    return prior_;
  }

  Files InputsOf(int module) {
    return {{"meta", job_.Meta()}, {"teacher_stage", job_.TeacherStage(module)}};
  }

  const Files& Modules() {
    for (int i = 0; static_cast<int>(modules_.size()) < kModules; ++i) {
      modules_[absl::StrCat("module.", i)] =
          job_.RunTask(absl::StrCat("distill-", i), Task(v1::TASK_KIND_DISTILL_MODULE, i, 32),
                       InputsOf(i))["module"];
    }
    return modules_;
  }

  std::string Assembled() {
    Files inputs = Modules();
    inputs["signatures"] = Prior().at("signatures");
    return job_.RunTask("assemble", Task(v1::TASK_KIND_ASSEMBLE_STUDENT), inputs)["model"];
  }

  // Runs the task in two pieces and returns the digest of its result.
  std::string DigestOfResumed(const v1::TaskSpec& spec, const Files& inputs, int64_t polls) {
    v1::MemberAssignment assignment = job_.Assign("pieces", spec, inputs);
    RecordingObserver first;
    first.StopAtPoll(polls);
    job_.Run({assignment}, first);
    EXPECT_EQ(first.checkpoints().size(), 1);
    if (first.checkpoints().empty()) return "";
    EXPECT_GT(first.checkpoints()[0].step(), 0);
    assignment.set_checkpoint_path(first.checkpoints()[0].path());
    RecordingObserver second;
    job_.Run({assignment}, second);
    const v1::MemberEnded ended = second.EndOf("pieces");
    EXPECT_EQ(ended.outcome(), v1::MemberEnded::ENDED_SUCCEEDED) << ended.message();
    EXPECT_GT(ended.stats().resumed_from_step(), 0);
    return ended.results().empty() ? "" : DigestOf(ended.results(0).path());
  }

  SmallJob job_{kModules};
  Files prior_, modules_;
};

TEST_F(NacTest, PriorIsFittedMeasuredAndPictured) {
  const Files& prior = Prior();
  ASSERT_EQ(prior.size(), 3);
  const auto file = ReadTensorFile(prior.at("signatures"));
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ(file->tensors.at("signatures").sizes(), torch::IntArrayRef({8, 16}));
  EXPECT_EQ(file->tensors.at("graph").sizes(), torch::IntArrayRef({8, 8}));
  const auto json = nlohmann::json::parse(ReadFile(prior.at("connectivity")).value());
  EXPECT_EQ(json["nodes"], 8);
  EXPECT_EQ(json["edges"], file->tensors.at("graph").sum().item<int64_t>() / 2);
  EXPECT_TRUE(absl::StartsWith(ReadFile(prior.at("affinity")).value(), "\x89PNG"));
}

TEST_F(NacTest, RunsFromModulesToAnEvaluatedStudent) {
  const Files student =
      job_.RunTask("finetune", Task(v1::TASK_KIND_FINETUNE_STUDENT), {{"model", Assembled()}});
  const auto metrics = [&](const std::string& name, bool stochastic) {
    v1::TaskSpec spec = Evaluation(v1::EVALUATION_SUBJECT_STUDENT);
    spec.mutable_student()->mutable_nac()->set_stochastic_evaluation(stochastic);
    return ReadFile(job_.RunTask(name, spec, student).at("metrics")).value();
  };
  const std::string deterministic = metrics("deterministic", false);
  EXPECT_EQ(nlohmann::json::parse(deterministic)["images"], 100);
  EXPECT_EQ(metrics("again", false), deterministic);
  // Drawn states differ from their means, but are the same at every evaluation.
  const std::string stochastic = metrics("stochastic", true);
  EXPECT_NE(stochastic, deterministic);
  EXPECT_EQ(metrics("stochastic-again", true), stochastic);
}

TEST_F(NacTest, AssemblyTakesModulesAndSignatures) {
  const auto whole = ReadTensorFile(Assembled());
  ASSERT_THAT(whole, IsOk());
  const auto prior = ReadTensorFile(Prior().at("signatures"));
  ASSERT_THAT(prior, IsOk());
  EXPECT_TRUE(whole->tensors.at("latent_graphs.0.mediator_latents.signatures_")
                  .equal(prior->tensors.at("signatures")));
  const auto mediator = ReadTensorFile(Modules().at("module.2"));
  ASSERT_THAT(mediator, IsOk());
  const std::string name = "latent_attention.query_compiler.native_weight";
  EXPECT_TRUE(
      whole->tensors.at("latent_graphs.0.propagators.1." + name).equal(mediator->tensors.at(name)));
}

TEST_F(NacTest, HybridsAreEvaluated) {
  for (int i = 0; i < kModules; ++i) {
    const Files result = job_.RunTask(
        absl::StrCat("hybrid-", i), Evaluation(v1::EVALUATION_SUBJECT_STUDENT_HYBRID, i),
        {{"meta", job_.Meta()}, {"module", Modules().at(absl::StrCat("module.", i))}});
    EXPECT_EQ(result.count("metrics"), 1);
  }
}

// Modules name only what they are made of, so their specs differ within a bundle.
TEST_F(NacTest, BundledModulesEqualSingles) {
  std::vector<v1::MemberAssignment> bundle;
  for (int i = 0; i < kModules; ++i) {
    v1::TaskSpec spec = Task(v1::TASK_KIND_DISTILL_MODULE, i, 32);
    if (i > 0) spec.mutable_student()->mutable_nac()->clear_tokenizer_depths();
    bundle.push_back(job_.Assign(absl::StrCat("bundled-", i), spec, InputsOf(i)));
  }
  RecordingObserver observer;
  job_.Run(bundle, observer);
  for (int i = 0; i < kModules; ++i) {
    const v1::MemberEnded ended = observer.EndOf(absl::StrCat("bundled-", i));
    ASSERT_EQ(ended.results_size(), 1) << ended.message();
    EXPECT_EQ(DigestOf(ended.results(0).path()), DigestOf(Modules().at(absl::StrCat("module.", i))))
        << "module " << i;
  }
}

TEST_F(NacTest, ResumedModuleEqualsUninterruptedOne) {
  const v1::TaskSpec spec = Task(v1::TASK_KIND_DISTILL_MODULE, 0);
  const Files whole = job_.RunTask("whole", spec, InputsOf(0));
  EXPECT_EQ(DigestOfResumed(spec, InputsOf(0), 3), DigestOf(whole.at("module")));
}

// The graphon's matching is of an earlier step when the run stops: it comes with the checkpoint.
TEST_F(NacTest, ResumedBaselineEqualsUninterruptedOne) {
  v1::TaskSpec spec = Task(v1::TASK_KIND_TRAIN_BASELINE, 0, /*images=*/96);
  spec.mutable_recipe()->set_ema_decay(0.9);
  const Files inputs = {{"signatures", Prior().at("signatures")}};
  const Files whole = job_.RunTask("whole", spec, inputs);
  EXPECT_EQ(DigestOfResumed(spec, inputs, 4), DigestOf(whole.at("model")));
}

TEST_F(NacTest, Bfloat16TrainsModulesAndTheWhole) {
  for (int i = 0; i < kModules; ++i) {
    v1::TaskSpec spec = Task(v1::TASK_KIND_DISTILL_MODULE, i, 32);
    spec.mutable_recipe()->set_precision(v1::PRECISION_BFLOAT16);
    EXPECT_EQ(job_.RunTask(absl::StrCat("narrow-", i), spec, InputsOf(i)).count("module"), 1);
  }
  v1::TaskSpec spec = Task(v1::TASK_KIND_TRAIN_BASELINE, 0, 32);
  spec.mutable_recipe()->set_precision(v1::PRECISION_BFLOAT16);
  EXPECT_EQ(job_.RunTask("narrow", spec, {{"signatures", Prior().at("signatures")}}).count("model"),
            1);
}

// Everything that a module's code does to it can be asked for.
TEST_F(NacTest, LearnedCodesAndKeptStitchesReachTheStudent) {
  const auto change = [](v1::TaskSpec spec) {
    spec.mutable_student()->mutable_nac()->set_codes(v1::NAC_CODES_TRANSFERRED);
    spec.mutable_student()->mutable_nac()->set_keep_stitches(true);
    return spec;
  };
  Files inputs = {{"signatures", Prior().at("signatures")}};
  for (int i = 0; i < kModules; ++i) {
    inputs[absl::StrCat("module.", i)] =
        job_.RunTask(absl::StrCat("learned-", i), change(Task(v1::TASK_KIND_DISTILL_MODULE, i, 32)),
                     InputsOf(i))["module"];
  }
  const Files student =
      job_.RunTask("assemble", change(Task(v1::TASK_KIND_ASSEMBLE_STUDENT)), inputs);
  const auto whole = ReadTensorFile(student.at("model"));
  const auto module = ReadTensorFile(inputs.at("module.0"));
  ASSERT_THAT(whole, IsOk());
  ASSERT_THAT(module, IsOk());
  const torch::Tensor codes = whole->tensors.at("latent_graphs.0.input_latents.codes_");
  // Normal around the module's code with deviation 0.1.
  EXPECT_LT((codes - module->tensors.at("codes")).abs().max().item<double>(), 1.0);
  EXPECT_EQ(job_.RunTask("finetune", change(Task(v1::TASK_KIND_FINETUNE_STUDENT)), student)
                .count("model"),
            1);
}

TEST_F(NacTest, MediatorsThatBecomeOneLayerStartAlike) {
  const auto share = [](v1::TaskSpec spec) {
    spec.mutable_student()->mutable_nac()->set_share_layers(true);
    return spec;
  };
  Files inputs = Modules();
  const std::string weight = "ffn.ffn.2.native_weight";
  std::vector<torch::Tensor> first, trained;
  for (int i = 1; i <= 2; ++i) {
    const v1::TaskSpec spec = share(Task(v1::TASK_KIND_DISTILL_MODULE, i, 32));
    v1::TaskSpec untrained = spec;
    untrained.mutable_recipe()->set_total_images(0);
    const auto module = [&](const std::string& name, const v1::TaskSpec& task) {
      const std::string path = job_.RunTask(name, task, InputsOf(i)).at("module");
      if (task.recipe().total_images() > 0) inputs[absl::StrCat("module.", i)] = path;
      return ReadTensorFile(path)->tensors.at(weight);
    };
    first.push_back(module(absl::StrCat("untrained-", i), untrained));
    trained.push_back(module(absl::StrCat("shared-", i), spec));
  }
  EXPECT_TRUE(first[0].equal(first[1]));
  EXPECT_FALSE(trained[0].equal(trained[1]));
  inputs["signatures"] = Prior().at("signatures");
  const Files student =
      job_.RunTask("assemble", share(Task(v1::TASK_KIND_ASSEMBLE_STUDENT)), inputs);
  const auto whole = ReadTensorFile(student.at("model"));
  ASSERT_THAT(whole, IsOk());
  EXPECT_TRUE(torch::allclose(whole->tensors.at("latent_graphs.0.propagators.0." + weight),
                              (trained[0] + trained[1]) / 2.0));
  EXPECT_EQ(whole->tensors.count("latent_graphs.0.propagators.1." + weight), 0);
  const Files tuned =
      job_.RunTask("finetune", share(Task(v1::TASK_KIND_FINETUNE_STUDENT)), student);
  v1::TaskSpec evaluation = share(Evaluation(v1::EVALUATION_SUBJECT_STUDENT));
  EXPECT_EQ(job_.RunTask("evaluate", evaluation, tuned).count("metrics"), 1);
}

// Modules of a student for other images: what depends on them starts anew.
TEST_F(NacTest, ModulesForOtherClassesLeaveTheClassifierOut) {
  v1::TaskSpec spec = Task(v1::TASK_KIND_ASSEMBLE_STUDENT);
  spec.mutable_dataset()->set_classes(7);
  Files inputs = Modules();
  inputs["signatures"] = Prior().at("signatures");
  RecordingObserver observer;
  job_.Run({job_.Assign("everything", spec, inputs)}, observer);
  EXPECT_THAT(observer.EndOf("everything").message(), testing::HasSubstr("to_logits.weight"));
  spec.mutable_student()->mutable_nac()->set_transfer(v1::NAC_TRANSFER_WITHOUT_GRID_AND_CLASSIFIER);
  const auto whole = ReadTensorFile(job_.RunTask("others", spec, inputs).at("model"));
  ASSERT_THAT(whole, IsOk());
  EXPECT_EQ(whole->tensors.at("output_tokenizer.to_logits.weight").size(0), 7);
  EXPECT_GT(whole->tensors.at("output_tokenizer.to_logits.weight").abs().sum().item<double>(), 0);
}

TEST_F(NacTest, ReadInMayStartWithTheLayerScaleOfTheReference) {
  v1::TaskSpec spec = Task(v1::TASK_KIND_DISTILL_MODULE, 0);
  spec.mutable_recipe()->set_total_images(0);
  const auto scale = [&](const std::string& name) {
    return ReadTensorFile(job_.RunTask(name, spec, InputsOf(0)).at("module"))
        ->tensors.at("read_in.ffn.layer_scale.gamma");
  };
  EXPECT_TRUE(scale("ours").equal(torch::full({16}, 0.1f)));
  spec.mutable_student()->mutable_nac()->set_reference_read_in_scale(true);
  EXPECT_TRUE(scale("reference").equal(torch::full({16}, 1e-6f)));
}

TEST_F(NacTest, RegulariserFollowsItsScheduleAndShowsInTheSeries) {
  v1::TaskSpec spec = Task(v1::TASK_KIND_TRAIN_BASELINE);
  const auto series = [&](const std::string& name) {
    RecordingObserver observer;
    job_.Run({job_.Assign(name, spec, {{"signatures", Prior().at("signatures")}})}, observer);
    v1::Series curve;
    const v1::MemberEnded ended = observer.EndOf(name);
    if (ended.observations_size() == 0) {
      ADD_FAILURE() << ended.message();
      return curve;
    }
    EXPECT_TRUE(curve.ParseFromString(ReadFile(ended.observations(0).path()).value()));
    return curve;
  };
  const v1::Series constant = series("constant");
  const int steps = constant.points_size();
  ASSERT_GT(steps, 1);
  ASSERT_EQ(constant.points(0).terms_size(), 1);
  EXPECT_EQ(constant.points(0).terms(0).name(), "signature_regulariser");
  EXPECT_GT(constant.points(0).terms(0).value(), 0.0);
  EXPECT_EQ(constant.points(steps - 1).terms(0).weight(), 1.0);

  v1::SignatureRegulariserSpec& regulariser =
      *spec.mutable_student()->mutable_nac()->mutable_regulariser();
  regulariser.set_schedule(v1::WEIGHT_SCHEDULE_LINEAR);
  regulariser.set_final_weight(0.0);
  const v1::Series linear = series("linear");
  for (int step = 0; step < steps; ++step) {
    EXPECT_NEAR(linear.points(step).terms(0).weight(), 1.0 - step / static_cast<double>(steps),
                1e-12);
  }
  // The first step is the same; afterwards the weight tells.
  EXPECT_EQ(linear.points(0).loss(), constant.points(0).loss());
  EXPECT_NE(linear.points(steps - 1).loss(), constant.points(steps - 1).loss());
}

TEST_F(NacTest, KeptFeaturesTrainTheLogitsOfANac) {
  const std::string model = Assembled();
  v1::TaskSpec spec = Task(v1::TASK_KIND_FEW_SHOT);
  v1::FewShotSpec& few_shot = *spec.mutable_few_shot();
  *few_shot.mutable_dataset() = spec.dataset();
  few_shot.set_ways(3);
  few_shot.set_shots(2);
  few_shot.set_test_images(4);
  few_shot.set_features(v1::FEW_SHOT_FEATURES_CACHED);
  spec.mutable_recipe()->set_batch_size(6);
  spec.mutable_recipe()->set_total_images(60);
  const Files result = job_.RunTask("few-shot", spec, {{"model", model}});
  const auto before = ReadTensorFile(model);
  const auto after = ReadTensorFile(result.at("model"));
  ASSERT_THAT(before, IsOk());
  ASSERT_THAT(after, IsOk());
  for (const auto& [name, tensor] : after->tensors) {
    if (absl::StartsWith(name, "output_tokenizer.to_logits.")) continue;
    EXPECT_TRUE(tensor.equal(before->tensors.at(name))) << name;
  }
  EXPECT_EQ(nlohmann::json::parse(ReadFile(result.at("metrics")).value())["images"], 12);
}

TEST_F(NacTest, RegulariserMovesTheSignatures) {
  const auto signatures = [&](const std::string& name, double weight) {
    v1::TaskSpec spec = Task(v1::TASK_KIND_TRAIN_BASELINE);
    spec.mutable_student()->mutable_nac()->mutable_regulariser()->set_weight(weight);
    const Files files = job_.RunTask(name, spec, {{"signatures", Prior().at("signatures")}});
    return ReadTensorFile(files.at("model"))
        ->tensors.at("latent_graphs.0.mediator_latents.signatures_");
  };
  EXPECT_FALSE(signatures("weak", 0.0).equal(signatures("strong", 10.0)));
}

TEST_F(NacTest, FewShotTrainsTheLogitsAlone) {
  const std::string model = Assembled();
  v1::TaskSpec spec = Task(v1::TASK_KIND_FEW_SHOT);
  v1::FewShotSpec& few_shot = *spec.mutable_few_shot();
  *few_shot.mutable_dataset() = spec.dataset();
  few_shot.set_ways(3);
  few_shot.set_shots(2);
  few_shot.set_test_images(4);
  spec.mutable_recipe()->set_batch_size(6);
  spec.mutable_recipe()->set_total_images(30);
  const Files result = job_.RunTask("few-shot", spec, {{"model", model}});
  const auto before = ReadTensorFile(model);
  const auto after = ReadTensorFile(result.at("model"));
  ASSERT_THAT(before, IsOk());
  ASSERT_THAT(after, IsOk());
  for (const auto& [name, tensor] : after->tensors) {
    if (absl::StartsWith(name, "output_tokenizer.to_logits.")) {
      EXPECT_EQ(tensor.size(0), 3) << name;
    } else {
      EXPECT_TRUE(tensor.equal(before->tensors.at(name))) << name;
    }
  }
}

TEST_F(NacTest, PriorThatDoesNotFitIsRefused) {
  v1::TaskSpec spec = Task(v1::TASK_KIND_FIT_PRIOR);
  spec.mutable_student()->mutable_nac()->mutable_prior()->set_communities(3);
  RecordingObserver observer;
  job_.Run({job_.Assign("fit", spec, {})}, observer);
  EXPECT_EQ(observer.EndOf("fit").failure_class(), v1::FAILURE_CLASS_USER);
  EXPECT_THAT(observer.EndOf("fit").message(), testing::HasSubstr("communities"));
}

TEST_F(NacTest, CancelledFitEnds) {
  RecordingObserver observer;
  observer.StopAtPoll(5);
  job_.Run({job_.Assign("fit", Task(v1::TASK_KIND_FIT_PRIOR), {})}, observer);
  EXPECT_EQ(observer.EndOf("fit").outcome(), v1::MemberEnded::ENDED_RELEASED);
}

}  // namespace
}  // namespace distill::training
