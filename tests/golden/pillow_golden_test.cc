// Decoding, resizing and augmentation against Pillow: tests/golden/data/images.json, which
// make_images.py beside it wrote.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "nlohmann/json.hpp"
#include "tests/support/status_matchers.h"
#include "worker/data/crop.h"
#include "worker/data/image_decoder.h"
#include "worker/data/rand_augment.h"
#include "worker/data/resize.h"
#include "worker/data/square_dataset.h"

namespace distill::data {
namespace {

using nlohmann::json;

const json& Golden() {
  static const auto& golden = *new json(json::parse(
      ReadFile(absl::StrCat(std::getenv("DISTILL_SOURCE_DIR"), "/tests/golden/data/images.json"))
          .value()));
  return golden;
}

std::string Rgb(const BitmapView& image) {
  std::string rgb;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const uint8_t* pixel = image.At(y, x);
      rgb.append(pixel, pixel + 3);
    }
  }
  return rgb;
}

std::string Bytes(const json& hex) { return absl::HexStringToBytes(hex.get<std::string>()); }

Bitmap BitmapOf(const json& image) {
  const std::string rgb = Bytes(image["rgb"]);
  Bitmap bitmap;
  bitmap.Reshape(image["height"], image["width"]);
  for (size_t i = 0; i < rgb.size() / 3; ++i) {
    for (size_t c = 0; c < 3; ++c) bitmap.data()[4 * i + c] = static_cast<uint8_t>(rgb[3 * i + c]);
  }
  return bitmap;
}

// Largest difference of a value.
int Distance(const std::string& a, const std::string& b) {
  if (a.size() != b.size()) return 1000;
  int distance = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    distance =
        std::max(distance, std::abs(static_cast<uint8_t>(a[i]) - static_cast<uint8_t>(b[i])));
  }
  return distance;
}

DecodedBox AllOf(const BitmapView& view) {
  return {view, 0, 0, static_cast<double>(view.width), static_cast<double>(view.height)};
}

TEST(PillowGoldenTest, DecodesTheSamePixels) {
  for (const auto& [name, image] : Golden()["files"].items()) {
    SCOPED_TRACE(name);
    std::string bytes;
    ASSERT_TRUE(absl::Base64Unescape(image["file"].get<std::string>(), &bytes));
    StoredImage stored;
    stored.form = StoredImage::Form::kEncoded;
    stored.bytes.assign(bytes.begin(), bytes.end());
    ImageDecoder decoder;
    const auto size = decoder.Open(stored);
    ASSERT_THAT(size, IsOk());
    EXPECT_EQ(size->width, image["width"]);
    EXPECT_EQ(size->height, image["height"]);
    const auto decoded = decoder.Decode({{0, 0, size->width, size->height}, 0, 0});
    ASSERT_THAT(decoded, IsOk());
    EXPECT_EQ(Distance(Rgb(decoded->pixels), Bytes(image["rgb"])), 0);
  }
}

TEST(PillowGoldenTest, ResizesToTheSamePixels) {
  const Bitmap picture = BitmapOf(Golden()["picture"]);
  for (const json& made : Golden()["resizes"]) {
    SCOPED_TRACE(made["box"].dump() + made["size"].dump());
    const int left = made["box"][0];
    const int top = made["box"][1];
    const Box box = {left, top, made["box"][2].get<int>() - left, made["box"][3].get<int>() - top};
    const int width = made["size"][0];
    const int height = made["size"][1];
    Resizer resizer;
    Bitmap resized;
    resizer.Resize(AllOf(picture.View().Part(box)), {{height, width}, {0, 0, width, height}},
                   &resized);
    EXPECT_EQ(Distance(Rgb(resized.View()), Bytes(made["rgb"])), 0);
  }
}

TEST(PillowGoldenTest, CutsTheSameMiddleOut) {
  for (const json& made : Golden()["center_crops"]) {
    const int side = made["side"];
    SCOPED_TRACE(side);
    const Bitmap source =
        BitmapOf({{"width", made["width"]}, {"height", made["height"]}, {"rgb", made["source"]}});
    Resizer resizer;
    Bitmap square;
    resizer.Resize(AllOf(source.View()),
                   CenterCrop({source.height(), source.width()}, ResizedSide(side), side), &square);
    EXPECT_EQ(Distance(Rgb(square.View()), Bytes(made["rgb"])), 0);
  }
}

// Affine transformations are computed in float instead of double: a value may fall on the other
// side of a whole number, off which the fraction is cut.
TEST(PillowGoldenTest, AugmentsAlike) {
  using Operation = AugmentOperation;
  const std::map<std::string, Operation> operations = {{"auto_contrast", Operation::kAutoContrast},
                                                       {"equalize", Operation::kEqualize},
                                                       {"invert", Operation::kInvert},
                                                       {"rotate", Operation::kRotate},
                                                       {"posterize", Operation::kPosterize},
                                                       {"solarize", Operation::kSolarize},
                                                       {"solarize_add", Operation::kSolarizeAdd},
                                                       {"color", Operation::kColor},
                                                       {"contrast", Operation::kContrast},
                                                       {"brightness", Operation::kBrightness},
                                                       {"sharpness", Operation::kSharpness},
                                                       {"shear_x", Operation::kShearX},
                                                       {"shear_y", Operation::kShearY},
                                                       {"translate_x", Operation::kTranslateX},
                                                       {"translate_y", Operation::kTranslateY}};
  std::map<std::string, int> seen;
  for (const json& made : Golden()["operations"]) {
    const std::string name = made["operation"];
    const double magnitude = made.value("magnitude", 0.0);
    const bool is_negative = made.value("negative", false);
    SCOPED_TRACE(absl::StrCat(name, " ", magnitude, is_negative ? " negative" : ""));
    Bitmap image = BitmapOf(Golden()[made.value("source", "picture") == "dull" ? "dull" : "small"]);
    Bitmap scratch;
    const Operation operation = operations.at(name);
    Augment(operation, magnitude, is_negative, &image, &scratch);
    const bool is_affine = operation == Operation::kRotate || operation >= Operation::kShearX;
    EXPECT_LE(Distance(Rgb(image.View()), Bytes(made["rgb"])), is_affine ? 1 : 0);
    ++seen[name];
  }
  EXPECT_EQ(seen.size(), static_cast<size_t>(kAugmentOperations));
}

}  // namespace
}  // namespace distill::data
