// Checks the networks of a job: bounds of every number, and what must fit together within one
// network. Specs went through network_defaults.h.
#pragma once

#include "absl/strings/string_view.h"
#include "distill/v1/model.pb.h"
#include "server/planner/field_checks.h"

namespace distill::server {

// Each records what is wrong under `path`.
void CheckVit(const v1::VitSpec& vit, int modules, absl::string_view path, FieldChecks& checks);
void CheckStudent(const v1::StudentSpec& student, int modules, int meta_width, FieldChecks& checks);

// Whether the tokenizer of a NAC can read images of `input_size`.
void CheckTokenizerInput(const v1::NacSpec& nac, int input_size, FieldChecks& checks);

}  // namespace distill::server
