// The corruptions that a job may ask for, by the names that jobs, tasks and reports use. The
// server checks names against this list without linking the code that corrupts images; a test holds
// the two together.
#pragma once

#include <array>

#include "absl/strings/string_view.h"

namespace distill {

inline constexpr std::array<absl::string_view, 9> kCorruptionNames = {
    "gaussian_noise", "shot_noise", "impulse_noise", "gaussian_blur", "motion_blur",
    "contrast",       "brightness", "occlusion",     "pixelate"};

// What is evaluated when a job names none.
inline constexpr std::array<absl::string_view, 4> kDefaultCorruptionNames = {
    "gaussian_noise", "gaussian_blur", "contrast", "occlusion"};

// In EvaluationSpec.corruptions, alone: no corruption at all.
inline constexpr absl::string_view kNoCorruptions = "none";

inline constexpr int kMostSevereCorruption = 5;

}  // namespace distill
