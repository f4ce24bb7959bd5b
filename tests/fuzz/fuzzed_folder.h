// A folder in memory for the fuzz targets whose readers take paths.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "base/check.h"
#include "base/file.h"

namespace distill {

class FuzzedFolder {
 public:
  FuzzedFolder() : path_("/dev/shm/distill-fuzz-XXXXXX") {
    DISTILL_CHECK(mkdtemp(path_.data()) != nullptr, "/dev/shm is there");
  }
  ~FuzzedFolder() { RemoveTree(path_).IgnoreError(); }
  FuzzedFolder(const FuzzedFolder&) = delete;
  FuzzedFolder& operator=(const FuzzedFolder&) = delete;

  const std::string& path() const { return path_; }

  // Not durable, hence quick.
  void Write(const std::string& name, absl::string_view bytes) {
    std::FILE* file = std::fopen(JoinPath(path_, name).c_str(), "wb");
    DISTILL_CHECK(file != nullptr, "/dev/shm can be written");
    std::fwrite(bytes.data(), 1, bytes.size(), file);
    std::fclose(file);
  }

 private:
  std::string path_;
};

}  // namespace distill
