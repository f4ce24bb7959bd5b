#include "server/datasets/dataset_reader.h"

#include <algorithm>
#include <future>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "distill/v1/artifact_service.pb.h"
#include "server/datasets/dataset_description.h"
#include "server/datasets/dataset_packer.h"
#include "worker/data/scan.h"

namespace distill::server {
namespace {

constexpr int kDatasetsPerPage = 500;
constexpr int kMostDifferences = 100;
constexpr char kReading[] = "reading";
constexpr char kPacking[] = "packing";

v1::DatasetSource SourceOf(const storage::DatasetRecord& record) {
  v1::DatasetSource source;
  source.ParseFromString(record.source);
  return source;
}

}  // namespace

DatasetReader::DatasetReader(DatasetReaderConfig config, const Dependencies& dependencies)
    : config_(std::move(config)),
      dependencies_(dependencies),
      images_(dependencies.metrics->AddCounter("distill_dataset_images_read_total",
                                               "Images read to register or verify data sets.")),
      read_(dependencies.metrics->AddCounter("distill_datasets_read_total",
                                             "Data sets read or verified.", {{"outcome", "done"}})),
      failed_(dependencies.metrics->AddCounter(
          "distill_datasets_read_total", "Data sets read or verified.", {{"outcome", "failed"}})),
      thread_([this] { Run(); }) {}

DatasetReader::~DatasetReader() { Stop(); }

absl::Status DatasetReader::Recover() {
  DatasetName after;
  while (true) {
    DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::DatasetRecord> page,
                             dependencies_.store->ListDatasets(after, kDatasetsPerPage));
    for (const storage::DatasetRecord& record : page) {
      if (record.status.state == storage::DatasetState::kReading) Read(record.name, record.request);
      after = record.name;
    }
    if (page.size() < static_cast<size_t>(kDatasetsPerPage)) return absl::OkStatus();
  }
}

void DatasetReader::Read(const DatasetName& name, const RequestId& request) {
  Add({name, request, {}, false});
}

void DatasetReader::Verify(const DatasetName& name, const RequestId& request,
                           const std::string& verification_request) {
  Order order{name, request, {}, false};
  order.work.verification_request = verification_request;
  Add(std::move(order));
}

void DatasetReader::Add(Order order) {
  MutexLock lock(mu_);
  if (stopping_) return;
  for (const Order& known : orders_) {
    if (!known.cancelled && known.name == order.name && known.request == order.request) return;
  }
  order.work.scan.set_phase("waiting");
  orders_.push_back(std::move(order));
  changed_.NotifyAll();
}

void DatasetReader::Cancel(const DatasetName& name) {
  MutexLock lock(mu_);
  for (Order& order : orders_) order.cancelled = order.cancelled || order.name == name;
}

std::map<DatasetName, DatasetWork> DatasetReader::Work() const {
  MutexLock lock(mu_);
  std::map<DatasetName, DatasetWork> work;
  for (const Order& order : orders_) {
    if (!order.cancelled) work.emplace(order.name, order.work);
  }
  return work;
}

void DatasetReader::Stop() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void DatasetReader::Run() {
  while (true) {
    Order order;
    {
      MutexLock lock(mu_);
      while (orders_.empty() && !stopping_) changed_.Wait(mu_);
      if (stopping_) return;
      order = orders_.front();
    }
    if (!order.cancelled) Carry(order);
    MutexLock lock(mu_);
    orders_.pop_front();
  }
}

void DatasetReader::Carry(const Order& order) {
  const absl::StatusOr<storage::DatasetRecord> record = dependencies_.store->GetDataset(order.name);
  // Removed, or made anew, since the order was given.
  if (!record.ok() || record->request != order.request) return;
  const bool first = order.work.verification_request.empty();
  if (first != (record->status.state == storage::DatasetState::kReading)) return;
  LogInfo(first ? "reading data set" : "verifying data set", {{"dataset", order.name.str()}});
  storage::DatasetStatus status =
      first ? FirstStatus(order, *record) : VerifiedStatus(order, *record);
  // Ended on the way: then the answer says nothing.
  if (!Progress(kReading, 0, 0)) return;
  Record(order, std::move(status));
}

storage::DatasetStatus DatasetReader::FirstStatus(const Order& order,
                                                  const storage::DatasetRecord& record) {
  absl::StatusOr<storage::DatasetStatus> status = ReadAll(order, record);
  if (status.ok()) return *std::move(status);
  storage::DatasetStatus failed = record.status;
  failed.state = storage::DatasetState::kFailed;
  failed.failure_message = std::string(status.status().message());
  return failed;
}

absl::StatusOr<storage::DatasetStatus> DatasetReader::ReadAll(
    const Order& order, const storage::DatasetRecord& record) {
  const v1::DatasetSource source = SourceOf(record);
  DISTILL_ASSIGN_OR_RETURN(const v1::DatasetFacts facts, Inspect(order, source));
  storage::DatasetStatus status = record.status;
  status.facts = facts.SerializeAsString();
  if (source.upload()) DISTILL_RETURN_IF_ERROR(Pack(order, source, status));
  status.state = storage::DatasetState::kReady;
  return status;
}

