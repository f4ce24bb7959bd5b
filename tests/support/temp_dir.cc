// See temp_dir.h.
#include "tests/support/temp_dir.h"

#include <cstdio>
#include <cstdlib>

#include "base/check.h"
#include "base/file.h"

namespace distill {

TempDir::TempDir() {
  const char* const parent = std::getenv("TMPDIR");
  path_ = JoinPath(parent != nullptr && *parent != '\0' ? parent : "/tmp", "distill-test-XXXXXX");
  DISTILL_CHECK(mkdtemp(path_.data()) != nullptr, "tests can create directories");
}

TempDir::~TempDir() {
  const absl::Status status = RemoveTree(path_);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
}

std::string TempDir::Join(absl::string_view name) const { return JoinPath(path_, name); }

}  // namespace distill
