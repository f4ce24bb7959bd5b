// Any data set seen as squares of one size, as models are evaluated on it: the shorter side is
// resized to 256/224 of the square's side, bicubic with antialiasing as Pillow does it, and the
// middle is cut out. Squares of up to 32 pixels are resized to just their side, so that small
// images of that size are taken as they are.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/data/dataset.h"

namespace distill::data {

// Images of at most this side are not enlarged in order to cut their middle out, nor cropped at
// random to a share of their area in training.
constexpr int kLargestUncroppedSide = 32;

class SquareDataset : public Dataset {
 public:
  // Shares `base` with the other views of it. Returns `base` itself when all its images have that
  // shape already, so a view of squares, corrupted or not, can be asked for again. kInvalidArgument
  // when `side` is not 1 to 4096,
  // or `base` has neither 1 nor 3 channels.
  static absl::StatusOr<std::shared_ptr<const Dataset>> Create(std::shared_ptr<const Dataset> base,
                                                               int side);

  int64_t size() const override { return base_->size(); }
  int classes() const override { return base_->classes(); }
  const ImageShape& shape() const override { return shape_; }
  int64_t Label(int64_t index) const override { return base_->Label(index); }
  // kDataLoss when the image cannot be decoded; the message names it and says why.
  absl::Status Read(int64_t index, absl::Span<uint8_t> pixels) const override;
  std::string NameOf(int64_t index) const override { return base_->NameOf(index); }

 private:
  SquareDataset(std::shared_ptr<const Dataset> base, int side);

  const std::shared_ptr<const Dataset> base_;
  const ImageShape shape_;
};

}  // namespace distill::data
