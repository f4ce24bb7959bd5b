#include "client/jobfile/overrides.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "client/jobfile/document.h"
#include "client/jobfile/message_reader.h"
#include "client/jobfile/names.h"
#include "google/protobuf/descriptor.h"

namespace distill::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

struct Assignment {
  absl::string_view path;
  absl::string_view value;
};

absl::StatusOr<Assignment> SplitAssignment(absl::string_view flag, absl::string_view text) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos || equals == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " ", text, ": expected KEY=VALUE, such as distillation.tau=2"));
  }
  return Assignment{absl::StripAsciiWhitespace(text.substr(0, equals)), text.substr(equals + 1)};
}

absl::Status Override(absl::string_view flag, Assignment assignment, v1::JobSpec* spec) {
  const auto complain = [&](absl::string_view text) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " ", assignment.path, "=", assignment.value, ": ", text));
  };
  std::vector<Problem> problems;
  Node value;
  if (!ParseDocument(assignment.value, &value, &problems)) return complain(problems[0].text);

  v1::JobSpec changed = *spec;
  Message* message = &changed;
  const std::vector<std::string> names = absl::StrSplit(assignment.path, '.');
  std::string where = "the job";
  for (size_t i = 0; i < names.size(); ++i) {
    const FieldDescriptor* const field = message->GetDescriptor()->FindFieldByName(names[i]);
    if (field == nullptr) {
      return complain(
          absl::StrCat("unknown key \"", names[i], "\" in ", where,
                       Suggestion(names[i], FieldNames(*message->GetDescriptor()), "keys")));
    }
    where = i == 0 ? names[i] : absl::StrCat(where, ".", names[i]);
    if (i + 1 == names.size()) {
      FieldPositions positions;
      MessageReader reader(Dialect::kYaml, &problems, &positions);
      reader.ReadField(value, where, *field, message);
    } else if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE || field->is_repeated()) {
      return complain(absl::StrCat(where, " holds a value, not keys"));
    } else {
      message = message->GetReflection()->MutableMessage(message, field);
    }
  }
  if (!problems.empty()) return complain(problems[0].text);
  *spec = std::move(changed);
  return absl::OkStatus();
}

// Splits at commas outside brackets and braces.
std::vector<std::string> SplitValues(absl::string_view text) {
  std::vector<std::string> values(1);
  int depth = 0;
  for (const char letter : text) {
    if (letter == '[' || letter == '{') ++depth;
    if (letter == ']' || letter == '}') --depth;
    if (letter == ',' && depth == 0) {
      values.emplace_back();
    } else {
      values.back() += letter;
    }
  }
  return values;
}

}  // namespace

absl::Status ApplyOverride(absl::string_view flag, absl::string_view assignment,
                           v1::JobSpec* spec) {
  DISTILL_ASSIGN_OR_RETURN(const Assignment split, SplitAssignment(flag, assignment));
  return Override(flag, split, spec);
}

absl::StatusOr<std::vector<SweepPoint>> ExpandSweeps(const v1::JobSpec& spec,
                                                     const std::vector<std::string>& sweeps) {
  std::vector<SweepPoint> points = {SweepPoint{"", spec}};
  for (const std::string& sweep : sweeps) {
    DISTILL_ASSIGN_OR_RETURN(const Assignment split, SplitAssignment("--sweep", sweep));
    const std::vector<std::string> values = SplitValues(split.value);
    if (points.size() * values.size() > kMaxSweepPoints) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "--sweep ", sweep, ": makes more than ", kMaxSweepPoints, " jobs; sweep fewer values"));
    }
    std::vector<SweepPoint> product;
    for (const SweepPoint& point : points) {
      for (const std::string& value : values) {
        SweepPoint next = point;
        DISTILL_RETURN_IF_ERROR(Override("--sweep", {split.path, value}, &next.spec));
        absl::StrAppend(&next.label, next.label.empty() ? "" : " ", split.path, "=", value);
        product.push_back(std::move(next));
      }
    }
    points = std::move(product);
  }
  for (SweepPoint& point : points) {
    if (point.label.empty()) continue;
    const std::string& name = point.spec.display_name();
    point.spec.set_display_name(absl::StrCat(name, name.empty() ? "" : " ", point.label));
  }
  return points;
}

}  // namespace distill::client
