// Registered data sets: names, the blobs of their copies, and who uses them. What a data set holds
// is found out elsewhere and only recorded here.
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "server/scheduler/core_step.h"

namespace distill::server {

using storage::DatasetState;

namespace {

// Of what is recorded, and of the copy.
int64_t BytesOf(const storage::DatasetStatus& status) {
  int64_t bytes = static_cast<int64_t>(status.facts.size() + status.verification.size());
  for (const storage::NamedBlob& blob : status.blobs) bytes += blob.size_bytes;
  return bytes;
}

}  // namespace

void CoreStep::On(uint64_t call, CreateDataset& event) {
  const auto found = state_.datasets.find(event.name);
  if (found != state_.datasets.end()) {
    const storage::DatasetRecord& known = found->second;
    const bool same_request = known.request == event.request_id;
    if (same_request && known.body == event.body) {
      return ReplyTo(call, CreateDatasetReply{/*existed=*/true});
    }
    if (same_request || known.status.state != DatasetState::kFailed) {
      return Refuse(call, absl::AlreadyExistsError(absl::StrCat(
                              "cannot create data set: the name is taken; remove that data set or "
                              "choose another name; dataset=",
                              event.name.str())));
    }
  }
  const int64_t datasets = static_cast<int64_t>(state_.datasets.size());
  if (found == state_.datasets.end() && datasets >= state_.config.max_datasets) {
    return Refuse(call, absl::ResourceExhaustedError(absl::StrCat(
                            "cannot create data set: the server keeps no more of them; remove one "
                            "with `distill dataset remove` or raise --max-datasets; datasets=",
                            datasets, " limit=", state_.config.max_datasets)));
  }
  storage::DatasetRecord& record = state_.datasets[event.name];
  record = storage::DatasetRecord{};
  record.name = event.name;
  record.project = event.project;
  record.request = event.request_id;
  record.body = event.body;
  record.source = std::move(event.source);
  record.create_time = now_.wall;
  effects_.mutations.push_back(storage::PutDataset{record});
  ReplyTo(call, CreateDatasetReply{/*existed=*/false});
}

void CoreStep::On(uint64_t call, UpdateDataset& event) {
  const auto found = state_.datasets.find(event.name);
  if (found == state_.datasets.end() || found->second.request != event.request_id) {
    return Refuse(call, absl::NotFoundError(absl::StrCat(
                            "cannot update data set: it was removed; dataset=", event.name.str())));
  }
  const std::vector<storage::NamedBlob>& known = found->second.status.blobs;
  for (const storage::NamedBlob& blob : event.status.blobs) {
    // A copy that was lost since is for a verification to report.
    if (Touch(blob.digest) || event.status.blobs == known) continue;
    return Refuse(call, absl::FailedPreconditionError(absl::StrCat(
                            "cannot update data set: a blob of its copy is not stored; dataset=",
                            event.name.str(), " digest=", blob.digest.str())));
  }
  // A verification is recorded whatever there is.
  const bool is_first = found->second.status.state == DatasetState::kReading;
  if (is_first && event.status.state == DatasetState::kReady) {
    int64_t bytes = BytesOf(event.status);
    for (const auto& [name, other] : state_.datasets) bytes += BytesOf(other.status);
    if (bytes > state_.config.max_dataset_bytes) {
      return Refuse(
          call,
          absl::ResourceExhaustedError(absl::StrCat(
              "cannot register data set: it does not fit beside the others; remove one with "
              "`distill dataset remove`, add it without --upload, or raise "
              "--max-dataset-bytes; dataset=",
              event.name.str(), " bytes=", bytes, " limit=", state_.config.max_dataset_bytes)));
    }
  }
  storage::DatasetRecord& record = found->second;
  const absl::Time finish_time = record.status.finish_time;
  const bool was_reading = record.status.state == DatasetState::kReading;
  record.status = std::move(event.status);
  record.status.finish_time = was_reading ? now_.wall : finish_time;
  effects_.mutations.push_back(storage::PutDataset{record});
  ReplyTo(call, Done{});
}

void CoreStep::On(uint64_t call, DeleteDataset& event) {
  if (state_.datasets.count(event.name) == 0) {
    return Refuse(
        call, absl::NotFoundError(absl::StrCat("cannot remove data set: no such data set; dataset=",
                                               event.name.str())));
  }
  for (const auto& [age, job] : state_.jobs) {
    if (storage::IsTerminal(job->record.status.state)) continue;
    for (const DatasetName& used : job->record.datasets) {
      if (used != event.name) continue;
      return Refuse(call, WithReason(absl::FailedPreconditionError(absl::StrCat(
                                         "cannot remove data set: an unfinished job uses it; wait "
                                         "for the job or cancel it; dataset=",
                                         event.name.str(), " job=", job->record.id.str())),
                                     reason::kDatasetInUse));
    }
  }
  state_.datasets.erase(event.name);
  effects_.mutations.push_back(storage::DeleteDataset{event.name});
  ReplyTo(call, Done{});
}

absl::Status CoreStep::CheckDatasets(const storage::JobRecord& job) const {
  for (const DatasetName& name : job.datasets) {
    const auto found = state_.datasets.find(name);
    if (found != state_.datasets.end() && found->second.status.state == DatasetState::kReady) {
      continue;
    }
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          "cannot submit job: its data set is not ready, or was removed meanwhile; "
                          "see `distill dataset list`; dataset=",
                          name.str())),
                      reason::kDatasetNotReady);
  }
  return absl::OkStatus();
}

}  // namespace distill::server
