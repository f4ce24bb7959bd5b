// Training curves as CSV, for spreadsheets and plotting.
#pragma once

#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "distill/v1/report.pb.h"

namespace distill::client {

// The names of the terms that layers and regularisers add to the loss, in order.
std::set<std::string> TermNames(const v1::Series& series);

// "task,step,loss,learning_rate,images_per_second,cross_entropy,distillation,accuracy,
// teacher_accuracy", and for each of `terms` its name and "<name>_weight".
std::string SeriesCsvHeader(const std::set<std::string>& terms);

// One row a point, in the columns of the header of the same `terms`. Numbers that a task does not
// have are empty.
std::string SeriesCsvRows(absl::string_view task, const v1::Series& series,
                          const std::set<std::string>& terms);

}  // namespace distill::client
