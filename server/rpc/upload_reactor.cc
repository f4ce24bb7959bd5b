#include "server/rpc/upload_reactor.h"

#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace distill::server {
namespace {

// Read, then an I/O step, then the next read: one at a time, so no member needs a lock. Lives until
// OnDone().
class UploadReactor : public grpc::ServerReadReactor<v1::UploadRequest> {
 public:
  UploadReactor(const RpcDependencies& dependencies, const BlobAccess& access, CallRecord record,
                v1::UploadResponse& response, StreamLimit::Place place)
      : dependencies_(dependencies),
        access_(&access),
        record_(std::move(record)),
        response_(&response),
        place_(std::move(place)),
        stall_(*dependencies.stalls, [this] { GiveUpReading(); }) {}

  void Start() {
    const absl::Status admitted = record_.AdmitCaller();
    if (!admitted.ok()) return End(admitted);
    if (!place_.admitted()) {
      return End(TooManyStreams("upload artifact", ""));
    }
    Read();
  }

  void OnReadDone(bool ok) override {
    stall_.Go();
    if (!reading_.exchange(false)) return;  // The stream was ended while this read waited.
    if (record_.IsCancelled()) return End(absl::CancelledError("the sender is gone"));
    if (!ok) return announced_ ? OnIoThread([this] { Publish(); }) : End(NothingSent());
    if (message_.data().size() > kMostChunkBytes) {
      return End(absl::InvalidArgumentError(
          absl::StrCat("cannot upload artifact: data: got ", message_.data().size(),
                       " bytes, want at most ", kMostChunkBytes)));
    }
    if (announced_) return OnIoThread([this] { AppendAndRead(); });
    first_ = message_;
    first_.clear_data();
    const absl::Status admitted = record_.Admit(first_);
    if (!admitted.ok()) return End(admitted);
    OnIoThread([this] { Authorise(); });
  }

  void OnDone() override {
    if (stalled_) record_.End(absl::DeadlineExceededError("nothing arrived for too long"));
    delete this;
  }

 private:
  static absl::Status NothingSent() {
    return absl::InvalidArgumentError(
        "cannot upload artifact: upload_id: got no message, want at least the first");
  }

  void Read() {
    reading_ = true;
    stall_.Wait();
    StartRead(&message_);
  }

  // On the guard's thread.
  void GiveUpReading() {
    if (!reading_.exchange(false)) return;
    stalled_ = true;
    Finish(ToGrpcStatus(absl::DeadlineExceededError(
        "cannot upload artifact: nothing arrived for too long; resume")));
  }

  template <typename Step>
  void OnIoThread(Step step) {
    const absl::Status queued = dependencies_.transfers->Submit(std::move(step));
    if (!queued.ok()) End(queued);
  }

  // Finds out whose the blob will be.
  void Authorise() {
    announced_ = true;
    digest_ = *Digest::Parse(first_.digest());
    size_bytes_ = first_.size_bytes();
    absl::StatusOr<std::vector<ProjectId>> owners =
        access_->OwnersOfUpload(record_.admission(), PurposeOf(first_));
    if (!owners.ok()) return End(owners.status());
    owners_ = *std::move(owners);
    absl::StatusOr<std::vector<Digest>> hidden = access_->Hidden(record_.caller(), {digest_});
    if (!hidden.ok()) return End(hidden.status());
    is_hidden_ = !hidden->empty();
    Announce();
  }

  // Tells the core that the blob is coming, so that retention does not remove it under our hands.
  void Announce() {
    dependencies_.driver->Post(
        FindMissing{{digest_}}, [this](absl::StatusOr<FindMissingReply> reply) {
          if (!reply.ok()) return End(reply.status());
          if (!reply->busy.empty()) {
            return End(absl::UnavailableError(absl::StrCat(
                "cannot upload artifact: it is just being removed; retry later; digest=",
                digest_.str())));
          }
          if (!reply->missing.empty()) return OnIoThread([this] { Open(); });
          if (!is_hidden_) return Own(/*already_present=*/true);
          // Another project has the same bytes. Whoever sends them all may read them too.
          proof_.emplace();
          OnIoThread([this] { AppendAndRead(); });
        });
  }

