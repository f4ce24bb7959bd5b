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
