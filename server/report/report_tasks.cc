#include "server/report/report_tasks.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "google/protobuf/util/json_util.h"

namespace distill::server {
namespace {

constexpr uint64_t kMostJsonBytes = 16 << 20;
constexpr int kMostTasks = 100000;
// Results are taken from tasks that ran themselves, or that took them from such in turn.
constexpr int kLongestReuse = 8;

// Attempts of the task that computed what `task` shows. Empty when that one is gone.
std::vector<storage::AttemptRecord> OriginalAttempts(const storage::StateStore& store,
                                                     TaskId task) {
  for (int i = 0; i < kLongestReuse && !task.empty(); ++i) {
    absl::StatusOr<std::vector<storage::AttemptRecord>> attempts = store.ListAttempts(task);
    if (attempts.ok() && !attempts->empty()) return *std::move(attempts);
    const absl::StatusOr<storage::TaskRecord> record = store.GetTask(task);
    if (!record.ok()) break;
    task = record->status.reused_from;
  }
  return {};
}

}  // namespace

absl::StatusOr<ReportInputs> LoadReportInputs(const storage::StateStore& store, const JobId& job) {
  ReportInputs inputs;
  DISTILL_ASSIGN_OR_RETURN(inputs.job, store.GetJob(job));
  DISTILL_ASSIGN_OR_RETURN(inputs.counts, store.CountTasks(job));
  if (!inputs.spec.ParseFromString(inputs.job.spec)) {
    return absl::DataLossError(
        absl::StrCat("cannot report on job: stored spec does not parse; job=", job.str()));
  }
  DISTILL_ASSIGN_OR_RETURN(std::vector<storage::TaskRecord> records,
                           store.ListTasks(job, /*after_index=*/-1, kMostTasks));
  std::map<TaskId, size_t> places;
  for (storage::TaskRecord& record : records) {
    ReportTask task;
    if (!task.spec.ParseFromString(record.definition.spec)) {
      return absl::DataLossError(
          absl::StrCat("cannot report on job: stored task does not parse; task=", record.id.str()));
    }
    places[record.id] = inputs.tasks.size();
    task.reused_attempts = OriginalAttempts(store, record.status.reused_from);
    task.record = std::move(record);
    inputs.tasks.push_back(std::move(task));
  }
  DISTILL_ASSIGN_OR_RETURN(std::vector<storage::AttemptRecord> attempts,
                           store.ListJobAttempts(job));
  for (storage::AttemptRecord& attempt : attempts) {
    const auto place = places.find(attempt.task);
    if (place != places.end()) {
      inputs.tasks[place->second].attempts.push_back(std::move(attempt));
    }
  }
  return inputs;
}

absl::Status ReadJsonResult(const storage::BlobStore& blobs, const Digest& digest,
                            google::protobuf::Message& result) {
  DISTILL_ASSIGN_OR_RETURN(const std::string json,
                           storage::ReadBlob(blobs, digest, kMostJsonBytes));
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto parsed = google::protobuf::util::JsonStringToMessage(json, &result, options);
  if (!parsed.ok()) {
    return absl::DataLossError(absl::StrCat("result does not parse: ", parsed.ToString()));
  }
  return absl::OkStatus();
}

}  // namespace distill::server
