// A job small enough to run whole in seconds: a few hundred images of Fashion-MNIST, narrow
// networks; and an observer that remembers what it heard and can interrupt.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"
#include "base/mutex.h"
#include "distill/v1/trainer.pb.h"
#include "tests/support/temp_dir.h"
#include "worker/training/feature_cache.h"
#include "worker/training/image_sets.h"
#include "worker/training/training_observer.h"

namespace distill::training {

// Thread-safe.
class RecordingObserver : public TrainingObserver {
 public:
  void OnProgress(const v1::MemberProgress& progress) override;
  void OnCheckpoint(const v1::CheckpointWritten& checkpoint) override;
  void OnEnded(const v1::MemberEnded& ended) override;
  bool IsCancelled(absl::string_view member) override;
  bool IsStopRequested() override;

  // Asks for a stop from the `polls`-th time on that it is polled, counted from 0.
  void StopAtPoll(int64_t polls);
  void Cancel(const std::string& member);

  std::vector<v1::MemberEnded> ends() const;
  v1::MemberEnded EndOf(const std::string& member) const;
  std::vector<v1::CheckpointWritten> checkpoints() const;
  std::vector<v1::MemberProgress> progress() const;

 private:
  mutable Mutex mutex_;
  int64_t polls_left_ ABSL_GUARDED_BY(mutex_) = INT64_MAX;
  std::vector<std::string> cancelled_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::MemberEnded> ends_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::CheckpointWritten> checkpoints_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::MemberProgress> progress_ ABSL_GUARDED_BY(mutex_);
};

// Writes the first images of Fashion-MNIST's splits to `directory` as an IDX data set.
void WriteSmallFashionMnist(const std::string& directory, int train_images, int test_images);

// A job of `modules` modules: its tasks, ready to run. One thread.
class SmallJob {
 public:
  explicit SmallJob(int modules = 4, int train_images = 320, int test_images = 100);

  // The tasks of the job, complete but for inputs. `images` is what the task trains on in all.
  v1::TaskSpec Task(v1::TaskKind kind, int module_index = 0, int64_t images = 160) const;
  v1::TaskSpec Evaluation(v1::EvaluationSubject subject, int module_index = 0) const;

  // An assignment named `member` with a folder of its own.
  v1::MemberAssignment Assign(const std::string& member, const v1::TaskSpec& spec,
                              const std::map<std::string, std::string>& inputs) const;

  // Runs the assignments as one lease set with `observer`, on the shared image cache.
  void Run(const std::vector<v1::MemberAssignment>& assignments, RecordingObserver& observer);
  // Runs one task and returns where its outputs are; fails the test when it does not succeed.
  std::map<std::string, std::string> RunTask(const std::string& member, const v1::TaskSpec& spec,
                                             const std::map<std::string, std::string>& inputs);

  // Files of a trained meta model and teacher stages, made on first use.
  std::string Meta();
  std::string TeacherStage(int index);

  std::string PathOf(const std::string& name) const { return directory_.Join(name); }
  ImageSetsCache& images() { return images_; }
  FeatureCache& features() { return features_; }

 private:
  const int modules_;
  const int train_images_;
  TempDir directory_;
  SystemClock clock_;
  ImageSetsCache images_{clock_};
  FeatureCache features_;
  std::string meta_;
  std::vector<std::string> teacher_stages_;
};

// The digest of a file; fails the test when it cannot be read.
std::string DigestOf(const std::string& path);

}  // namespace distill::training
