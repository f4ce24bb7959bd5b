// Reads job files: YAML (.yaml, .yml), JSON (.json) or textproto (.textproto, .txtpb), each mapped
// one to one to JobSpec. Complaints look like a compiler's, all of them at once:
//
//   job.yaml:12:3: unknown key "distilation" in the file; did you mean "distillation"?
//
// Ranges and combinations of values are the server's to check; FindMentionedField() leads from its
// answer back to the line.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/jobfile/document.h"
#include "client/jobfile/message_reader.h"
#include "distill/v1/job.pb.h"

namespace distill::client {

enum class JobFileFormat { kYaml, kJson, kTextProto };

// What a file must say: a job names a data set or a preset, a preset may leave it to the job.
enum class Completeness { kJob, kPreset };

struct JobFile {
  // As given to ReadJobFile() or ParseJobFile().
  std::string name;
  v1::JobSpec spec;
  FieldPositions positions;
};

// Picks the format by the extension of `name`; YAML when it has none of the others.
JobFileFormat FormatOfName(absl::string_view name);

// Errors: kInvalidArgument, one complaint a line, at most 20 of them.
absl::StatusOr<JobFile> ParseJobFile(absl::string_view text, absl::string_view name,
                                     JobFileFormat format,
                                     Completeness completeness = Completeness::kJob);

// Reads and parses the file. Errors also: those of ReadFile, with kNotFound for no such file.
absl::StatusOr<JobFile> ReadJobFile(const std::string& path);

// Finds the longest field path of the file that `message` names, such as "teacher.depth".
std::optional<Position> FindMentionedField(const JobFile& file, absl::string_view message);

}  // namespace distill::client
