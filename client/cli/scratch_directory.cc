#include "client/cli/scratch_directory.h"

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/file.h"

namespace distill::client {

absl::StatusOr<ScratchDirectory> ScratchDirectory::Create(const std::string& parent) {
  std::string path = JoinPath(parent, "distill-XXXXXX");
  if (mkdtemp(path.data()) == nullptr) return ErrnoStatus(errno, "make a directory in", parent);
  return ScratchDirectory(std::move(path));
}

ScratchDirectory::ScratchDirectory(ScratchDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

ScratchDirectory& ScratchDirectory::operator=(ScratchDirectory&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

ScratchDirectory::~ScratchDirectory() {
  if (!path_.empty()) (void)RemoveTree(path_);
}

std::string ScratchDirectory::Join(absl::string_view name) const { return JoinPath(path_, name); }

}  // namespace distill::client
