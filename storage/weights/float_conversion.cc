#include "storage/weights/float_conversion.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace distill::storage {
namespace {

float FromBits(uint32_t bits) {
  float value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

float FromHalf(uint16_t half) {
  const uint32_t sign = (half & 0x8000U) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fU, fraction = half & 0x3ffU;
  if (exponent == 0x1f) return FromBits(sign | 0x7f800000U | (fraction << 13));
  if (exponent == 0) {  // A subnormal is a multiple of 2^-24.
    const float magnitude = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  return FromBits(sign | ((exponent + 112) << 23) | (fraction << 13));
}

template <typename Element, typename Convert>
void ConvertAll(absl::string_view bytes, std::string* copy, Convert convert) {
  const size_t count = bytes.size() / sizeof(Element);
  copy->resize(count * sizeof(float));
  for (size_t i = 0; i < count; ++i) {
    Element element;
    std::memcpy(&element, bytes.data() + i * sizeof(Element), sizeof(Element));
    const float value = convert(element);
    std::memcpy(copy->data() + i * sizeof(float), &value, sizeof(value));
  }
}

}  // namespace

absl::StatusOr<TensorView> ToFloat32(const TensorView& tensor, std::string* copy) {
  switch (tensor.dtype) {
    case DType::kF32:
      return tensor;
    case DType::kF64:
      ConvertAll<double>(tensor.bytes, copy, [](double x) { return static_cast<float>(x); });
      break;
    case DType::kF16:
      ConvertAll<uint16_t>(tensor.bytes, copy, FromHalf);
      break;
    case DType::kBF16:
      ConvertAll<uint16_t>(tensor.bytes, copy,
                           [](uint16_t x) { return FromBits(static_cast<uint32_t>(x) << 16); });
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("weights must be floating-point; dtype=", DTypeName(tensor.dtype)));
  }
  return TensorView{DType::kF32, tensor.shape, *copy};
}

}  // namespace distill::storage
