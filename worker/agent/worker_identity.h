// The name under which the server knows this worker: kept in the data directory, so that it is the
// same after every restart.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/random_ids.h"

namespace distill::worker {

// Returns the id in `data_directory`, or makes "<host>-<8 hex digits>" and stores it durably.
// kInvalidArgument when the stored text is no id; other errors are those of base/file.h.
absl::StatusOr<std::string> LoadOrCreateWorkerId(const std::string& data_directory,
                                                 absl::string_view hostname, IdSource& ids);

// The id in the certificate of a worker, from its name distill://worker/ID; empty without a file.
// kInvalidArgument when the file names no worker.
absl::StatusOr<std::string> WorkerIdOfCertificate(const std::string& path);

// kInvalidArgument unless a worker whose certificate names `certified` may call itself `worker_id`:
// the same, or the same and a dot and more.
absl::Status CheckWorkerId(const std::string& worker_id, const std::string& certified);

}  // namespace distill::worker
