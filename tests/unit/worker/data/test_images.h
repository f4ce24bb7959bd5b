// Small data sets and IDX files for the tests of worker/data.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "worker/data/dataset.h"

namespace distill::data {

// `size` images whose pixels all differ from image to image; labels 0, 1, ..., classes - 1, 0, ...
std::unique_ptr<Dataset> MakeDataset(int64_t size, int classes, const ImageShape& shape);

// The bytes of an IDX file: magic 0x000008 and the number of dimensions, the dimensions, the body.
std::string IdxBytes(const std::vector<uint32_t>& dimensions, absl::string_view body);

// `bytes` as one gzip member.
std::string Gzip(absl::string_view bytes);

}  // namespace distill::data
