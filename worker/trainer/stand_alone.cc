#include "worker/trainer/stand_alone.h"

#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>

#include <csignal>
#include <cstdio>
#include <deque>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "worker/trainer/numeric_runtime.h"
#include "worker/training/lease_set.h"

namespace distill::worker {
namespace {

constexpr absl::Duration kPrintInterval = absl::Seconds(1);
constexpr size_t kKeptCheckpoints = 2;

volatile std::sig_atomic_t interrupted = 0;

template <typename Message>
absl::Status ParseFile(const std::string& path, Message* message) {
  DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  if (absl::EndsWith(path, ".json")) {
    const auto status = google::protobuf::util::JsonStringToMessage(text, message);
    if (status.ok()) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("cannot read ", path, ": ", status.ToString()));
  }
  if (google::protobuf::TextFormat::ParseFromString(text, message)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("cannot read ", path, ": not a text message"));
}

absl::Status MakeFolders(const v1::StartLeaseSet& set) {
  for (const v1::MemberAssignment& member : set.members()) {
    DISTILL_RETURN_IF_ERROR(CreateDirectories(member.output_directory()));
  }
  return absl::OkStatus();
}

// Thread-safe.
class PrintingObserver : public training::TrainingObserver {
 public:
  explicit PrintingObserver(const Clock& clock) : clock_(clock) {}

  void OnProgress(const v1::MemberProgress& report) override {
    MutexLock lock(mutex_);
    const v1::Progress& progress = report.progress();
    MonotonicTime& printed = printed_[report.member()];
    if (progress.step() != progress.total_steps() && clock_.Now() - printed < kPrintInterval) {
      return;
    }
    printed = clock_.Now();
    absl::PrintF("%s: %s step %d/%d loss %.4f %.0f images/s waiting %.0f%% eta %.0f s\n",
                 report.member(), progress.phase(), progress.step(), progress.total_steps(),
                 progress.loss(), progress.images_per_second(), 100 * progress.data_wait_ratio(),
                 progress.eta_seconds());
    std::fflush(stdout);
  }

  void OnCheckpoint(const v1::CheckpointWritten& checkpoint) override {
    MutexLock lock(mutex_);
    absl::PrintF("%s: checkpoint at step %d: %s\n", checkpoint.member(), checkpoint.step(),
                 checkpoint.path());
    std::deque<std::string>& kept = checkpoints_[checkpoint.member()];
    kept.push_back(checkpoint.path());
    if (kept.size() <= kKeptCheckpoints) return;
    (void)RemoveFile(kept.front());
    kept.pop_front();
  }

  void OnEnded(const v1::MemberEnded& ended) override {
    MutexLock lock(mutex_);
    all_succeeded_ &= ended.outcome() == v1::MemberEnded::ENDED_SUCCEEDED;
    for (const v1::ProducedFile& file : ended.results()) {
      const absl::StatusOr<Digest> digest = DigestOfFile(file.path());
      absl::PrintF("%s: %s %s %s\n", ended.member(), file.name(), file.path(),
                   digest.ok() ? digest->str() : digest.status().ToString());
    }
    absl::PrintF("%s: %s wall %.2f s, cpu %.2f s, peak %d MB, %d parameters, %d trained%s%s\n",
                 ended.member(), v1::MemberEnded::Outcome_Name(ended.outcome()),
                 ended.stats().wall_seconds(), ended.stats().cpu_seconds(),
                 ended.stats().peak_memory_bytes() >> 20, ended.stats().parameters(),
                 ended.stats().trained_parameters(), ended.message().empty() ? "" : ": ",
                 ended.message());
    std::fflush(stdout);
  }

  bool IsCancelled(absl::string_view) override { return false; }
  bool IsStopRequested() override { return interrupted != 0; }

  bool all_succeeded() ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    return all_succeeded_;
  }

 private:
  const Clock& clock_;
  Mutex mutex_;
  bool all_succeeded_ ABSL_GUARDED_BY(mutex_) = true;
  std::map<std::string, MonotonicTime> printed_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::deque<std::string>> checkpoints_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<v1::StartLeaseSet> ReadTask(const StandAloneTask& task) {
  v1::StartLeaseSet set;
  v1::MemberAssignment& member = *set.add_members();
  member.set_member("task");
  DISTILL_RETURN_IF_ERROR(ParseFile(task.task_file, member.mutable_spec()));
  member.mutable_input_paths()->insert(task.inputs.begin(), task.inputs.end());
  member.set_checkpoint_path(task.checkpoint_file);
  member.set_output_directory(task.output_directory);
  DISTILL_RETURN_IF_ERROR(MakeFolders(set));
  return set;
}

absl::StatusOr<v1::StartLeaseSet> ReadLeaseSet(const std::string& file) {
  v1::StartLeaseSet set;
  DISTILL_RETURN_IF_ERROR(ParseFile(file, &set));
  DISTILL_RETURN_IF_ERROR(MakeFolders(set));
  return set;
}

absl::Status RunStandAlone(const v1::StartLeaseSet& set, const Clock& clock,
                           torch::DeviceType device) {
  std::signal(SIGINT, [](int) { interrupted = 1; });
  PrintingObserver observer(clock);
  training::ImageSetsCache images(clock);
  training::FeatureCache features;
  training::RunLeaseSet(set, ActiveNumericClass(device),
                        {clock, images, features, observer, nullptr, device});
  return observer.all_succeeded() ? absl::OkStatus()
                                  : absl::AbortedError("a member did not succeed");
}

}  // namespace distill::worker
