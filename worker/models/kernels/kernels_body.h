// The kernels themselves, written with the compilers' vector types. Each kernels_<set>.cc compiles
// this text once with its own flags; everything but the two tables is local to that file, and no
// standard container is used, so that no function compiled for a newer processor can be linked into
// code that runs on an older one.
#if !defined(DISTILL_KERNEL_SET) || !defined(DISTILL_KERNEL_BYTES)
#error "include this only from a kernels_<set>.cc"
#endif

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "worker/models/kernels/kernel_tables.h"

namespace distill::models::kernels {
namespace DISTILL_KERNEL_SET {
namespace {

constexpr int64_t kVectorBytes = DISTILL_KERNEL_BYTES;

template <typename Scalar>
struct VectorOf {
  typedef Scalar Type __attribute__((vector_size(DISTILL_KERNEL_BYTES)));
};
template <typename Scalar>
using Vector = typename VectorOf<Scalar>::Type;
using IntVector = typename VectorOf<int32_t>::Type;

template <typename Scalar>
constexpr int64_t kLanes = kVectorBytes / static_cast<int64_t>(sizeof(Scalar));

template <typename Scalar>
constexpr int64_t RoundUp(int64_t count) {
  return (count + kLanes<Scalar> - 1) / kLanes<Scalar> * kLanes<Scalar>;
}

// Bounds of padded buffers, for the widest vectors.
constexpr int64_t kTokens = kMaxAttentionTokens;
constexpr int64_t kElements = kMaxHeadElements;
static_assert(kTokens % kLanes<float> == 0 && kElements % kLanes<float> == 0,
              "padded rows must fit the buffers");

template <typename Scalar>
inline Vector<Scalar> Load(const Scalar* from) {
  Vector<Scalar> value;
  memcpy(&value, from, sizeof(value));
  return value;
}

template <typename Scalar>
inline void Store(Scalar* to, Vector<Scalar> value) {
  memcpy(to, &value, sizeof(value));
}

template <typename Scalar>
inline Vector<Scalar> Broadcast(Scalar value) {
  return value - Vector<Scalar>{};
}

// Adds the lanes pairwise, so that the order is the same for every compiler.
template <typename Scalar>
inline Scalar SumLanes(Vector<Scalar> value) {
  Scalar lanes[kLanes<Scalar>];
  memcpy(lanes, &value, sizeof(value));
  for (int64_t width = kLanes<Scalar> / 2; width > 0; width /= 2) {
    for (int64_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

template <typename Scalar>
inline Vector<Scalar> Select(decltype(Vector<Scalar>{} < Vector<Scalar>{}) mask, Vector<Scalar> yes,
                             Vector<Scalar> no) {
  return mask ? yes : no;
}

// exp for -87 <= x <= 88, relative error below 2e-7 (Cody-Waite reduction, degree 6).
inline Vector<float> Exp(Vector<float> x) {
  const Vector<float> low = Broadcast<float>(-87.0f);
  x = Select<float>(x < low, low, x);
  const Vector<float> magic = Broadcast<float>(12582912.0f);  // 1.5 * 2^23: rounds to an integer
  const Vector<float> n = (x * 1.44269504088896341f + magic) - magic;
  const Vector<float> r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector<float> p = Broadcast<float>(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const IntVector exponent = (__builtin_convertvector(n, IntVector) + 127) << 23;
  Vector<float> scale;
  memcpy(&scale, &exponent, sizeof(scale));
  return p * scale;
}

inline Vector<double> Exp(Vector<double> x) {
  double lanes[kLanes<double>];
  memcpy(lanes, &x, sizeof(x));
  for (int64_t i = 0; i < kLanes<double>; ++i) lanes[i] = exp(lanes[i]);
  memcpy(&x, lanes, sizeof(x));
  return x;
}

// erf, relative error below 1e-7: a polynomial near zero, 1 - exp(polynomial) beyond.
inline Vector<float> Erf(Vector<float> x) {
  const Vector<float> t = Select<float>(x < 0.0f, -x, x);
  const Vector<float> s = x * x;
  Vector<float> far = (t * -1.72853470e-5f + 3.83197126e-4f) * s;
  far = far + (t * -3.88396438e-3f + 2.42546219e-2f);
  far = far * t + -1.06777877e-1f;
  far = far * t + -6.34846687e-1f;
  far = far * t + -1.28717512e-1f;
  far = 1.0f - Exp(far * t - t);
  far = Select<float>(x < 0.0f, -far, far);
  Vector<float> near = s * -5.96761703e-4f + 4.99119423e-3f;
  near = near * s + -2.67681349e-2f;
  near = near * s + 1.12819925e-1f;
  near = near * s + -3.76125336e-1f;
  near = near * s + 1.28379166e-1f;
  near = near * x + x;
  return Select<float>(t > 0.927734375f, far, near);
}

inline Vector<double> Erf(Vector<double> x) {
  double lanes[kLanes<double>];
  memcpy(lanes, &x, sizeof(x));
  for (int64_t i = 0; i < kLanes<double>; ++i) lanes[i] = erf(lanes[i]);
  memcpy(&x, lanes, sizeof(x));
  return x;
}

// `Rows` rows and `Vectors` vectors of c [M, n] = a [M, k] b [k, n]. Element (i, k) of a is
// a[i * row_stride + k * column_stride]; rows of b and c are `ldb` and `ldc` apart.
template <typename Scalar, int Rows, int Vectors>
inline void ProductTile(int64_t depth, const Scalar* a, int64_t row_stride, int64_t column_stride,
                        const Scalar* b, int64_t ldb, Scalar* c, int64_t ldc) {
  Vector<Scalar> sum[Rows][Vectors] = {};
  for (int64_t k = 0; k < depth; ++k) {
    Vector<Scalar> row[Vectors];
    for (int v = 0; v < Vectors; ++v) row[v] = Load(b + k * ldb + v * kLanes<Scalar>);
    for (int i = 0; i < Rows; ++i) {
      const Vector<Scalar> factor = Broadcast<Scalar>(a[i * row_stride + k * column_stride]);
      for (int v = 0; v < Vectors; ++v) sum[i][v] += factor * row[v];
    }
  }
  for (int i = 0; i < Rows; ++i) {
    for (int v = 0; v < Vectors; ++v) Store(c + i * ldc + v * kLanes<Scalar>, sum[i][v]);
  }
}

template <typename Scalar, int Vectors>
inline void ProductColumns(int64_t rows, int64_t depth, const Scalar* a, int64_t row_stride,
                           int64_t column_stride, const Scalar* b, int64_t ldb, Scalar* c,
                           int64_t ldc) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    ProductTile<Scalar, 4, Vectors>(depth, a + i * row_stride, row_stride, column_stride, b, ldb,
                                    c + i * ldc, ldc);
  }
  for (; i < rows; ++i) {
    ProductTile<Scalar, 1, Vectors>(depth, a + i * row_stride, row_stride, column_stride, b, ldb,
                                    c + i * ldc, ldc);
  }
}

// c [rows, columns] = a b for small matrices; `columns` is a multiple of the vector length.
template <typename Scalar>
inline void Product(int64_t rows, int64_t columns, int64_t depth, const Scalar* a,
                    int64_t row_stride, int64_t column_stride, const Scalar* b, int64_t ldb,
                    Scalar* c, int64_t ldc) {
  int64_t vectors = columns / kLanes<Scalar>;
  while (vectors > 0) {
    const int64_t step = vectors >= 3 ? 3 : vectors;
    if (step == 3) {
      ProductColumns<Scalar, 3>(rows, depth, a, row_stride, column_stride, b, ldb, c, ldc);
    } else if (step == 2) {
      ProductColumns<Scalar, 2>(rows, depth, a, row_stride, column_stride, b, ldb, c, ldc);
    } else {
      ProductColumns<Scalar, 1>(rows, depth, a, row_stride, column_stride, b, ldb, c, ldc);
    }
    vectors -= step;
    b += step * kLanes<Scalar>;
    c += step * kLanes<Scalar>;
  }
}

// Copies `rows` rows of `count` elements, `stride` apart, into rows of `padded`, zeros behind.
template <typename Scalar>
inline void PackRows(int64_t rows, int64_t count, int64_t padded, const Scalar* from,
                     int64_t stride, Scalar* to) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < count; ++j) to[i * padded + j] = from[i * stride + j];
    for (int64_t j = count; j < padded; ++j) to[i * padded + j] = Scalar(0);
  }
}

// As PackRows, transposed: to [count, padded], padded >= rows.
template <typename Scalar>
inline void PackTransposed(int64_t rows, int64_t count, int64_t padded, const Scalar* from,
                           int64_t stride, Scalar* to) {
  for (int64_t j = 0; j < count; ++j) {
    for (int64_t i = 0; i < rows; ++i) to[j * padded + i] = from[i * stride + j];
    for (int64_t i = rows; i < padded; ++i) to[j * padded + i] = Scalar(0);
  }
}

// Softmax of scale * row[0 .. count) in place; the padding becomes zero.
template <typename Scalar>
inline void SoftmaxRow(int64_t count, int64_t padded, Scalar scale, Scalar* row) {
  for (int64_t j = count; j < padded; ++j) row[j] = row[0];
  Vector<Scalar> high = Load(row);
  for (int64_t j = kLanes<Scalar>; j < padded; j += kLanes<Scalar>) {
    const Vector<Scalar> value = Load(row + j);
    high = Select<Scalar>(value > high, value, high);
  }
  Scalar lanes[kLanes<Scalar>];
  memcpy(lanes, &high, sizeof(high));
  Scalar top = lanes[0];
  for (int64_t i = 1; i < kLanes<Scalar>; ++i) top = lanes[i] > top ? lanes[i] : top;
  for (int64_t j = 0; j < padded; j += kLanes<Scalar>) {
    Store(row + j, Exp((Load(row + j) - top) * scale));
  }
  for (int64_t j = count; j < padded; ++j) row[j] = Scalar(0);
  Vector<Scalar> sum = {};
  for (int64_t j = 0; j < padded; j += kLanes<Scalar>) sum += Load(row + j);
  const Scalar inverse = Scalar(1) / SumLanes<Scalar>(sum);
  for (int64_t j = 0; j < padded; j += kLanes<Scalar>) Store(row + j, Load(row + j) * inverse);
}

template <typename Scalar>
void AttentionForward(const AttentionShape& shape, const Scalar* qkv, Scalar* out,
                      Scalar* probabilities) {
  const int64_t tokens = shape.tokens, elements = shape.head_elements, queries = shape.queries;
  const int64_t width = shape.heads * elements, stride = 3 * width;
  const int64_t token_pad = RoundUp<Scalar>(tokens), element_pad = RoundUp<Scalar>(elements);
  const Scalar scale = Scalar(1) / static_cast<Scalar>(sqrt(static_cast<double>(elements)));
  alignas(64) Scalar keys[kElements * kTokens];
  alignas(64) Scalar values[kTokens * kElements];
  alignas(64) Scalar scores[kTokens * kTokens];
  alignas(64) Scalar result[kTokens * kElements];
  for (int64_t n = 0; n < shape.batch; ++n) {
    for (int64_t h = 0; h < shape.heads; ++h) {
      const Scalar* q = qkv + n * tokens * stride + h * elements;
      PackTransposed(tokens, elements, token_pad, q + width, stride, keys);
      PackRows(tokens, elements, element_pad, q + 2 * width, stride, values);
      Product<Scalar>(queries, token_pad, elements, q, stride, 1, keys, token_pad, scores,
                      token_pad);
      for (int64_t i = 0; i < queries; ++i) {
        SoftmaxRow(tokens, token_pad, scale, scores + i * token_pad);
      }
      Product<Scalar>(queries, element_pad, tokens, scores, token_pad, 1, values, element_pad,
                      result, element_pad);
      for (int64_t i = 0; i < queries; ++i) {
        memcpy(out + (n * queries + i) * width + h * elements, result + i * element_pad,
               static_cast<size_t>(elements) * sizeof(Scalar));
      }
      if (probabilities == nullptr) continue;
      Scalar* stored = probabilities + (n * shape.heads + h) * queries * tokens;
      for (int64_t i = 0; i < queries; ++i) {
        memcpy(stored + i * tokens, scores + i * token_pad,
               static_cast<size_t>(tokens) * sizeof(Scalar));
      }
    }
  }
}

// grad [Q, padded] holds d loss / d probability on entry and d loss / d (q k^T) on return.
template <typename Scalar>
inline void SoftmaxBackward(int64_t queries, int64_t tokens, int64_t padded, Scalar scale,
                            const Scalar* probabilities, Scalar* grad) {
  for (int64_t i = 0; i < queries; ++i) {
    alignas(64) Scalar row[kTokens];
    PackRows<Scalar>(1, tokens, padded, probabilities + i * tokens, 0, row);
    Vector<Scalar> dot = {};
    for (int64_t j = 0; j < padded; j += kLanes<Scalar>) {
      dot += Load(row + j) * Load(grad + i * padded + j);
    }
    const Scalar mean = SumLanes<Scalar>(dot);
    for (int64_t j = 0; j < padded; j += kLanes<Scalar>) {
      Scalar* at = grad + i * padded + j;
      Store(at, Load(row + j) * (Load(at) - mean) * scale);
    }
  }
}

template <typename Scalar>
void AttentionBackward(const AttentionShape& shape, const Scalar* qkv, const Scalar* probabilities,
                       const Scalar* grad_out, Scalar* grad_qkv) {
  const int64_t tokens = shape.tokens, elements = shape.head_elements, queries = shape.queries;
  const int64_t width = shape.heads * elements, stride = 3 * width;
  const int64_t token_pad = RoundUp<Scalar>(tokens), element_pad = RoundUp<Scalar>(elements);
  const Scalar scale = Scalar(1) / static_cast<Scalar>(sqrt(static_cast<double>(elements)));
  alignas(64) Scalar values[kElements * kTokens];
  alignas(64) Scalar packed[kTokens * kElements];
  alignas(64) Scalar scores[kTokens * kTokens];
  alignas(64) Scalar result[kTokens * kElements];
  const size_t bytes = static_cast<size_t>(elements) * sizeof(Scalar);
  // Copies `rows` rows of `result` to rows of grad_qkv, zeros behind.
  const auto unpack = [&](int64_t rows, Scalar* to) {
    for (int64_t i = 0; i < rows; ++i) memcpy(to + i * stride, result + i * element_pad, bytes);
    for (int64_t i = rows; i < tokens; ++i) memset(to + i * stride, 0, bytes);
  };
  for (int64_t n = 0; n < shape.batch; ++n) {
    for (int64_t h = 0; h < shape.heads; ++h) {
      const Scalar* q = qkv + n * tokens * stride + h * elements;
      const Scalar* p = probabilities + (n * shape.heads + h) * queries * tokens;
      const Scalar* grad = grad_out + n * queries * width + h * elements;
      Scalar* grad_q = grad_qkv + n * tokens * stride + h * elements;
      PackRows(queries, elements, element_pad, grad, width, packed);
      Product<Scalar>(tokens, element_pad, queries, p, 1, tokens, packed, element_pad, result,
                      element_pad);
      unpack(tokens, grad_q + 2 * width);
      PackTransposed(tokens, elements, token_pad, q + 2 * width, stride, values);
      Product<Scalar>(queries, token_pad, elements, grad, width, 1, values, token_pad, scores,
                      token_pad);
      SoftmaxBackward(queries, tokens, token_pad, scale, p, scores);
      PackRows(tokens, elements, element_pad, q + width, stride, packed);
      Product<Scalar>(queries, element_pad, tokens, scores, token_pad, 1, packed, element_pad,
                      result, element_pad);
      unpack(queries, grad_q);
      PackRows(queries, elements, element_pad, q, stride, packed);
      Product<Scalar>(tokens, element_pad, queries, scores, 1, token_pad, packed, element_pad,
                      result, element_pad);
      unpack(tokens, grad_q + width);
    }
  }
}

template <typename Scalar>
inline void GeluVector(Vector<Scalar> x, Vector<Scalar>* value, Vector<Scalar>* derivative) {
  const Vector<Scalar> cdf = Scalar(0.5) + Scalar(0.5) * Erf(x * Scalar(0.70710678118654752440));
  *value = x * cdf;
  if (derivative != nullptr) {
    const Vector<Scalar> density = Exp(x * x * Scalar(-0.5)) * Scalar(0.39894228040143267794);
    *derivative = cdf + x * density;
  }
}

template <typename Scalar>
void BiasGelu(int64_t rows, int64_t columns, const Scalar* bias, Scalar* values,
              Scalar* derivative) {
  const int64_t whole = columns / kLanes<Scalar> * kLanes<Scalar>;
  const int64_t rest = columns - whole;
  const size_t rest_bytes = static_cast<size_t>(rest) * sizeof(Scalar);
  for (int64_t r = 0; r < rows; ++r) {
    Scalar* row = values + r * columns;
    Scalar* slope = derivative == nullptr ? nullptr : derivative + r * columns;
    Vector<Scalar> y, d;
    for (int64_t c = 0; c < whole; c += kLanes<Scalar>) {
      const Vector<Scalar> x = Load(row + c) + Load(bias + c);
      GeluVector<Scalar>(x, &y, slope == nullptr ? nullptr : &d);
      Store(row + c, y);
      if (slope != nullptr) Store(slope + c, d);
    }
    if (rest == 0) continue;
    Vector<Scalar> x = {}, b = {};
    memcpy(&x, row + whole, rest_bytes);
    memcpy(&b, bias + whole, rest_bytes);
    GeluVector<Scalar>(x + b, &y, &d);
    memcpy(row + whole, &y, rest_bytes);
    if (slope != nullptr) memcpy(slope + whole, &d, rest_bytes);
  }
}

template <typename Scalar>
void LayerNorm(int64_t rows, int64_t columns, double epsilon, const Scalar* in,
               const Scalar* weight, const Scalar* bias, Scalar* out, Scalar* statistics) {
  const int64_t whole = columns / kLanes<Scalar> * kLanes<Scalar>;
  const Scalar inverse_columns = Scalar(1) / static_cast<Scalar>(columns);
  for (int64_t r = 0; r < rows; ++r) {
    const Scalar* row = in + r * columns;
    Vector<Scalar> lanes = {};
    for (int64_t c = 0; c < whole; c += kLanes<Scalar>) lanes += Load(row + c);
    Scalar sum = SumLanes<Scalar>(lanes);
    for (int64_t c = whole; c < columns; ++c) sum += row[c];
    const Scalar mean = sum * inverse_columns;
    lanes = Vector<Scalar>{};
    for (int64_t c = 0; c < whole; c += kLanes<Scalar>) {
      const Vector<Scalar> centred = Load(row + c) - mean;
      lanes += centred * centred;
    }
    sum = SumLanes<Scalar>(lanes);
    for (int64_t c = whole; c < columns; ++c) sum += (row[c] - mean) * (row[c] - mean);
    const Scalar inverse =
        Scalar(1) / static_cast<Scalar>(sqrt(static_cast<double>(sum * inverse_columns) + epsilon));
    Scalar* to = out + r * columns;
    for (int64_t c = 0; c < whole; c += kLanes<Scalar>) {
      Store(to + c, (Load(row + c) - mean) * inverse * Load(weight + c) + Load(bias + c));
    }
    for (int64_t c = whole; c < columns; ++c) {
      to[c] = (row[c] - mean) * inverse * weight[c] + bias[c];
    }
    if (statistics != nullptr) {
      statistics[2 * r] = mean;
      statistics[2 * r + 1] = inverse;
    }
  }
}

template <typename Scalar>
void LayerNormBackward(int64_t rows, int64_t columns, const Scalar* in, const Scalar* statistics,
                       const Scalar* weight, const Scalar* grad_out, Scalar* grad_in,
                       Scalar* grad_weight, Scalar* grad_bias) {
  const int64_t whole = columns / kLanes<Scalar> * kLanes<Scalar>;
  const Scalar inverse_columns = Scalar(1) / static_cast<Scalar>(columns);
  for (int64_t r = 0; r < rows; ++r) {
    const Scalar* row = in + r * columns;
    const Scalar* grad = grad_out + r * columns;
    Scalar* to = grad_in + r * columns;
    const Scalar mean = statistics[2 * r], inverse = statistics[2 * r + 1];
    Vector<Scalar> sum_lanes = {}, dot_lanes = {};
    for (int64_t c = 0; c < whole; c += kLanes<Scalar>) {
      const Vector<Scalar> g = Load(grad + c) * Load(weight + c);
      sum_lanes += g;
      dot_lanes += g * ((Load(row + c) - mean) * inverse);
    }
    Scalar sum = SumLanes<Scalar>(sum_lanes), dot = SumLanes<Scalar>(dot_lanes);
    for (int64_t c = whole; c < columns; ++c) {
      sum += grad[c] * weight[c];
      dot += grad[c] * weight[c] * ((row[c] - mean) * inverse);
    }
    sum *= inverse_columns;
    dot *= inverse_columns;
    for (int64_t c = 0; c < whole; c += kLanes<Scalar>) {
      const Vector<Scalar> normal = (Load(row + c) - mean) * inverse;
      Store(to + c, (Load(grad + c) * Load(weight + c) - sum - normal * dot) * inverse);
    }
    for (int64_t c = whole; c < columns; ++c) {
      const Scalar normal = (row[c] - mean) * inverse;
      to[c] = (grad[c] * weight[c] - sum - normal * dot) * inverse;
    }
    if (grad_weight == nullptr) continue;
    for (int64_t c = 0; c < columns; ++c) {
      grad_weight[c] += grad[c] * ((row[c] - mean) * inverse);
      grad_bias[c] += grad[c];
    }
  }
}

#include "worker/models/kernels/latent_kernels_body.h"

template <typename Scalar>
constexpr KernelTable<Scalar> kTable = {AttentionForward<Scalar>,
                                        AttentionBackward<Scalar>,
                                        BiasGelu<Scalar>,
                                        LayerNorm<Scalar>,
                                        LayerNormBackward<Scalar>,
                                        MaskedAttentionForward<Scalar>,
                                        MaskedAttentionBackward<Scalar>,
                                        SampleLinks<Scalar>,
                                        SampleLinksBackward<Scalar>,
                                        Geglu<Scalar>,
                                        GegluBackward<Scalar>,
                                        ScaleBackward<Scalar>,
                                        Depthwise<Scalar>,
                                        DepthwiseBackwardWeight<Scalar>,
                                        RandomNormals};

}  // namespace

const KernelTable<float> kFloatTable = kTable<float>;
const KernelTable<double> kDoubleTable = kTable<double>;

}  // namespace DISTILL_KERNEL_SET
}  // namespace distill::models::kernels
