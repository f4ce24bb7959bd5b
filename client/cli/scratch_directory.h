// A directory for files on their way, gone when it is.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distill::client {

class ScratchDirectory {
 public:
  // Makes an empty directory below `parent`. Errors: those of base/file.h.
  static absl::StatusOr<ScratchDirectory> Create(const std::string& parent);
  ScratchDirectory(ScratchDirectory&& other) noexcept;
  ScratchDirectory& operator=(ScratchDirectory&& other) noexcept;
  // Removes it with all that is in it.
  ~ScratchDirectory();

  // The path of `name` inside.
  std::string Join(absl::string_view name) const;

 private:
  explicit ScratchDirectory(std::string path) : path_(std::move(path)) {}

  std::string path_;  // Empty once moved from.
};

}  // namespace distill::client
