// The kernels of latents that attend to each other: attention with a mask, links that are sampled,
// random numbers, gated GELU, inputs scaled per latent, and depthwise convolution. A part of
// kernels_body.h, which includes it inside its namespaces.
#if !defined(DISTILL_KERNEL_SET) || !defined(DISTILL_KERNEL_BYTES)
#error "include this only from kernels_body.h"
#endif

// Natural logarithm of a positive, normal x, relative error below 2e-7 away from 1 (Cephes).
inline Vector<float> Log(Vector<float> x) {
  IntVector bits;
  memcpy(&bits, &x, sizeof(bits));
  IntVector exponent = ((bits >> 23) & 255) - 126;
  bits = (bits & 0x007fffff) | 0x3f000000;  // mantissa in [0.5, 1)
  Vector<float> m;
  memcpy(&m, &bits, sizeof(m));
  const auto small = m < 0.707106781186547524f;
  exponent = exponent + small;  // comparisons give -1 for true
  m = Select<float>(small, m + m, m) - 1.0f;
  const Vector<float> z = m * m;
  Vector<float> y = m * 7.0376836292e-2f - 1.1514610310e-1f;
  y = y * m + 1.1676998740e-1f;
  y = y * m - 1.2420140846e-1f;
  y = y * m + 1.4249322787e-1f;
  y = y * m - 1.6668057665e-1f;
  y = y * m + 2.0000714765e-1f;
  y = y * m - 2.4999993993e-1f;
  y = y * m + 3.3333331174e-1f;
  y = y * m * z;
  const Vector<float> e = __builtin_convertvector(exponent, Vector<float>);
  return m + (y + e * -2.12194440e-4f - z * 0.5f) + e * 0.693359375f;
}

inline Vector<double> Log(Vector<double> x) {
  double lanes[kLanes<double>];
  memcpy(lanes, &x, sizeof(x));
  for (int64_t i = 0; i < kLanes<double>; ++i) lanes[i] = log(lanes[i]);
  memcpy(&x, lanes, sizeof(x));
  return x;
}

// Softmax of row[0 .. count) + mask (none if null) in place; the padding becomes zero. A row of
// nothing but -inf becomes zero.
template <typename Scalar>
inline void MaskedSoftmaxRow(int64_t count, int64_t padded, Scalar scale, const Scalar* mask,
                             Scalar* row) {
  const Scalar lowest = Scalar(-1e30);  // anything below is -inf
  const int64_t whole = count / kLanes<Scalar> * kLanes<Scalar>;
  Vector<Scalar> high = Broadcast<Scalar>(lowest);
  for (int64_t j = 0; j < whole; j += kLanes<Scalar>) {
    Vector<Scalar> value = Load(row + j) * scale;
    if (mask != nullptr) value += Load(mask + j);
    Store(row + j, value);
    high = Select<Scalar>(value > high, value, high);
  }
  Scalar top = lowest;
  for (int64_t j = whole; j < count; ++j) {
    row[j] = row[j] * scale + (mask == nullptr ? Scalar(0) : mask[j]);
    top = row[j] > top ? row[j] : top;
  }
  for (int64_t j = count; j < padded; ++j) row[j] = Scalar(4) * lowest;
  Scalar lanes[kLanes<Scalar>];
  memcpy(lanes, &high, sizeof(high));
  for (int64_t i = 0; i < kLanes<Scalar>; ++i) top = lanes[i] > top ? lanes[i] : top;
  Vector<Scalar> sum = {};
  for (int64_t j = 0; j < padded; j += kLanes<Scalar>) {
    const Vector<Scalar> value = Load(row + j);
    const Vector<Scalar> power = Select<Scalar>(value > lowest, Exp(value - top), Vector<Scalar>{});
    sum += power;
    Store(row + j, power);
  }
  const Scalar total = SumLanes<Scalar>(sum);
  const Scalar inverse = total > Scalar(0) ? Scalar(1) / total : Scalar(0);
  for (int64_t j = 0; j < padded; j += kLanes<Scalar>) Store(row + j, Load(row + j) * inverse);
}

