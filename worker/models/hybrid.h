// Hybrids: a module under training inside an otherwise frozen meta model.
//
//   meta[0] .. meta[i-1]  ->  module i  ->  meta[i+1] .. meta[L-1]  ->  logits
//
// The prefix never needs a gradient and is shared by the teacher's and the student's hybrid, and by
// all hybrids of a bundle. Frozen suffixes let gradients through to their input.
#pragma once

#include <torch/torch.h>

#include "worker/models/forward_context.h"
#include "worker/models/network.h"
#include "worker/models/staged_model.h"

namespace distill::models {

// Switches gradients of all parameters of `stage` off (or on). Activations keep theirs.
void Freeze(const VitStage& stage);
void Unfreeze(const VitStage& stage);
void Freeze(const StagedModel& model);

// The input of module `index`: tokens after meta[0 .. index), or `pixels` for index 0. Records no
// gradient.
torch::Tensor PrefixOutput(const StagedModel& meta, int64_t index, const torch::Tensor& pixels,
                           const ForwardContext& context);

// The output of meta[first .. last) on `input`, the output of meta[0 .. first); PrefixOutput in
// steps, for bundles that need several prefixes.
torch::Tensor ExtendPrefix(const StagedModel& meta, int64_t first, int64_t last,
                           const torch::Tensor& input, const ForwardContext& context);

// Logits [B, K] of `module` at place `index` of `meta`, from the output of its prefix. Records
// gradients where the mode and the parameters ask for them.
torch::Tensor HybridLogits(const StagedModel& meta, int64_t index, const Network& module,
                           const torch::Tensor& prefix_output, const ForwardContext& context);
torch::Tensor HybridLogits(const StagedModel& meta, int64_t index, const VitStage& module,
                           const torch::Tensor& prefix_output, const ForwardContext& context);

// As HybridLogits for a teacher module: not training, no gradient.
torch::Tensor TeacherLogits(const StagedModel& meta, int64_t index, const VitStage& teacher,
                            const torch::Tensor& prefix_output);

}  // namespace distill::models
