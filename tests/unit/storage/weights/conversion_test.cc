// Numbers: float formats and position embeddings, against values of PyTorch.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "storage/weights/float_conversion.h"
#include "storage/weights/position_embedding.h"
#include "tests/support/status_matchers.h"

namespace distill::storage {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

template <typename Element>
std::vector<float> Converted(DType dtype, std::vector<Element> elements) {
  const absl::string_view bytes(reinterpret_cast<const char*>(elements.data()),
                                elements.size() * sizeof(Element));
  std::string copy;
  const absl::StatusOr<TensorView> view =
      ToFloat32({dtype, {static_cast<int64_t>(elements.size())}, bytes}, &copy);
  if (!view.ok()) {
    ADD_FAILURE() << view.status();
    return {};
  }
  std::vector<float> values(elements.size());
  std::memcpy(values.data(), view->bytes.data(), view->bytes.size());
  return values;
}

TEST(ToFloat32Test, ConvertsEveryFloatingPointType) {
  EXPECT_THAT(Converted<double>(DType::kF64, {0.1, -2.0}), ElementsAre(0.1F, -2.0F));
  EXPECT_THAT(Converted<float>(DType::kF32, {0.1F}), ElementsAre(0.1F));
  // 1, -2, the largest, the smallest normal, the smallest and a negative subnormal.
  EXPECT_THAT(Converted<uint16_t>(DType::kF16, {0x3c00, 0xc000, 0x7bff, 0x0400, 0x0001, 0x8003}),
              ElementsAre(1.0F, -2.0F, 65504.0F, std::ldexp(1.0F, -14), std::ldexp(1.0F, -24),
                          -3 * std::ldexp(1.0F, -24)));
  EXPECT_TRUE(std::isinf(Converted<uint16_t>(DType::kF16, {0x7c00})[0]));
  EXPECT_TRUE(std::isnan(Converted<uint16_t>(DType::kF16, {0x7e01})[0]));
  EXPECT_THAT(Converted<uint16_t>(DType::kBF16, {0x3f80, 0xc000}), ElementsAre(1.0F, -2.0F));
  std::string copy;
  EXPECT_THAT(ToFloat32({DType::kI64, {0}, ""}, &copy),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("dtype=I64")));
}

TEST(ResizePositionEmbeddingTest, IsPyTorchsBicubic) {
  // A class token of 9 and the grid 0 1 / 2 3.
  const auto resized = ResizePositionEmbedding({9, 0, 1, 2, 3}, 1, 4);
  ASSERT_THAT(resized, IsOk());
  EXPECT_THAT(*resized,
              Pointwise(FloatNear(1e-6F),
                        {9.0F, -0.3164062F, 0.015625F, 0.5625F, 0.8945312F, 0.3476562F, 0.6796875F,
                         1.2265625F, 1.5585938F, 1.4414062F, 1.7734375F, 2.3203125F, 2.6523438F,
                         2.1054688F, 2.4375F, 2.984375F, 3.3164062F}));
  const std::vector<float> same = {9, 0, 1, 2, 3};
  EXPECT_THAT(ResizePositionEmbedding(same, 1, 2), IsOkAndHolds(Pointwise(FloatNear(1e-6F), same)));
  EXPECT_THAT(ResizePositionEmbedding({1, 2, 3, 4}, 1, 2),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not square; positions=3")));
}

}  // namespace
}  // namespace distill::storage
