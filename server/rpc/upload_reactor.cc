#include "server/rpc/upload_reactor.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"

namespace distill::server {
namespace {

// Read, then an I/O step, then the next read: one at a time, so no member needs a lock. Lives until
// OnDone().
class UploadReactor : public grpc::ServerReadReactor<v1::UploadRequest> {
 public:
  UploadReactor(const RpcDependencies& dependencies, const CallMetrics& metrics,
                grpc::CallbackServerContext& context, v1::UploadResponse& response,
                StreamLimit::Place place)
      : dependencies_(dependencies),
        metrics_(&metrics),
        context_(&context),
        response_(&response),
        start_(metrics.Now()),
        open_(metrics.Open()),
        place_(std::move(place)) {}

  void Start() {
    if (!place_.admitted()) {
      return End(TooManyStreams("upload artifact", ""));
    }
    StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    if (context_->IsCancelled()) return End(absl::CancelledError("the sender is gone"));
    if (!ok) return announced_ ? OnIoThread([this] { Publish(); }) : End(NothingSent());
    if (message_.data().size() > kMostChunkBytes) {
      return End(absl::InvalidArgumentError(
          absl::StrCat("cannot upload artifact: data: got ", message_.data().size(),
                       " bytes, want at most ", kMostChunkBytes)));
    }
    if (announced_) return OnIoThread([this] { AppendAndRead(); });
    const absl::Status valid = ValidateRequest(message_);
    if (!valid.ok()) return End(valid);
    Announce();
  }

  void OnDone() override { delete this; }

 private:
  static absl::Status NothingSent() {
    return absl::InvalidArgumentError(
        "cannot upload artifact: upload_id: got no message, want at least the first");
  }

  template <typename Step>
  void OnIoThread(Step step) {
    const absl::Status queued = dependencies_.transfers->Submit(std::move(step));
    if (!queued.ok()) End(queued);
  }

  // Tells the core that the blob is coming, so that retention does not remove it under our hands.
  void Announce() {
    announced_ = true;
    upload_id_ = message_.upload_id();
    digest_ = *Digest::Parse(message_.digest());
    size_bytes_ = message_.size_bytes();
    type_ = message_.type();
    dependencies_.driver->Post(
        FindMissing{{digest_}}, [this](absl::StatusOr<FindMissingReply> reply) {
          if (!reply.ok()) return End(reply.status());
          if (!reply->busy.empty()) {
            return End(absl::UnavailableError(absl::StrCat(
                "cannot upload artifact: it is just being removed; retry later; digest=",
                digest_.str())));
          }
          if (reply->missing.empty()) return EndPresent();
          OnIoThread([this] { Open(); });
        });
  }

  void Open() {
    absl::StatusOr<std::unique_ptr<storage::BlobUpload>> upload =
        dependencies_.blobs->StartUpload(upload_id_, digest_, static_cast<uint64_t>(size_bytes_));
    if (!upload.ok()) return End(upload.status());
    upload_ = *std::move(upload);
    AppendAndRead();
  }

  void AppendAndRead() {
    if (!message_.data().empty() && !upload_->already_present()) {
      const absl::Status appended =
          upload_->Append(static_cast<uint64_t>(message_.offset()), message_.data());
      if (!appended.ok()) return End(appended);
    }
    StartRead(&message_);
  }

  void Publish() {
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
    dependencies_.driver->Post(BlobPresent{digest_, size_bytes_, static_cast<int32_t>(type_)},
                               [this, already_present](absl::StatusOr<Done> reply) {
                                 if (!reply.ok()) return End(reply.status());
                                 Respond(already_present);
                                 End(absl::OkStatus());
                               });
  }

  void EndPresent() {
    Respond(/*already_present=*/true);
    End(absl::OkStatus());
  }

  void Respond(bool already_present) {
    response_->set_digest(digest_.str());
    response_->set_size_bytes(size_bytes_);
    response_->set_already_present(already_present);
  }

  void End(const absl::Status& status) {
    upload_.reset();
    metrics_->Count("Upload", status, start_);
    Finish(ToGrpcStatus(status));
  }

  const RpcDependencies dependencies_;
  const CallMetrics* const metrics_;
  grpc::CallbackServerContext* const context_;
  v1::UploadResponse* const response_;
  const MonotonicTime start_;
  const OpenCalls::Token open_;
  const StreamLimit::Place place_;

  v1::UploadRequest message_;
  bool announced_ = false;
  std::string upload_id_;
  Digest digest_;
  int64_t size_bytes_ = 0;
  v1::ArtifactType type_ = v1::ARTIFACT_TYPE_UNSPECIFIED;
  std::unique_ptr<storage::BlobUpload> upload_;
};

}  // namespace

grpc::ServerReadReactor<v1::UploadRequest>* StartUpload(const RpcDependencies& dependencies,
                                                        const CallMetrics& metrics,
                                                        grpc::CallbackServerContext& context,
                                                        v1::UploadResponse& response,
                                                        StreamLimit::Place place) {
  auto* reactor = new UploadReactor(dependencies, metrics, context, response, std::move(place));
  reactor->Start();
  return reactor;
}

}  // namespace distill::server
