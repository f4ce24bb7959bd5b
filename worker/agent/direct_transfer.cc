#include "worker/agent/direct_transfer.h"

#include "absl/strings/str_cat.h"

#ifdef DISTILL_WITH_S3

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "storage/http/http_client.h"

namespace distill::worker {
namespace {

storage::HttpRequest RequestOf(const v1::HttpLocation& location, const CancelToken& cancel) {
  storage::HttpRequest request;
  request.method = location.method();
  request.url = location.url();
  for (const v1::HttpLocation::Header& header : location.headers()) {
    request.headers.emplace_back(header.name(), header.value());
  }
  request.cancelled = [&cancel] { return cancel.cancelled(); };
  return request;
}

absl::Status Refusal(const storage::HttpResponse& response) {
  const std::string text =
      absl::StrCat("object store refused; status=", response.status,
                   " answer=", absl::string_view(response.body).substr(0, 300));
  switch (response.status) {
    case 400:
      // The digest is part of the request, and the object store compares.
      if (absl::StrContains(response.body, "SHA256") ||
          absl::StrContains(response.body, "Digest")) {
        return absl::InvalidArgumentError(text);
      }
      return absl::UnavailableError(text);
    case 404:
      return absl::NotFoundError(text);
    case 416:
      return absl::OutOfRangeError(text);
    case 507:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::UnavailableError(text);  // 403: the location has expired.
  }
}

// A file descriptor that closes itself.
class OpenedFile {
 public:
  explicit OpenedFile(const std::string& path)
      : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)) {}
  ~OpenedFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  OpenedFile(const OpenedFile&) = delete;
  OpenedFile& operator=(const OpenedFile&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  const int descriptor_;
};

}  // namespace

DirectTransfer::DirectTransfer(const std::string& ca_file)
    : http_(std::make_unique<storage::HttpClient>(storage::HttpClient::Config{ca_file})) {}
DirectTransfer::~DirectTransfer() = default;

absl::Status DirectTransfer::Read(const v1::HttpLocation& location, int64_t offset,
                                  const CancelToken& cancel,
                                  const std::function<absl::Status(absl::string_view)>& sink) {
  storage::HttpRequest request = RequestOf(location, cancel);
  if (offset > 0) request.headers.emplace_back("range", absl::StrCat("bytes=", offset, "-"));
  DISTILL_ASSIGN_OR_RETURN(const storage::HttpResponse response, http_->Send(request, sink));
  if (response.status == (offset > 0 ? 206 : 200)) return absl::OkStatus();
  return Refusal(response);
}

absl::Status DirectTransfer::Write(const v1::HttpLocation& location, const std::string& path,
                                   int64_t size_bytes, const CancelToken& cancel) {
  const OpenedFile file(path);
  if (file.descriptor() < 0) return ErrnoStatus(errno, "open", path);
  storage::HttpRequest request = RequestOf(location, cancel);
  request.body_size = static_cast<uint64_t>(size_bytes);
  request.body = [&file, &path](uint64_t offset, char* out, size_t size) -> absl::StatusOr<size_t> {
    ssize_t got = 0;
    do {
      got = pread(file.descriptor(), out, size, static_cast<off_t>(offset));
    } while (got < 0 && errno == EINTR);
    if (got < 0) return ErrnoStatus(errno, "read", path);
    if (got == 0) return absl::InvalidArgumentError(absl::StrCat("file is too short; path=", path));
    return static_cast<size_t>(got);
  };
  DISTILL_ASSIGN_OR_RETURN(const storage::HttpResponse response, http_->Send(request));
  if (response.status >= 200 && response.status < 300) return absl::OkStatus();
  // A missing bucket is no missing file.
  const absl::Status refusal = Refusal(response);
  return absl::IsNotFound(refusal) ? absl::UnavailableError(refusal.message()) : refusal;
}

}  // namespace distill::worker

#else

namespace distill::storage {
class HttpClient {};
}  // namespace distill::storage

namespace distill::worker {

DirectTransfer::DirectTransfer(const std::string&) {}
DirectTransfer::~DirectTransfer() = default;

absl::Status DirectTransfer::Read(const v1::HttpLocation&, int64_t, const CancelToken&,
                                  const std::function<absl::Status(absl::string_view)>&) {
  return absl::UnimplementedError("built without S3");
}

absl::Status DirectTransfer::Write(const v1::HttpLocation&, const std::string&, int64_t,
                                   const CancelToken&) {
  return absl::UnimplementedError("built without S3");
}

}  // namespace distill::worker

#endif
