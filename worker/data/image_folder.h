// Finds the images of a folder whose subfolders are the classes: ImageNet, ImageNet-R.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/image_files.h"

namespace distill::data {

struct ClassFolders {
  std::vector<std::string> names;  // Sorted; the place is the label.
  NameTable files;                 // Paths below the folder: by class, then sorted.
};

// Looks through `folder`/<class>/**/ for files that end as images do; hidden ones are left out,
// links are followed. `max_bytes` bounds the memory of the names. kNotFound when there is no such
// folder; kInvalidArgument when it has no class, a class has no image, or folders nest too deeply.
absl::StatusOr<ClassFolders> FindClassFolders(const std::string& folder, uint64_t max_bytes);

}  // namespace distill::data
