// Decodes PNG by libpng, for image_decoder.h.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/data/bitmap.h"

namespace distill::data {

// One image and one thread.
class PngDecoder {
 public:
  PngDecoder();
  ~PngDecoder();
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;

  // `file` must outlive the decoder. kDataLoss with the reason.
  absl::StatusOr<ImageSize> Open(absl::Span<const uint8_t> file);
  // Decodes the rows [top, top + height), in their whole width, into `*bitmap`, of exactly that
  // size; of an interlaced image all rows. Once.
  absl::Status Decode(int top, int height, Bitmap* bitmap);
  // Whether Decode() gives all rows, whatever it is asked for.
  bool is_interlaced() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace distill::data
