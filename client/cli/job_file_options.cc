#include "client/cli/job_file_options.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "base/status_macros.h"
#include "client/jobfile/overrides.h"

namespace distill::client {

void AddJobFileOptions(CLI::App& command, JobFileOptions& options) {
  command.add_option("file", options.file, "Job file: .yaml, .json or .textproto")->required();
  command
      .add_option("--override,--set", options.overrides,
                  "Replace one field of the file, such as distillation.tau=2; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command.add_flag("--full-eval", options.full_eval, "Evaluate corruptions on all test images");
}

absl::StatusOr<JobFile> ReadJob(Session& session, const JobFileOptions& options) {
  DISTILL_ASSIGN_OR_RETURN(JobFile file, ReadJobFile(options.file));
  file.spec = session.InProject(std::move(file.spec));
  for (const std::string& text : options.overrides) {
    DISTILL_RETURN_IF_ERROR(ApplyOverride("--override", text, &file.spec));
    // The file's line is no longer where this value comes from.
    file.positions.erase(text.substr(0, text.find('=')));
  }
  if (options.full_eval) file.spec.mutable_evaluation()->set_corruption_images(0);
  return file;
}

absl::Status Located(const JobFile& file, const absl::Status& status) {
  if (!absl::IsInvalidArgument(status)) return status;
  const std::optional<Position> position = FindMentionedField(file, status.message());
  const std::string text = position.has_value()
                               ? absl::StrCat(file.name, ":", position->line, ":", position->column,
                                              ": ", status.message())
                               : absl::StrCat(status.message(), "; file=", file.name);
  return WithDetails(absl::Status(status.code(), text), DetailsOf(status));
}

}  // namespace distill::client
