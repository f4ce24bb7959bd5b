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

// Receivers that attention with a mask takes at a time.
constexpr int64_t kReceiverBlock = 16;

struct MaskedAttentionShape {
  int64_t batch;
  int64_t receivers;
  int64_t senders;
  int64_t heads;
  int64_t head_elements;
  bool mask_per_item;  // mask [N, U, V] instead of [U, V]
  double scale;        // of the products of queries and keys
};

// Elements that the workspace of attention with a mask needs, forward and backward.
int64_t MaskedAttentionWorkspace(const MaskedAttentionShape& shape);

struct DepthwiseShape {
  int64_t batch;
  int64_t side;
  int64_t channels;
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

  // U receivers, V senders: out [N, U, H*E] = softmax(scale q k^T + mask) v of q [N, U, H*E], k and
  // v [N, V, H*E] and mask [U, V] or [N, U, V], the same for all heads, none if null. A receiver
  // whose mask is -inf throughout gets zeros. Stores the softmax into probabilities [N, H, U, V]
  // unless that is null.
  void (*masked_attention_forward)(const MaskedAttentionShape& shape, const Scalar* q,
                                   const Scalar* k, const Scalar* v, const Scalar* mask,
                                   Scalar* out, Scalar* probabilities, Scalar* workspace);
  // grad_q, grad_k and grad_v; adds into grad_mask, of the mask's shape, unless it is null.
  void (*masked_attention_backward)(const MaskedAttentionShape& shape, const Scalar* q,
                                    const Scalar* k, const Scalar* v, const Scalar* probabilities,
                                    const Scalar* grad_out, Scalar* grad_q, Scalar* grad_k,
                                    Scalar* grad_v, Scalar* grad_mask, Scalar* workspace);
  // out [N, P] = log sigmoid((logit(u) + logits [P]) / temperature), u uniform in [0, 1) of 24
  // bits, clamped to [1.2e-7, 1 - 1.2e-7]: a function of key and place in out. -inf stays -inf.
  void (*sample_links)(uint64_t key, int64_t batch, int64_t pairs, double temperature,
                       const Scalar* logits, Scalar* out);
  // Adds into grad_logits [P] from what sample_links gave and its gradient, both [N, P].
  void (*sample_links_backward)(int64_t batch, int64_t pairs, double temperature,
                                const Scalar* log_links, const Scalar* grad, Scalar* grad_logits);
  // out [R, C] = a gelu(g) of in [R, 2 C], whose rows are (a, g).
  void (*geglu)(int64_t rows, int64_t half, const Scalar* in, Scalar* out);
  void (*geglu_backward)(int64_t rows, int64_t half, const Scalar* in, const Scalar* grad_out,
                         Scalar* grad_in);
  // Of out [N, P] = in [N, P] * scale [P]: adds into grad_scale [P] and turns grad [N, P], that of
  // out, into that of in.
  void (*scale_backward)(int64_t batch, int64_t count, const Scalar* in, const Scalar* scale,
                         Scalar* grad, Scalar* grad_scale);
  // Convolution of maps [N, S, S, C] with a kernel per channel, weight [7, 7, C], zeros around the
  // map; bias [C], none if null.
  void (*depthwise)(const DepthwiseShape& shape, const Scalar* in, const Scalar* weight,
                    const Scalar* bias, Scalar* out);
  // Adds into grad_weight [7, 7, C].
  void (*depthwise_backward_weight)(const DepthwiseShape& shape, const Scalar* in,
                                    const Scalar* grad_out, Scalar* grad_weight);
  // Standard normal numbers of float precision, a function of key and place.
  void (*random_normals)(uint64_t key, int64_t count, float* out);
};

// The table of `set` for float or double. Requires that the processor has `set`.
template <typename Scalar>
const KernelTable<Scalar>& Kernels(InstructionSet set);

template <typename Scalar>
const KernelTable<Scalar>& ActiveKernels() {
  return Kernels<Scalar>(ActiveInstructionSet());
}

}  // namespace distill::models::kernels
