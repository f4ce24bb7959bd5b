#include "worker/data/image_decoder.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "worker/data/jpeg_decoder.h"
#include "worker/data/png_decoder.h"

namespace distill::data {
namespace {

enum class FileKind { kJpeg, kPng };

bool StartsWith(const std::vector<uint8_t>& bytes, absl::string_view prefix) {
  return bytes.size() >= prefix.size() &&
         std::equal(prefix.begin(), prefix.end(), bytes.begin(),
                    [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; });
}

absl::StatusOr<FileKind> KindOf(const std::vector<uint8_t>& bytes) {
  if (bytes.empty()) return absl::DataLossError("the file is empty");
  if (StartsWith(bytes, "\xff\xd8\xff")) return FileKind::kJpeg;
  if (StartsWith(bytes, "\x89PNG\r\n\x1a\n")) return FileKind::kPng;
  constexpr std::pair<absl::string_view, absl::string_view> kOthers[] = {
      {"GIF8", "GIF"}, {"RIFF", "WebP"}, {"BM", "BMP"}, {"II*", "TIFF"}, {"MM", "TIFF"}};
  for (const auto& [prefix, name] : kOthers) {
    if (StartsWith(bytes, prefix)) {
      return absl::DataLossError(
          absl::StrCat("it looks like ", name, "; only JPEG and PNG are read, convert it"));
    }
  }
  return absl::DataLossError("it is neither JPEG nor PNG");
}

int CeilDivide(int a, int b) { return (a + b - 1) / b; }

}  // namespace

struct ImageDecoder::State {
  const StoredImage* image = nullptr;
  std::optional<JpegDecoder> jpeg;
  std::optional<PngDecoder> png;
  ImageSize size;
  Bitmap bitmap;
};

ImageDecoder::ImageDecoder() : state_(std::make_unique<State>()) {}
ImageDecoder::~ImageDecoder() = default;
ImageDecoder::ImageDecoder(ImageDecoder&&) noexcept = default;
ImageDecoder& ImageDecoder::operator=(ImageDecoder&&) noexcept = default;

absl::StatusOr<ImageSize> ImageDecoder::Open(const StoredImage& image) {
  State& state = *state_;
  state.image = &image;
  state.jpeg.reset();
  state.png.reset();
  if (image.form == StoredImage::Form::kPixels) {
    DISTILL_CHECK(image.shape.channels == 1 || image.shape.channels == 3,
                  "views that decode refuse other numbers of channels");
    state.size = {image.shape.height, image.shape.width};
    return state.size;
  }
  DISTILL_ASSIGN_OR_RETURN(const FileKind kind, KindOf(image.bytes));
  if (kind == FileKind::kJpeg) {
    state.jpeg.emplace();
    DISTILL_ASSIGN_OR_RETURN(state.size, state.jpeg->Open(image.bytes));
  } else {
    state.png.emplace();
    DISTILL_ASSIGN_OR_RETURN(state.size, state.png->Open(image.bytes));
  }
  if (state.size.pixels() == 0 || state.size.pixels() > kMostPixels) {
    return absl::DataLossError(absl::StrCat("its size is out of bounds; width=", state.size.width,
                                            " height=", state.size.height,
                                            " most_pixels=", kMostPixels));
  }
  return state.size;
}

absl::StatusOr<DecodedBox> ImageDecoder::Decode(const DecodeRequest& request) {
  State& state = *state_;
  const Box& box = request.box;
  DISTILL_CHECK(box.left >= 0 && box.top >= 0 && box.width > 0 && box.height > 0 &&
                    box.left <= state.size.width - box.width &&
                    box.top <= state.size.height - box.height,
                "boxes are drawn inside the image");
  DecodedBox decoded;
  decoded.right = box.width;
  decoded.bottom = box.height;
  if (state.jpeg.has_value()) {
    int reduction = 1;
    const bool may_reduce = request.least_width > 0 && request.least_height > 0;
    while (may_reduce && reduction < 8 && box.width / (2 * reduction) >= request.least_width &&
           box.height / (2 * reduction) >= request.least_height) {
      reduction *= 2;
    }
    // All pixels of the smaller image that the box touches.
    const int left = box.left / reduction;
    const int top = box.top / reduction;
    const Box reduced = {left, top, CeilDivide(box.left + box.width, reduction) - left,
                         CeilDivide(box.top + box.height, reduction) - top};
    int offset = 0;
    DISTILL_RETURN_IF_ERROR(state.jpeg->Decode(reduced, reduction, &state.bitmap, &offset));
    decoded.pixels = state.bitmap.View().Part({offset, 0, reduced.width, reduced.height});
    decoded.left = static_cast<double>(box.left) / reduction - left;
    decoded.top = static_cast<double>(box.top) / reduction - top;
    decoded.right =
        std::min<double>(decoded.left + static_cast<double>(box.width) / reduction, reduced.width);
    decoded.bottom =
        std::min<double>(decoded.top + static_cast<double>(box.height) / reduction, reduced.height);
    return decoded;
  }
  if (state.png.has_value()) {
    DISTILL_RETURN_IF_ERROR(state.png->Decode(box.top, box.height, &state.bitmap));
    const int top = state.png->is_interlaced() ? box.top : 0;
    decoded.pixels = state.bitmap.View().Part({box.left, top, box.width, box.height});
    return decoded;
  }
  JoinPlanes(state.image->bytes, state.image->shape.channels, state.size, box, &state.bitmap);
  decoded.pixels = state.bitmap.View();
  return decoded;
}

absl::Status CannotDecode(const Dataset& dataset, int64_t index, const absl::Status& reason) {
  return absl::Status(reason.code(), absl::StrCat("cannot decode image: ", reason.message(),
                                                  "; image=", dataset.NameOf(index)));
}

}  // namespace distill::data
