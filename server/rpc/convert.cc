#include "server/rpc/convert.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "base/check.h"
#include "base/error_details.h"
#include "base/error_reasons.h"
#include "base/trace_context.h"
#include "proto/status/grpc_status.h"
#include "server/report/trace_builder.h"
#include "server/rpc/dataset_catalog.h"

namespace distill::server {
namespace {

// Etags of jobs are their revisions; the prefix keeps people from taking them for numbers.
constexpr absl::string_view kEtagPrefix = "r";

Digest CheckedDigest(const std::string& text) {
  absl::StatusOr<Digest> digest = Digest::Parse(text);
  DISTILL_CHECK(digest.ok(), "digests of a request are checked before it is converted");
  return *std::move(digest);
}

storage::NamedBlob FromProto(const v1::ArtifactRef& ref) {
  return {ref.name(), CheckedDigest(ref.digest()), ref.size_bytes()};
}

template <typename Refs>
std::vector<storage::NamedBlob> FromProto(const Refs& refs) {
  std::vector<storage::NamedBlob> blobs;
  blobs.reserve(static_cast<size_t>(refs.size()));
  for (const v1::ArtifactRef& ref : refs) blobs.push_back(FromProto(ref));
  return blobs;
}

storage::Checkpoint FromProto(const v1::ArtifactRef& ref, int64_t step) {
  if (ref.digest().empty()) return {};
  return {CheckedDigest(ref.digest()), ref.size_bytes(), step};
}

Progress FromProto(const v1::Progress& progress) {
  return {progress.step(),
          progress.total_steps(),
          progress.loss(),
          progress.images_per_second(),
          progress.images_seen(),
          progress.phase(),
          progress.data_wait_ratio(),
          progress.eta_seconds()};
}

std::string KindName(v1::TaskKind kind) {
  constexpr absl::string_view kPrefix = "TASK_KIND_";
  return std::string(absl::string_view(v1::TaskKind_Name(kind)).substr(kPrefix.size()));
}

storage::TaskDefinition ToDefinition(const PlannedTask& task, int index) {
  storage::TaskDefinition definition;
  definition.name = task.name;
  definition.index = index;
  definition.kind = KindName(task.spec.kind());
  definition.spec = task.spec.SerializeAsString();
  definition.key = task.key;
  definition.bundle_group = task.bundle_group;
  definition.numeric_class = task.spec.numeric_class();
  definition.memory_bytes = task.predicted_memory_bytes;
  definition.gang_size = std::max(1, task.spec.recipe().gang_size());
  definition.inputs.reserve(static_cast<size_t>(task.spec.inputs_size()));
  for (const v1::TaskInput& input : task.spec.inputs()) {
    storage::TaskInput stored;
    stored.name = input.name();
    if (input.has_produced()) {
      stored.producer = input.produced().task();
      stored.output = input.produced().output();
    } else {
      stored.given = CheckedDigest(input.given_digest());
    }
    definition.inputs.push_back(std::move(stored));
  }
  for (const std::string& output : task.spec.outputs()) definition.outputs.push_back(output);
  return definition;
}

v1::WorkerState StateOf(const WorkerView& worker) {
  if (!worker.live) return v1::WORKER_STATE_LOST;
  if (worker.draining) return v1::WORKER_STATE_DRAINING;
  if (worker.quarantine != storage::Quarantine::kNone) return v1::WORKER_STATE_QUARANTINED;
  return worker.slots_in_use >= worker.info.slots ? v1::WORKER_STATE_BUSY : v1::WORKER_STATE_READY;
}

void SetTime(absl::Time time, google::protobuf::Timestamp* (*mutable_field)(v1::Job&),
             v1::Job& job) {
  if (time != storage::kUnsetTime) *mutable_field(job) = ToProto(time);
}

}  // namespace

LeaseRef FromProto(const v1::LeaseRef& lease) {
  return {JobId(lease.job()), lease.task(), lease.attempt_number(), LeaseId(lease.lease_id())};
}

google::protobuf::Timestamp ToProto(absl::Time time) {
  google::protobuf::Timestamp timestamp;
  const int64_t seconds = absl::ToUnixSeconds(time);
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(
      static_cast<int32_t>((time - absl::FromUnixSeconds(seconds)) / absl::Nanoseconds(1)));
  return timestamp;
}

RegisterWorker FromProto(const v1::RegisterWorkerRequest& request) {
  RegisterWorker event;
  const v1::WorkerInfo& worker = request.worker();
  event.info.id = WorkerId(worker.worker_id());
  event.info.hostname = worker.hostname();
  event.info.version = worker.version();
  event.info.slots = worker.slots();
  event.info.device_kind = worker.device_kind();
  event.info.numeric_classes.assign(worker.numeric_classes().begin(),
                                    worker.numeric_classes().end());
  event.info.slot_memory_bytes = worker.slot_memory_bytes();
  event.info.labels.insert(worker.labels().begin(), worker.labels().end());
  event.info.driver_version = worker.driver_version();
  event.info.gang_network = worker.gang_network();
  for (const v1::LeaseRef& lease : request.leases()) event.leases.push_back(FromProto(lease));
  return event;
}

AcquireTasks FromProto(const v1::AcquireTasksRequest& request) {
  AcquireTasks event;
  event.worker = WorkerId(request.worker_id());
  event.request_id = RequestId(request.request_id());
  event.max_lease_sets = request.max_lease_sets();
  event.wait = absl::Seconds(request.wait_seconds());
  for (const std::string& digest : request.cached_digests()) {
    event.cached.push_back(CheckedDigest(digest));
  }
  for (const std::string& job : request.warm_jobs()) event.warm_jobs.push_back(JobId(job));
  return event;
}

Heartbeat FromProto(const v1::HeartbeatRequest& request) {
  Heartbeat event;
  event.worker = WorkerId(request.worker_id());
  for (const v1::LeaseProgress& lease : request.leases()) {
    event.leases.push_back({FromProto(lease.lease()), FromProto(lease.progress()),
                            FromProto(lease.checkpoint(), lease.checkpoint_step()), lease.started(),
                            lease.gang_contact(), lease.gang_view()});
  }
  return event;
}

CompleteAttempts FromProto(const v1::CompleteAttemptsRequest& request) {
  CompleteAttempts event;
  event.worker = WorkerId(request.worker_id());
  for (const auto& item : request.items()) {
    event.items.push_back({FromProto(item.lease()), FromProto(item.results()),
                           FromProto(item.observations()), item.stats().SerializeAsString()});
  }
  return event;
}

FailAttempts FromProto(const v1::FailAttemptsRequest& request) {
  FailAttempts event;
  event.worker = WorkerId(request.worker_id());
  for (const auto& item : request.items()) {
    event.items.push_back({FromProto(item.lease()),
                           static_cast<storage::FailureClass>(item.failure_class()), item.message(),
                           FromProto(item.observations()), item.stats().SerializeAsString(),
                           item.stats().trainer_died(), item.lost_gang()});
  }
  return event;
}

ReleaseLeases FromProto(const v1::ReleaseLeasesRequest& request) {
  ReleaseLeases event;
  event.worker = WorkerId(request.worker_id());
  for (const auto& item : request.items()) {
    event.items.push_back({FromProto(item.lease()), item.reason(),
                           FromProto(item.checkpoint(), item.checkpoint_step()),
                           FromProto(item.observations()), item.stats().SerializeAsString()});
  }
  return event;
}

v1::LeaseRef ToProto(const LeaseRef& lease) {
  v1::LeaseRef proto;
  proto.set_job(lease.job.str());
  proto.set_task(lease.task);
  proto.set_attempt_number(lease.attempt_number);
  proto.set_lease_id(lease.lease_id.str());
  return proto;
}

v1::Directive ToProto(const Directive& directive) {
  v1::Directive proto;
  proto.set_kind(static_cast<v1::Directive::Kind>(directive.kind));
  if (!directive.lease.lease_id.empty()) *proto.mutable_lease() = ToProto(directive.lease);
  for (const std::string& contact : directive.gang_contacts) proto.add_gang_contacts(contact);
  proto.set_gang_view(directive.gang_view);
  return proto;
}

v1::Progress ToProto(const Progress& progress) {
  v1::Progress proto;
  proto.set_step(progress.step);
  proto.set_total_steps(progress.total_steps);
  proto.set_loss(progress.loss);
  proto.set_images_per_second(progress.images_per_second);
  proto.set_images_seen(progress.images_seen);
  proto.set_phase(progress.phase);
  proto.set_data_wait_ratio(progress.data_wait_ratio);
  proto.set_eta_seconds(progress.eta_seconds);
  return proto;
}

namespace {

// The attempt's span, in the trace of its job; "" for jobs of old, which have none.
std::string AttemptTrace(const Grant& grant) {
  std::optional<TraceContext> context = ParseTraceparent(grant.traceparent);
  if (!context.has_value()) return "";
  context->span_id = AttemptSpanId(grant.lease.lease_id);
  return context->ToTraceparent();
}

}  // namespace

absl::StatusOr<v1::LeaseSet> ToProto(const LeaseSet& lease_set) {
  v1::LeaseSet proto;
  proto.set_id(lease_set.id);
  for (const Grant& grant : lease_set.grants) {
    v1::Grant* out = proto.add_grants();
    *out->mutable_lease() = ToProto(grant.lease);
    if (!out->mutable_spec()->ParseFromString(grant.spec)) {
      return absl::InternalError(absl::StrCat("cannot grant task: stored spec does not parse; job=",
                                              grant.lease.job.str(), " task=", grant.lease.task));
    }
    for (const ResolvedInput& input : grant.inputs) {
      v1::ResolvedInput* resolved = out->add_inputs();
      resolved->set_name(input.name);
      resolved->set_digest(input.digest.str());
      resolved->set_size_bytes(input.size_bytes);
    }
    if (!grant.checkpoint.digest.empty()) {
      out->mutable_checkpoint()->set_name("checkpoint");
      out->mutable_checkpoint()->set_digest(grant.checkpoint.digest.str());
      out->mutable_checkpoint()->set_size_bytes(grant.checkpoint.size_bytes);
      out->set_checkpoint_step(grant.checkpoint.step);
    }
    out->set_traceparent(AttemptTrace(grant));
    if (grant.gang_size > 1) {
      out->mutable_gang()->set_rank(grant.gang_rank);
      out->mutable_gang()->set_size(grant.gang_size);
    }
  }
  return proto;
}

v1::ItemStatus ToProto(const LeaseRef& lease, const absl::Status& status) {
  v1::ItemStatus proto;
  *proto.mutable_lease() = ToProto(lease);
  proto.set_code(static_cast<int>(status.code()));
  proto.set_message(std::string(status.message()));
  if (status.ok()) return proto;
  proto.set_reason(WireReason(status));
  for (auto& [key, value] : MetadataOfMessage(status.message())) {
    (*proto.mutable_metadata())[key] = value;
  }
  return proto;
}

v1::Worker ToProto(const WorkerView& worker) {
  v1::Worker proto;
  v1::WorkerInfo& info = *proto.mutable_info();
  info.set_worker_id(worker.info.id.str());
  info.set_hostname(worker.info.hostname);
  info.set_version(worker.info.version);
  info.set_slots(worker.info.slots);
  info.set_device_kind(worker.info.device_kind);
  for (const std::string& name : worker.info.numeric_classes) info.add_numeric_classes(name);
  info.set_slot_memory_bytes(worker.info.slot_memory_bytes);
  for (const auto& [key, value] : worker.info.labels) (*info.mutable_labels())[key] = value;
  proto.set_slots_in_use(worker.slots_in_use);
  info.set_driver_version(worker.info.driver_version);
  proto.set_state(StateOf(worker));
  for (const LeaseRef& lease : worker.leases) *proto.add_leases() = ToProto(lease);
  if (worker.last_seen != storage::kUnsetTime) {
    *proto.mutable_last_seen_time() = ToProto(worker.last_seen);
  }
  proto.set_draining(worker.draining);
  if (worker.drain_deadline != storage::kUnsetTime) {
    *proto.mutable_drain_deadline() = ToProto(worker.drain_deadline);
  }
  proto.set_quarantine(static_cast<v1::Quarantine>(worker.quarantine));
  proto.set_quarantine_reason(worker.quarantine_reason);
  proto.set_failures_in_a_row(worker.failures_in_a_row);
  return proto;
}

v1::Quota ToProto(const QuotaView& view) {
  v1::Quota proto;
  proto.set_project(view.quota.project.str());
  proto.set_weight(view.quota.weight);
  proto.set_max_slots(view.quota.max_slots);
  proto.set_max_running_tasks(view.quota.max_running_tasks);
  proto.set_max_blob_bytes(view.quota.max_blob_bytes);
  proto.set_max_submits_per_hour(view.quota.max_submits_per_hour);
  proto.set_slots_in_use(view.slots_in_use);
  proto.set_running_tasks(view.running_tasks);
  proto.set_share(view.share);
  return proto;
}

storage::QuotaRecord FromProto(const v1::Quota& quota) {
  return {ProjectId(quota.project()), quota.weight() == 0 ? 1 : quota.weight(),
          quota.max_slots(),          quota.max_running_tasks(),
          quota.max_blob_bytes(),     quota.max_submits_per_hour()};
}

v1::TaskExplanation ToProto(const Explanation& explanation, const JobId& job,
                            const std::string& task) {
  v1::TaskExplanation proto;
  proto.set_job(job.str());
  proto.set_task(task);
  proto.set_state(static_cast<v1::TaskState>(explanation.state));
  proto.set_reason(static_cast<v1::WaitReason>(explanation.reason));
  proto.set_detail(explanation.detail);
  for (const std::string& name : explanation.waits_for) proto.add_waits_for(name);
  proto.set_retry_in_seconds(absl::ToDoubleSeconds(explanation.retry_in));
  proto.set_priority(explanation.priority);
  proto.set_effective_priority(explanation.effective_priority);
  proto.set_project_share(explanation.project_share);
  for (const WorkerFit& fit : explanation.workers) {
    v1::WorkerFit* out = proto.add_workers();
    out->set_worker_id(fit.worker.str());
    out->set_failed(static_cast<v1::Predicate>(fit.failed));
    out->set_detail(fit.detail);
  }
  return proto;
}

std::vector<std::string> TaskKindNames() {
  std::vector<std::string> names;
  for (int kind = v1::TASK_KIND_UNSPECIFIED + 1; kind <= v1::TaskKind_MAX; ++kind) {
    if (v1::TaskKind_IsValid(kind)) names.push_back(KindName(static_cast<v1::TaskKind>(kind)));
  }
  return names;
}

SubmitJob ToSubmission(const JobPlan& plan, const JobId& job, const RequestId& request_id,
                       const Digest& body) {
  SubmitJob event;
  event.job.id = job;
  event.job.project = ProjectId(plan.spec.project());
  event.job.display_name = plan.spec.display_name();
  event.job.spec = plan.spec.SerializeAsString();
  const v1::ExecutionSpec& execution = plan.spec.execution();
  event.job.limits = {execution.max_user_failures(), execution.max_infrastructure_failures(),
                      execution.max_bundle(), execution.priority()};
  event.job.datasets = DatasetCatalog::NamesIn(plan.spec);
  std::vector<std::string> labels(execution.labels().begin(), execution.labels().end());
  std::sort(labels.begin(), labels.end());
  event.tasks.reserve(plan.tasks.size());
  int index = 0;
  for (const PlannedTask& task : plan.tasks) {
    storage::TaskRecord record;
    record.id = storage::MakeTaskId(job, task.name);
    record.job = job;
    record.definition = ToDefinition(task, index++);
    record.definition.device_kind = execution.device_kind();
    record.definition.labels = labels;
    record.definition.min_driver = execution.min_driver_version();
    event.tasks.push_back(std::move(record));
  }
  event.request_id = request_id;
  event.body = body;
  return event;
}

std::string JobName(const ProjectId& project, const JobId& job) {
  return absl::StrCat("projects/", project.str(), "/jobs/", job.str());
}

std::string TaskName(const ProjectId& project, const TaskId& task) {
  return absl::StrCat(JobName(project, storage::JobOf(task)), "/tasks/", storage::TaskNameOf(task));
}

absl::StatusOr<int64_t> RevisionOfEtag(const std::string& etag) {
  int64_t revision = 0;
  absl::string_view text = etag;
  if (etag.empty()) return revision;
  if (absl::ConsumePrefix(&text, kEtagPrefix) && absl::SimpleAtoi(text, &revision) &&
      revision > 0) {
    return revision;
  }
  return WithReason(
      absl::AbortedError("cannot change job: etag is not one that the server gave, read it again"),
      reason::kEtagMismatch);
}

v1::Job ToProto(const storage::JobRecord& job, const storage::JobCounts& counts) {
  v1::Job proto;
  proto.set_name(JobName(job.project, job.id));
  proto.set_id(job.id.str());
  proto.mutable_spec()->ParseFromString(job.spec);
  proto.set_state(static_cast<v1::JobState>(job.status.state));
  proto.set_failure_message(job.status.failure_message);
  SetTime(
      job.create_time, [](v1::Job& j) { return j.mutable_create_time(); }, proto);
  SetTime(
      job.status.finish_time, [](v1::Job& j) { return j.mutable_finish_time(); }, proto);
  proto.set_revision(job.status.revision);
  proto.set_etag(absl::StrCat(kEtagPrefix, job.status.revision));
  proto.set_tasks_total(counts.total);
  proto.set_tasks_succeeded(counts.succeeded);
  proto.set_tasks_running(counts.running);
  proto.set_tasks_reused(counts.reused);
  return proto;
}

v1::ArtifactRef ToProto(const storage::NamedBlob& blob) {
  v1::ArtifactRef ref;
  ref.set_name(blob.name);
  ref.set_digest(blob.digest.str());
  ref.set_size_bytes(blob.size_bytes);
  return ref;
}

v1::Attempt ToProto(const storage::AttemptRecord& attempt) {
  v1::Attempt proto;
  proto.set_number(attempt.number);
  proto.set_worker(attempt.worker.str());
  proto.set_state(storage::Name(attempt.state));
  proto.set_failure_class(static_cast<v1::FailureClass>(attempt.failure_class));
  proto.set_message(attempt.message);
  if (attempt.start_time != storage::kUnsetTime) {
    *proto.mutable_start_time() = ToProto(attempt.start_time);
  }
  if (attempt.finish_time != storage::kUnsetTime) {
    *proto.mutable_finish_time() = ToProto(attempt.finish_time);
  }
  if (!attempt.stats.empty()) proto.mutable_stats()->ParseFromString(attempt.stats);
  // Of a worker that was lost, nobody but this clock can tell.
  if (proto.stats().wall_seconds() <= 0 && proto.has_start_time() && proto.has_finish_time()) {
    proto.mutable_stats()->set_wall_seconds(
        absl::ToDoubleSeconds(attempt.finish_time - attempt.start_time));
  }
  if (attempt.lease_set_size > 1) proto.set_bundle(attempt.lease_set);
  proto.set_device_seconds(absl::ToDoubleSeconds(attempt.device_time));
  proto.set_lost_seconds(absl::ToDoubleSeconds(attempt.lost_time));
  if (!attempt.gang.empty()) {
    proto.set_gang(attempt.gang);
    proto.set_gang_rank(attempt.gang_rank);
    proto.set_gang_size(attempt.gang_size);
  }
  return proto;
}

v1::Task ToProto(const storage::TaskRecord& task, const ProjectId& project,
                 const std::vector<storage::AttemptRecord>& attempts, const TaskView* view) {
  v1::Task proto;
  const storage::TaskStatus& status = task.status;
  proto.set_name(TaskName(project, task.id));
  proto.set_id(task.definition.name);
  proto.set_job(task.job.str());
  proto.mutable_spec()->ParseFromString(task.definition.spec);
  proto.set_state(static_cast<v1::TaskState>(status.state));
  proto.set_key(task.definition.key.str());
  for (const storage::TaskInput& input : task.definition.inputs) {
    bool known = input.producer.empty();
    for (const std::string& name : proto.depends_on()) known = known || name == input.producer;
    if (!known) proto.add_depends_on(input.producer);
  }
  for (const storage::AttemptRecord& attempt : attempts) *proto.add_attempts() = ToProto(attempt);
  for (const storage::NamedBlob& blob : status.results) *proto.add_results() = ToProto(blob);
  for (const storage::NamedBlob& blob : status.observations) {
    *proto.add_observations() = ToProto(blob);
  }
  if (!status.reused_from.empty()) proto.set_reused_from(TaskName(project, status.reused_from));
  proto.set_failure_message(status.failure_message);
  if (status.start_time != storage::kUnsetTime) {
    *proto.mutable_start_time() = ToProto(status.start_time);
  }
  if (status.finish_time != storage::kUnsetTime) {
    *proto.mutable_finish_time() = ToProto(status.finish_time);
  }
  proto.set_revision(status.revision);
  proto.set_checkpoint_step(status.checkpoint.step);
  proto.set_device_seconds(absl::ToDoubleSeconds(status.device_time));
  if (view != nullptr) {
    proto.set_waiting_reason(view->waiting_reason);
    if (view->has_progress) *proto.mutable_progress() = ToProto(view->progress);
  }
  return proto;
}

v1::HttpLocation ToProto(const storage::BlobLocation& location) {
  v1::HttpLocation proto;
  proto.set_method(location.method);
  proto.set_url(location.url);
  for (const auto& [name, value] : location.headers) {
    v1::HttpLocation::Header& header = *proto.add_headers();
    header.set_name(name);
    header.set_value(value);
  }
  *proto.mutable_expire_time() = ToProto(location.expire_time);
  return proto;
}

v1::Artifact ToProto(const storage::BlobRecord& blob,
                     const std::vector<storage::LineageRecord>& lineage) {
  v1::Artifact proto;
  proto.set_digest(blob.digest.str());
  proto.set_size_bytes(blob.size_bytes);
  proto.set_type(static_cast<v1::ArtifactType>(blob.type));
  if (blob.create_time != storage::kUnsetTime) {
    *proto.mutable_create_time() = ToProto(blob.create_time);
  }
  for (const storage::LineageRecord& record : lineage) {
    v1::Lineage* out = proto.add_lineage();
    out->set_job(storage::JobOf(record.task).str());
    out->set_task(storage::TaskNameOf(record.task));
    out->set_attempt(record.attempt);
    out->set_output(record.output);
    for (const Digest& input : record.inputs) out->add_input_digests(input.str());
  }
  return proto;
}

v1::JobEvent ToProto(const storage::EventRecord& event, const v1::Job& job,
                     const std::vector<storage::NamedBlob>& results) {
  v1::JobEvent proto;
  proto.set_revision(event.revision);
  if (event.task.empty()) {
    v1::Job& changed = *proto.mutable_job();
    changed = job;
    changed.set_state(static_cast<v1::JobState>(event.job_state));
    changed.set_failure_message(event.message);
    changed.set_revision(event.revision);
    changed.set_tasks_total(event.counts.total);
    changed.set_tasks_succeeded(event.counts.succeeded);
    changed.set_tasks_running(event.counts.running);
    changed.set_tasks_reused(event.counts.reused);
    changed.clear_finish_time();
    if (storage::IsTerminal(event.job_state)) *changed.mutable_finish_time() = ToProto(event.time);
    return proto;
  }
  v1::Task& task = *proto.mutable_task();
  task.set_name(absl::StrCat(job.name(), "/tasks/", event.task));
  task.set_id(event.task);
  task.set_job(event.job.str());
  task.set_state(static_cast<v1::TaskState>(event.task_state));
  task.set_failure_message(event.message);
  task.set_revision(event.revision);
  if (event.task_state == storage::TaskState::kRunning) {
    *task.mutable_start_time() = ToProto(event.time);
  } else if (storage::IsTerminal(event.task_state)) {
    *task.mutable_finish_time() = ToProto(event.time);
  }
  if (event.attempt > 0) {
    v1::Attempt* attempt = task.add_attempts();
    attempt->set_number(event.attempt);
    attempt->set_worker(event.worker.str());
  }
  if (!event.reused_from.empty()) {
    // Results are reused within a project.
    const absl::string_view project =
        absl::string_view(job.name()).substr(0, job.name().find("/jobs/"));
    task.set_reused_from(absl::StrCat(project, "/jobs/", storage::JobOf(event.reused_from).str(),
                                      "/tasks/", storage::TaskNameOf(event.reused_from)));
  }
  for (const storage::NamedBlob& blob : results) *task.add_results() = ToProto(blob);
  return proto;
}

v1::JobEvent ToProto(const ProgressNews& news) {
  v1::JobEvent proto;
  v1::TaskProgress& progress = *proto.mutable_progress();
  progress.set_task(news.task);
  progress.set_worker(news.worker.str());
  progress.set_attempt(news.attempt);
  *progress.mutable_progress() = ToProto(news.progress);
  return proto;
}

}  // namespace distill::server
