#include "worker/agent/publisher.h"

#include <pthread.h>

#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/agent/backoff.h"
#include "worker/agent/transient_error.h"

namespace distill::worker {
namespace {

v1::ArtifactRef RefOf(const std::string& name, const LocalBlob& blob) {
  v1::ArtifactRef ref;
  ref.set_name(name);
  ref.set_digest(blob.digest.str());
  ref.set_size_bytes(blob.size_bytes);
  return ref;
}

absl::Status StatusOf(const v1::ItemStatus& item) {
  const absl::Status status(static_cast<absl::StatusCode>(item.code()), item.message());
  return item.reason().empty() ? status : WithReason(status, item.reason());
}

// Whether the result is still wanted, but the server lacks a blob of it: it may have dropped one
// after its upload. Servers that give no reason say no more than "not found" or "failed
// precondition", which a lost lease does too.
bool MayLackBlobs(const absl::Status& status) {
  const std::string told = ReasonOf(status);
  if (!told.empty()) return told == reason::kBlobMissing;
  return absl::IsNotFound(status) || absl::IsFailedPrecondition(status);
}

}  // namespace

absl::StatusOr<LocalBlob> DescribeBlob(const ProducedArtifact& artifact) {
  LocalBlob blob;
  blob.path = artifact.path;
  blob.type = ArtifactTypeOf(artifact.name);
  DISTILL_ASSIGN_OR_RETURN(const uint64_t size, FileSize(artifact.path));
  blob.size_bytes = static_cast<int64_t>(size);
  DISTILL_ASSIGN_OR_RETURN(blob.digest, DigestOfFile(artifact.path));
  return blob;
}

struct Publisher::Job {
  std::shared_ptr<LiveLease> lease;  // Shared with the lease table.
  AttemptEnd end;
  // What the outbox holds; set from the start when an earlier run put it there.
  std::optional<Outbox::Item> item;
  // Raised when nothing is to be sent any more. A result is sent even for a lease that this worker
  // believes lost: the server may still want it, and alone decides.
  CancelToken stop;

