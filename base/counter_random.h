// Random numbers as a pure function of (key, counter), so that nothing depends on the order, the
// thread or the process in which they are drawn: Philox4x32-10 (Salmon et al., SC'11).
//
//   // The crop of sample 17 in epoch 3, whatever was drawn before:
//   CounterRandom random = CounterRandom(seed).Stream("augment").Stream(3).Stream(17);
//   const uint32_t dx = random.Below(5);
//
// A value: copying it copies the position. Not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"

namespace distill {

class CounterRandom {
 public:
  explicit CounterRandom(uint64_t seed);

  // Returns an independent generator at its start, named by this one's key and `label`. Does not
  // depend on how many numbers this one has drawn.
  CounterRandom Stream(uint64_t label) const;
  CounterRandom Stream(absl::string_view label) const;

  uint32_t NextUint32();
  uint64_t NextUint64();
  // Uniform in [0, bound), without modulo bias. Requires bound > 0.
  uint32_t Below(uint32_t bound);
  // Uniform in [0, 1), 53 random bits.
  double Uniform();
  // Uniform in [low, high).
  double Uniform(double low, double high);
  // Standard normal, by the inverse CDF of one uniform.
  double Normal();
  // Gamma(shape, 1), shape > 0 (Marsaglia and Tsang 2000), and Beta(a, b) from two of them.
  double Gamma(double shape);
  double Beta(double a, double b);
  // A permutation of 0 .. count-1 (Fisher-Yates).
  std::vector<uint32_t> Permutation(uint32_t count);

  // Fills out[0 .. count) with uniforms in [0, 1) of 24 random bits, one 32-bit number each.
  void FillUniform(float* out, size_t count);
  // Fills out[0 .. count) with exactly the numbers that as many calls of Normal(), each rounded to
  // float, return.
  void FillNormal(float* out, size_t count);

 private:
  void Refill();

  uint64_t key_ = 0;
  uint64_t counter_ = 0;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

// The block cipher under CounterRandom, ten rounds; public so that published vectors can pin it.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// The inverse of the standard normal CDF for 0 < p < 1; relative error below 1e-14.
double InverseNormalCdf(double p);

}  // namespace distill
