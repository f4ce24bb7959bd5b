#include "tests/integration/server/server_fixture.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "tests/support/idx_files.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

// For calls that hang: a whole job may run within one, on a disk that others keep busy.
constexpr std::chrono::seconds kCallDeadline(150);

v1::ArtifactType TypeOf(const v1::TaskSpec& spec) {
  return spec.kind() == v1::TASK_KIND_EVALUATE ? v1::ARTIFACT_TYPE_METRICS
                                               : v1::ARTIFACT_TYPE_MODULE;
}

// What a task yields: a function of the task alone, as results are.
std::string CannedResult(const v1::Grant& grant, const std::string& output) {
  if (grant.spec().kind() == v1::TASK_KIND_EVALUATE) {
    return absl::StrCat(R"({"accuracy":0.75,"images":"20","parameters":"1234",)",
                        R"("corruptions":[{"name":"contrast","severity":1,"accuracy":0.5,)",
                        R"("images":"20"}],"corruption_accuracy_mean":0.5})");
  }
  if (output == "connectivity") return R"({"nodes":64,"edges":125,"links":0.2})";
  if (output == "verdict") return R"({"teacher_accuracy":0.75,"candidates":[{"accuracy":0.1}]})";
  return absl::StrCat("weights of ", grant.lease().task(), " ", output);
}

}  // namespace

std::unique_ptr<grpc::ClientContext> MakeContext() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + kCallDeadline);
  return context;
}

void ServerTest::SetUp() {
  WriteIdxDataset(DatasetDir());
  StartServer();
}

void ServerTest::TearDown() { StopServer(); }

std::string ServerTest::DatasetDir() const { return JoinPath(temp_dir_.path(), "dataset"); }

ServerConfig ServerTest::Config() const {
  ServerConfig config;
  config.data_dir = JoinPath(temp_dir_.path(), "server");
  config.listen = "127.0.0.1:0";
  config.http = "127.0.0.1:0";
  config.addresses_file = JoinPath(temp_dir_.path(), "addresses");
  config.blobs.min_free_disk_bytes = min_free_disk_bytes_;
  config.blobs.scrub_interval_hours = scrub_interval_hours_;
  return config;
}

void ServerTest::StartServer() {
  absl::StatusOr<std::unique_ptr<ServerApp>> app =
      ServerApp::Start(Config(), {&clock_, &ids_, nullptr});
  ASSERT_THAT(app, IsOk());
  server_ = *std::move(app);
  channel_ = grpc::CreateChannel(server_->grpc_address(), grpc::InsecureChannelCredentials());
  jobs_ = v1::JobService::NewStub(channel_);
  tasks_ = v1::TaskService::NewStub(channel_);
  fleet_ = v1::FleetService::NewStub(channel_);
  workers_ = v1::WorkerService::NewStub(channel_);
  artifacts_ = v1::ArtifactService::NewStub(channel_);
}

void ServerTest::StopServer() { server_.reset(); }

v1::JobSpec ServerTest::SmallSpec() const {
  v1::JobSpec spec;
  spec.mutable_dataset()->set_path(DatasetDir());
  spec.set_modules(2);
  spec.set_patch_size(7);
  for (v1::TrainingRecipe* recipe :
       {spec.mutable_pretrain_meta(), spec.mutable_incubate_teacher(),
        spec.mutable_finetune_teacher(), spec.mutable_distill_modules(),
        spec.mutable_finetune_student()}) {
    recipe->set_batch_size(8);
  }
  spec.add_baselines(v1::BASELINE_KIND_FINETUNE_IMAGES);
  spec.mutable_evaluation()->add_corruptions("contrast");
  spec.mutable_evaluation()->add_severities(1);
  spec.mutable_execution()->set_numeric_class("cpu-test");
  return spec;
}

absl::StatusOr<v1::Job> ServerTest::Create(const v1::JobSpec& spec, const std::string& request_id) {
  v1::CreateJobRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(request_id);
  v1::Job job;
  const grpc::Status status = jobs_->CreateJob(MakeContext().get(), request, &job);
  if (!status.ok()) return FromGrpcStatus(status);
  return job;
}