template <typename Scalar>
void MaskedAttentionForward(const MaskedAttentionShape& shape, const Scalar* q, const Scalar* k,
                            const Scalar* v, const Scalar* mask, Scalar* out, Scalar* probabilities,
                            Scalar* workspace) {
  const int64_t receivers = shape.receivers, senders = shape.senders;
  const int64_t elements = shape.head_elements, width = shape.heads * elements;
  const int64_t sender_pad = RoundUp<Scalar>(senders), element_pad = RoundUp<Scalar>(elements);
  Scalar* const keys = workspace;
  Scalar* const values = keys + elements * sender_pad;
  Scalar* const scores = values + senders * element_pad;
  Scalar* const result = scores + kReceiverBlock * sender_pad;
  const Scalar scale = static_cast<Scalar>(shape.scale);
  for (int64_t n = 0; n < shape.batch; ++n) {
    const Scalar* const item_mask =
        mask == nullptr ? nullptr : mask + (shape.mask_per_item ? n * receivers * senders : 0);
    for (int64_t h = 0; h < shape.heads; ++h) {
      PackTransposed(senders, elements, sender_pad, k + n * senders * width + h * elements, width,
                     keys);
      PackRows(senders, elements, element_pad, v + n * senders * width + h * elements, width,
               values);
      for (int64_t u = 0; u < receivers; u += kReceiverBlock) {
        const int64_t rows = receivers - u < kReceiverBlock ? receivers - u : kReceiverBlock;
        Product<Scalar>(rows, sender_pad, elements, q + (n * receivers + u) * width + h * elements,
                        width, 1, keys, sender_pad, scores, sender_pad);
        for (int64_t i = 0; i < rows; ++i) {
          const Scalar* row = item_mask == nullptr ? nullptr : item_mask + (u + i) * senders;
          MaskedSoftmaxRow(senders, sender_pad, scale, row, scores + i * sender_pad);
        }
        Product<Scalar>(rows, element_pad, senders, scores, sender_pad, 1, values, element_pad,
                        result, element_pad);
        for (int64_t i = 0; i < rows; ++i) {
          memcpy(out + (n * receivers + u + i) * width + h * elements, result + i * element_pad,
                 static_cast<size_t>(elements) * sizeof(Scalar));
          if (probabilities == nullptr) continue;
          memcpy(probabilities + ((n * shape.heads + h) * receivers + u + i) * senders,
                 scores + i * sender_pad, static_cast<size_t>(senders) * sizeof(Scalar));
        }
      }
    }
  }
}

// grad [U, padded] holds d loss / d probability on entry and d loss / d (scores + mask) on return;
// adds that to grad_mask [U, V] unless it is null.
template <typename Scalar>
inline void MaskedSoftmaxBackward(int64_t receivers, int64_t senders, int64_t padded,
                                  const Scalar* probabilities, Scalar* grad, Scalar* grad_mask) {
  const int64_t whole = senders / kLanes<Scalar> * kLanes<Scalar>;
  for (int64_t u = 0; u < receivers; ++u) {
    const Scalar* p = probabilities + u * senders;
    Scalar* g = grad + u * padded;
    Vector<Scalar> lanes = {};
    for (int64_t j = 0; j < whole; j += kLanes<Scalar>) lanes += Load(p + j) * Load(g + j);
    Scalar mean = SumLanes<Scalar>(lanes);
    for (int64_t j = whole; j < senders; ++j) mean += p[j] * g[j];
    for (int64_t j = 0; j < whole; j += kLanes<Scalar>) {
      Store(g + j, Load(p + j) * (Load(g + j) - mean));
    }
    for (int64_t j = whole; j < senders; ++j) g[j] = p[j] * (g[j] - mean);
    for (int64_t j = senders; j < padded; ++j) g[j] = Scalar(0);
    if (grad_mask == nullptr) continue;
    Scalar* m = grad_mask + u * senders;
    for (int64_t j = 0; j < senders; ++j) m[j] += g[j];
  }
}

