// What each kind of task makes use of a student. All else is left out of its spec, and so out of
// its key: a NAC's modules are distilled once and used under all priors. Settings that came later
// are also left out where they have their default, so that older tasks keep their keys.
#pragma once

#include "distill/v1/job.pb.h"
#include "distill/v1/model.pb.h"

namespace distill::server {

// `student` is resolved. A ViT or V-MoE is returned as it is unless said otherwise.

// Fitting signatures: mediators, prior (without its seed) and what it is measured by.
v1::StudentSpec StudentForPrior(const v1::StudentSpec& student);
// Distilling module `index`, and measuring its hybrid. Of a NAC attention and feed-forward widths,
// the tokenizer for the read-in, for a mediator whether it will be averaged; no latents, kernel or
// prior. Of a V-MoE its own mixtures.
v1::StudentSpec StudentForModule(const v1::StudentSpec& student, int modules, int index);
// Merging modules and signatures: shapes, initial values, and what becomes of each module.
v1::StudentSpec StudentForAssembly(const v1::StudentSpec& student);
// Training end to end: shapes, kernel, noise and regulariser, with the prior if that keeps to it.
v1::StudentSpec StudentForTraining(const v1::StudentSpec& student);
// Training from scratch: also initial values.
v1::StudentSpec StudentForBaseline(const v1::StudentSpec& student);
// Training the classifier alone: shapes and kernel, and noise where features are live; a
// regulariser would be constant.
v1::StudentSpec StudentForFewShot(const v1::StudentSpec& student, v1::FewShotFeatures features);
// Measuring: shapes, kernel, and what is drawn in evaluation.
v1::StudentSpec StudentForEvaluation(const v1::StudentSpec& student);

}  // namespace distill::server
