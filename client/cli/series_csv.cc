#include "client/cli/series_csv.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace distill::client {
namespace {

std::string Number(double value) {
  return std::isfinite(value) ? absl::StrFormat("%.9g", value) : "";
}

}  // namespace

std::string SeriesCsvHeader() {
  return "task,step,loss,learning_rate,images_per_second,cross_entropy,distillation\n";
}

std::string SeriesCsvRows(absl::string_view task, const v1::Series& series) {
  std::string rows;
  for (const v1::Series::Point& point : series.points()) {
    absl::StrAppend(&rows, task, ",", point.step(), ",", Number(point.loss()), ",",
                    Number(point.learning_rate()), ",", Number(point.images_per_second()), ",",
                    Number(point.cross_entropy()), ",");
    absl::StrAppend(&rows, Number(point.distillation()), "\n");
  }
  return rows;
}

}  // namespace distill::client
