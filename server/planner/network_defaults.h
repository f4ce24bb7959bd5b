// Fills in what a job leaves open about its networks, with the defaults that model.proto states.
// What makes no sense (an unknown preset, two ways of saying the same) stays, for
// network_validation.h to refuse.
#pragma once

#include <cstdint>

#include "distill/v1/model.pb.h"

namespace distill::server {

// Blocks that each module gets when neither depth nor stage depths are given, and the width.
struct VitDefaults {
  int blocks_per_module = 1;
  int embed_dim = 64;
};
void ResolveVit(int modules, const VitDefaults& defaults, v1::VitSpec& vit);

// `meta_width` is the width of a ViT student, `seed` that of the job. A student without an
// architecture becomes a V-MoE.
void ResolveStudent(int modules, int meta_width, uint64_t seed, v1::StudentSpec& student);

}  // namespace distill::server
