// Turns images as they are stored into pixels: JPEG by libjpeg-turbo, PNG by libpng, told apart by
// their first bytes and not by their names. Trusts nothing in a file: sizes are bounded before
// memory is set aside, and damaged files are refused rather than filled up with grey.
//
// Grey becomes RGB; palettes, transparency (dropped, as Pillow does), 16-bit samples (their upper
// byte), CMYK and YCCK (as Adobe writes them, inverted) are converted. Anything else is refused by
// name.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/data/bitmap.h"
#include "worker/data/dataset.h"

namespace distill::data {

// Larger images are refused. Decoding takes at most ten bytes of memory a pixel: four for the
// result, and six for a progressive JPEG.
constexpr int64_t kMostPixels = int64_t{1} << 26;

// What to decode of an image.
struct DecodeRequest {
  // In pixels of the whole image; must lie inside it.
  Box box;
  // A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as the box keeps at least this
  // many pixels each way. 0: always at full size.
  int least_width = 0;
  int least_height = 0;
};

// What was decoded. Valid until the decoder is used again.
struct DecodedBox {
  // The box, and what is left of pixels that it cuts through.
  BitmapView pixels;
  // Where the box lies in `pixels`; all of it, unless decoded at reduced size.
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;
};

// One thread at a time. Keeps its memory from image to image.
class ImageDecoder {
 public:
  ImageDecoder();
  ~ImageDecoder();
  ImageDecoder(ImageDecoder&&) noexcept;
  ImageDecoder& operator=(ImageDecoder&&) noexcept;

  // Reads the header and returns the size. `image` must stay as it is until it is decoded.
  // kDataLoss with the reason, without the image's name, which the caller knows.
  absl::StatusOr<ImageSize> Open(const StoredImage& image);
  // Decodes a part of the image opened last; once for each Open(). kDataLoss as above. Damage
  // beyond the last row of the box may go unnoticed; a request for the whole image notices all of
  // it.
  absl::StatusOr<DecodedBox> Decode(const DecodeRequest& request);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The error for an image that cannot be decoded, `reason` being the decoder's: kDataLoss, with the
// image's name. Other codes than kDataLoss are kept.
absl::Status CannotDecode(const Dataset& dataset, int64_t index, const absl::Status& reason);

}  // namespace distill::data
