#include "worker/data/image_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/counter_random.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/worker/data/image_fixtures.h"

namespace distill::data {
namespace {

using ::testing::HasSubstr;

std::string Pixels(const BitmapView& view) {
  std::string pixels;
  for (int y = 0; y < view.height; ++y) {
    for (int x = 0; x < view.width; ++x) pixels.append(view.At(y, x), view.At(y, x) + 3);
  }
  return pixels;
}

absl::StatusOr<std::string> DecodeAll(const StoredImage& image) {
  ImageDecoder decoder;
  const absl::StatusOr<ImageSize> size = decoder.Open(image);
  if (!size.ok()) return size.status();
  const absl::StatusOr<DecodedBox> decoded =
      decoder.Decode({{0, 0, size->width, size->height}, 0, 0});
  if (!decoded.ok()) return decoded.status();
  return Pixels(decoded->pixels);
}

std::vector<StoredImage> Variants() {
  const Bitmap picture = MakePicture(83, 131, 3);
  std::vector<StoredImage> images;
  for (const bool is_progressive : {false, true}) {
    images.push_back(Encoded(JpegBytes(picture, {90, is_progressive, 2, 2})));
    images.push_back(Encoded(JpegBytes(picture, {90, is_progressive, 2, 1})));
    images.push_back(Encoded(JpegBytes(picture, {90, is_progressive, 1, 1})));
  }
  images.push_back(Encoded(PngBytes(picture)));
  StoredImage planes;
  planes.shape = {3, 83, 131};
  planes.bytes.resize(static_cast<size_t>(planes.shape.pixels()));
  SplitPlanes(picture.View(), 3, absl::MakeSpan(planes.bytes));
  images.push_back(planes);
  return images;
}

// What is skipped must not change what is decoded: upsampled colours look at their neighbours.
TEST(ImageDecoderTest, ABoxHasThePixelsOfTheWholeImage) {
  CounterRandom random(1);
  int kind = 0;
  for (const StoredImage& image : Variants()) {
    ImageDecoder decoder;
    ASSERT_THAT(decoder.Open(image), IsOk());
    const auto all = decoder.Decode({{0, 0, 131, 83}, 0, 0});
    ASSERT_THAT(all, IsOk());
    Bitmap whole;
    JoinPlanes(std::vector<uint8_t>(83 * 131 * 3), 3, {83, 131}, {0, 0, 131, 83}, &whole);
    for (int y = 0; y < 83; ++y) std::copy_n(all->pixels.Row(y), whole.row_bytes(), whole.Row(y));
    for (int i = 0; i < 60; ++i) {
      const int width = 1 + static_cast<int>(random.Below(131));
      const int height = 1 + static_cast<int>(random.Below(83));
      const Box box = {static_cast<int>(random.Below(static_cast<uint32_t>(132 - width))),
                       static_cast<int>(random.Below(static_cast<uint32_t>(84 - height))), width,
                       height};
      SCOPED_TRACE(absl::StrCat("kind=", kind, " left=", box.left, " top=", box.top,
                                " width=", box.width, " height=", box.height));
      ASSERT_THAT(decoder.Open(image), IsOk());
      const auto part = decoder.Decode({box, 0, 0});
      ASSERT_THAT(part, IsOk());
      EXPECT_TRUE(Pixels(part->pixels) == Pixels(whole.View().Part(box)));
    }
    ++kind;
  }
}

TEST(ImageDecoderTest, ReducesAJpegAsLongAsTheBoxIsLargeEnough) {
  const StoredImage image = Encoded(JpegBytes(MakePicture(120, 200, 1)));
  ImageDecoder decoder;
  ASSERT_THAT(decoder.Open(image), IsOk());
  auto decoded = decoder.Decode({{10, 20, 100, 90}, 22, 22});
  ASSERT_THAT(decoded, IsOk());
  EXPECT_EQ(decoded->pixels.width, 26);  // A quarter: from 2.5 to 27.5.
  EXPECT_DOUBLE_EQ(decoded->left, 0.5);
  EXPECT_DOUBLE_EQ(decoded->right, 25.5);
  EXPECT_DOUBLE_EQ(decoded->top, 0.0);
  EXPECT_DOUBLE_EQ(decoded->bottom, 22.5);
  ASSERT_THAT(decoder.Open(image), IsOk());
  decoded = decoder.Decode({{10, 20, 100, 90}, 51, 22});
  ASSERT_THAT(decoded, IsOk());
  EXPECT_EQ(decoded->pixels.width, 100);
  // The image's last, incomplete pixels.
  ASSERT_THAT(decoder.Open(image), IsOk());
  decoded = decoder.Decode({{1, 1, 199, 119}, 10, 10});
  ASSERT_THAT(decoded, IsOk());
  EXPECT_EQ(decoded->pixels.width, 25);
  EXPECT_EQ(decoded->pixels.height, 15);
}

// Every cut leaves an error, never a picture filled up with grey.
TEST(ImageDecoderTest, RefusesFilesThatAreCutShort) {
  const Bitmap picture = MakePicture(40, 50, 2);
  for (const std::string& file :
       {JpegBytes(picture), JpegBytes(picture, {90, true, 2, 2}), PngBytes(picture)}) {
    for (size_t size = 0; size + 30 < file.size(); size += 7) {
      EXPECT_THAT(DecodeAll(Encoded(file.substr(0, size))), StatusIs(absl::StatusCode::kDataLoss))
          << size << " of " << file.size();
    }
  }
}

TEST(ImageDecoderTest, SurvivesRandomDamage) {
  CounterRandom random(5);
  const Bitmap picture = MakePicture(40, 50, 2);
  for (const std::string& file :
       {JpegBytes(picture), JpegBytes(picture, {90, true, 2, 2}), PngBytes(picture)}) {
    for (int i = 0; i < 300; ++i) {
      std::string damaged = file;
      for (uint32_t k = 0; k <= random.Below(4); ++k) {
        damaged[random.Below(static_cast<uint32_t>(file.size()))] =
            static_cast<char>(random.Below(256));
      }
      DecodeAll(Encoded(damaged)).status().IgnoreError();
    }
  }
}

TEST(ImageDecoderTest, SaysWhatAFileIsThatItDoesNotRead) {
  EXPECT_THAT(DecodeAll(Encoded("")), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("empty")));
  EXPECT_THAT(DecodeAll(Encoded("GIF89a....")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("GIF")));
  EXPECT_THAT(DecodeAll(Encoded("hello")),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("neither JPEG nor PNG")));
}