absl::StatusOr<v1::DatasetFacts> DatasetReader::Inspect(const Order& order,
                                                        const v1::DatasetSource& source) {
  DISTILL_ASSIGN_OR_RETURN(const data::DatasetOptions files, ReaderOptions(source));
  data::ScanOptions options;
  options.corrupt_images = ReaderPolicy(source.corrupt_images());
  options.threads = config_.threads;
  int64_t counted = 0;
  options.progress = [this, &counted](int64_t done, int64_t total) {
    images_.Increment(static_cast<double>(done - counted));
    counted = done;
    return Progress(kReading, done, total);
  };
  const absl::StatusOr<data::DatasetFacts> read = data::InspectDataset(files, options);
  if (absl::IsDataLoss(read.status())) {  // Only where corrupt images are not skipped.
    return absl::DataLossError(
        absl::StrCat(read.status().message(),
                     "; mend or remove it, or leave such images out with --corrupt-images skip"));
  }
  DISTILL_ASSIGN_OR_RETURN(const data::DatasetFacts facts, read);
  for (const data::SplitFacts* split : {&facts.train, &facts.test}) {
    for (const data::CorruptImage& image : split->corrupt_images) {
      LogWarning("corrupt image",
                 {{"dataset", order.name.str()}, {"image", image.name}, {"reason", image.reason}});
    }
  }
  return ToProto(facts);
}

absl::Status DatasetReader::Pack(const Order& order, const v1::DatasetSource& source,
                                 storage::DatasetStatus& status) {
  PackOptions options;
  options.path = source.path();
  options.format = source.format();
  v1::DatasetFacts facts;
  facts.ParseFromString(status.facts);
  DISTILL_ASSIGN_OR_RETURN(options.dataset_digest, Digest::Parse(facts.digest()));
  options.upload_prefix = absl::StrCat("dataset.", Digest::OfBytes(order.name.str()).hex());
  options.scratch_file = config_.scratch_file;
  options.shard_bytes = config_.shard_bytes;
  options.most_bytes = config_.most_copied_bytes;
  options.progress = [this](uint64_t done, uint64_t total) {
    return Progress(kPacking, static_cast<int64_t>(done), static_cast<int64_t>(total));
  };
  DISTILL_ASSIGN_OR_RETURN(status.blobs, PackDataset(options, *dependencies_.blobs));
  // Posted in order: the core knows all of them before it is told what they are for.
  for (const storage::NamedBlob& blob : status.blobs) {
    dependencies_.driver->Post(BlobPresent{blob.digest, blob.size_bytes, v1::ARTIFACT_TYPE_DATASET},
                               {});
  }
  return absl::OkStatus();
}

bool DatasetReader::Progress(const char* phase, int64_t done, int64_t total) {
  MutexLock lock(mu_);
  Order& order = orders_.front();
  order.work.scan.set_phase(phase);
  order.work.scan.set_done(done);
  order.work.scan.set_total(total);
  return !order.cancelled && !stopping_;
}

storage::DatasetStatus DatasetReader::VerifiedStatus(const Order& order,
                                                     const storage::DatasetRecord& record) {
  v1::DatasetVerification verification;
  verification.set_request_id(order.work.verification_request);
  v1::DatasetFacts before;
  before.ParseFromString(record.status.facts);
  const absl::StatusOr<v1::DatasetFacts> now = Inspect(order, SourceOf(record));
  if (now.ok()) {
    verification.set_state(v1::DatasetVerification::STATE_SAME);
    for (const std::string& line : Differences(before, *now)) verification.add_differences(line);
  } else {
    verification.set_state(v1::DatasetVerification::STATE_FAILED);
    verification.add_differences(std::string(now.status().message()));
  }
  CheckCopy(record.status, verification);
  if (now.ok() && verification.differences_size() > 0) {
    verification.set_state(v1::DatasetVerification::STATE_DIFFERS);
  }
  verification.mutable_finish_time()->set_seconds(
      absl::ToUnixSeconds(dependencies_.clock->WallNow()));
  storage::DatasetStatus status = record.status;
  status.verification = verification.SerializeAsString();
  return status;
}

void DatasetReader::CheckCopy(const storage::DatasetStatus& status,
                              v1::DatasetVerification& verification) {
  int64_t done = 0;
  for (const storage::NamedBlob& blob : status.blobs) {
    if (!Progress("checking the copy", done++, static_cast<int64_t>(status.blobs.size()))) return;
    const absl::Status whole = dependencies_.blobs->Verify(blob.digest);
    if (whole.ok() || verification.differences_size() >= kMostDifferences) continue;
    verification.add_differences(absl::StrCat("copy in the object store, ", blob.name, ": ",
                                              std::string(whole.message()),
                                              "; remove the data set and add it again"));
  }
}

void DatasetReader::Record(const Order& order, storage::DatasetStatus status) {
  const storage::DatasetState state = status.state;
  const std::string failure = status.failure_message;
  // Waited for, so that nobody sees the data set between being read and having been read.
  std::promise<absl::Status> recorded;
  dependencies_.driver->Post(
      UpdateDataset{order.name, order.request, std::move(status)},
      [&recorded](absl::StatusOr<Done> reply) { recorded.set_value(reply.status()); });
  const absl::Status result = recorded.get_future().get();
  // A blob of the copy was being removed when it was stored again, or others take all the room.
  const bool can_be_repeated = absl::IsFailedPrecondition(result);
  if (can_be_repeated || absl::IsResourceExhausted(result)) {
    storage::DatasetStatus failed;
    failed.state = storage::DatasetState::kFailed;
    failed.failure_message =
        absl::StrCat(std::string(result.message()), can_be_repeated ? "; add it again" : "");
    return Record(order, std::move(failed));
  }
  if (!result.ok()) {
    LogWarning("cannot record data set", {{"dataset", order.name.str()}, {"cause", result}});
    return;
  }
  const bool failed = state == storage::DatasetState::kFailed;
  (failed ? failed_ : read_).Increment();
  LogInfo(
      "data set read",
      {{"dataset", order.name.str()}, {"state", failed ? "FAILED" : "READY"}, {"cause", failure}});
}

}  // namespace distill::server
