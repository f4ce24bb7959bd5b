#include "worker/agent/worker.h"

#include <net/if.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "worker/agent/cancel_token.h"
#include "worker/agent/nvml.h"
#include "worker/agent/trainer_sandbox.h"
#include "worker/agent/worker_identity.h"

namespace distill::worker {
namespace {

constexpr int kMaxSlots = 1024;
constexpr size_t kCachedDigestsTold = 200;

constexpr absl::Duration kLockPatience = absl::Seconds(2);
constexpr absl::Duration kLockPause = absl::Milliseconds(20);

// With some patience: a trainer that was being started when the worker before was killed has that
// one's lock for a moment.
absl::StatusOr<FileLock> LockDirectory(const std::string& directory, const Clock& clock) {
  CancelToken never;
  const MonotonicTime deadline = clock.Now() + kLockPatience;
  for (;;) {
    absl::StatusOr<FileLock> lock = FileLock::Acquire(JoinPath(directory, "lock"));
    if (!absl::IsFailedPrecondition(lock.status()) || clock.Now() >= deadline) return lock;
    never.WaitFor(kLockPause);
  }
}

absl::Status Validate(const Worker::Config& config) {
  if (config.servers.empty()) {
    return absl::InvalidArgumentError("cannot start worker: no server; give --server host:port");
  }
  if (!config.worker_id.empty() && !IsValidIdText(config.worker_id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot start worker: --worker-id must be 1 to 128 of [A-Za-z0-9._-]; got=",
                     config.worker_id));
  }
  if (config.slots < 0 || config.slots > kMaxSlots) {
    return absl::InvalidArgumentError(absl::StrCat("cannot start worker: --slots must be 0 to ",
                                                   kMaxSlots, "; got=", config.slots));
  }
  if (config.cache_bytes < 0) {
    return absl::InvalidArgumentError("cannot start worker: --cache-bytes must not be negative");
  }
  if (config.dataset_cache_bytes < 0) {
    return absl::InvalidArgumentError(
        "cannot start worker: --dataset-cache-bytes must not be negative");
  }
  if (!config.gang_network.empty() && if_nametoindex(config.gang_network.c_str()) == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot start worker: --gang-network is no network interface of this machine; "
                     "got=",
                     config.gang_network));
  }
  if (access(config.trainer_binary.c_str(), X_OK) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot start worker: trainer cannot be run; give --trainer; path=",
                     config.trainer_binary));
  }
  return absl::OkStatus();
}

int64_t SlotMemoryBytes(const DeviceInventory& inventory, int slots) {
  const int devices = static_cast<int>(inventory.cuda_devices.size());
  if (devices == 0) return inventory.memory_bytes / slots;
  // Slots go around the devices.
  const int slots_of_first = (slots + devices - 1) / devices;
  return inventory.cuda_devices.front().memory_bytes / slots_of_first;
}

// Finds out whether trainers can compute on GPUs, and makes that the inventory.
// kFailedPrecondition: they cannot.
absl::Status TakeCudaInventory(const Worker::Config& config, DeviceInventory& inventory) {
  const absl::StatusOr<std::unique_ptr<Nvml>> nvml = Nvml::Open(config.nvml_library);
  if (!nvml.ok()) return absl::FailedPreconditionError(nvml.status().message());
  const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES");
  DISTILL_ASSIGN_OR_RETURN(
      const std::vector<CudaDevice> devices,
      VisibleCudaDevices(ListCudaDevices(**nvml),
                         visible == nullptr ? std::optional<std::string>() : visible));
  if (devices.empty()) return absl::FailedPreconditionError("this machine has no GPU to use");
  TrainerProcess::Config trainer;
  trainer.binary = config.trainer_binary;
  trainer.working_directory = config.data_directory;
  DISTILL_ASSIGN_OR_RETURN(const std::string numeric_class,
                           AskCudaNumericClass(std::move(trainer), devices.front()));
  inventory.cuda_devices = CudaDevicesOfOneKind(devices);
  inventory.device_kind = "cuda";
  inventory.numeric_classes = {numeric_class};
  return absl::OkStatus();
}

