// Finds the files inside a tar file without unpacking it: ustar, GNU long names, and pax records
// for name and size. Every size and offset is checked against the file before it is used.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "worker/data/random_access_file.h"

namespace distill::data {

struct TarEntry {
  std::string name;
  uint64_t offset = 0;  // Of its first byte in the tar file.
  uint64_t size = 0;    // offset + size is at most the size of the tar file.
};

// Calls `visit` for each regular file, in order; its error ends the walk. Folders are passed over.
// kInvalidArgument, naming the offset and where possible the entry, but not the tar file: a header
// with a wrong checksum or an impossible number, an entry that reaches beyond the end, links and
// devices, names longer than 4096 bytes, a file that does not end with a block of zeros.
absl::Status WalkTar(const RandomAccessFile& file,
                     const std::function<absl::Status(const TarEntry&)>& visit);

}  // namespace distill::data
