// Everything here is built from integer operations and the IEEE basic operations (+ - * / sqrt)
// without contraction, so the same seed gives the same bits with every compiler, libm and CPU.
#include "base/counter_random.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace distill {
namespace {

// The third counter word keeps numbers and the two kinds of derived keys apart.
constexpr uint32_t kDomainNumbers = 0;
constexpr uint32_t kDomainIntegerLabel = 1;
constexpr uint32_t kDomainTextLabel = 2;

uint32_t LowWord(uint64_t value) { return static_cast<uint32_t>(value); }
uint32_t HighWord(uint64_t value) { return static_cast<uint32_t>(value >> 32); }
uint64_t JoinWords(uint32_t low, uint32_t high) { return (uint64_t{high} << 32) | low; }

uint64_t DeriveKey(uint64_t key, uint64_t label, uint32_t domain) {
  const std::array<uint32_t, 4> block =
      Philox4x32({LowWord(label), HighWord(label), domain, 0}, {LowWord(key), HighWord(key)});
  return JoinWords(block[0], block[1]);
}

// FNV-1a, 64 bits. Labels are short literals of ours, chosen by no adversary.
uint64_t HashLabel(absl::string_view label) {
  uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : label) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3ULL;
  }
  return hash;
}

// Evaluates c[0] + c[1] x + ... + c[N-1] x^(N-1).
template <size_t N>
double Polynomial(const double (&c)[N], double x) {
  double sum = c[N - 1];
  for (size_t i = N - 1; i > 0; --i) sum = sum * x + c[i - 1];
  return sum;
}

// Numerator and denominator of the inverse normal CDF in the middle (AS 241).
constexpr double kMiddle = 0.425;
constexpr double kA[] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                         1.9715909503065514427e+3, 1.3731693765509461125e+4,
                         4.5921953931549871457e+4, 6.7265770927008700853e+4,
                         3.3430575583588128105e+4, 2.5090809287301226727e+3};
constexpr double kB[] = {1.0,
                         4.2313330701600911252e+1,
                         6.8718700749205790830e+2,
                         5.3941960214247511077e+3,
                         2.1213794301586595867e+4,
                         3.9307895800092710610e+4,
                         2.8729085735721942674e+4,
                         5.2264952788528545610e+3};

// The inverse of the normal CDF at q + 1/2, for |q| <= kMiddle.
double MiddleOfInverseCdf(double q) {
  const double r = 0.180625 - q * q;
  return q * Polynomial(kA, r) / Polynomial(kB, r);
}

// Strictly inside (0, 1): the midpoint, which is exact, of one of 2^52 cells.
double OpenUniform(uint64_t bits) { return (static_cast<double>(bits >> 12) + 0.5) * 0x1p-52; }

constexpr double kLn2High = 6.93147180369123816490e-01;  // The leading 32 bits of ln 2,
constexpr double kLn2Low = 1.90821492927058770002e-10;   // and the rest.

// Natural logarithm of a positive, normal x: x = 2^k m with m near 1, and
// log m = 2 atanh((m - 1) / (m + 1)) by its series. libm's logarithm has other last bits on CPUs
// without FMA, so it cannot be used here.
double PortableLog(double x) {
  uint64_t bits = 0;
  std::memcpy(&bits, &x, sizeof(bits));
  int exponent = static_cast<int>(bits >> 52) - 1023;
  bits = (bits & 0x000fffffffffffffULL) | 0x3ff0000000000000ULL;
  double m = 0.0;
  std::memcpy(&m, &bits, sizeof(m));
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);
  static constexpr double kSeries[] = {1.0,        1.0 / 3.0,  1.0 / 5.0,  1.0 / 7.0,
                                       1.0 / 9.0,  1.0 / 11.0, 1.0 / 13.0, 1.0 / 15.0,
                                       1.0 / 17.0, 1.0 / 19.0, 1.0 / 21.0};
  const double log_m = 2.0 * s * Polynomial(kSeries, s * s);
  return exponent * kLn2High + (log_m + exponent * kLn2Low);
}