  void Open() {
    absl::StatusOr<std::unique_ptr<storage::BlobUpload>> upload =
        dependencies_.blobs->StartUpload(UploadIdOf(record_.caller(), first_.upload_id()), digest_,
                                         static_cast<uint64_t>(size_bytes_));
    if (!upload.ok()) return End(upload.status());
    upload_ = *std::move(upload);
    AppendAndRead();
  }

  void AppendAndRead() {
    if (proof_.has_value()) {
      if (message_.offset() != proven_bytes_) {
        return End(absl::AbortedError(absl::StrCat("cannot upload artifact: offset: got ",
                                                   message_.offset(), ", want ", proven_bytes_)));
      }
      proof_->Append(message_.data());
      proven_bytes_ += static_cast<int64_t>(message_.data().size());
    } else if (!message_.data().empty() && !upload_->already_present()) {
      const absl::Status appended =
          upload_->Append(static_cast<uint64_t>(message_.offset()), message_.data());
      if (!appended.ok()) return End(appended);
    }
    Read();
  }

  void Publish() {
    if (proof_.has_value()) {
      if (proven_bytes_ == size_bytes_ && proof_->Finish() == digest_) {
        return Own(/*already_present=*/false);
      }
      return End(absl::InvalidArgumentError(
          absl::StrCat("cannot upload artifact: its bytes are not what its digest says; digest=",
                       digest_.str())));
    }
    const uint64_t arrived = upload_->committed_size();
    if (!upload_->already_present() && arrived < static_cast<uint64_t>(size_bytes_)) {
      return End(absl::UnavailableError(absl::StrCat(
          "cannot upload artifact: the stream ended early; resume; committed_bytes=", arrived,
          " size_bytes=", size_bytes_)));
    }
    const bool already_present = upload_->already_present();
    const absl::Status committed = upload_->Commit();
    if (!committed.ok()) return End(committed);
    upload_.reset();
    dependencies_.driver->Post(
        BlobPresent{digest_, size_bytes_, static_cast<int32_t>(first_.type())},
        [this, already_present](absl::StatusOr<Done> reply) {
          if (!reply.ok()) return End(reply.status());
          Own(already_present);
        });
  }

  // The bytes are there: writes down whose they are too, and answers.
  void Own(bool already_present) {
    response_->set_digest(digest_.str());
    response_->set_size_bytes(size_bytes_);
    response_->set_already_present(already_present);
    if (owners_.empty()) return End(absl::OkStatus());
    StoreRows owned;
    for (const ProjectId& project : owners_) {
      owned.rows.push_back(storage::PutBlobOwner{{digest_, project}});
    }
    dependencies_.driver->Post(std::move(owned),
                               [this](absl::StatusOr<Done> reply) { End(reply.status()); });
  }

  void End(const absl::Status& status) {
    upload_.reset();
    record_.End(status);
    Finish(ToGrpcStatus(status));
  }

  const RpcDependencies dependencies_;
  const BlobAccess* const access_;
  CallRecord record_;
  v1::UploadResponse* const response_;
  const StreamLimit::Place place_;
  StallGuard::Stream stall_;
  std::atomic<bool> reading_{false};
  std::atomic<bool> stalled_{false};

  v1::UploadRequest message_;
  v1::UploadRequest first_;  // The first message, without its data.
  bool announced_ = false;
  Digest digest_;
  int64_t size_bytes_ = 0;
  std::vector<ProjectId> owners_;
  // The caller may not know that the blob is there. `proof_` then takes the bytes in.
  bool is_hidden_ = false;
  std::optional<DigestBuilder> proof_;
  int64_t proven_bytes_ = 0;
  std::unique_ptr<storage::BlobUpload> upload_;
};

}  // namespace

grpc::ServerReadReactor<v1::UploadRequest>* StartUpload(const RpcDependencies& dependencies,
                                                        const BlobAccess& access, CallRecord record,
                                                        v1::UploadResponse& response,
                                                        StreamLimit::Place place) {
  auto* reactor =
      new UploadReactor(dependencies, access, std::move(record), response, std::move(place));
  reactor->Start();
  return reactor;
}

}  // namespace distill::server
