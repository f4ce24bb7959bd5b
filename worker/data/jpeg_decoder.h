// Decodes JPEG by libjpeg-turbo, for image_decoder.h. Only the rows and blocks that a box needs are
// decoded.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/data/bitmap.h"

namespace distill::data {

// One image and one thread.
class JpegDecoder {
 public:
  JpegDecoder();
  ~JpegDecoder();
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;

  // `file` must outlive the decoder. kDataLoss with the reason.
  absl::StatusOr<ImageSize> Open(absl::Span<const uint8_t> file);
  // Decodes `box`, in pixels of the image at 1 / `reduction` of its size (1, 2, 4 or 8; sizes are
  // rounded up), into the upper left of nothing else: `*bitmap` may be wider than the box, which
  // `*offset` columns precede. Once.
  absl::Status Decode(const Box& box, int reduction, Bitmap* bitmap, int* offset);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace distill::data
