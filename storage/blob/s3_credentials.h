// Where the keys of an object store come from: a file, or the environment. They stay in memory and
// go nowhere else.
#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "storage/blob/s3_signature.h"

namespace distill::storage {

// Parses the file format of AWS's own tools: the [default] section with aws_access_key_id,
// aws_secret_access_key and, for temporary keys, aws_session_token. kInvalidArgument names the
// line, never its value.
absl::StatusOr<S3Credentials> ParseS3Credentials(absl::string_view text);

// Thread-safe.
class S3CredentialsSource {
 public:
  // `path` empty: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN of the
  // environment.
  S3CredentialsSource(std::string path, const Clock& clock);

  // Returns the keys. A file is read again once a minute, so that keys can be changed without a
  // restart; a file that has become unreadable leaves the last good keys in use.
  // Errors: kFailedPrecondition (none found, or the file is readable by everyone),
  // kInvalidArgument, those of base/file.h.
  absl::StatusOr<S3Credentials> Get() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  absl::StatusOr<S3Credentials> Read() const;

  const std::string path_;
  const Clock* const clock_;
  Mutex mu_;
  S3Credentials current_ ABSL_GUARDED_BY(mu_);
  MonotonicTime next_read_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::storage