// e^x: x = k ln 2 + r with |r| <= ln 2 / 2, and the Taylor series of e^r.
double PortableExp(double x) {
  if (x < -740.0) return 0.0;
  DISTILL_CHECK(x < 700.0, "only used for numbers below 1");
  const double k = std::floor(x * 1.44269504088896338700 + 0.5);
  const double r = (x - k * kLn2High) - k * kLn2Low;
  double sum = 1.0;
  for (int i = 14; i > 0; --i) sum = 1.0 + sum * r / i;
  return std::ldexp(sum, static_cast<int>(k));
}

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {HighWord(product1) ^ counter[1] ^ key[0], LowWord(product1),
               HighWord(product0) ^ counter[3] ^ key[1], LowWord(product0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

CounterRandom::CounterRandom(uint64_t seed) : key_(seed) {}

CounterRandom CounterRandom::Stream(uint64_t label) const {
  return CounterRandom(DeriveKey(key_, label, kDomainIntegerLabel));
}

CounterRandom CounterRandom::Stream(absl::string_view label) const {
  return CounterRandom(DeriveKey(key_, HashLabel(label), kDomainTextLabel));
}

void CounterRandom::Refill() {
  block_ = Philox4x32({LowWord(counter_), HighWord(counter_), kDomainNumbers, 0},
                      {LowWord(key_), HighWord(key_)});
  ++counter_;
  used_ = 0;
}

uint32_t CounterRandom::NextUint32() {
  if (used_ == 4) Refill();
  return block_[static_cast<size_t>(used_++)];
}

uint64_t CounterRandom::NextUint64() {
  const uint32_t low = NextUint32();
  const uint32_t high = NextUint32();
  return JoinWords(low, high);
}

uint32_t CounterRandom::Below(uint32_t bound) {
  DISTILL_CHECK(bound > 0, "there is no number below 0");
  // Lemire 2019, arXiv:1805.10941: multiply, and reject the few products that would bias.
  uint64_t product = uint64_t{NextUint32()} * bound;
  if (LowWord(product) < bound) {
    const uint32_t threshold = (0U - bound) % bound;
    while (LowWord(product) < threshold) product = uint64_t{NextUint32()} * bound;
  }
  return HighWord(product);
}

double CounterRandom::Uniform() { return static_cast<double>(NextUint64() >> 11) * 0x1p-53; }

double CounterRandom::Uniform(double low, double high) {
  const double value = low + (high - low) * Uniform();
  return value < high ? value : low;  // Rounding may reach `high`, which is excluded.
}

double CounterRandom::Normal() { return InverseNormalCdf(OpenUniform(NextUint64())); }

double CounterRandom::Gamma(double shape) {
  DISTILL_CHECK(shape > 0.0, "the gamma distribution needs a positive shape");
  if (shape < 1.0) {
    const double above = Gamma(shape + 1.0);
    const double u = OpenUniform(NextUint64());
    return above * PortableExp(PortableLog(u) / shape);
  }
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  while (true) {
    const double x = Normal();
    const double t = 1.0 + c * x;
    if (t <= 0.0) continue;
    const double v = t * t * t;
    const double u = OpenUniform(NextUint64());
    if (PortableLog(u) < 0.5 * x * x + d - d * v + d * PortableLog(v)) return d * v;
  }
}

double CounterRandom::Beta(double a, double b) {
  const double x = Gamma(a);
  const double y = Gamma(b);
  if (x + y > 0.0) return x / (x + y);
  return Uniform() < a / (a + b) ? 1.0 : 0.0;  // Both underflowed: shapes near 0 live at the ends.
}

std::vector<uint32_t> CounterRandom::Permutation(uint32_t count) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0U);
  for (uint32_t i = count; i > 1; --i) std::swap(order[i - 1], order[Below(i)]);
  return order;
}

void CounterRandom::FillUniform(float* out, size_t count) {
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(NextUint32() >> 8) * 0x1p-24F;
}

void CounterRandom::FillNormal(float* out, size_t count) {
  // In blocks, so that the formula of the middle, where most numbers fall, is computed for several
  // at a time; the others are computed again.
  constexpr size_t kBlock = 32;
  double uniforms[kBlock];
  for (size_t start = 0; start < count; start += kBlock) {
    const size_t size = std::min(kBlock, count - start);
    for (size_t i = 0; i < size; ++i) uniforms[i] = OpenUniform(NextUint64());
    for (size_t i = size; i < kBlock; ++i) uniforms[i] = 0.5;
    float normals[kBlock];
    for (size_t i = 0; i < kBlock; ++i) {
      normals[i] = static_cast<float>(MiddleOfInverseCdf(uniforms[i] - 0.5));
    }
    for (size_t i = 0; i < size; ++i) {
      const bool is_middle = std::fabs(uniforms[i] - 0.5) <= kMiddle;
      out[start + i] = is_middle ? normals[i] : static_cast<float>(InverseNormalCdf(uniforms[i]));
    }
  }
}

// Wichura 1988, algorithm AS 241, PPND16.
double InverseNormalCdf(double p) {
  DISTILL_CHECK(p > 0.0 && p < 1.0, "the inverse of the normal CDF is finite inside (0, 1) only");
  static constexpr double kC[] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                  5.76949722146069140550e0,  3.64784832476320460504e0,
                                  1.27045825245236838258e0,  2.41780725177450611770e-1,
                                  2.27238449892691845833e-2, 7.74545014278341407640e-4};
  static constexpr double kD[] = {1.0,
                                  2.05319162663775882187e0,
                                  1.67638483018380384940e0,
                                  6.89767334985100004550e-1,
                                  1.48103976427480074590e-1,
                                  1.51986665636164571966e-2,
                                  5.47593808499534494600e-4,
                                  1.05075007164441684324e-9};
  static constexpr double kE[] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                  1.78482653991729133580e0,  2.96560571828504891230e-1,
                                  2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                  2.71155556874348757815e-5, 2.01033439929228813265e-7};
  static constexpr double kF[] = {1.0,
                                  5.99832206555887937690e-1,
                                  1.36929880922735805310e-1,
                                  1.48753612908506148525e-2,
                                  7.86869131145613259100e-4,
                                  1.84631831751005468180e-5,
                                  1.42151175831644588870e-7,
                                  2.04426310338993978564e-15};
  const double q = p - 0.5;
  if (std::fabs(q) <= kMiddle) return MiddleOfInverseCdf(q);
  const double tail = q < 0.0 ? p : 1.0 - p;
  const double r = std::sqrt(-PortableLog(tail));
  const double magnitude = r <= 5.0 ? Polynomial(kC, r - 1.6) / Polynomial(kD, r - 1.6)
                                    : Polynomial(kE, r - 5.0) / Polynomial(kF, r - 5.0);
  return q < 0.0 ? -magnitude : magnitude;
}

}  // namespace distill
