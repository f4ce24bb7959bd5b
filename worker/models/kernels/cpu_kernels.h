// The arithmetic of a transformer block that LibTorch's generic operators do badly on a CPU for the
// short sequences of small images: attention over some tens of tokens (a matrix product per head
// there), GELU, and layer normalisation. Knows no tensor library; callers pass packed row-major
// arrays.
//
// Every kernel is single threaded and adds in a fixed order, so its bits depend only on the
// instruction set that was chosen. There is one table of functions per set and element type.
//
// Legend: N batch, T tokens, Q queries, H heads, E elements of a head, R rows, C columns.
#pragma once

#include <cstdint>

namespace distill::models::kernels {

enum class InstructionSet { kBaseline, kAvx2, kAvx512 };

// The set that this process uses: what the environment variable ATEN_CPU_CAPABILITY names
// ("default", "avx2" or "avx512", as LibTorch itself reads it), bounded by what the processor has;
// the best that the processor has when it is not set. Read once.
InstructionSet ActiveInstructionSet();

// Longer sequences and wider heads belong to the general path.
constexpr int64_t kMaxAttentionTokens = 80;
constexpr int64_t kMaxHeadElements = 64;

struct AttentionShape {
  int64_t batch;
  int64_t tokens;  // 1 .. kMaxAttentionTokens
  int64_t heads;
  int64_t head_elements;  // 1 .. kMaxHeadElements
  int64_t queries;        // 1 .. tokens: only the first so many tokens look at the others
};

template <typename Scalar>
struct KernelTable {
  // out [N, Q, H*E] = softmax(q k^T / sqrt(E)) v of qkv [N, T, 3, H, E]. Stores the softmax into
  // probabilities [N, H, Q, T] unless that is null.
  void (*attention_forward)(const AttentionShape& shape, const Scalar* qkv, Scalar* out,
                            Scalar* probabilities);
  // grad_qkv [N, T, 3, H, E] from grad_out [N, Q, H*E] and what the forward pass stored.
  void (*attention_backward)(const AttentionShape& shape, const Scalar* qkv,
                             const Scalar* probabilities, const Scalar* grad_out, Scalar* grad_qkv);
  // values [R, C] = gelu(values + bias [C]), the exact (erf) form, in place. Stores the derivative
  // of gelu at values + bias into derivative [R, C] unless that is null.
  void (*bias_gelu)(int64_t rows, int64_t columns, const Scalar* bias, Scalar* values,
                    Scalar* derivative);
  // out [R, C] = (in - mean) / sqrt(variance + epsilon) * weight + bias. Stores mean and
  // 1 / sqrt(variance + epsilon) of each row into statistics [R, 2] unless that is null.
  void (*layer_norm)(int64_t rows, int64_t columns, double epsilon, const Scalar* in,
                     const Scalar* weight, const Scalar* bias, Scalar* out, Scalar* statistics);
  // grad_in [R, C]; adds into grad_weight [C] and grad_bias [C] unless they are null.
  void (*layer_norm_backward)(int64_t rows, int64_t columns, const Scalar* in,
                              const Scalar* statistics, const Scalar* weight,
                              const Scalar* grad_out, Scalar* grad_in, Scalar* grad_weight,
                              Scalar* grad_bias);
};

// The table of `set` for float or double. Requires that the processor has `set`.
template <typename Scalar>
const KernelTable<Scalar>& Kernels(InstructionSet set);

template <typename Scalar>
const KernelTable<Scalar>& ActiveKernels() {
  return Kernels<Scalar>(ActiveInstructionSet());
}

}  // namespace distill::models::kernels
