#include "tests/integration/trainer/training_fixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "tests/support/status_matchers.h"
#include "worker/data/idx_reader.h"
#include "worker/training/lease_set.h"

namespace distill::training {
namespace {

std::string BigEndian(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>((value >> shift) & 0xff));
  }
  return bytes;
}

void WriteSplit(const std::string& directory, data::Split split, const std::string& stem,
                int images) {
  data::IdxSource source;
  source.split = split;
  const auto dataset = data::ReadIdxDataset(source);
  ASSERT_THAT(dataset, IsOk());
  const auto count = static_cast<uint32_t>(images);
  std::string pixels =
      absl::StrCat(BigEndian(0x803), BigEndian(count), BigEndian(28), BigEndian(28));
  std::string labels = absl::StrCat(BigEndian(0x801), BigEndian(count));
  std::vector<uint8_t> image(28 * 28);
  for (int i = 0; i < images; ++i) {
    ASSERT_THAT((*dataset)->Read(i, absl::MakeSpan(image)), IsOk());
    pixels.append(image.begin(), image.end());
    labels.push_back(static_cast<char>((*dataset)->Label(i)));
  }
  ASSERT_THAT(WriteFileAtomically(JoinPath(directory, stem + "-images-idx3-ubyte"), pixels),
              IsOk());
  ASSERT_THAT(WriteFileAtomically(JoinPath(directory, stem + "-labels-idx1-ubyte"), labels),
              IsOk());
}

void SetVit(int width, int modules, int depth_of_stage, v1::VitSpec* vit) {
  vit->set_embed_dim(width);
  vit->set_heads(2);
  vit->set_mlp_ratio(2.0);
  vit->set_qkv_bias(true);
  vit->set_layer_norm_epsilon(1e-6);
  vit->set_depth(modules * depth_of_stage);
  for (int i = 0; i < modules; ++i) vit->add_stage_depths(depth_of_stage);
}

v1::TrainingRecipe Recipe(int64_t images) {
  v1::TrainingRecipe recipe;
  recipe.set_batch_size(16);
  recipe.set_accumulate_steps(1);
  recipe.set_learning_rate(2e-3);
  recipe.set_warmup_learning_rate(1e-6);
  recipe.set_min_learning_rate(1e-5);
  recipe.set_schedule_unit(v1::SCHEDULE_UNIT_STEP);
  recipe.set_weight_decay(0.05);
  recipe.set_beta1(0.9);
  recipe.set_beta2(0.999);
  recipe.set_epsilon(1e-8);
  recipe.set_clip_grad_norm(1.0);
  recipe.set_drop_path(0.1);
  recipe.set_label_smoothing(0.1);
  recipe.set_mixup_alpha(0.2);
  recipe.set_cutmix_alpha(0.5);
  recipe.set_mix_probability(0.5);
  recipe.set_cutmix_switch_probability(0.5);
  recipe.set_crop_padding(1);
  recipe.set_horizontal_flip(0.5);
  recipe.set_random_erasing(0.1);
  recipe.set_sampler(v1::SAMPLER_KIND_COUNTER);
  recipe.set_total_images(images);
  return recipe;
}

}  // namespace

void RecordingObserver::OnProgress(const v1::MemberProgress& progress) {
  MutexLock lock(mutex_);
  progress_.push_back(progress);
}

void RecordingObserver::OnCheckpoint(const v1::CheckpointWritten& checkpoint) {
  MutexLock lock(mutex_);
  checkpoints_.push_back(checkpoint);
}

void RecordingObserver::OnEnded(const v1::MemberEnded& ended) {
  MutexLock lock(mutex_);
  ends_.push_back(ended);
}

bool RecordingObserver::IsCancelled(absl::string_view member) {
  MutexLock lock(mutex_);
  return std::find(cancelled_.begin(), cancelled_.end(), member) != cancelled_.end();
}

bool RecordingObserver::IsStopRequested() {
  MutexLock lock(mutex_);
  return polls_left_ <= 0 || polls_left_-- <= 0;
}

void RecordingObserver::StopAtPoll(int64_t polls) {
  MutexLock lock(mutex_);
  polls_left_ = polls;
}

void RecordingObserver::Cancel(const std::string& member) {
  MutexLock lock(mutex_);
  cancelled_.push_back(member);
}

std::vector<v1::MemberEnded> RecordingObserver::ends() const {
  MutexLock lock(mutex_);
  return ends_;
}

v1::MemberEnded RecordingObserver::EndOf(const std::string& member) const {
  MutexLock lock(mutex_);
  for (const v1::MemberEnded& ended : ends_) {
    if (ended.member() == member) return ended;
  }
  ADD_FAILURE() << member << " has not ended";
  return v1::MemberEnded();
}

std::vector<v1::CheckpointWritten> RecordingObserver::checkpoints() const {
  MutexLock lock(mutex_);
  return checkpoints_;
}

std::vector<v1::MemberProgress> RecordingObserver::progress() const {
  MutexLock lock(mutex_);
  return progress_;
}

void WriteSmallFashionMnist(const std::string& directory, int train_images, int test_images) {
  WriteSplit(directory, data::Split::kTrain, "train", train_images);
  WriteSplit(directory, data::Split::kTest, "t10k", test_images);
}