absl::StatusOr<v1::Job> ServerTest::GetJob(const std::string& id) {
  v1::GetJobRequest request;
  request.set_job(id);
  v1::Job job;
  const grpc::Status status = jobs_->GetJob(MakeContext().get(), request, &job);
  if (!status.ok()) return FromGrpcStatus(status);
  return job;
}

std::vector<v1::Job> ServerTest::ListJobs() {
  v1::ListJobsRequest request;
  request.set_project("-");
  request.set_page_size(2);  // Small, so that paging is always in play.
  std::vector<v1::Job> jobs;
  do {
    v1::ListJobsResponse response;
    EXPECT_THAT(FromGrpcStatus(jobs_->ListJobs(MakeContext().get(), request, &response)), IsOk());
    jobs.insert(jobs.end(), response.jobs().begin(), response.jobs().end());
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return jobs;
}

std::vector<v1::JobEvent> ServerTest::WatchToEnd(const std::string& job, int64_t after_revision) {
  v1::WatchJobRequest request;
  request.set_job(job);
  request.set_after_revision(after_revision);
  const auto context = MakeContext();
  const auto reader = jobs_->WatchJob(context.get(), request);
  std::vector<v1::JobEvent> events;
  v1::JobEvent event;
  while (reader->Read(&event)) events.push_back(event);
  EXPECT_THAT(FromGrpcStatus(reader->Finish()), IsOk());
  return events;
}

absl::Status ServerTest::Upload(const std::string& upload_id, const std::string& bytes,
                                v1::ArtifactType type, size_t chunk_bytes) {
  v1::UploadResponse response;
  const auto context = MakeContext();
  const auto writer = artifacts_->Upload(context.get(), &response);
  size_t offset = 0;
  v1::UploadRequest request;
  request.set_upload_id(upload_id);
  request.set_digest(Digest::OfBytes(bytes).str());
  request.set_size_bytes(static_cast<int64_t>(bytes.size()));
  request.set_type(type);
  do {
    const size_t size = std::min(chunk_bytes, bytes.size() - offset);
    request.set_offset(static_cast<int64_t>(offset));
    request.set_data(bytes.substr(offset, size));
    if (!writer->Write(request)) break;
    offset += size;
    request.Clear();
  } while (offset < bytes.size());
  writer->WritesDone();
  return FromGrpcStatus(writer->Finish());
}

absl::StatusOr<std::string> ServerTest::Download(const std::string& digest) {
  v1::DownloadRequest request;
  request.set_digest(digest);
  const auto context = MakeContext();
  const auto reader = artifacts_->Download(context.get(), request);
  std::string bytes;
  v1::DownloadResponse response;
  while (reader->Read(&response)) absl::StrAppend(&bytes, response.data());
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return FromGrpcStatus(status);
  return bytes;
}

void ScriptedWorker::Register(const std::vector<v1::LeaseRef>& leases) {
  v1::RegisterWorkerRequest request;
  v1::WorkerInfo& info = *request.mutable_worker();
  info.set_worker_id(worker_id_);
  info.set_hostname("test-host");
  info.set_version("0.1.0");
  info.set_slots(2);
  info.set_device_kind("cpu");
  info.add_numeric_classes("cpu-test");
  for (const v1::LeaseRef& lease : leases) *request.add_leases() = lease;
  v1::RegisterWorkerResponse response;
  ASSERT_THAT(FromGrpcStatus(workers_->RegisterWorker(MakeContext().get(), request, &response)),
              IsOk());
  EXPECT_GT(response.lease_seconds(), response.heartbeat_interval_seconds());
}

v1::AcquireTasksResponse ScriptedWorker::Acquire(int max_lease_sets, double wait_seconds) {
  v1::AcquireTasksRequest request;
  request.set_worker_id(worker_id_);
  request.set_request_id(absl::StrCat(worker_id_, "-", next_request_++));
  request.set_max_lease_sets(max_lease_sets);
  request.set_wait_seconds(wait_seconds);
  v1::AcquireTasksResponse response;
  EXPECT_THAT(FromGrpcStatus(workers_->AcquireTasks(MakeContext().get(), request, &response)),
              IsOk());
  return response;
}

v1::ArtifactRef ScriptedWorker::Put(const std::string& name, const std::string& bytes,
                                    v1::ArtifactType type) {
  v1::ArtifactRef ref;
  ref.set_name(name);
  ref.set_digest(Digest::OfBytes(bytes).str());
  ref.set_size_bytes(static_cast<int64_t>(bytes.size()));
  v1::UploadResponse response;
  const auto context = MakeContext();
  const auto writer = artifacts_->Upload(context.get(), &response);
  v1::UploadRequest request;
  request.set_upload_id(absl::StrCat(worker_id_, ".", next_request_++));
  request.set_digest(ref.digest());
  request.set_size_bytes(ref.size_bytes());
  request.set_type(type);
  request.set_data(bytes);
  writer->Write(request);
  writer->WritesDone();
  EXPECT_THAT(FromGrpcStatus(writer->Finish()), IsOk());
  return ref;
}

v1::CompleteAttemptsRequest::Item ScriptedWorker::MakeItem(const v1::Grant& grant) {
  v1::CompleteAttemptsRequest::Item item;
  *item.mutable_lease() = grant.lease();
  for (const std::string& output : grant.spec().outputs()) {
    *item.add_results() = Put(output, CannedResult(grant, output), TypeOf(grant.spec()));
  }
  *item.add_observations() =
      Put("log", absl::StrCat("log of ", grant.lease().task(), "\n"), v1::ARTIFACT_TYPE_LOG);
  v1::Series series;
  series.add_points()->set_step(grant.lease().attempt_number());
  *item.add_observations() = Put("series", series.SerializeAsString(), v1::ARTIFACT_TYPE_SERIES);
  item.mutable_stats()->set_cpu_seconds(2.0);
  item.mutable_stats()->set_wall_seconds(3.0);
  item.mutable_stats()->set_images_seen(40);
  item.mutable_stats()->set_peak_memory_bytes(300 << 20);
  return item;
}

v1::ItemStatus ScriptedWorker::CompleteItem(const v1::CompleteAttemptsRequest::Item& item) {
  v1::CompleteAttemptsRequest request;
  request.set_worker_id(worker_id_);
  *request.add_items() = item;
  v1::CompleteAttemptsResponse response;
  EXPECT_THAT(FromGrpcStatus(workers_->CompleteAttempts(MakeContext().get(), request, &response)),
              IsOk());
  return response.statuses_size() == 1 ? response.statuses(0) : v1::ItemStatus();
}

v1::ItemStatus ScriptedWorker::Complete(const v1::Grant& grant) {
  return CompleteItem(MakeItem(grant));
}

void ScriptedWorker::CompleteTasks(int count) {
  for (int done = 0; done < count;) {
    const v1::AcquireTasksResponse response = Acquire(/*max_lease_sets=*/2, /*wait_seconds=*/10);
    ASSERT_GT(response.lease_sets_size(), 0) << "no work within 10 s; done=" << done;
    for (const v1::LeaseSet& lease_set : response.lease_sets()) {
      for (const v1::Grant& grant : lease_set.grants()) {
        const v1::ItemStatus status = Complete(grant);
        ASSERT_EQ(status.code(), 0) << status.message();
        ++done;
      }
    }
  }
}

v1::HeartbeatResponse ScriptedWorker::Heartbeat(const std::vector<v1::LeaseRef>& leases) {
  v1::HeartbeatRequest request;
  request.set_worker_id(worker_id_);
  for (const v1::LeaseRef& lease : leases) {
    v1::LeaseProgress& progress = *request.add_leases();
    *progress.mutable_lease() = lease;
    progress.set_started(true);
    progress.mutable_progress()->set_step(7);
    progress.mutable_progress()->set_total_steps(10);
    progress.mutable_progress()->set_phase("training");
  }
  v1::HeartbeatResponse response;
  EXPECT_THAT(FromGrpcStatus(workers_->Heartbeat(MakeContext().get(), request, &response)), IsOk());
  return response;
}

v1::ItemStatus ScriptedWorker::Release(const v1::LeaseRef& lease) {
  v1::ReleaseLeasesRequest request;
  request.set_worker_id(worker_id_);
  auto& item = *request.add_items();
  *item.mutable_lease() = lease;
  item.set_reason("stopped");
  v1::ReleaseLeasesResponse response;
  EXPECT_THAT(FromGrpcStatus(workers_->ReleaseLeases(MakeContext().get(), request, &response)),
              IsOk());
  return response.statuses_size() == 1 ? response.statuses(0) : v1::ItemStatus();
}

}  // namespace distill::server
