// Infers from a spec alone how many parameters each network and module has and about how much
// memory a task will need, so that a job that cannot run is known before a second of training.
#pragma once

#include <cstdint>
#include <vector>

#include "distill/v1/job.pb.h"
#include "distill/v1/model.pb.h"
#include "distill/v1/task.pb.h"

namespace distill::server {

// What the job, rather than a network's spec, decides about its shape.
struct ImageGeometry {
  int image_size = 0;  // Height and width in pixels.
  int patch_size = 0;  // Divides image_size.
  int channels = 0;
  int classes = 0;

  int64_t tokens() const {  // Patches and the class token.
    const int64_t side = image_size / patch_size;
    return side * side + 1;
  }
};

struct ParameterCounts {
  int64_t total = 0;             // Of the assembled model, stitches only where it keeps them.
  std::vector<int64_t> modules;  // As trained on their own: a student's include its stitches.
};

// All of them require a spec that passed ValidateJobSpec. `meta_width` is the width that stitches
// translate to and from; only mixtures have stitches.
ParameterCounts CountParameters(const v1::VitSpec& vit, const ImageGeometry& geometry);
ParameterCounts CountParameters(const v1::VmoeSpec& vmoe, const ImageGeometry& geometry,
                                int meta_width);
ParameterCounts CountParameters(const v1::StudentSpec& student, const ImageGeometry& geometry,
                                int meta_width);

// Bytes that a trainer is expected to need for the task when it runs alone: the program, its
// parameters, gradients and moments, activations of one micro-batch, and the data set in memory.
// Coarse, meant to be within a factor of two.
int64_t PredictMemoryBytes(const v1::TaskSpec& task);

}  // namespace distill::server
