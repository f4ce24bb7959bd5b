#include "server/rpc/report_publisher.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "distill/v1/artifact_service.pb.h"
#include "server/report/report_builder.h"

namespace distill::server {
namespace {

constexpr int kJobsPerPage = 500;

absl::StatusOr<storage::NamedBlob> Store(storage::BlobStore& blobs, const std::string& name,
                                         const JobId& job, const std::string& bytes) {
  storage::NamedBlob stored;
  stored.name = name;
  DISTILL_ASSIGN_OR_RETURN(stored.digest,
                           storage::WriteBlob(blobs, absl::StrCat(name, ".", job.str()), bytes));
  stored.size_bytes = static_cast<int64_t>(bytes.size());
  return stored;
}

}  // namespace

ReportPublisher::ReportPublisher(Driver& driver, const storage::StateStore& store,
                                 storage::BlobStore& blobs, IoExecutor& executor)
    : driver_(&driver), store_(&store), blobs_(&blobs), executor_(&executor) {}

absl::Status ReportPublisher::Recover() {
  storage::JobPageRequest page;
  page.limit = kJobsPerPage;
  while (true) {
    DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::JobRecord> jobs, store_->ListJobs(page));
    for (const storage::JobRecord& job : jobs) {
      if (!storage::IsTerminal(job.status.state)) {
        Track(job.id);
      } else if (job.status.artifacts.empty()) {
        Wake(job.id);
      }
      page.before_create_revision = job.create_revision;
    }
    if (jobs.size() < static_cast<size_t>(kJobsPerPage)) return absl::OkStatus();
  }
}

void ReportPublisher::Track(const JobId& job) {
  {
    MutexLock lock(mu_);
    if (watches_.count(job) > 0) return;
    watches_[job] =
        driver_->watch_hub().Subscribe(job, /*after_revision=*/0, [this, job] { Wake(job); });
  }
  // It may have ended before the subscription began.
  Wake(job);
}

void ReportPublisher::Wake(const JobId& job) {
  const absl::Status queued = executor_->Submit([this, job] { Examine(job); });
  if (!queued.ok()) Failed(job, queued);
}

void ReportPublisher::RetryFailed() {
  std::set<JobId> jobs;
  {
    MutexLock lock(mu_);
    jobs.swap(failed_);
  }
  for (const JobId& job : jobs) Wake(job);
}

void ReportPublisher::Failed(const JobId& job, const absl::Status& cause) {
  LogWarning("cannot store report; it will be tried again", {{"job", job.str()}, {"cause", cause}});
  MutexLock lock(mu_);
  failed_.insert(job);
}

void ReportPublisher::Examine(const JobId& job) {
  std::shared_ptr<WatchSubscription> watch;
  {
    MutexLock lock(mu_);
    const auto place = watches_.find(job);
    if (place != watches_.end()) watch = place->second;
  }
  bool look = watch == nullptr;
  if (watch != nullptr) {
    const WatchBatch batch = watch->Next();
    look = batch.lagged || batch.empty();
    for (const storage::EventRecord& event : batch.events) {
      look = look || (event.task.empty() && storage::IsTerminal(event.job_state));
    }
  }
  if (!look) return;
  const absl::StatusOr<storage::JobRecord> record = store_->GetJob(job);
  if (absl::IsNotFound(record.status())) return Forget(job);
  if (!record.ok()) return Failed(job, record.status());
  if (!storage::IsTerminal(record->status.state)) return;
  Forget(job);
  if (!record->status.artifacts.empty()) return;
  {
    // The last changes of a job may wake several threads at once; one publishes.
    MutexLock lock(mu_);
    if (!publishing_.insert(job).second) return;
  }
  const absl::Status published = Publish(job, record->project);
  {
    MutexLock lock(mu_);
    publishing_.erase(job);
  }
  if (!published.ok()) Failed(job, published);
}

absl::Status ReportPublisher::Publish(const JobId& job, const ProjectId& project) {
  DISTILL_ASSIGN_OR_RETURN(const v1::Report report, BuildReport(*store_, *blobs_, job));
  DISTILL_ASSIGN_OR_RETURN(const std::string json, ReportJson(report));
  std::vector<storage::NamedBlob> artifacts;
  DISTILL_ASSIGN_OR_RETURN(storage::NamedBlob stored, Store(*blobs_, "report.json", job, json));
  artifacts.push_back(std::move(stored));
  DISTILL_ASSIGN_OR_RETURN(stored, Store(*blobs_, "report.md", job, report.markdown()));
  artifacts.push_back(std::move(stored));
  // Posted in order, so both blobs are known when they are attached.
  for (const storage::NamedBlob& blob : artifacts) {
    driver_->Post(BlobPresent{blob.digest, blob.size_bytes, v1::ARTIFACT_TYPE_REPORT}, {});
    driver_->Post(StoreRows{{storage::PutBlobOwner{{blob.digest, project}}}}, {});
  }
  driver_->Post(AttachJobArtifacts{job, artifacts}, [this, job](absl::StatusOr<Done> reply) {
    if (!reply.ok()) Failed(job, reply.status());
  });
  return absl::OkStatus();
}

void ReportPublisher::Forget(const JobId& job) {
  std::shared_ptr<WatchSubscription> ended;
  MutexLock lock(mu_);
  const auto place = watches_.find(job);
  if (place == watches_.end()) return;
  ended = std::move(place->second);
  watches_.erase(place);
}

}  // namespace distill::server
