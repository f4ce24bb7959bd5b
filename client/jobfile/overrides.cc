#include "client/jobfile/overrides.h"

#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"
#include "client/jobfile/document.h"
#include "client/jobfile/message_reader.h"
#include "client/jobfile/names.h"
#include "google/protobuf/descriptor.h"

namespace distill::client {
namespace {

using google::protobuf::Descriptor;
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

// A name, and which element of a list: "few_shot[1]".
struct Segment {
  std::string name;
  std::optional<int> index;
};

std::optional<Segment> ParseSegment(absl::string_view text) {
  const size_t open = text.find('[');
  if (open == absl::string_view::npos) return Segment{std::string(text), std::nullopt};
  int index = 0;
  if (text.back() != ']' ||
      !absl::SimpleAtoi(text.substr(open + 1, text.size() - open - 2), &index) || index < 0) {
    return std::nullopt;
  }
  return Segment{std::string(text.substr(0, open)), index};
}

// Paths of all fields called `name`, at most kMostPaths of them: people know "tau", not where it
// is.
void FindPaths(const Descriptor& type, const std::string& before, absl::string_view name, int depth,
               std::vector<std::string>& paths) {
  constexpr int kDeepest = 5;
  constexpr size_t kMostPaths = 4;
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const std::string path = absl::StrCat(before, field.name());
    if (!before.empty() && field.name() == name && paths.size() < kMostPaths) paths.push_back(path);
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && depth < kDeepest) {
      FindPaths(*field.message_type(), absl::StrCat(path, field.is_repeated() ? "[0]." : "."), name,
                depth + 1, paths);
    }
  }
}

std::string UnknownKey(const std::string& name, const std::string& where, const Descriptor& type) {
  const std::string text = absl::StrCat("unknown key \"", name, "\" in ", where);
  const std::vector<std::string> names = FieldNames(type);
  std::vector<std::string> paths;
  FindPaths(*v1::JobSpec::descriptor(), "", name, 0, paths);
  if (NearestName(name, names).empty() && !paths.empty()) {
    return absl::StrCat(text, "; did you mean ", absl::StrJoin(paths, " or "), "?");
  }
  return absl::StrCat(text, Suggestion(name, names, "keys"));
}

// Walks a path through a message and sets the field at its end.
class Setter {
 public:
  Setter(Assignment assignment, std::vector<Problem>* problems)
      : assignment_(assignment), problems_(problems) {}

  // Returns a complaint, or "".
  std::string Set(const Node& value, Message* message) {
    const std::vector<std::string> names = absl::StrSplit(assignment_.path, '.');
    std::string where = "the job";
    for (size_t i = 0; i < names.size(); ++i) {
      const std::optional<Segment> segment = ParseSegment(names[i]);
      if (!segment.has_value()) return absl::StrCat("\"", names[i], "\": want a name, or name[0]");
      const FieldDescriptor* const field = message->GetDescriptor()->FindFieldByName(segment->name);
      if (field == nullptr) {
        return UnknownKey(segment->name, where, *message->GetDescriptor());
      }
      where = i == 0 ? names[i] : absl::StrCat(where, ".", names[i]);
      const bool is_last = i + 1 == names.size();
      std::string problem = CheckIndex(*segment, *field, *message, where, is_last);
      if (!problem.empty()) return problem;
      if (is_last) {
        SetField(*segment, *field, value, where, message);
        return "";
      }
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
        return absl::StrCat(where, " holds a value, not keys");
      }
      const auto* const reflection = message->GetReflection();
      message = segment->index.has_value()
                    ? reflection->MutableRepeatedMessage(message, field, *segment->index)
                    : reflection->MutableMessage(message, field);
    }
    return "";
  }

 private:
  static std::string CheckIndex(const Segment& segment, const FieldDescriptor& field,
                                const Message& message, const std::string& where, bool is_last) {
    if (!field.is_repeated()) {
      return segment.index.has_value() ? absl::StrCat(where, ": ", field.name(), " is no list")
                                       : "";
    }
    if (!segment.index.has_value()) {
      return is_last ? "" : absl::StrCat(where, " is a list; say which, as in ", where, "[0]");
    }
    const int size = message.GetReflection()->FieldSize(message, &field);
    if (*segment.index < size) return "";
    return absl::StrCat(where, ": the list has ", size, size == 1 ? " element" : " elements",
                        ", counted from 0");
  }

  void SetField(const Segment& segment, const FieldDescriptor& field, const Node& value,
                const std::string& where, Message* message) {
    FieldPositions positions;
    MessageReader reader(Dialect::kYaml, problems_, &positions);
    if (segment.index.has_value()) {
      reader.ReplaceElement(value, where, field, *segment.index, message);
    } else {
      reader.ReadField(value, where, field, message);
    }
  }

  Assignment assignment_;
  std::vector<Problem>* const problems_;
};

absl::Status Override(absl::string_view flag, Assignment assignment, v1::JobSpec* spec) {
  const auto complain = [&](absl::string_view text) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " ", assignment.path, "=", assignment.value, ": ", text));
  };
  std::vector<Problem> problems;
  Node value;
  if (!ParseDocument(assignment.value, &value, &problems)) return complain(problems[0].text);
  v1::JobSpec changed = *spec;
  const std::string problem = Setter(assignment, &problems).Set(value, &changed);
  if (!problem.empty()) return complain(problem);
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
