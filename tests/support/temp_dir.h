// A directory of its own for each test, gone when the test ends.
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace distill {

// Not thread-safe.
class TempDir {
 public:
  // Creates an empty directory below $TMPDIR or /tmp.
  TempDir();
  // Removes it with all that is in it.
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // Returns the path of `name` inside.
  std::string Join(absl::string_view name) const;

 private:
  std::string path_;
};

}  // namespace distill
