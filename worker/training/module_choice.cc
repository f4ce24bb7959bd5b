#include "worker/training/module_choice.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "worker/training/trainee.h"

namespace distill::training {
namespace {

// Differences of accuracies are decimal fractions in the user's mind, not in binary.
constexpr double kRounding = 1e-9;

// The accuracy of a metrics artifact.
absl::StatusOr<double> ReadAccuracy(const v1::MemberAssignment& assignment,
                                    absl::string_view input) {
  DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, input));
  DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("accuracy") && json["accuracy"].is_number()) {
    return json["accuracy"].get<double>();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "cannot read metrics: no JSON object with an accuracy; input=", input, " path=", path));
}

bool IsAccepted(double accuracy, double teacher_accuracy, const v1::QualityGateSpec& gate) {
  return teacher_accuracy - accuracy <= gate.largest_accuracy_gap() + kRounding;
}

absl::StatusOr<v1::ProducedFile> CopyModule(const v1::MemberAssignment& assignment,
                                            absl::string_view input) {
  DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, input));
  DISTILL_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  v1::ProducedFile produced;
  produced.set_name("module");
  produced.set_path(JoinPath(assignment.output_directory(), "module.safetensors"));
  DISTILL_RETURN_IF_ERROR(WriteFileAtomically(produced.path(), bytes));
  return produced;
}

double Rounded(double value) { return std::round(value * 1e8) / 1e8; }

// As metrics are written: keys sorted, a newline at the end.
std::string CanonicalJson(const v1::ModuleVerdict& verdict) {
  nlohmann::json candidates = nlohmann::json::array();
  for (const v1::ModuleVerdict::Candidate& candidate : verdict.candidates()) {
    candidates.push_back(
        {{"accuracy", Rounded(candidate.accuracy())}, {"handedOn", candidate.handed_on()}});
  }
  const nlohmann::json json = {{"accepted", verdict.accepted()},
                               {"candidates", candidates},
                               {"chosen", verdict.chosen()},
                               {"largestAccuracyGap", Rounded(verdict.largest_accuracy_gap())},
                               {"moduleIndex", verdict.module_index()},
                               {"teacherAccuracy", Rounded(verdict.teacher_accuracy())}};
  return json.dump() + "\n";
}

std::string CandidateName(int index) { return absl::StrCat("candidate.", index); }

absl::StatusOr<v1::ModuleVerdict> Judge(const v1::MemberAssignment& assignment) {
  const v1::TaskSpec& spec = assignment.spec();
  v1::ModuleVerdict verdict;
  verdict.set_module_index(spec.module_index());
  verdict.set_largest_accuracy_gap(spec.quality_gate().largest_accuracy_gap());
  DISTILL_ASSIGN_OR_RETURN(const double teacher, ReadAccuracy(assignment, "teacher_metrics"));
  verdict.set_teacher_accuracy(teacher);
  std::string digest_before;
  for (int i = 0; i == 0 || assignment.input_paths().contains(CandidateName(i)); ++i) {
    DISTILL_ASSIGN_OR_RETURN(const std::string path, InputPath(assignment, CandidateName(i)));
    DISTILL_ASSIGN_OR_RETURN(const Digest digest, DigestOfFile(path));
    DISTILL_ASSIGN_OR_RETURN(const double accuracy,
                             ReadAccuracy(assignment, absl::StrCat("metrics.", i)));
    v1::ModuleVerdict::Candidate& candidate = *verdict.add_candidates();
    candidate.set_accuracy(accuracy);
    candidate.set_handed_on(digest.str() == digest_before);
    if (accuracy > verdict.candidates(verdict.chosen()).accuracy()) verdict.set_chosen(i);
    digest_before = digest.str();
  }
  verdict.set_accepted(
      IsAccepted(verdict.candidates(verdict.chosen()).accuracy(), teacher, spec.quality_gate()));
  return verdict;
}

}  // namespace

absl::StatusOr<bool> IsPreviousAccepted(const v1::MemberAssignment& assignment) {
  const v1::TaskSpec& spec = assignment.spec();
  if (spec.kind() != v1::TASK_KIND_DISTILL_MODULE || !spec.has_quality_gate()) return false;
  DISTILL_ASSIGN_OR_RETURN(const double accuracy, ReadAccuracy(assignment, "previous_metrics"));
  DISTILL_ASSIGN_OR_RETURN(const double teacher, ReadAccuracy(assignment, "teacher_metrics"));
  return IsAccepted(accuracy, teacher, spec.quality_gate());
}

absl::StatusOr<std::vector<v1::ProducedFile>> HandOnModule(const v1::MemberAssignment& assignment) {
  DISTILL_ASSIGN_OR_RETURN(const v1::ProducedFile module,
                           CopyModule(assignment, "previous_module"));
  return std::vector<v1::ProducedFile>{module};
}

absl::StatusOr<std::vector<v1::ProducedFile>> SelectModule(const v1::MemberAssignment& assignment) {
  DISTILL_ASSIGN_OR_RETURN(const v1::ModuleVerdict verdict, Judge(assignment));
  DISTILL_ASSIGN_OR_RETURN(const v1::ProducedFile module,
                           CopyModule(assignment, CandidateName(verdict.chosen())));
  v1::ProducedFile written;
  written.set_name("verdict");
  written.set_path(JoinPath(assignment.output_directory(), "verdict.json"));
  DISTILL_RETURN_IF_ERROR(WriteFileAtomically(written.path(), CanonicalJson(verdict)));
  return std::vector<v1::ProducedFile>{module, written};
}

}  // namespace distill::training