TEST(ImageDecoderTest, RefusesHostileSizesBeforeDecoding) {
  std::string jpeg = JpegBytes(MakePicture(16, 16, 1));
  const size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  for (size_t i = 5; i < 9; ++i) jpeg[frame + i] = '\xff';  // 65535 by 65535.
  EXPECT_THAT(DecodeAll(Encoded(jpeg)), StatusIs(absl::StatusCode::kDataLoss));
  jpeg[frame + 5] = '\x20';  // 8447 by 8447: too many pixels, though each side may be.
  jpeg[frame + 7] = '\x20';
  EXPECT_THAT(DecodeAll(Encoded(jpeg)),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("out of bounds")));
  // A header that promises what so small a file cannot hold; its checksum is right.
  std::string png = PngBytes(MakePicture(8, 8, 1));
  png.replace(16, 8, std::string("\0\0\x1f\xff\0\0\x1f\xff", 8));
  EXPECT_THAT(DecodeAll(Encoded(png)), StatusIs(absl::StatusCode::kDataLoss));
}

TEST(ImageDecoderTest, AFileWithoutTablesDoesNotUseThoseOfTheImageBefore) {
  const std::string whole = JpegBytes(MakePicture(16, 16, 1));
  std::string bare = whole;
  const size_t tables = bare.find("\xff\xc4");
  ASSERT_NE(tables, std::string::npos);
  const size_t length =
      static_cast<uint8_t>(bare[tables + 2]) * 256U + static_cast<uint8_t>(bare[tables + 3]);
  bare.erase(tables, 2 + length);
  const StoredImage second = Encoded(bare);
  ImageDecoder decoder;
  ASSERT_THAT(decoder.Open(second), IsOk());
  const std::string alone = decoder.Decode({{0, 0, 16, 16}, 0, 0}).status().ToString();
  ImageDecoder used;
  const StoredImage first = Encoded(whole);
  ASSERT_THAT(used.Open(first), IsOk());
  ASSERT_THAT(used.Decode({{0, 0, 16, 16}, 0, 0}), IsOk());
  ASSERT_THAT(used.Open(second), IsOk());
  EXPECT_EQ(used.Decode({{0, 0, 16, 16}, 0, 0}).status().ToString(), alone);
}

}  // namespace
}  // namespace distill::data
