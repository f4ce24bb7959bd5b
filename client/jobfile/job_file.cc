#include "client/jobfile/job_file.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

namespace distill::client {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::TextFormat;

constexpr size_t kMaxProblems = 20;

absl::Status ProblemsStatus(absl::string_view name, const std::vector<Problem>& problems) {
  std::string text;
  for (size_t i = 0; i < problems.size() && i < kMaxProblems; ++i) {
    const Problem& problem = problems[i];
    absl::StrAppend(&text, i == 0 ? "" : "\n", name, ":", problem.position.line, ":",
                    problem.position.column, ": ", problem.text);
  }
  if (problems.size() > kMaxProblems) {
    absl::StrAppend(&text, "\n", name, ": and ", problems.size() - kMaxProblems, " more");
  }
  return absl::InvalidArgumentError(text);
}

// Hands textproto's complaints on.
class TextProblems : public google::protobuf::io::ErrorCollector {
 public:
  explicit TextProblems(std::vector<Problem>* problems) : problems_(problems) {}

  void AddError(int line, google::protobuf::io::ColumnNumber column,
                const std::string& message) override {
    problems_->push_back({Position{line + 1, column + 1}, message});
  }

 private:
  std::vector<Problem>* const problems_;
};

void CollectPositions(const TextFormat::ParseInfoTree& tree,
                      const google::protobuf::Message& message, const std::string& path,
                      FieldPositions* positions) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* const field : fields) {
    const int index = field->is_repeated() ? 0 : -1;
    const TextFormat::ParseLocation location = tree.GetLocation(field, index);
    const std::string name = absl::StrCat(path, path.empty() ? "" : ".", field->name());
    if (location.line >= 0) (*positions)[name] = {location.line + 1, location.column + 1};
    const TextFormat::ParseInfoTree* const nested =
        field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE ? tree.GetTreeForNested(field, index)
                                                              : nullptr;
    if (nested != nullptr && !field->is_repeated()) {
      CollectPositions(*nested, message.GetReflection()->GetMessage(message, field), name,
                       positions);
    }
  }
}

void ParseText(absl::string_view text, std::vector<Problem>* problems, JobFile* file) {
  TextProblems collector(problems);
  TextFormat::ParseInfoTree tree;
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&collector);
  parser.WriteLocationsTo(&tree);
  parser.SetRecursionLimit(kMaxDocumentDepth);
  if (text.size() > kMaxDocumentBytes) {
    problems->push_back({Position{}, absl::StrCat("larger than ", kMaxDocumentBytes, " bytes")});
  } else if (parser.ParseFromString(std::string(text), &file->spec)) {
    CollectPositions(tree, file->spec, "", &file->positions);
  }
}

// The keys without which no job makes sense; everything else has a default.
void CheckRequired(const JobFile& file, std::vector<Problem>* problems) {
  const v1::DatasetSpec& spec = file.spec.dataset();
  if (!spec.path().empty() || spec.has_name() || file.spec.has_preset()) return;
  const auto dataset = file.positions.find("dataset");
  problems->push_back(
      {dataset == file.positions.end() ? Position{} : dataset->second,
       "missing required key dataset.path, the folder that holds the data set; for example "
       "/usr/share/datasets/fashion-mnist; or dataset.name, or preset"});
}

bool IsPathLetter(char letter) {
  return absl::ascii_isalnum(static_cast<unsigned char>(letter)) || letter == '_' || letter == '.';
}

// Tells whether `path` occurs in `message` and is not part of a longer path there.
bool Mentions(absl::string_view message, absl::string_view path) {
  for (size_t at = message.find(path); at != absl::string_view::npos;
       at = message.find(path, at + 1)) {
    const bool starts = at == 0 || !IsPathLetter(message[at - 1]);
    const size_t end = at + path.size();
    const bool ends =
        end == message.size() || !IsPathLetter(message[end]) ||
        (message[end] == '.' && (end + 1 == message.size() || message[end + 1] == ' '));
    if (starts && ends) return true;
  }
  return false;
}

}  // namespace

JobFileFormat FormatOfName(absl::string_view name) {
  if (absl::EndsWithIgnoreCase(name, ".json")) return JobFileFormat::kJson;
  if (absl::EndsWithIgnoreCase(name, ".textproto") || absl::EndsWithIgnoreCase(name, ".txtpb")) {
    return JobFileFormat::kTextProto;
  }
  return JobFileFormat::kYaml;
}

absl::StatusOr<JobFile> ParseJobFile(absl::string_view text, absl::string_view name,
                                     JobFileFormat format, Completeness completeness) {
  JobFile file;
  file.name = std::string(name);
  std::vector<Problem> problems;
  if (format == JobFileFormat::kTextProto) {
    ParseText(text, &problems, &file);
  } else {
    const Dialect dialect = format == JobFileFormat::kJson ? Dialect::kProtoJson : Dialect::kYaml;
    Node root;
    if (ParseDocument(text, &root, &problems)) {
      MessageReader reader(dialect, &problems, &file.positions);
      reader.ReadMessage(root, "", &file.spec);
    }
  }
  if (problems.empty() && completeness == Completeness::kJob) CheckRequired(file, &problems);
  if (!problems.empty()) return ProblemsStatus(name, problems);
  return file;
}

absl::StatusOr<JobFile> ReadJobFile(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxDocumentBytes + 1));
  return ParseJobFile(text, path, FormatOfName(path));
}

std::optional<Position> FindMentionedField(const JobFile& file, absl::string_view message) {
  const std::pair<const std::string, Position>* best = nullptr;
  for (const auto& entry : file.positions) {
    if (best != nullptr && entry.first.size() <= best->first.size()) continue;
    if (Mentions(message, entry.first)) best = &entry;
  }
  if (best == nullptr) return std::nullopt;
  return best->second;
}

}  // namespace distill::client