template <typename Scalar>
void MaskedAttentionBackward(const MaskedAttentionShape& shape, const Scalar* q, const Scalar* k,
                             const Scalar* v, const Scalar* probabilities, const Scalar* grad_out,
                             Scalar* grad_q, Scalar* grad_k, Scalar* grad_v, Scalar* grad_mask,
                             Scalar* workspace) {
  const int64_t receivers = shape.receivers, senders = shape.senders;
  const int64_t elements = shape.head_elements, width = shape.heads * elements;
  const int64_t sender_pad = RoundUp<Scalar>(senders), element_pad = RoundUp<Scalar>(elements);
  const int64_t most = receivers > senders ? receivers : senders;
  Scalar* const scores = workspace;
  Scalar* const result = scores + receivers * sender_pad;
  Scalar* const packed = result + most * element_pad;
  const Scalar scale = static_cast<Scalar>(shape.scale);
  const auto unpack = [&](int64_t rows, Scalar factor, Scalar* to) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t e = 0; e < elements; ++e) {
        to[i * width + e] = factor * result[i * element_pad + e];
      }
    }
  };
  for (int64_t n = 0; n < shape.batch; ++n) {
    Scalar* const item_mask = grad_mask == nullptr
                                  ? nullptr
                                  : grad_mask + (shape.mask_per_item ? n * receivers * senders : 0);
    for (int64_t h = 0; h < shape.heads; ++h) {
      const int64_t received = n * receivers * width + h * elements;
      const int64_t sent = n * senders * width + h * elements;
      const Scalar* p = probabilities + (n * shape.heads + h) * receivers * senders;
      PackRows(receivers, elements, element_pad, grad_out + received, width, packed);
      Product<Scalar>(senders, element_pad, receivers, p, 1, senders, packed, element_pad, result,
                      element_pad);
      unpack(senders, Scalar(1), grad_v + sent);
      PackTransposed(senders, elements, sender_pad, v + sent, width, packed);
      Product<Scalar>(receivers, sender_pad, elements, grad_out + received, width, 1, packed,
                      sender_pad, scores, sender_pad);
      MaskedSoftmaxBackward(receivers, senders, sender_pad, p, scores, item_mask);
      PackRows(senders, elements, element_pad, k + sent, width, packed);
      Product<Scalar>(receivers, element_pad, senders, scores, sender_pad, 1, packed, element_pad,
                      result, element_pad);
      unpack(receivers, scale, grad_q + received);
      PackRows(receivers, elements, element_pad, q + received, width, packed);
      Product<Scalar>(senders, element_pad, receivers, scores, 1, sender_pad, packed, element_pad,
                      result, element_pad);
      unpack(senders, scale, grad_k + sent);
    }
  }
}

// 64 numbers of Philox4x32-10: word w of counter first + l is bits[16 * w + l].
inline void PhiloxChunk(uint64_t key, uint64_t first, uint32_t* bits) {
  uint32_t* const c0 = bits;
  uint32_t* const c1 = bits + 16;
  uint32_t* const c2 = bits + 32;
  uint32_t* const c3 = bits + 48;
  for (int l = 0; l < 16; ++l) {
    const uint64_t counter = first + static_cast<uint64_t>(l);
    c0[l] = static_cast<uint32_t>(counter);
    c1[l] = static_cast<uint32_t>(counter >> 32);
    c2[l] = 0;
    c3[l] = 0;
  }
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int l = 0; l < 16; ++l) {
      const uint64_t product0 = uint64_t{0xD2511F53} * c0[l];
      const uint64_t product1 = uint64_t{0xCD9E8D57} * c2[l];
      const uint32_t low0 = static_cast<uint32_t>(product0);
      const uint32_t low1 = static_cast<uint32_t>(product1);
      c0[l] = static_cast<uint32_t>(product1 >> 32) ^ c1[l] ^ k0;
      c2[l] = static_cast<uint32_t>(product0 >> 32) ^ c3[l] ^ k1;
      c1[l] = low1;
      c3[l] = low0;
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
}

// 64 uniform numbers in [0, 1) of 24 bits.
inline void UniformChunk(uint64_t key, uint64_t first, float* out) {
  uint32_t bits[64];
  PhiloxChunk(key, first, bits);
  for (int i = 0; i < 64; ++i) {
    out[i] = static_cast<float>(static_cast<int32_t>(bits[i] >> 8)) * 0x1p-24f;
  }
}

