// Unpacks the archives of tar_writer.h, and trusts nothing that they say.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace distill::storage {

struct TarLimits {
  uint64_t max_files = 0;
  uint64_t max_bytes = 0;  // Of content.
};

struct TarContent {
  uint64_t files = 0;
  uint64_t bytes = 0;
};

// Creates the files of the archive at `path` below `directory`, which must exist and be the
// caller's alone: files replace nothing. Not durable. After an error some files may be there.
// kDataLoss for anything that the writer does not make (links, devices, names that lead elsewhere,
// a file twice, a cut or damaged archive); kResourceExhausted above a limit or on a full disk.
absl::StatusOr<TarContent> UnpackTar(const std::string& path, const std::string& directory,
                                     const TarLimits& limits);

}  // namespace distill::storage