SmallJob::SmallJob(int modules, int train_images, int test_images)
    : modules_(modules), train_images_(train_images) {
  EXPECT_THAT(CreateDirectories(PathOf("data")), IsOk());
  WriteSmallFashionMnist(PathOf("data"), train_images, test_images);
}

v1::TaskSpec SmallJob::Task(v1::TaskKind kind, int module_index, int64_t images) const {
  v1::TaskSpec spec;
  spec.set_kind(kind);
  spec.set_module_index(module_index);
  spec.set_modules(modules_);
  spec.set_patch_size(7);
  spec.set_seed(1000 + static_cast<uint64_t>(kind));
  v1::DatasetSpec& dataset = *spec.mutable_dataset();
  dataset.set_path(PathOf("data"));
  dataset.set_format(v1::DATASET_FORMAT_IDX);
  dataset.set_classes(10);
  dataset.set_image_size(28);
  dataset.set_channels(1);
  dataset.set_train_size(train_images_);
  SetVit(/*width=*/16, modules_, /*depth_of_stage=*/1, spec.mutable_meta());
  SetVit(/*width=*/16, modules_, /*depth_of_stage=*/2, spec.mutable_teacher());
  v1::VmoeSpec& vmoe = *spec.mutable_student()->mutable_vmoe();
  SetVit(/*width=*/12, modules_, /*depth_of_stage=*/1, vmoe.mutable_backbone());
  vmoe.set_experts(3);
  vmoe.set_top_k(2);
  for (int i = 0; i < modules_; ++i) vmoe.add_moe_blocks(i);
  vmoe.set_expert_init(v1::EXPERT_INIT_PER_MATRIX);
  *spec.mutable_recipe() = Recipe(images);
  v1::DistillationSpec& distillation = *spec.mutable_distillation();
  distillation.set_kind(v1::KD_KIND_SOFT);
  distillation.set_alpha(0.5);
  distillation.set_tau(2.0);
  distillation.set_divisor(v1::KD_DIVISOR_BATCH_MEAN);
  return spec;
}

v1::TaskSpec SmallJob::Evaluation(v1::EvaluationSubject subject, int module_index) const {
  v1::TaskSpec spec = Task(v1::TASK_KIND_EVALUATE, module_index, 0);
  spec.set_subject(subject);
  v1::EvaluationSpec& evaluation = *spec.mutable_evaluation();
  evaluation.add_corruptions("gaussian_noise");
  evaluation.add_corruptions("occlusion");
  evaluation.add_severities(1);
  evaluation.add_severities(4);
  evaluation.set_corruption_images(40);
  evaluation.set_batch_size(32);
  return spec;
}

v1::MemberAssignment SmallJob::Assign(const std::string& member, const v1::TaskSpec& spec,
                                      const std::map<std::string, std::string>& inputs) const {
  v1::MemberAssignment assignment;
  assignment.set_member(member);
  *assignment.mutable_spec() = spec;
  assignment.mutable_input_paths()->insert(inputs.begin(), inputs.end());
  assignment.set_output_directory(PathOf(member));
  EXPECT_THAT(CreateDirectories(assignment.output_directory()), IsOk());
  return assignment;
}

void SmallJob::Run(const std::vector<v1::MemberAssignment>& assignments,
                   RecordingObserver& observer) {
  v1::StartLeaseSet set;
  for (const v1::MemberAssignment& assignment : assignments) *set.add_members() = assignment;
  RunLeaseSet(set, "test-class", {clock_, images_, features_, observer});
}

std::map<std::string, std::string> SmallJob::RunTask(
    const std::string& member, const v1::TaskSpec& spec,
    const std::map<std::string, std::string>& inputs) {
  RecordingObserver observer;
  Run({Assign(member, spec, inputs)}, observer);
  const v1::MemberEnded ended = observer.EndOf(member);
  EXPECT_EQ(ended.outcome(), v1::MemberEnded::ENDED_SUCCEEDED) << ended.message();
  std::map<std::string, std::string> outputs;
  for (const v1::ProducedFile& file : ended.results()) outputs[file.name()] = file.path();
  return outputs;
}

std::string SmallJob::Meta() {
  if (meta_.empty()) {
    meta_ = RunTask("shared-meta", Task(v1::TASK_KIND_PRETRAIN_META), {})["model"];
  }
  return meta_;
}

std::string SmallJob::TeacherStage(int index) {
  if (teacher_stages_.empty()) {
    for (int i = 0; i < modules_; ++i) {
      teacher_stages_.push_back(RunTask(absl::StrCat("shared-stage-", i),
                                        Task(v1::TASK_KIND_INCUBATE_TEACHER, i, /*images=*/32),
                                        {{"meta", Meta()}})["stage"]);
    }
  }
  return teacher_stages_[static_cast<size_t>(index)];
}

std::string DigestOf(const std::string& path) {
  const absl::StatusOr<Digest> digest = DigestOfFile(path);
  EXPECT_THAT(digest, IsOk());
  return digest.ok() ? digest->str() : "";
}

}  // namespace distill::training
