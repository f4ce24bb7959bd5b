// Any text may lie under the names of Tiny-ImageNet's and CUB's lists: what is accepted stays below
// its folder and has labels in range. Zero bytes part the three files of CUB.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/check.h"
#include "worker/data/annotation_files.h"
#include "worker/data/image_files.h"

namespace {

using distill::data::AnnotatedImage;

void Check(const std::vector<AnnotatedImage>& images, int classes) {
  for (const AnnotatedImage& image : images) {
    DISTILL_CHECK(image.label >= 0 && image.label < classes, "labels are in range");
    DISTILL_CHECK(distill::data::IsPathBelow(image.path), "paths stay below their folder");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto tiny = distill::data::ParseTinyImageNetAnnotations(text, {"n01", "n02"});
  if (tiny.ok()) Check(*tiny, 2);
  const std::vector<absl::string_view> files = absl::StrSplit(text, absl::MaxSplits('\0', 2));
  if (files.size() == 3) {
    const auto cub = distill::data::ParseCubFiles(files[0], files[1], files[2]);
    if (cub.ok()) {
      Check(cub->train, cub->classes);
      Check(cub->test, cub->classes);
    }
  }
  distill::data::ParseCubClasses(text).status().IgnoreError();
  distill::data::ParseClassNames(text).status().IgnoreError();
  return 0;
}
