#include "worker/data/square_dataset.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/status_macros.h"
#include "worker/data/crop.h"
#include "worker/data/image_decoder.h"
#include "worker/data/resize.h"

namespace distill::data {
namespace {

constexpr int kLargestSide = 4096;

}  // namespace

absl::StatusOr<std::shared_ptr<const Dataset>> SquareDataset::Create(
    std::shared_ptr<const Dataset> base, int side) {
  if (side < 1 || side > kLargestSide) {
    return absl::InvalidArgumentError(
        absl::StrCat("input_size must be 1 to ", kLargestSide, "; got=", side));
  }
  const ImageShape& shape = base->shape();
  if (shape.height == side && shape.width == side) return base;
  if (shape.channels != 1 && shape.channels != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot resize images: they need 1 or 3 channels; channels=", shape.channels));
  }
  return absl::WrapUnique(new SquareDataset(std::move(base), side));
}

SquareDataset::SquareDataset(std::shared_ptr<const Dataset> base, int side)
    : base_(std::move(base)), shape_{base_->shape().channels, side, side} {}

absl::Status SquareDataset::Read(int64_t index, absl::Span<uint8_t> pixels) const {
  DISTILL_CHECK(static_cast<int64_t>(pixels.size()) == shape_.pixels(),
                "the buffer holds one image");
  StoredImage stored;
  DISTILL_RETURN_IF_ERROR(base_->Fetch(index, &stored));
  ImageDecoder decoder;
  const absl::StatusOr<ImageSize> size = decoder.Open(stored);
  if (!size.ok()) return CannotDecode(*base_, index, size.status());
  const absl::StatusOr<DecodedBox> decoded =
      decoder.Decode({{0, 0, size->width, size->height}, 0, 0});
  if (!decoded.ok()) return CannotDecode(*base_, index, decoded.status());
  Resizer resizer;
  Bitmap square;
  resizer.Resize(*decoded, CenterCrop(*size, ResizedSide(shape_.width), shape_.width), &square);
  SplitPlanes(square.View(), shape_.channels, pixels);
  return absl::OkStatus();
}

}  // namespace distill::data