// sqrt(2) erfinv(2 u - 1) for 0 < u < 1/2 (Giles, "Approximating the erfinv function").
inline Vector<float> InverseNormal(Vector<float> u) {
  const Vector<float> x = u * 2.0f - 1.0f;
  const Vector<float> w = -Log(u * (1.0f - u) * 4.0f);
  const Vector<float> near = w - 2.5f;
  Vector<float> p = near * 2.81022636e-08f + 3.43273939e-07f;
  p = p * near - 3.5233877e-06f;
  p = p * near - 4.39150654e-06f;
  p = p * near + 0.00021858087f;
  p = p * near - 0.00125372503f;
  p = p * near - 0.00417768164f;
  p = p * near + 0.246640727f;
  p = p * near + 1.50140941f;
  const Vector<float> tail = Select<float>(w < 5.0f, Broadcast<float>(5.0f), w);
  const Vector<float> far = Exp(Log(tail) * 0.5f) - 3.0f;
  Vector<float> r = far * -0.000200214257f + 0.000100950558f;
  r = r * far + 0.00134934322f;
  r = r * far - 0.00367342844f;
  r = r * far + 0.00573950773f;
  r = r * far - 0.0076224613f;
  r = r * far + 0.00943887047f;
  r = r * far + 1.00167406f;
  r = r * far + 2.83297682f;
  return Select<float>(w < 5.0f, p, r) * x * 1.41421356237309505f;
}

inline void RandomNormals(uint64_t key, int64_t count, float* out) {
  for (int64_t at = 0; at < count; at += 64) {
    uint32_t bits[64];
    alignas(64) float chunk[64], sign[64];
    PhiloxChunk(key, static_cast<uint64_t>(at / 4), bits);
    // A sign, and a uniform number below 1/2 that is exact however small: both tails are alike.
    for (int i = 0; i < 64; ++i) {
      chunk[i] = (static_cast<float>(static_cast<int32_t>(bits[i] >> 9)) + 0.5f) * 0x1p-24f;
      sign[i] = (bits[i] >> 8) % 2 == 0 ? 1.0f : -1.0f;
    }
    for (int64_t i = 0; i < 64; i += kLanes<float>) {
      Store(chunk + i, InverseNormal(Load(chunk + i)) * Load(sign + i));
    }
    const int64_t rest = count - at < 64 ? count - at : 64;
    memcpy(out + at, chunk, static_cast<size_t>(rest) * sizeof(float));
  }
}

// log sigmoid(x) = min(x, 0) - log(1 + exp(-|x|)).
template <typename Scalar>
inline Vector<Scalar> LogSigmoid(Vector<Scalar> x) {
  const auto negative = x < Scalar(0);
  const Vector<Scalar> low = Select<Scalar>(negative, x, Vector<Scalar>{});
  const Vector<Scalar> magnitude = Select<Scalar>(negative, x, -x);
  return low - Log(Scalar(1) + Exp(magnitude));
}

template <typename Scalar>
void SampleLinks(uint64_t key, int64_t batch, int64_t pairs, double temperature,
                 const Scalar* logits, Scalar* out) {
  const Scalar inverse = static_cast<Scalar>(1.0 / temperature);
  const Scalar least = static_cast<Scalar>(1.1920928955078125e-7);
  const Scalar lowest = Scalar(-1e30);
  const int64_t chunks = (pairs + 63) / 64;
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t c = 0; c < chunks; ++c) {
      float uniform[64];
      UniformChunk(key, static_cast<uint64_t>((n * chunks + c) * 16), uniform);
      const int64_t rest = pairs - c * 64 < 64 ? pairs - c * 64 : 64;
      Scalar u[64], logit[64] = {};
      for (int i = 0; i < 64; ++i) {
        const Scalar value = static_cast<Scalar>(uniform[i]);
        u[i] = value < least ? least : value > Scalar(1) - least ? Scalar(1) - least : value;
      }
      memcpy(logit, logits + c * 64, static_cast<size_t>(rest) * sizeof(Scalar));
      for (int64_t i = 0; i < 64; i += kLanes<Scalar>) {
        const Vector<Scalar> uniforms = Load(u + i), p = Load(logit + i);
        const Vector<Scalar> noise = Log(uniforms) - Log(Scalar(1) - uniforms);
        const Vector<Scalar> cut = Broadcast<Scalar>(static_cast<Scalar>(-INFINITY));
        Store(u + i, Select<Scalar>(p > lowest, LogSigmoid<Scalar>((noise + p) * inverse), cut));
      }
      memcpy(out + n * pairs + c * 64, u, static_cast<size_t>(rest) * sizeof(Scalar));
    }
  }
}

