#include "server/rpc/validate.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "google/protobuf/util/field_mask_util.h"
#include "server/planner/field_checks.h"

namespace distill::server {
namespace {

constexpr int kMostLeases = 4096;
constexpr int kMostRefs = 256;
constexpr int kMostMaskPaths = 64;
constexpr int kMostPointsPerReport = 200;
constexpr size_t kMostContactBytes = 64 << 10;
constexpr size_t kMostLogBytes = 64 << 10;
constexpr size_t kLongestText = 16384;
constexpr size_t kLongestPageToken = 256;
constexpr size_t kLongestPath = 4096;
constexpr int64_t kMostClasses = 100'000;
constexpr size_t kLongestDescription = 256;
constexpr int64_t kShortestTokenSeconds = 60;
constexpr int64_t kLongestTokenSeconds = int64_t{366} * 24 * 3600;
constexpr double kMostWaitSeconds = 60.0;
constexpr double kMostDrainSeconds = 604800.0;
constexpr size_t kLongestReason = 200;

// A page size of 0 means the default.
void CheckPage(int page_size, const std::string& page_token, FieldChecks& checks) {
  checks.InRange("page_size", int64_t{page_size}, 0, kMostPageSize);
  if (page_token.size() > kLongestPageToken) {
    checks.Fail("page_token", absl::StrCat(page_token.size(), " bytes"),
                "the next_page_token of an earlier answer");
  }
}

// A call that names a job and may name its request.
template <typename Request>
absl::Status CheckJobAction(const Request& request, absl::string_view action) {
  FieldChecks checks;
  checks.IsIdText("job", request.job());
  if (!request.request_id().empty()) checks.IsIdText("request_id", request.request_id());
  return checks.ToStatus(action);
}

// A call that names a task key by a task that has it, or by its project and itself.
template <typename Request>
void CheckKeyName(const Request& request, FieldChecks& checks) {
  if (request.key().empty()) {
    checks.IsIdText("job", request.job());
    checks.IsIdText("task", request.task());
    return;
  }
  checks.IsDigest("key", request.key());
  if (!request.project().empty()) checks.IsIdText("project", request.project());
  if (!request.job().empty() || !request.task().empty()) {
    checks.Fail("key", "one beside a job or task", "either job and task, or a key");
  }
}

template <typename Items>
bool CheckCount(absl::string_view path, const Items& items, int most, FieldChecks& checks) {
  if (static_cast<int64_t>(items.size()) <= most) return true;
  checks.Fail(path, absl::StrCat(items.size(), " entries"), absl::StrCat("at most ", most));
  return false;
}

template <typename Message>
void CheckReadMask(const google::protobuf::FieldMask& mask, FieldChecks& checks) {
  if (!CheckCount("read_mask", mask.paths(), kMostMaskPaths, checks)) return;
  for (const std::string& path : mask.paths()) {
    if (google::protobuf::util::FieldMaskUtil::IsValidPath<Message>(path)) continue;
    checks.Fail("read_mask", absl::StrCat("\"", path.substr(0, 80), "\""),
                absl::StrCat("a field of ", Message::descriptor()->name()));
  }
}

void CheckText(absl::string_view path, const std::string& text, FieldChecks& checks) {
  if (text.size() > kLongestText) {
    checks.Fail(path, absl::StrCat(text.size(), " bytes"), absl::StrCat("at most ", kLongestText));
  }
}

void CheckLease(const std::string& path, const v1::LeaseRef& lease, FieldChecks& checks) {
  checks.IsIdText(absl::StrCat(path, ".job"), lease.job());
  checks.IsIdText(absl::StrCat(path, ".task"), lease.task());
  checks.IsIdText(absl::StrCat(path, ".lease_id"), lease.lease_id());
  checks.InRange(absl::StrCat(path, ".attempt_number"), int64_t{lease.attempt_number()}, 1,
                 INT32_MAX);
}

void CheckRef(const std::string& path, const v1::ArtifactRef& ref, FieldChecks& checks) {
  checks.IsIdText(absl::StrCat(path, ".name"), ref.name());
  checks.IsDigest(absl::StrCat(path, ".digest"), ref.digest());
  checks.InRange(absl::StrCat(path, ".size_bytes"), ref.size_bytes(), 0, kMostBlobBytes);
}

template <typename Refs>
void CheckRefs(const std::string& path, const Refs& refs, FieldChecks& checks) {
  if (!CheckCount(path, refs, kMostRefs, checks)) return;
  for (int i = 0; i < refs.size(); ++i) {
    CheckRef(absl::StrCat(path, "[", i, "]"), refs.Get(i), checks);
  }
}

void CheckCheckpoint(const std::string& path, const v1::ArtifactRef& checkpoint, int64_t step,
                     FieldChecks& checks) {
  if (checkpoint.digest().empty()) return;
  checks.IsDigest(absl::StrCat(path, ".checkpoint.digest"), checkpoint.digest());
  checks.InRange(absl::StrCat(path, ".checkpoint.size_bytes"), checkpoint.size_bytes(), 0,
                 kMostBlobBytes);
  checks.InRange(absl::StrCat(path, ".checkpoint_step"), step, 0, INT64_MAX);
}

template <typename Digests>
void CheckDigests(absl::string_view path, const Digests& digests, int most, FieldChecks& checks) {
  if (!CheckCount(path, digests, most, checks)) return;
  for (int i = 0; i < digests.size(); ++i) {
    checks.IsDigest(absl::StrCat(path, "[", i, "]"), digests.Get(i));
  }
}

// "*" stands for all, empty for the default.
void CheckProject(const std::string& project, FieldChecks& checks) {
  if (!project.empty() && project != "*") checks.IsIdText("project", project);
}

// For whom a blob is sent.
template <typename Request>
void CheckPurpose(const Request& request, FieldChecks& checks) {
  if (!request.project().empty()) checks.IsIdText("project", request.project());
  if (request.has_lease()) CheckLease("lease", request.lease(), checks);
}

std::string ItemPath(int index) { return absl::StrCat("items[", index, "]"); }

void CheckArtifactType(v1::ArtifactType type, FieldChecks& checks) {
  if (v1::ArtifactType_IsValid(type) && type != v1::ARTIFACT_TYPE_UNSPECIFIED) return;
  checks.Fail("type", static_cast<int>(type), "a known artifact type");
}

}  // namespace

absl::Status ValidateRequest(const v1::CreateJobRequest& request) {
  FieldChecks checks;
  if (!request.validate_only() || !request.request_id().empty()) {
    checks.IsIdText("request_id", request.request_id());
  }
  if (!request.retry_of().empty()) checks.IsIdText("retry_of", request.retry_of());
  return checks.ToStatus("create job");
}

// The spec is checked with the data set that it names.
absl::Status ValidateRequest(const v1::PlanJobRequest&) { return absl::OkStatus(); }

absl::Status ValidateRequest(const v1::GetJobRequest& request) {
  FieldChecks checks;
  checks.IsIdText("job", request.job());
  CheckReadMask<v1::Job>(request.read_mask(), checks);
  return checks.ToStatus("get job");
}

absl::Status ValidateRequest(const v1::ListJobsRequest& request) {
  FieldChecks checks;
  if (!request.project().empty() && request.project() != "-") {
    checks.IsIdText("project", request.project());
  }
  CheckPage(request.page_size(), request.page_token(), checks);
  CheckReadMask<v1::Job>(request.read_mask(), checks);
  return checks.ToStatus("list jobs");
}

absl::Status ValidateRequest(const v1::CancelJobRequest& request) {
  return CheckJobAction(request, "cancel job");
}

absl::Status ValidateRequest(const v1::PauseJobRequest& request) {
  return CheckJobAction(request, "pause job");
}

absl::Status ValidateRequest(const v1::ResumeJobRequest& request) {
  return CheckJobAction(request, "resume job");
}

absl::Status ValidateRequest(const v1::DeleteJobRequest& request) {
  return CheckJobAction(request, "delete job");
}

absl::Status ValidateRequest(const v1::RetryJobRequest& request) {
  FieldChecks checks;
  checks.IsIdText("job", request.job());
  checks.IsIdText("request_id", request.request_id());
  return checks.ToStatus("retry job");
}

absl::Status ValidateRequest(const v1::WatchJobRequest& request) {
  FieldChecks checks;
  checks.IsIdText("job", request.job());
  checks.InRange("after_revision", request.after_revision(), 0, INT64_MAX);
  return checks.ToStatus("watch job");
}

absl::Status ValidateRequest(const v1::GetReportRequest& request) {
  FieldChecks checks;
  checks.IsIdText("job", request.job());
  return checks.ToStatus("get report");
}

absl::Status ValidateRequest(const v1::GetTraceRequest& request) {
  FieldChecks checks;
  checks.IsIdText("job", request.job());
  return checks.ToStatus("get trace");
}

absl::Status ValidateRequest(const v1::GetTaskRequest& request) {
  FieldChecks checks;
  checks.IsIdText("job", request.job());
  checks.IsIdText("task", request.task());
  CheckReadMask<v1::Task>(request.read_mask(), checks);
  return checks.ToStatus("get task");
}

absl::Status ValidateRequest(const v1::ListTasksRequest& request) {
  FieldChecks checks;
  checks.IsIdText("job", request.job());
  CheckPage(request.page_size(), request.page_token(), checks);
  CheckReadMask<v1::Task>(request.read_mask(), checks);
  return checks.ToStatus("list tasks");
}

absl::Status ValidateRequest(const v1::ReadLogRequest& request) {
  FieldChecks checks;
  checks.IsIdText("job", request.job());
  checks.IsIdText("task", request.task());
  checks.InRange("attempt", int64_t{request.attempt()}, 0, INT32_MAX);
  checks.InRange("offset", request.offset(), 0, INT64_MAX);
  return checks.ToStatus("read log");
}

absl::Status ValidateRequest(const v1::ReadSeriesRequest& request) {
  FieldChecks checks;
  checks.IsIdText("job", request.job());
  checks.IsIdText("task", request.task());
  return checks.ToStatus("read series");
}

absl::Status ValidateRequest(const v1::ListWorkersRequest& request) {
  FieldChecks checks;
  CheckPage(request.page_size(), request.page_token(), checks);
  return checks.ToStatus("list workers");
}

absl::Status ValidateRequest(const v1::ExplainTaskRequest& request) {
  FieldChecks checks;
  checks.IsIdText("job", request.job());
  checks.IsIdText("task", request.task());
  return checks.ToStatus("explain task");
}

absl::Status ValidateRequest(const v1::QuarantineWorkerRequest& request) {
  FieldChecks checks;
  checks.IsIdText("worker_id", request.worker_id());
  if (request.reason().size() > kLongestReason) {
    checks.Fail("reason", absl::StrCat(request.reason().size(), " bytes"),
                absl::StrCat("at most ", kLongestReason));
  }
  return checks.ToStatus("quarantine worker");
}

absl::Status ValidateRequest(const v1::ListQuotasRequest&) { return absl::OkStatus(); }

absl::Status ValidateRequest(const v1::SetQuotaRequest& request) {
  FieldChecks checks;
  const v1::Quota& quota = request.quota();
  checks.IsIdText("quota.project", quota.project());
  // 0 is the default, 1.
  checks.InRange("quota.weight", int64_t{quota.weight()}, 0, 1000);
  checks.InRange("quota.max_slots", int64_t{quota.max_slots()}, 0, INT32_MAX);
  checks.InRange("quota.max_running_tasks", int64_t{quota.max_running_tasks()}, 0, INT32_MAX);
  checks.InRange("quota.max_blob_bytes", quota.max_blob_bytes(), 0, INT64_MAX);
  checks.InRange("quota.max_submits_per_hour", int64_t{quota.max_submits_per_hour()}, 0, INT32_MAX);
  if (!request.request_id().empty()) checks.IsIdText("request_id", request.request_id());
  return checks.ToStatus("set quota");
}

absl::Status ValidateRequest(const v1::DeleteQuotaRequest& request) {
  FieldChecks checks;
  checks.IsIdText("project", request.project());
  if (!request.request_id().empty()) checks.IsIdText("request_id", request.request_id());
  return checks.ToStatus("delete quota");
}

absl::Status ValidateRequest(const v1::DrainWorkerRequest& request) {
  FieldChecks checks;
  checks.IsIdText("worker_id", request.worker_id());
  checks.InRange("deadline_seconds", request.deadline_seconds(), 0.0, kMostDrainSeconds);
  return checks.ToStatus("drain worker");
}

absl::Status ValidateRequest(const v1::ResumeWorkerRequest& request) {
  FieldChecks checks;
  checks.IsIdText("worker_id", request.worker_id());
  return checks.ToStatus("resume worker");
}

absl::Status ValidateRequest(const v1::GetJobCostRequest& request) {
  FieldChecks checks;
  checks.IsIdText("job", request.job());
  return checks.ToStatus("get job cost");
}

absl::Status ValidateRequest(const v1::ListLedgersRequest& request) {
  FieldChecks checks;
  if (!request.project().empty()) checks.IsIdText("project", request.project());
  return checks.ToStatus("list ledgers");
}

absl::Status ValidateRequest(const v1::ExplainKeyRequest& request) {
  FieldChecks checks;
  CheckKeyName(request, checks);
  return checks.ToStatus("explain key");
}

absl::Status ValidateRequest(const v1::GetCacheStatsRequest& request) {
  FieldChecks checks;
  if (!request.project().empty()) checks.IsIdText("project", request.project());
  return checks.ToStatus("get cache statistics");
}

absl::Status ValidateRequest(const v1::EvictResultRequest& request) {
  FieldChecks checks;
  CheckKeyName(request, checks);
  if (!request.request_id().empty()) checks.IsIdText("request_id", request.request_id());
  return checks.ToStatus("evict result");
}

absl::Status ValidateRequest(const v1::RegisterWorkerRequest& request) {
  FieldChecks checks;
  const v1::WorkerInfo& worker = request.worker();
  checks.IsIdText("worker.worker_id", worker.worker_id());
  checks.InRange("worker.slots", int64_t{worker.slots()}, 1, 1024);
  checks.IsIdText("worker.device_kind", worker.device_kind());
  checks.InRange("worker.slot_memory_bytes", worker.slot_memory_bytes(), 0, INT64_MAX);
  CheckText("worker.hostname", worker.hostname(), checks);
  CheckText("worker.version", worker.version(), checks);
  CheckText("worker.driver_version", worker.driver_version(), checks);
  CheckText("worker.gang_network", worker.gang_network(), checks);
  if (CheckCount("worker.numeric_classes", worker.numeric_classes(), 64, checks)) {
    for (int i = 0; i < worker.numeric_classes_size(); ++i) {
      checks.IsIdText(absl::StrCat("worker.numeric_classes[", i, "]"), worker.numeric_classes(i));
    }
  }
  if (CheckCount("worker.labels", worker.labels(), 64, checks)) {
    for (const auto& [key, value] : worker.labels()) {
      checks.IsIdText("worker.labels (key)", key);
      if (value.size() > 256)
        checks.Fail("worker.labels (value)", value.size(), "at most 256 bytes");
    }
  }
  if (CheckCount("leases", request.leases(), kMostLeases, checks)) {
    for (int i = 0; i < request.leases_size(); ++i) {
      CheckLease(absl::StrCat("leases[", i, "]"), request.leases(i), checks);
    }
  }
  return checks.ToStatus("register worker");
}

absl::Status ValidateRequest(const v1::AcquireTasksRequest& request) {
  FieldChecks checks;
  checks.IsIdText("worker_id", request.worker_id());
  checks.IsIdText("request_id", request.request_id());
  checks.InRange("max_lease_sets", int64_t{request.max_lease_sets()}, 0, 1024);
  checks.InRange("wait_seconds", request.wait_seconds(), 0.0, kMostWaitSeconds);
  CheckDigests("cached_digests", request.cached_digests(), 1000, checks);
  if (CheckCount("warm_jobs", request.warm_jobs(), 1024, checks)) {
    for (int i = 0; i < request.warm_jobs_size(); ++i) {
      checks.IsIdText(absl::StrCat("warm_jobs[", i, "]"), request.warm_jobs(i));
    }
  }
  return checks.ToStatus("acquire tasks");
}

absl::Status ValidateRequest(const v1::HeartbeatRequest& request) {
  FieldChecks checks;
  checks.IsIdText("worker_id", request.worker_id());
  if (CheckCount("leases", request.leases(), kMostLeases, checks)) {
    for (int i = 0; i < request.leases_size(); ++i) {
      const std::string path = absl::StrCat("leases[", i, "]");
      const v1::LeaseProgress& lease = request.leases(i);
      CheckLease(absl::StrCat(path, ".lease"), lease.lease(), checks);
      CheckCheckpoint(path, lease.checkpoint(), lease.checkpoint_step(), checks);
      CheckCount(absl::StrCat(path, ".points"), lease.points(), kMostPointsPerReport, checks);
      checks.InRange(absl::StrCat(path, ".first_point"), int64_t{lease.first_point()}, 0,
                     INT32_MAX);
      if (lease.gang_contact().size() > kMostContactBytes) {
        checks.Fail(absl::StrCat(path, ".gang_contact"), lease.gang_contact().size(),
                    absl::StrCat("at most ", kMostContactBytes, " bytes"));
      }
      CheckText(absl::StrCat(path, ".gang_view"), lease.gang_view(), checks);
      if (lease.progress().phase().size() > 64) {
        checks.Fail(absl::StrCat(path, ".progress.phase"), lease.progress().phase().size(),
                    "at most 64 bytes");
      }
    }
  }
  return checks.ToStatus("accept heartbeat");
}

absl::Status ValidateRequest(const v1::SendLogRequest& request) {
  FieldChecks checks;
  checks.IsIdText("worker_id", request.worker_id());
  CheckLease("lease", request.lease(), checks);
  checks.InRange("offset", request.offset(), 0, INT64_MAX - static_cast<int64_t>(kMostLogBytes));
  if (request.data().size() > kMostLogBytes) {
    checks.Fail("data", absl::StrCat(request.data().size(), " bytes"),
                absl::StrCat("at most ", kMostLogBytes));
  }
  return checks.ToStatus("send log");
}

absl::Status ValidateRequest(const v1::CompleteAttemptsRequest& request) {
  FieldChecks checks;
  checks.IsIdText("worker_id", request.worker_id());
  if (CheckCount("items", request.items(), kMostLeases, checks)) {
    for (int i = 0; i < request.items_size(); ++i) {
      const auto& item = request.items(i);
      CheckLease(absl::StrCat(ItemPath(i), ".lease"), item.lease(), checks);
      CheckRefs(absl::StrCat(ItemPath(i), ".results"), item.results(), checks);
      CheckRefs(absl::StrCat(ItemPath(i), ".observations"), item.observations(), checks);
    }
  }
  return checks.ToStatus("complete attempts");
}

absl::Status ValidateRequest(const v1::FailAttemptsRequest& request) {
  FieldChecks checks;
  checks.IsIdText("worker_id", request.worker_id());
  if (CheckCount("items", request.items(), kMostLeases, checks)) {
    for (int i = 0; i < request.items_size(); ++i) {
      const auto& item = request.items(i);
      CheckLease(absl::StrCat(ItemPath(i), ".lease"), item.lease(), checks);
      CheckText(absl::StrCat(ItemPath(i), ".message"), item.message(), checks);
      CheckRefs(absl::StrCat(ItemPath(i), ".observations"), item.observations(), checks);
      CheckDigests(absl::StrCat(ItemPath(i), ".bad_inputs"), item.bad_inputs(), kMostRefs, checks);
      if (!v1::FailureClass_IsValid(item.failure_class()) ||
          item.failure_class() == v1::FAILURE_CLASS_UNSPECIFIED) {
        checks.Fail(absl::StrCat(ItemPath(i), ".failure_class"),
                    static_cast<int>(item.failure_class()), "a known failure class");
      }
    }
  }
  return checks.ToStatus("fail attempts");
}

absl::Status ValidateRequest(const v1::ReleaseLeasesRequest& request) {
  FieldChecks checks;
  checks.IsIdText("worker_id", request.worker_id());
  if (CheckCount("items", request.items(), kMostLeases, checks)) {
    for (int i = 0; i < request.items_size(); ++i) {
      const auto& item = request.items(i);
      CheckLease(absl::StrCat(ItemPath(i), ".lease"), item.lease(), checks);
      CheckText(absl::StrCat(ItemPath(i), ".reason"), item.reason(), checks);
      CheckCheckpoint(ItemPath(i), item.checkpoint(), item.checkpoint_step(), checks);
      CheckRefs(absl::StrCat(ItemPath(i), ".observations"), item.observations(), checks);
    }
  }
  return checks.ToStatus("release leases");
}

absl::Status ValidateRequest(const v1::GetArtifactRequest& request) {
  FieldChecks checks;
  checks.IsDigest("digest", request.digest());
  return checks.ToStatus("get artifact");
}

absl::Status ValidateRequest(const v1::ListArtifactsRequest& request) {
  FieldChecks checks;
  if (!request.job().empty()) checks.IsIdText("job", request.job());
  CheckPage(request.page_size(), request.page_token(), checks);
  return checks.ToStatus("list artifacts");
}

absl::Status ValidateRequest(const v1::FindMissingRequest& request) {
  FieldChecks checks;
  CheckDigests("digests", request.digests(), 1000, checks);
  return checks.ToStatus("find missing artifacts");
}

absl::Status ValidateRequest(const v1::QueryUploadRequest& request) {
  FieldChecks checks;
  checks.IsIdText("upload_id", request.upload_id());
  checks.IsDigest("digest", request.digest());
  return checks.ToStatus("query upload");
}

absl::Status ValidateRequest(const v1::DownloadRequest& request) {
  FieldChecks checks;
  checks.IsDigest("digest", request.digest());
  checks.InRange("offset", request.offset(), 0, kMostBlobBytes);
  checks.InRange("limit", request.limit(), 0, kMostBlobBytes);
  return checks.ToStatus("download artifact");
}

absl::Status ValidateRequest(const v1::LocateUploadRequest& request) {
  FieldChecks checks;
  checks.IsIdText("upload_id", request.upload_id());
  checks.IsDigest("digest", request.digest());
  checks.InRange("size_bytes", request.size_bytes(), 0, kMostBlobBytes);
  CheckPurpose(request, checks);
  return checks.ToStatus("locate upload");
}

absl::Status ValidateRequest(const v1::FinalizeUploadRequest& request) {
  FieldChecks checks;
  checks.IsDigest("digest", request.digest());
  checks.InRange("size_bytes", request.size_bytes(), 0, kMostBlobBytes);
  CheckArtifactType(request.type(), checks);
  CheckPurpose(request, checks);
  return checks.ToStatus("finalize upload");
}

absl::Status ValidateRequest(const v1::LocateDownloadRequest& request) {
  FieldChecks checks;
  checks.IsDigest("digest", request.digest());
  return checks.ToStatus("locate artifact");
}

absl::Status ValidateRequest(const v1::CreateDatasetRequest& request) {
  FieldChecks checks;
  checks.IsIdText("name", request.name());
  checks.IsIdText("request_id", request.request_id());
  const v1::DatasetSource& source = request.source();
  if (!absl::StartsWith(source.path(), "/") || source.path().size() > kLongestPath ||
      absl::StrContains(source.path(), '\0')) {
    checks.Fail("source.path", absl::StrCat("\"", source.path().substr(0, 200), "\""),
                "the absolute path of a folder on the server's machine");
  }
  if (!v1::DatasetFormat_IsValid(source.format())) {
    checks.Fail("source.format", static_cast<int>(source.format()), "a known format");
  }
  if (!v1::CorruptImagePolicy_IsValid(source.corrupt_images())) {
    checks.Fail("source.corrupt_images", static_cast<int>(source.corrupt_images()), "fail or skip");
  }
  checks.InRange("source.classes", int64_t{source.classes()}, 0, kMostClasses);
  CheckProject(request.project(), checks);
  return checks.ToStatus("create data set");
}

absl::Status ValidateRequest(const v1::GetDatasetRequest& request) {
  FieldChecks checks;
  checks.IsIdText("name", request.name());
  return checks.ToStatus("get data set");
}

absl::Status ValidateRequest(const v1::ListDatasetsRequest& request) {
  FieldChecks checks;
  CheckPage(request.page_size(), request.page_token(), checks);
  return checks.ToStatus("list data sets");
}

absl::Status ValidateRequest(const v1::VerifyDatasetRequest& request) {
  FieldChecks checks;
  checks.IsIdText("name", request.name());
  checks.IsIdText("request_id", request.request_id());
  return checks.ToStatus("verify data set");
}

absl::Status ValidateRequest(const v1::DeleteDatasetRequest& request) {
  FieldChecks checks;
  checks.IsIdText("name", request.name());
  return checks.ToStatus("remove data set");
}

absl::Status ValidateRequest(const v1::UploadRequest& request) {
  FieldChecks checks;
  checks.IsIdText("upload_id", request.upload_id());
  checks.IsDigest("digest", request.digest());
  checks.InRange("size_bytes", request.size_bytes(), 0, kMostBlobBytes);
  checks.InRange("offset", request.offset(), 0, request.size_bytes());
  CheckPurpose(request, checks);
  CheckArtifactType(request.type(), checks);
  return checks.ToStatus("upload artifact");
}

absl::Status ValidateRequest(const v1::CreateTokenRequest& request) {
  FieldChecks checks;
  CheckProject(request.project(), checks);
  checks.IsIdText("request_id", request.request_id());
  if (!v1::Role_IsValid(request.role()) || request.role() == v1::ROLE_UNSPECIFIED) {
    checks.Fail("role", static_cast<int>(request.role()), "viewer, editor or admin");
  }
  const bool printable =
      std::none_of(request.description().begin(), request.description().end(),
                   [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); });
  if (request.description().size() > kLongestDescription || !printable) {
    checks.Fail("description", absl::StrCat(request.description().size(), " bytes"),
                absl::StrCat("at most ", kLongestDescription, " in one line"));
  }
  if (request.lifetime_seconds() != 0) {
    checks.InRange("lifetime_seconds", request.lifetime_seconds(), kShortestTokenSeconds,
                   kLongestTokenSeconds);
  }
  return checks.ToStatus("create token");
}

absl::Status ValidateRequest(const v1::ListTokensRequest& request) {
  FieldChecks checks;
  CheckPage(request.page_size(), request.page_token(), checks);
  return checks.ToStatus("list tokens");
}

absl::Status ValidateRequest(const v1::RevokeTokenRequest& request) {
  FieldChecks checks;
  checks.IsIdText("token", request.token());
  return checks.ToStatus("revoke token");
}

absl::Status ValidateRequest(const v1::WhoAmIRequest&) { return absl::OkStatus(); }

}  // namespace distill::server
