#include "client/cli/series_csv.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace distill::client {
namespace {

std::string Number(double value) {
  return std::isfinite(value) ? absl::StrFormat("%.9g", value) : "";
}

}  // namespace

std::set<std::string> TermNames(const v1::Series& series) {
  std::set<std::string> names;
  for (const v1::Series::Point& point : series.points()) {
    for (const v1::Series::Term& term : point.terms()) names.insert(term.name());
  }
  return names;
}

std::string SeriesCsvHeader(const std::set<std::string>& terms) {
  std::string header =
      "task,step,loss,learning_rate,images_per_second,cross_entropy,distillation,accuracy,"
      "teacher_accuracy";
  for (const std::string& name : terms) absl::StrAppend(&header, ",", name, ",", name, "_weight");
  return header + "\n";
}

std::string SeriesCsvRows(absl::string_view task, const v1::Series& series,
                          const std::set<std::string>& terms) {
  std::string rows;
  for (const v1::Series::Point& point : series.points()) {
    absl::StrAppend(&rows, task, ",", point.step(), ",", Number(point.loss()), ",",
                    Number(point.learning_rate()), ",", Number(point.images_per_second()), ",",
                    Number(point.cross_entropy()), ",");
    absl::StrAppend(&rows, Number(point.distillation()), ",",
                    point.has_accuracy() ? Number(point.accuracy()) : "", ",",
                    point.has_teacher_accuracy() ? Number(point.teacher_accuracy()) : "");
    for (const std::string& name : terms) {
      const auto term =
          std::find_if(point.terms().begin(), point.terms().end(),
                       [&](const v1::Series::Term& entry) { return entry.name() == name; });
      absl::StrAppend(&rows, ",");
      if (term == point.terms().end()) {
        absl::StrAppend(&rows, ",");
      } else {
        absl::StrAppend(&rows, Number(term->value()), ",", Number(term->weight()));
      }
    }
    absl::StrAppend(&rows, "\n");
  }
  return rows;
}

}  // namespace distill::client
