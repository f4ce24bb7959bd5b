// Named recipes: whole jobs that a job may be based on, so that an experiment of the paper is one
// line. Made from the YAML files that cmake/DistillPresets.cmake lists, when the program is built.
#pragma once

#include <string>
#include <vector>

#include "distill/v1/job.pb.h"

namespace distill::server {

// In order of name.
std::vector<std::string> PresetNames();

// Returns `spec` with all that it leaves open taken from the preset that it names; `spec` itself
// when it names none, or one that does not exist. Idempotent.
v1::JobSpec ExpandPreset(const v1::JobSpec& spec);

// Returns `spec` laid over `base`. A list replaces the other list as a whole. What says the same in
// another way counts as said: a given depth drops the base's stage depths, another architecture of
// the student the base's student, another data set all that the base says about its files.
v1::JobSpec Overlay(const v1::JobSpec& base, const v1::JobSpec& spec);

}  // namespace distill::server
