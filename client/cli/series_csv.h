// Training curves as CSV, for spreadsheets and plotting.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "distill/v1/report.pb.h"

namespace distill::client {

// "task,step,loss,learning_rate,images_per_second,cross_entropy,distillation\n".
std::string SeriesCsvHeader();

// One row a point. Numbers that a task does not have are empty.
std::string SeriesCsvRows(absl::string_view task, const v1::Series& series);

}  // namespace distill::client
