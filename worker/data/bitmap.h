// Pixels in the order in which image operations want them: row by row, four bytes a pixel - red,
// green, blue and one that means nothing. Grey images have three equal colours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace distill::data {

struct ImageSize {
  int height = 0;
  int width = 0;

  int64_t pixels() const { return int64_t{height} * width; }
  friend bool operator==(const ImageSize& a, const ImageSize& b) {
    return a.height == b.height && a.width == b.width;
  }
};

// Part of an image, in pixels.
struct Box {
  int left = 0;
  int top = 0;
  int width = 0;
  int height = 0;

  friend bool operator==(const Box& a, const Box& b) {
    return a.left == b.left && a.top == b.top && a.width == b.width && a.height == b.height;
  }
};

constexpr int kBitmapBytesPerPixel = 4;

// A rectangle of somebody else's pixels.
struct BitmapView {
  const uint8_t* pixels = nullptr;
  size_t row_bytes = 0;  // From one row to the next.
  int height = 0;
  int width = 0;

  const uint8_t* Row(int y) const { return pixels + static_cast<size_t>(y) * row_bytes; }
  const uint8_t* At(int y, int x) const {
    return Row(y) + static_cast<size_t>(x) * kBitmapBytesPerPixel;
  }
  // Requires the box to lie inside.
  BitmapView Part(const Box& box) const {
    return {At(box.top, box.left), row_bytes, box.height, box.width};
  }
};

// Pixels of its own, reused from image to image so that their memory is.
class Bitmap {
 public:
  // Gives it a size; the pixels' values are unspecified.
  void Reshape(int height, int width) {
    height_ = height;
    width_ = width;
    pixels_.resize(static_cast<size_t>(height) * row_bytes());
  }
  int height() const { return height_; }
  int width() const { return width_; }
  size_t row_bytes() const { return static_cast<size_t>(width_) * kBitmapBytesPerPixel; }
  size_t bytes() const { return pixels_.size(); }
  uint8_t* data() { return pixels_.data(); }
  const uint8_t* data() const { return pixels_.data(); }
  uint8_t* Row(int y) { return pixels_.data() + static_cast<size_t>(y) * row_bytes(); }
  const uint8_t* Row(int y) const { return pixels_.data() + static_cast<size_t>(y) * row_bytes(); }
  BitmapView View() const { return {pixels_.data(), row_bytes(), height_, width_}; }
  void Swap(Bitmap& other) {
    std::swap(height_, other.height_);
    std::swap(width_, other.width_);
    pixels_.swap(other.pixels_);
  }

 private:
  int height_ = 0;
  int width_ = 0;
  std::vector<uint8_t> pixels_;
};

// Copies the box of an image kept as planes (1 or 3 channels, one after the other) into a bitmap.
void JoinPlanes(absl::Span<const uint8_t> planes, int channels, const ImageSize& size,
                const Box& box, Bitmap* bitmap);
// Writes the first `channels` (1 or 3) colours as planes.
void SplitPlanes(const BitmapView& bitmap, int channels, absl::Span<uint8_t> planes);

// Exchanges left and right.
void Mirror(Bitmap* bitmap);

}  // namespace distill::data
