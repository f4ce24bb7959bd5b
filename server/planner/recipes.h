// The recipes of a job by their paths in the job file.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "distill/v1/job.pb.h"

namespace distill::server {

struct NamedRecipe {
  std::string path;
  const v1::TrainingRecipe* recipe;  // Lives as long as the spec.
};

// Recipes of phases, whose images are those of the job's data set.
inline std::vector<NamedRecipe> PhaseRecipesOf(const v1::JobSpec& spec) {
  return {{"pretrain_meta", &spec.pretrain_meta()},
          {"incubate_teacher", &spec.incubate_teacher()},
          {"finetune_teacher", &spec.finetune_teacher()},
          {"distill_modules", &spec.distill_modules()},
          {"finetune_student", &spec.finetune_student()}};
}

// Also those of few-shot episodes.
inline std::vector<NamedRecipe> RecipesOf(const v1::JobSpec& spec) {
  std::vector<NamedRecipe> recipes = PhaseRecipesOf(spec);
  for (int i = 0; i < spec.few_shot_size(); ++i) {
    recipes.push_back({absl::StrCat("few_shot[", i, "].recipe"), &spec.few_shot(i).recipe()});
  }
  return recipes;
}

// Whether an image is the same to the network each time that it is trained on.
inline bool SeesImagesUnchanged(const v1::TrainingRecipe& recipe) {
  return recipe.mixup_alpha() == 0.0 && recipe.cutmix_alpha() == 0.0 &&
         recipe.crop_padding() == 0 && recipe.horizontal_flip() == 0.0 &&
         recipe.random_erasing() == 0.0 && recipe.random_resized_crop() == 0.0 &&
         recipe.rand_augment_operations() == 0 && recipe.color_jitter() == 0.0 &&
         recipe.drop_path() == 0.0;
}

}  // namespace distill::server
