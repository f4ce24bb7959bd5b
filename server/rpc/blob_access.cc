#include "server/rpc/blob_access.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "base/mutex.h"
#include "base/status_macros.h"
#include "server/rpc/call.h"

namespace distill::server {
namespace {

constexpr absl::Duration kDriverWait = absl::Seconds(10);

// What the core says, for a thread that waits. Shared by the thread and the driver, since the
// thread may give up first.
template <typename Value>
class Answer {
 public:
  void Set(absl::StatusOr<Value> value) {
    MutexLock lock(mu_);
    value_ = std::move(value);
    set_.NotifyAll();
  }
  absl::StatusOr<Value> Wait() {
    MutexLock lock(mu_);
    if (!value_.has_value()) set_.WaitFor(mu_, kDriverWait);
    if (value_.has_value()) return *std::move(value_);
    return absl::UnavailableError("the server is busy; retry later");
  }

 private:
  Mutex mu_;
  CondVar set_;
  std::optional<absl::StatusOr<Value>> value_ ABSL_GUARDED_BY(mu_);
};

// Runs `query` on the driver's thread and waits for what it returns.
template <typename Value, typename Query>
absl::StatusOr<Value> AskCore(Driver& driver, Query query) {
  auto answer = std::make_shared<Answer<Value>>();
  driver.PostQuery([answer, query = std::move(query)](const Core* core, MonotonicTime) {
    if (core == nullptr) {
      answer->Set(ServerStopping());
    } else {
      answer->Set(query(*core));
    }
  });
  return answer->Wait();
}

absl::Status LeaseLost(const WorkerId& worker) {
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        "cannot upload artifact: lease lost, the worker holds none that it is for; "
                        "worker=",
                        worker.str())),
                    reason::kLeaseLost);
}

}  // namespace

std::string UploadIdOf(const Caller& caller, const std::string& upload_id) {
  if (caller.is_anonymous) return upload_id;
  return std::string(Digest::OfBytes(absl::StrCat(caller.name, "\n", upload_id)).hex());
}

absl::StatusOr<std::vector<LeasedTask>> BlobAccess::TasksOf(const WorkerId& worker) const {
  return AskCore<std::vector<LeasedTask>>(
      *driver_, [worker](const Core& core) { return core.LeasedTasks(worker); });
}

absl::StatusOr<bool> BlobAccess::WorkerNeeds(const WorkerId& worker, const Digest& digest) const {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<LeasedTask> tasks, TasksOf(worker));
  for (const LeasedTask& task : tasks) {
    if (std::find(task.blobs.begin(), task.blobs.end(), digest) != task.blobs.end()) return true;
  }
  // Copies of data sets are known to the job, not to the task.
  std::vector<JobId> seen;
  for (const LeasedTask& task : tasks) {
    if (std::find(seen.begin(), seen.end(), task.job) != seen.end()) continue;
    seen.push_back(task.job);
    DISTILL_ASSIGN_OR_RETURN(const storage::JobRecord job, store_->GetJob(task.job));
    for (const DatasetName& name : job.datasets) {
      const absl::StatusOr<storage::DatasetRecord> dataset = store_->GetDataset(name);
      if (absl::IsNotFound(dataset.status())) continue;
      DISTILL_RETURN_IF_ERROR(dataset.status());
      for (const storage::NamedBlob& blob : dataset->status.blobs) {
        if (blob.digest == digest) return true;
      }
    }
  }
  return false;
}

absl::StatusOr<bool> BlobAccess::MayRead(const Caller& caller, const Digest& digest) const {
  if (caller.Everywhere(Role::kViewer)) return true;
  if (!caller.worker.empty()) return WorkerNeeds(caller.worker, digest);
  DISTILL_ASSIGN_OR_RETURN(const std::vector<ProjectId> projects, store_->ProjectsOfBlob(digest));
  return std::any_of(projects.begin(), projects.end(), [&caller](const ProjectId& project) {
    return caller.RoleIn(project) >= Role::kViewer;
  });
}

absl::Status BlobAccess::CheckReadable(const Caller& caller, const Digest& digest) const {
  DISTILL_ASSIGN_OR_RETURN(const bool may_read, MayRead(caller, digest));
  if (may_read) return absl::OkStatus();
  return WithResource(
      absl::NotFoundError(absl::StrCat("cannot find blob: no such blob; id=", digest.str())),
      "blob", digest.str());
}

absl::StatusOr<std::vector<Digest>> BlobAccess::Hidden(const Caller& caller,
                                                       const std::vector<Digest>& digests) const {
  std::vector<Digest> hidden;
  // A worker is told the truth, so that it need not send what another has made; that a blob exists
  // says little to those who have its bytes.
  if (!caller.worker.empty()) return hidden;
  for (const Digest& digest : digests) {
    DISTILL_ASSIGN_OR_RETURN(const bool may_read, MayRead(caller, digest));
    if (!may_read) hidden.push_back(digest);
  }
  return hidden;
}

absl::StatusOr<std::vector<ProjectId>> BlobAccess::OwnersOfUpload(
    const Admission& admission, const UploadPurpose& purpose) const {
  const Caller& caller = admission.caller;
  if (purpose.lease.has_value() && (caller.is_anonymous || !caller.worker.empty())) {
    const LeaseRef lease = *purpose.lease;
    DISTILL_ASSIGN_OR_RETURN(
        const std::optional<ProjectId> project,
        (AskCore<std::optional<ProjectId>>(
            *driver_, [lease, caller](const Core& core) -> std::optional<ProjectId> {
              const std::optional<AttemptOwner> owner = core.OwnerOf(lease);
              if (!owner.has_value() || !caller.MayActAs(owner->worker)) return std::nullopt;
              return owner->project;
            })));
    if (project.has_value()) return std::vector<ProjectId>{*project};
    if (caller.is_anonymous) return std::vector<ProjectId>();
    return LeaseLost(caller.worker);
  }
  if (!caller.worker.empty()) {
    DISTILL_ASSIGN_OR_RETURN(const std::vector<LeasedTask> tasks, TasksOf(caller.worker));
    std::vector<ProjectId> projects;
    for (const LeasedTask& task : tasks) {
      const bool known =
          std::find(projects.begin(), projects.end(), task.project) != projects.end();
      if (!known) projects.push_back(task.project);
    }
    if (projects.empty()) return LeaseLost(caller.worker);
    return projects;
  }
  if (caller.is_anonymous && purpose.project.empty()) return std::vector<ProjectId>();
  const ProjectId project(purpose.project.empty() ? kDefaultProject : purpose.project);
  DISTILL_RETURN_IF_ERROR(Gate::CheckProject(admission, project));
  return std::vector<ProjectId>{project};
}

}  // namespace distill::server