absl::StatusOr<DeviceInventory> InventoryFor(const Worker::Config& config) {
  DISTILL_ASSIGN_OR_RETURN(DeviceInventory inventory, TakeInventory());
  if (config.device == Worker::Config::Device::kCpu) return inventory;
  const absl::Status cuda = TakeCudaInventory(config, inventory);
  if (cuda.ok() && !config.gang_network.empty()) {
    return absl::InvalidArgumentError(
        "cannot start worker: --gang-network: gangs compute on processors; leave it out, or give "
        "--device cpu");
  }
  if (cuda.ok()) return inventory;
  if (config.device == Worker::Config::Device::kCuda || !absl::IsFailedPrecondition(cuda)) {
    return Annotate(cuda, "cannot start worker on GPUs");
  }
  LogInfo("trainers compute on the processor", {{"because", cuda.message()}});
  return inventory;
}

v1::WorkerInfo InfoOf(const Worker::Config& config, const DeviceInventory& inventory,
                      const std::string& worker_id) {
  v1::WorkerInfo info;
  info.set_worker_id(worker_id);
  info.set_hostname(inventory.hostname);
  info.set_version(DISTILL_VERSION);
  const int devices = static_cast<int>(inventory.cuda_devices.size());
  info.set_slots(config.slots > 0 ? config.slots : devices > 0 ? devices : inventory.cores);
  info.set_device_kind(inventory.device_kind);
  for (const std::string& name : inventory.numeric_classes) info.add_numeric_classes(name);
  info.set_slot_memory_bytes(SlotMemoryBytes(inventory, info.slots()));
  info.mutable_labels()->insert(config.labels.begin(), config.labels.end());
  info.set_driver_version(inventory.driver_version);
  info.set_gang_network(config.gang_network);
  return info;
}