  CancelToken& cancel() {
    return end.kind == AttemptEnd::Kind::kComplete ? stop : lease->publication();
  }
};

Publisher::Publisher(Config config, Dependencies dependencies)
    : config_(std::move(config)),
      dependencies_(std::move(dependencies)),
      upload_seconds_(dependencies_.metrics.AddHistogram(
          "distill_worker_upload_seconds", "Time to upload one blob, retries included.",
          LatencyBounds())) {}

Publisher::~Publisher() { Stop(); }

void Publisher::Start() {
  for (int i = 0; i < config_.threads; ++i) {
    threads_.emplace_back([this] {
      pthread_setname_np(pthread_self(), "publisher");
      RunThread();
    });
  }
}

void Publisher::Stop() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    for (const auto& job : running_) {
      job->stop.Cancel();
      job->lease->publication().Cancel();
    }
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Publisher::Publish(std::shared_ptr<LiveLease> lease, AttemptEnd end) {
  auto job = std::make_shared<Job>();
  job->lease = std::move(lease);
  job->end = std::move(end);
  Enqueue(std::move(job));
}

void Publisher::Redeliver(std::shared_ptr<LiveLease> lease, const Outbox::Item& item) {
  auto job = std::make_shared<Job>();
  job->lease = std::move(lease);
  job->end.kind = AttemptEnd::Kind::kComplete;
  job->item = item;
  Enqueue(std::move(job));
}

void Publisher::Enqueue(std::shared_ptr<Job> job) {
  job->lease->SetPhase("uploading");
  MutexLock lock(mu_);
  queue_.push_back(std::move(job));
  changed_.NotifyOne();
}

void Publisher::RunThread() {
  for (;;) {
    std::shared_ptr<Job> job;
    {
      MutexLock lock(mu_);
      while (queue_.empty() && !stopping_) changed_.Wait(mu_);
      if (stopping_) return;
      job = queue_.front();
      queue_.pop_front();
      running_.insert(job);
    }
    Deliver(*job);
    {
      MutexLock lock(mu_);
      running_.erase(job);
      // What was cut short is not delivered; its lease stays, and its directory too.
      if (stopping_) return;
    }
    if (!job->end.working_directory.empty()) {
      const absl::Status removed = RemoveTree(job->end.working_directory);
      if (!removed.ok()) LogWarning("working directory stays", {{"error", removed}});
    }
    dependencies_.leases.Remove(job->lease->id());
    dependencies_.on_delivered();
  }
}

void Publisher::Deliver(Job& job) {
  const LogScope scope = ScopeOf(job.lease->grant());
  // A lost lease: there is nobody to tell.
  if (job.cancel().cancelled()) return;
  switch (job.end.kind) {
    case AttemptEnd::Kind::kComplete:
      DeliverCompletion(job);
      break;
    case AttemptEnd::Kind::kFail:
      DeliverFailure(job);
      break;
    case AttemptEnd::Kind::kRelease:
      DeliverRelease(job);
      break;
  }
}

void Publisher::DeliverCompletion(Job& job) {
  if (!job.item.has_value()) {
    const absl::Status stored = StoreInOutbox(job);
    if (!stored.ok()) {
      LogError("result cannot be kept", {{"task", job.lease->ref().task()}, {"error", stored}});
      SendFailure(job, v1::FAILURE_CLASS_INFRASTRUCTURE, std::string(stored.message()));
      return;
    }
  }
  absl::Status status;
  // Once more when the server dropped a blob after its upload.
  for (int round = 0; round < 2; ++round) {
    if (job.end.spans.has_value()) job.end.spans->Begin("upload");
    status = UploadOutboxEntry(job);
    if (job.end.spans.has_value()) job.end.spans->End(status);
    if (!status.ok()) break;
    v1::CompleteAttemptsRequest request;
    request.set_worker_id(config_.worker_id);
    v1::CompleteAttemptsRequest::Item& item = *request.add_items();
    item = *job.item;
    if (std::optional<v1::ArtifactRef> spans = UploadSpans(job)) {
      *item.add_observations() = *std::move(spans);
    }
    status = CallUntilAnswered(job.cancel(), [&]() -> absl::Status {
      DISTILL_ASSIGN_OR_RETURN(const v1::CompleteAttemptsResponse response,
                               dependencies_.client.Complete(request));
      return StatusOf(response.statuses(0));
    });
    if (status.ok() || !MayLackBlobs(status)) break;
  }
  if (job.cancel().cancelled() && !status.ok()) return;  // The outbox keeps it.
  if (status.ok()) {
    LogInfo("task completed", {{"job", job.lease->ref().job()}, {"task", job.lease->ref().task()}});
  } else {
    LogWarning("result was not wanted", {{"task", job.lease->ref().task()}, {"error", status}});
    const bool local = absl::IsInvalidArgument(status) || absl::IsDataLoss(status);
    if (local) {
      SendFailure(job, v1::FAILURE_CLASS_INFRASTRUCTURE,
                  absl::StrCat("cannot publish result: ", status.message()));
    }
  }
  const absl::Status removed = dependencies_.outbox.Remove(job.lease->id());
  if (!removed.ok()) LogWarning("outbox entry stays", {{"error", removed}});
}

absl::Status Publisher::StoreInOutbox(Job& job) {
  Outbox::Item item;
  *item.mutable_lease() = job.lease->ref();
  *item.mutable_stats() = job.end.stats;
  std::map<Digest, std::string> files;
  for (const ProducedArtifact& result : job.end.results) {
    DISTILL_ASSIGN_OR_RETURN(const LocalBlob blob, DescribeBlob(result));
    *item.add_results() = RefOf(result.name, blob);
    files[blob.digest] = blob.path;
    // The next task on this machine will often want it.
    dependencies_.cache.Offer(blob.path, blob.digest);
  }
  for (const ProducedArtifact& observation : job.end.observations) {
    const absl::StatusOr<LocalBlob> blob = DescribeBlob(observation);
    if (!blob.ok()) continue;
    *item.add_observations() = RefOf(observation.name, *blob);
    files[blob->digest] = blob->path;
  }
  DISTILL_RETURN_IF_ERROR(dependencies_.outbox.Put(item, files));
  job.item = std::move(item);
  return absl::OkStatus();
}

absl::Status Publisher::UploadOutboxEntry(Job& job) {
  const auto upload = [&](const v1::ArtifactRef& ref) -> absl::Status {
    LocalBlob blob;
    DISTILL_ASSIGN_OR_RETURN(blob.digest, Digest::Parse(ref.digest()));
    blob.path = dependencies_.outbox.FilePath(job.lease->id(), blob.digest);
    blob.size_bytes = ref.size_bytes();
    blob.type = ArtifactTypeOf(ref.name());
    blob.lease = job.lease->ref();
    const absl::Status status = Upload(blob, job.cancel());
    // A file that is gone from the outbox is no reason to ask the server again.
    return absl::IsNotFound(status) ? absl::DataLossError(status.message()) : status;
  };
  for (const v1::ArtifactRef& ref : job.item->results()) {
    DISTILL_RETURN_IF_ERROR(upload(ref));
  }
  for (const v1::ArtifactRef& ref : job.item->observations()) {
    DISTILL_RETURN_IF_ERROR(upload(ref));
  }
  return absl::OkStatus();
}

void Publisher::DeliverFailure(Job& job) {
  SendFailure(job, job.end.failure_class, job.end.message);
}

void Publisher::SendFailure(Job& job, v1::FailureClass failure_class, const std::string& message) {
  v1::FailAttemptsRequest request;
  request.set_worker_id(config_.worker_id);
  v1::FailAttemptsRequest::Item& item = *request.add_items();
  *item.mutable_lease() = job.lease->ref();
  item.set_failure_class(failure_class);
  item.set_message(message);
  *item.mutable_stats() = job.end.stats;
  for (const std::string& digest : job.end.bad_inputs) item.add_bad_inputs(digest);
  item.set_lost_gang(job.end.lost_gang);
  for (v1::ArtifactRef& ref : UploadObservations(job)) {
    *item.add_observations() = std::move(ref);
  }
  const absl::Status status = CallUntilAnswered(job.cancel(), [&]() -> absl::Status {
    DISTILL_ASSIGN_OR_RETURN(const v1::FailAttemptsResponse response,
                             dependencies_.client.Fail(request));
    return StatusOf(response.statuses(0));
  });
  LogWarning("attempt failed", {{"task", job.lease->ref().task()},
                                {"attempt", job.lease->ref().attempt_number()},
                                {"message", message},
                                {"answer", status}});
}

void Publisher::DeliverRelease(Job& job) {
  v1::ReleaseLeasesRequest request;
  request.set_worker_id(config_.worker_id);
  v1::ReleaseLeasesRequest::Item& item = *request.add_items();
  *item.mutable_lease() = job.lease->ref();
  item.set_reason(job.end.message);
  *item.mutable_stats() = job.end.stats;
  const v1::LeaseProgress report = job.lease->Report();
  if (report.has_checkpoint()) {
    *item.mutable_checkpoint() = report.checkpoint();
    item.set_checkpoint_step(report.checkpoint_step());
  }
  if (job.end.checkpoint.has_value()) {
    absl::StatusOr<LocalBlob> blob = DescribeBlob(*job.end.checkpoint);
    if (blob.ok()) blob->lease = job.lease->ref();
    const absl::Status uploaded = blob.ok() ? Upload(*blob, job.cancel()) : blob.status();
    if (uploaded.ok()) {
      *item.mutable_checkpoint() = RefOf("checkpoint", *blob);
      item.set_checkpoint_step(job.end.checkpoint_step);
    } else {
      LogWarning("checkpoint is left behind", {{"error", uploaded}});
    }
  }
  for (v1::ArtifactRef& ref : UploadObservations(job)) {
    *item.add_observations() = std::move(ref);
  }
  const absl::Status status = CallUntilAnswered(job.cancel(), [&]() -> absl::Status {
    DISTILL_ASSIGN_OR_RETURN(const v1::ReleaseLeasesResponse response,
                             dependencies_.client.Release(request));
    return StatusOf(response.statuses(0));
  });
  LogInfo("lease handed back", {{"task", job.lease->ref().task()},
                                {"reason", job.end.message},
                                {"checkpoint_step", item.checkpoint_step()},
                                {"answer", status}});
}

std::optional<v1::ArtifactRef> Publisher::UploadSpans(Job& job) {
  if (!job.end.spans.has_value() || job.end.working_directory.empty()) return std::nullopt;
  const v1::AttemptSpans spans = job.end.spans->Finish();
  if (spans.spans().empty()) return std::nullopt;
  const std::string path = JoinPath(job.end.working_directory, "spans");
  absl::Status status = WriteFileAtomically(path, spans.SerializeAsString());
  if (!status.ok()) return std::nullopt;
  const absl::StatusOr<LocalBlob> blob = DescribeBlob({"spans", path});
  if (!blob.ok()) return std::nullopt;
  status = dependencies_.blobs.Upload(*blob, job.cancel());
  if (status.ok()) return RefOf("spans", *blob);
  LogDebug("spans are left out", {{"error", status}});
  return std::nullopt;
}

std::vector<v1::ArtifactRef> Publisher::UploadObservations(Job& job) {
  std::vector<v1::ArtifactRef> refs;
  for (const ProducedArtifact& observation : job.end.observations) {
    absl::StatusOr<LocalBlob> blob = DescribeBlob(observation);
    if (blob.ok()) blob->lease = job.lease->ref();
    const absl::Status status = blob.ok() ? Upload(*blob, job.cancel()) : blob.status();
    if (status.ok()) {
      refs.push_back(RefOf(observation.name, *blob));
    } else {
      LogWarning("observation is left out", {{"name", observation.name}, {"error", status}});
    }
  }
  if (std::optional<v1::ArtifactRef> spans = UploadSpans(job)) refs.push_back(*std::move(spans));
  return refs;
}

absl::Status Publisher::Upload(const LocalBlob& blob, CancelToken& cancel) {
  const SystemClock clock;
  const MonotonicTime start = clock.Now();
  const absl::Status status = CallUntilAnswered(cancel, [&]() -> absl::Status {
    absl::Status uploaded = dependencies_.blobs.Upload(blob, cancel);
    dependencies_.full_store_log.Note(uploaded);
    // The upload stood elsewhere than we thought: ask again.
    const bool misplaced = absl::IsAborted(uploaded) || absl::IsOutOfRange(uploaded);
    return misplaced ? absl::UnavailableError(uploaded.message()) : uploaded;
  });
  upload_seconds_.Observe(absl::ToDoubleSeconds(clock.Now() - start));
  return status;
}

absl::Status Publisher::CallUntilAnswered(CancelToken& cancel,
                                          const std::function<absl::Status()>& call) {
  Backoff backoff({config_.first_retry, config_.longest_retry},
                  static_cast<uint64_t>(std::hash<std::string>()(config_.worker_id)));
  for (;;) {
    if (cancel.cancelled()) return absl::CancelledError("delivery was cancelled");
    const absl::Status status = call();
    if (status.ok() || !IsTransient(status)) return status;
    LogDebug("call will be retried", {{"error", status}});
    if (cancel.WaitFor(RetryDelay(status, backoff.Next()))) {
      return absl::CancelledError("delivery was cancelled");
    }
  }
}

}  // namespace distill::worker