template <typename Scalar>
void SampleLinksBackward(int64_t batch, int64_t pairs, double temperature, const Scalar* log_links,
                         const Scalar* grad, Scalar* grad_logits) {
  const Scalar inverse = static_cast<Scalar>(1.0 / temperature);
  const int64_t whole = pairs / kLanes<Scalar> * kLanes<Scalar>;
  for (int64_t n = 0; n < batch; ++n) {
    const Scalar* links = log_links + n * pairs;
    const Scalar* g = grad + n * pairs;
    for (int64_t j = 0; j < whole; j += kLanes<Scalar>) {
      const Vector<Scalar> slope = (Scalar(1) - Exp(Load(links + j))) * inverse;
      Store(grad_logits + j, Load(grad_logits + j) + slope * Load(g + j));
    }
    for (int64_t j = whole; j < pairs; ++j) {
      const Scalar link = static_cast<Scalar>(exp(static_cast<double>(links[j])));
      grad_logits[j] += (Scalar(1) - link) * inverse * g[j];
    }
  }
}

template <typename Scalar>
void Geglu(int64_t rows, int64_t half, const Scalar* in, Scalar* out) {
  const int64_t whole = half / kLanes<Scalar> * kLanes<Scalar>;
  const size_t rest_bytes = static_cast<size_t>(half - whole) * sizeof(Scalar);
  for (int64_t r = 0; r < rows; ++r) {
    const Scalar* a = in + r * 2 * half;
    const Scalar* g = a + half;
    Scalar* to = out + r * half;
    Vector<Scalar> y;
    for (int64_t c = 0; c < whole; c += kLanes<Scalar>) {
      GeluVector<Scalar>(Load(g + c), &y, nullptr);
      Store(to + c, y * Load(a + c));
    }
    if (rest_bytes == 0) continue;
    Vector<Scalar> x = {}, factor = {};
    memcpy(&x, g + whole, rest_bytes);
    memcpy(&factor, a + whole, rest_bytes);
    GeluVector<Scalar>(x, &y, nullptr);
    y = y * factor;
    memcpy(to + whole, &y, rest_bytes);
  }
}

template <typename Scalar>
void GegluBackward(int64_t rows, int64_t half, const Scalar* in, const Scalar* grad_out,
                   Scalar* grad_in) {
  const int64_t whole = half / kLanes<Scalar> * kLanes<Scalar>;
  const size_t rest_bytes = static_cast<size_t>(half - whole) * sizeof(Scalar);
  for (int64_t r = 0; r < rows; ++r) {
    const Scalar* a = in + r * 2 * half;
    const Scalar* g = a + half;
    const Scalar* grad = grad_out + r * half;
    Scalar* to = grad_in + r * 2 * half;
    Vector<Scalar> y, d;
    for (int64_t c = 0; c < whole; c += kLanes<Scalar>) {
      GeluVector<Scalar>(Load(g + c), &y, &d);
      Store(to + c, y * Load(grad + c));
      Store(to + half + c, d * Load(grad + c) * Load(a + c));
    }
    if (rest_bytes == 0) continue;
    Vector<Scalar> x = {}, factor = {}, slope = {};
    memcpy(&x, g + whole, rest_bytes);
    memcpy(&factor, a + whole, rest_bytes);
    memcpy(&slope, grad + whole, rest_bytes);
    GeluVector<Scalar>(x, &y, &d);
    y = y * slope;
    d = d * slope * factor;
    memcpy(to + whole, &y, rest_bytes);
    memcpy(to + half + whole, &d, rest_bytes);
  }
}

template <typename Scalar>
void ScaleBackward(int64_t batch, int64_t count, const Scalar* in, const Scalar* scale,
                   Scalar* grad, Scalar* grad_scale) {
  const int64_t whole = count / kLanes<Scalar> * kLanes<Scalar>;
  for (int64_t n = 0; n < batch; ++n) {
    const Scalar* x = in + n * count;
    Scalar* g = grad + n * count;
    for (int64_t i = 0; i < whole; i += kLanes<Scalar>) {
      const Vector<Scalar> slope = Load(g + i);
      Store(grad_scale + i, Load(grad_scale + i) + slope * Load(x + i));
      Store(g + i, slope * Load(scale + i));
    }
    for (int64_t i = whole; i < count; ++i) {
      grad_scale[i] += g[i] * x[i];
      g[i] *= scale[i];
    }
  }
}