BlobClient::Config BlobConfig(const std::string& worker_id, const std::string& ca_file) {
  BlobClient::Config config;
  config.object_store_ca_file = ca_file;
  config.worker_id = worker_id;
  return config;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Worker>> Worker::Create(Config config, Dependencies dependencies) {
  DISTILL_RETURN_IF_ERROR(Validate(config));
  DISTILL_RETURN_IF_ERROR(CreateDirectories(config.data_directory));
  DISTILL_ASSIGN_OR_RETURN(FileLock lock, LockDirectory(config.data_directory, dependencies.clock));
  DISTILL_ASSIGN_OR_RETURN(DeviceInventory inventory, InventoryFor(config));
  if (!CanLeaveNetwork()) {
    LogWarning(
        "trainers keep the network: neither this user nor the kernel's setting for user "
        "namespaces lets them leave it; see docs/security.md");
  }
  std::string worker_id = config.worker_id;
  DISTILL_ASSIGN_OR_RETURN(const std::string certified,
                           WorkerIdOfCertificate(config.security.files.certificate));
  if (worker_id.empty()) worker_id = certified;
  if (!certified.empty()) DISTILL_RETURN_IF_ERROR(CheckWorkerId(worker_id, certified));
  if (worker_id.empty()) {
    DISTILL_ASSIGN_OR_RETURN(worker_id, LoadOrCreateWorkerId(config.data_directory,
                                                             inventory.hostname, dependencies.ids));
  }
  DISTILL_ASSIGN_OR_RETURN(
      std::shared_ptr<grpc::ChannelCredentials> credentials,
      MakeChannelCredentials(config.servers, config.security, dependencies.clock.WallNow()));
  std::unique_ptr<Worker> worker(
      new Worker(std::move(config), std::move(dependencies),
                 Findings{std::move(lock), std::move(inventory), std::move(worker_id),
                          std::move(credentials)}));
  DISTILL_RETURN_IF_ERROR(worker->Assemble(worker->dependencies_.ids));
  return worker;
}

Worker::Worker(Config config, Dependencies dependencies, Findings findings)
    : config_(std::move(config)),
      dependencies_(std::move(dependencies)),
      lock_(std::move(findings.lock)),
      inventory_(std::move(findings.inventory)),
      info_(InfoOf(config_, inventory_, findings.worker_id)),
      connection_({config_.servers, config_.security}, std::move(findings.credentials)),
      client_(WorkerClient::Config(), connection_),
      blobs_(BlobConfig(info_.worker_id(), config_.object_store_ca_file), connection_),
      full_store_log_(dependencies_.clock),
      worker_metrics_(dependencies_.metrics, info_.slots()),
      differing_datasets_(dependencies_.clock) {}

Worker::~Worker() { Stop(); }

absl::Status Worker::Assemble(IdSource& ids) {
  // Attempts of an earlier run died with it.
  const std::string attempts = JoinPath(config_.data_directory, "attempts");
  DISTILL_RETURN_IF_ERROR(RemoveTree(attempts));
  DISTILL_RETURN_IF_ERROR(CreateDirectories(attempts));
  ArtifactCache::Config cache;
  cache.directory = JoinPath(config_.data_directory, "cache");
  cache.capacity_bytes = config_.cache_bytes;
  cache.longest_retry = config_.longest_retry;
  DISTILL_ASSIGN_OR_RETURN(cache_, ArtifactCache::Open(cache, blobs_, dependencies_.metrics));
  DatasetCache::Config datasets;
  datasets.directory = JoinPath(config_.data_directory, "datasets");
  datasets.capacity_bytes = config_.dataset_cache_bytes;
  DISTILL_ASSIGN_OR_RETURN(datasets_, DatasetCache::Open(datasets, *cache_, dependencies_.metrics));
  DISTILL_ASSIGN_OR_RETURN(
      outbox_, Outbox::Open(JoinPath(config_.data_directory, "outbox"), dependencies_.metrics));
  checkpoints_ =
      std::make_unique<CheckpointUploader>(blobs_, full_store_log_, dependencies_.metrics);
  Publisher::Config publisher;
  publisher.worker_id = info_.worker_id();
  publisher.longest_retry = config_.longest_retry;
  publisher_ = std::make_unique<Publisher>(
      publisher,
      Publisher::Dependencies{client_, blobs_, *outbox_, *cache_, leases_, dependencies_.metrics,
                              full_store_log_, [this] { OnDelivered(); }});
  for (int i = 0; i < info_.slots(); ++i) slots_.push_back(NewSlot(i));
  LogForwarder::Config logs;
  logs.worker_id = info_.worker_id();
  logs_ = std::make_unique<LogForwarder>(logs, client_, leases_);
  SyncLoop::Config sync;
  sync.worker = info_;
  sync.tls_certificate = config_.security.files.certificate;
  sync.poll_wait = config_.poll_wait;
  sync.longest_retry = config_.longest_retry;
  sync_ = std::make_unique<SyncLoop>(
      sync, SyncLoop::Dependencies{dependencies_.clock, ids, connection_, client_, leases_, *this,
                                   *logs_, dependencies_.metrics});
  return RedeliverOutbox();
}

absl::Status Worker::RedeliverOutbox() {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<Outbox::Item> items, outbox_->Load());
  for (const Outbox::Item& item : items) {
    LogInfo("result of an earlier run will be delivered", {{"task", item.lease().task()}});
    v1::Grant grant;
    *grant.mutable_lease() = item.lease();
    auto lease = std::make_shared<LiveLease>(std::move(grant), [] {});
    leases_.Add(lease);
    publisher_->Redeliver(std::move(lease), item);
  }
  return absl::OkStatus();
}

std::unique_ptr<Slot> Worker::NewSlot(int index) {
  Slot::Config config;
  config.run.slot = index;
  config.run.worker_id = info_.worker_id();
  config.run.attempts_directory = JoinPath(config_.data_directory, "attempts");
  config.run.gang_network = config_.gang_network;
  config.run.cancel_grace = config_.cancel_grace;
  config.run.first_word_timeout = config_.first_word_timeout;
  config.seat.trainer_binary = config_.trainer_binary;
  config.seat.working_directory = config_.data_directory;
  config.seat.stamp_directory = JoinPath(config_.data_directory, "digest-stamps");
  config.seat.numeric_classes = inventory_.numeric_classes;
  const std::vector<CudaDevice>& devices = inventory_.cuda_devices;
  if (!devices.empty()) {
    config.seat.device_environment = {
        OnlyCudaDevice(devices[static_cast<size_t>(index) % devices.size()])};
  }
  config.seat.json_log = config_.json_log;
  config.warm_idle = config_.warm_idle;
  return std::make_unique<Slot>(
      config,
      Slot::Dependencies{dependencies_.clock, *cache_, *datasets_, differing_datasets_,
                         *checkpoints_, *publisher_, worker_metrics_,
                         [this] { sync_->NotifySlotFree(); }, [this] { sync_->ReportSoon(); }});
}

