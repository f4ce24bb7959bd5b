#include "worker/agent/worker_identity.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/ids.h"
#include "base/status_macros.h"
#include "base/tls_files.h"

namespace distill::worker {
namespace {

constexpr size_t kMaxHostnameChars = 64;

// Keeps what an id may hold of a host's name.
std::string IdTextOf(absl::string_view hostname) {
  std::string text;
  for (const char c : hostname.substr(0, kMaxHostnameChars)) {
    text.push_back(absl::ascii_isalnum(static_cast<unsigned char>(c)) ? absl::ascii_tolower(c)
                                                                      : '-');
  }
  return text.empty() ? "worker" : text;
}

}  // namespace

absl::StatusOr<std::string> LoadOrCreateWorkerId(const std::string& data_directory,
                                                 absl::string_view hostname, IdSource& ids) {
  const std::string path = JoinPath(data_directory, "worker_id");
  if (FileExists(path)) {
    DISTILL_ASSIGN_OR_RETURN(const std::string stored, ReadFile(path, 4096));
    const std::string id(absl::StripAsciiWhitespace(stored));
    if (!IsValidIdText(id)) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot read worker id: not 1 to 128 of [A-Za-z0-9._-]; delete the file to "
                       "get a new id; path=",
                       path));
    }
    return id;
  }
  const std::string id = absl::StrCat(IdTextOf(hostname), "-", ids.RandomHex(4));
  DISTILL_RETURN_IF_ERROR(WriteFileAtomically(path, absl::StrCat(id, "\n")));
  return id;
}

absl::StatusOr<std::string> WorkerIdOfCertificate(const std::string& path) {
  if (path.empty()) return std::string();
  DISTILL_ASSIGN_OR_RETURN(const std::vector<std::string> uris, CertificateUris(path));
  for (absl::string_view uri : uris) {
    if (!absl::ConsumePrefix(&uri, "distill://worker/")) continue;
    if (IsValidIdText(uri)) return std::string(uri);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cannot use certificate: it names no worker; make one with `deploy/ca/ca.sh "
                   "worker NAME`; path=",
                   path));
}

absl::Status CheckWorkerId(const std::string& worker_id, const std::string& certified) {
  if (worker_id == certified || absl::StartsWith(worker_id, absl::StrCat(certified, "."))) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("cannot use --worker-id: the certificate is another worker's; want ", certified,
                   " or ", certified, ".anything; worker_id=", worker_id));
}

}  // namespace distill::worker
