#include "storage/blob/s3_credentials.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"

namespace distill::storage {
namespace {

constexpr absl::Duration kReadInterval = absl::Minutes(1);
constexpr uint64_t kMostFileBytes = 1 << 20;

std::string Environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool IsComplete(const S3Credentials& credentials) {
  return !credentials.access_key_id.empty() && !credentials.secret_access_key.empty();
}

}  // namespace

absl::StatusOr<S3Credentials> ParseS3Credentials(absl::string_view text) {
  S3Credentials credentials;
  bool in_default = true;  // Also a file without sections.
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line[0] == '[') {
      in_default = line == "[default]";
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits('=', 1));
    const absl::string_view name = absl::StripAsciiWhitespace(parts.first);
    const std::string value(absl::StripAsciiWhitespace(parts.second));
    if (value.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot parse S3 credentials: want NAME = VALUE; line=", number));
    }
    if (!in_default) continue;
    if (name == "aws_access_key_id") credentials.access_key_id = value;
    if (name == "aws_secret_access_key") credentials.secret_access_key = value;
    if (name == "aws_session_token") credentials.session_token = value;
  }
  if (IsComplete(credentials)) return credentials;
  return absl::InvalidArgumentError(
      "cannot parse S3 credentials: section [default] must have aws_access_key_id and "
      "aws_secret_access_key");
}

S3CredentialsSource::S3CredentialsSource(std::string path, const Clock& clock)
    : path_(std::move(path)), clock_(&clock) {}

absl::StatusOr<S3Credentials> S3CredentialsSource::Get() {
  const MonotonicTime now = clock_->Now();
  {
    const MutexLock lock(mu_);
    if (IsComplete(current_) && now < next_read_) return current_;
  }
  absl::StatusOr<S3Credentials> fresh = Read();
  const MutexLock lock(mu_);
  next_read_ = now + kReadInterval;
  if (fresh.ok()) {
    current_ = *fresh;
    return fresh;
  }
  if (!IsComplete(current_)) return fresh;
  LogWarning("cannot read S3 credentials again, the last ones stay in use",
             {{"path", path_}, {"cause", fresh.status()}});
  return current_;
}

absl::StatusOr<S3Credentials> S3CredentialsSource::Read() const {
  if (path_.empty()) {
    S3Credentials credentials = {Environment("AWS_ACCESS_KEY_ID"),
                                 Environment("AWS_SECRET_ACCESS_KEY"),
                                 Environment("AWS_SESSION_TOKEN")};
    if (IsComplete(credentials)) return credentials;
    return absl::FailedPreconditionError(
        "cannot find S3 credentials: give --s3-credentials-file, or set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY");
  }
  struct stat info {};
  if (stat(path_.c_str(), &info) != 0) return ErrnoStatus(errno, "read", path_);
  if ((info.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot use S3 credentials: everyone may read or write the file; chmod 600 it; path=",
        path_));
  }
  DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path_, kMostFileBytes));
  return ParseS3Credentials(text);
}

}  // namespace distill::storage