void Worker::Start() {
  checkpoints_->Start();
  publisher_->Start();
  logs_->Start();
  for (const auto& slot : slots_) slot->Start();
  sync_->Start();
}

void Worker::Drain() {
  draining_ = true;
  LogInfo("handing work back");
  for (const auto& lease : leases_.All()) lease->Wish(LeaseWish::kRelease);
  sync_->StopAcquiring();
  // What came while the last call was on its way.
  for (const auto& lease : leases_.All()) lease->Wish(LeaseWish::kRelease);
  if (idle()) dependencies_.on_idle();
}

void Worker::Stop() {
  // All slots at once: each waits for the death of its trainer.
  for (const auto& slot : slots_) slot->RequestStop();
  for (const auto& slot : slots_) slot->Stop();
  sync_->Stop();
  logs_->Stop();
  publisher_->Stop();
  checkpoints_->Stop();
}

int Worker::FreeSlots() {
  return static_cast<int>(
      std::count_if(slots_.begin(), slots_.end(), [](const auto& slot) { return slot->free(); }));
}

std::vector<std::string> Worker::WarmJobs() {
  std::vector<std::string> jobs;
  for (const auto& slot : slots_) {
    const std::string job = slot->warm_job();
    if (!job.empty() && std::find(jobs.begin(), jobs.end(), job) == jobs.end()) {
      jobs.push_back(job);
    }
  }
  return jobs;
}

std::vector<std::string> Worker::CachedDigests() { return cache_->Digests(kCachedDigestsTold); }

void Worker::Accept(const v1::LeaseSet& lease_set) {
  if (lease_set.grants().empty()) return;
  Slot* slot = ChooseSlot(lease_set.grants(0).lease().job());
  std::vector<std::shared_ptr<LiveLease>> leases;
  for (const v1::Grant& grant : lease_set.grants()) {
    if (!IsValidIdText(grant.lease().lease_id())) {
      LogError("grant has no valid lease id; ignored", {{"task", grant.lease().task()}});
      continue;
    }
    if (leases_.Find(grant.lease().lease_id()) != nullptr) continue;  // A repeated answer.
    leases.push_back(std::make_shared<LiveLease>(grant, [slot] {
      if (slot != nullptr) slot->Wake();
    }));
    leases_.Add(leases.back());
    const LogScope scope = ScopeOf(grant);
    LogInfo("lease taken", {{"resumes_from_step", grant.checkpoint_step()}});
    if (draining_) leases.back()->Wish(LeaseWish::kRelease);
  }
  if (leases.empty()) return;
  if (slot != nullptr) {
    slot->Assign(std::move(leases));
    return;
  }
  for (std::shared_ptr<LiveLease>& lease : leases) {
    AttemptEnd end;
    end.message = "worker has no free slot";
    publisher_->Publish(std::move(lease), std::move(end));
  }
}

Slot* Worker::ChooseSlot(const std::string& job) {
  Slot* chosen = nullptr;
  for (const auto& slot : slots_) {
    if (!slot->free()) continue;
    const std::string warm_job = slot->warm_job();
    if (warm_job == job) return slot.get();
    // Rather one without a trainer than one whose trainer may serve its own job again.
    if (chosen == nullptr || (warm_job.empty() && !chosen->warm_job().empty())) {
      chosen = slot.get();
    }
  }
  return chosen;
}

void Worker::OnDelivered() {
  if (idle()) dependencies_.on_idle();
}

}  // namespace distill::worker
