// Examines the state of a server at rest or in use: whether the database is sound, its rows agree
// with each other, the blobs that it refers to are there, and there is room to go on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/blob/blob_store.h"
#include "storage/state/sql_connection.h"

namespace distill::storage {

struct Finding {
  enum class Severity { kNote, kProblem };
  Severity severity = Severity::kProblem;
  std::string what;    // "result of job-1/evaluate is missing; digest=..."
  std::string remedy;  // What a person should do about it.
};

struct DoctorOptions {
  // Reads every blob and compares its digest: as long as that takes.
  bool verify_blobs = false;
  // Where the blobs lie, for their room; empty: not looked at.
  std::string blob_folder;
  int64_t min_free_disk_bytes = int64_t{1} << 30;
};

struct Diagnosis {
  int64_t schema = 0;
  int64_t jobs = 0;
  int64_t tasks = 0;
  int64_t blobs = 0;
  int64_t verified_blobs = 0;
  std::vector<Finding> findings;

  bool healthy() const;
};

// `blobs` may be null: then only rows are examined. An error means that nothing can be said, for
// example since the database cannot be read.
absl::StatusOr<Diagnosis> Examine(SqlConnection& connection, const BlobStore* blobs,
                                  const DoctorOptions& options);

}  // namespace distill::storage
