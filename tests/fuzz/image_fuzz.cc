// Any bytes may lie in a data set under the name of an image: the decoder must refuse or decode
// them, whole or in part, at any scale, and a part must not depend on what else is decoded.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "worker/data/image_decoder.h"
#include "worker/data/resize.h"

namespace {

// Larger ones are decoded by the same code and only cost time.
constexpr int64_t kMostPixelsTried = 1 << 20;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace distill::data;  // NOLINT(google-build-using-namespace)
  if (size < 4) return 0;
  StoredImage image;
  image.form = StoredImage::Form::kEncoded;
  image.bytes.assign(data + 4, data + size);
  ImageDecoder decoder;
  const auto opened = decoder.Open(image);
  if (!opened.ok() || opened->pixels() > kMostPixelsTried) return 0;
  const Box all = {0, 0, opened->width, opened->height};
  const bool is_sound = decoder.Decode({all, 0, 0}).ok();
  // The first bytes choose a box and a scale.
  Box box;
  box.left = data[0] * opened->width / 256;
  box.top = data[1] * opened->height / 256;
  box.width = 1 + data[2] * (opened->width - box.left - 1) / 255;
  box.height = 1 + data[3] * (opened->height - box.top - 1) / 255;
  const int least = 1 + data[2] / 4;
  DISTILL_CHECK(decoder.Open(image).ok(), "opening twice is the same");
  const auto part = decoder.Decode({box, least, least});
  DISTILL_CHECK(part.ok() || !is_sound, "a part of a sound image is sound");
  if (!part.ok()) return 0;
  Resizer resizer;
  Bitmap resized;
  resizer.Resize(*part, {{24, 24}, {0, 0, 24, 24}}, &resized);
  DISTILL_CHECK(resized.bytes() == 24 * 24 * 4, "all of the window is made");
  return 0;
}
