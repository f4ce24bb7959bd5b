// Random changes of an image's colours and geometry, between the crop and normalisation.
#pragma once

#include <memory>

#include "absl/strings/string_view.h"
#include "base/counter_random.h"
#include "worker/data/bitmap.h"

namespace distill::data {

// Changes an image in place. Immutable, hence thread-safe.
class BitmapTransform {
 public:
  virtual ~BitmapTransform() = default;
  // Names the random stream; unique within a pipeline and part of what fixes the bits.
  virtual absl::string_view name() const = 0;
  // `scratch` is the caller's to lend; it saves an allocation per image.
  virtual void Apply(CounterRandom& random, Bitmap* image, Bitmap* scratch) const = 0;
};

}  // namespace distill::data
