// Image files, tar files and folders of them for the tests of worker/data.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "worker/data/bitmap.h"
#include "worker/data/dataset.h"

namespace distill::data {

// A picture whose pixels depend on their place and on `seed`: smooth, with some edges.
Bitmap MakePicture(int height, int width, int seed);

struct JpegOptions {
  int quality = 90;
  bool is_progressive = false;
  int horizontal_sampling = 2;  // Of brightness over colour: 1 or 2.
  int vertical_sampling = 2;
};
std::string JpegBytes(const Bitmap& picture, const JpegOptions& options = {});
std::string PngBytes(const Bitmap& picture);

// `bytes` as a data set gives an image file.
StoredImage Encoded(absl::string_view bytes);

// One file of a tar archive in ustar format, without the blocks of zeros at the end.
std::string TarEntryBytes(absl::string_view name, absl::string_view content, char type = '0');
std::string TarBytes(const std::vector<std::pair<std::string, std::string>>& files);

// Writes a file and the folders above it.
void WriteFileAt(const std::string& path, absl::string_view bytes);

}  // namespace distill::data
