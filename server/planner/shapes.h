// Infers from a spec alone how many parameters each network and module has.
#pragma once

#include <cstdint>

#include "distill/v1/model.pb.h"

namespace distill::server {

// What the job, rather than a network's spec, decides about its shape.
struct ImageGeometry {
  int image_size = 0;  // Height and width in pixels, as the network gets them.
  int patch_size = 0;  // Divides image_size.
  int channels = 0;
  int classes = 0;

  int64_t tokens() const {  // Patches and the class token.
    const int64_t side = image_size / patch_size;
    return side * side + 1;
  }
};

// All of them require a spec that passed ValidateJobSpec. `meta_width` is the width that stitches
// translate to and from; a ViT has none. Their cost does not grow with the number of modules unless
// the modules differ.

// Of the assembled model, stitches only where it keeps them.
int64_t CountParameters(const v1::VitSpec& vit, const ImageGeometry& geometry);
int64_t CountParameters(const v1::VmoeSpec& vmoe, int modules, const ImageGeometry& geometry,
                        int meta_width);
// `modules` counts read-in, mediator layers and read-out.
int64_t CountParameters(const v1::NacSpec& nac, int modules, const ImageGeometry& geometry,
                        int meta_width);
int64_t CountParameters(const v1::StudentSpec& student, int modules, const ImageGeometry& geometry,
                        int meta_width);

// Of module `index` as it is trained on its own: a student's include its stitches, and codes that
// are trained along with it.
int64_t CountModuleParameters(const v1::VitSpec& vit, int modules, int index,
                              const ImageGeometry& geometry);
int64_t CountModuleParameters(const v1::VmoeSpec& vmoe, int modules, int index,
                              const ImageGeometry& geometry, int meta_width);
int64_t CountModuleParameters(const v1::NacSpec& nac, int modules, int index,
                              const ImageGeometry& geometry, int meta_width);
int64_t CountModuleParameters(const v1::StudentSpec& student, int modules, int index,
                              const ImageGeometry& geometry, int meta_width);

}  // namespace distill::server