// The rows or columns of a 7 x 7 kernel around `place` that lie inside a side of `side`.
struct DepthwiseRange {
  int64_t begin, end;
};
inline DepthwiseRange RangeAround(int64_t place, int64_t side) {
  return {place < 3 ? 3 - place : 0, place + 4 > side ? side + 3 - place : 7};
}

template <typename Scalar>
void Depthwise(const DepthwiseShape& shape, const Scalar* in, const Scalar* weight,
               const Scalar* bias, Scalar* out) {
  const int64_t side = shape.side, channels = shape.channels;
  const int64_t whole = channels / kLanes<Scalar> * kLanes<Scalar>;
  for (int64_t n = 0; n < shape.batch; ++n) {
    const Scalar* image = in + n * side * side * channels;
    for (int64_t y = 0; y < side; ++y) {
      const DepthwiseRange rows = RangeAround(y, side);
      for (int64_t x = 0; x < side; ++x) {
        const DepthwiseRange columns = RangeAround(x, side);
        Scalar* to = out + ((n * side + y) * side + x) * channels;
        for (int64_t c = 0; c < whole; c += kLanes<Scalar>) {
          Vector<Scalar> sum = bias == nullptr ? Vector<Scalar>{} : Load(bias + c);
          for (int64_t i = rows.begin; i < rows.end; ++i) {
            const Scalar* row = image + ((y + i - 3) * side + x - 3) * channels + c;
            const Scalar* w = weight + i * 7 * channels + c;
            for (int64_t j = columns.begin; j < columns.end; ++j) {
              sum += Load(row + j * channels) * Load(w + j * channels);
            }
          }
          Store(to + c, sum);
        }
        for (int64_t c = whole; c < channels; ++c) {
          Scalar sum = bias == nullptr ? Scalar(0) : bias[c];
          for (int64_t i = rows.begin; i < rows.end; ++i) {
            for (int64_t j = columns.begin; j < columns.end; ++j) {
              sum += image[((y + i - 3) * side + x + j - 3) * channels + c] *
                     weight[(i * 7 + j) * channels + c];
            }
          }
          to[c] = sum;
        }
      }
    }
  }
}

template <typename Scalar>
void DepthwiseBackwardWeight(const DepthwiseShape& shape, const Scalar* in, const Scalar* grad_out,
                             Scalar* grad_weight) {
  const int64_t side = shape.side, channels = shape.channels;
  const int64_t whole = channels / kLanes<Scalar> * kLanes<Scalar>;
  for (int64_t n = 0; n < shape.batch; ++n) {
    const Scalar* image = in + n * side * side * channels;
    const Scalar* grad = grad_out + n * side * side * channels;
    for (int64_t i = 0; i < 7; ++i) {
      const int64_t first_y = i < 3 ? 3 - i : 0, last_y = i > 3 ? side + 3 - i : side;
      for (int64_t j = 0; j < 7; ++j) {
        const int64_t first_x = j < 3 ? 3 - j : 0, last_x = j > 3 ? side + 3 - j : side;
        const int64_t shift = ((i - 3) * side + j - 3) * channels;
        Scalar* to = grad_weight + (i * 7 + j) * channels;
        for (int64_t c = 0; c < whole; c += kLanes<Scalar>) {
          Vector<Scalar> sum = Load(to + c);
          for (int64_t y = first_y; y < last_y; ++y) {
            for (int64_t x = first_x; x < last_x; ++x) {
              const int64_t at = (y * side + x) * channels + c;
              sum += Load(grad + at) * Load(image + at + shift);
            }
          }
          Store(to + c, sum);
        }
        for (int64_t c = whole; c < channels; ++c) {
          for (int64_t y = first_y; y < last_y; ++y) {
            for (int64_t x = first_x; x < last_x; ++x) {
              const int64_t at = (y * side + x) * channels + c;
              to[c] += grad[at] * image[at + shift];
            }
          }
        }
      }
    }
  }
}
