// artifact list, get, put.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"
#include "client/jobfile/names.h"

namespace distill::client {
namespace {

// "job-1/distill-module-0 attempt 1 (module)".
std::string Maker(const v1::Lineage& lineage) {
  return absl::StrCat(lineage.job(), "/", lineage.task(), " attempt ", lineage.attempt(), " (",
                      lineage.output(), ")");
}

absl::StatusOr<ExitCode> List(Session& session, const std::string& text) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  std::string job;
  if (!text.empty()) {
    DISTILL_ASSIGN_OR_RETURN(job, session.ResolveJob(text));
  }
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Artifact> artifacts, client->ListArtifacts(job));
  if (session.json()) {
    v1::ListArtifactsResponse response;
    for (const v1::Artifact& artifact : artifacts) *response.add_artifacts() = artifact;
    session.PrintJson(response);
    return ExitCode::kOk;
  }
  if (session.names_only()) {
    std::vector<std::string> names;
    for (const v1::Artifact& artifact : artifacts) names.push_back(artifact.digest());
    session.PrintNames(names);
    return ExitCode::kOk;
  }
  std::vector<std::vector<std::string>> rows;
  for (const v1::Artifact& artifact : artifacts) {
    rows.push_back({artifact.digest(), ArtifactTypeName(artifact.type()),
                    FormatBytes(artifact.size_bytes()), FormatTime(artifact.create_time()),
                    artifact.lineage().empty() ? "-" : Maker(artifact.lineage(0))});
  }
  PrintTable({"DIGEST", "TYPE", "SIZE", "CREATED", "MADE BY"}, rows, session.out());
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Get(Session& session, const std::string& digest, const std::string& file) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  if (file == "-") {
    const absl::Status status =
        client->DownloadArtifact(digest, [&session](absl::string_view bytes) -> absl::Status {
          session.out().write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
          return session.out() ? absl::OkStatus()
                               : absl::InternalError("cannot write to standard output");
        });
    if (!status.ok()) return status;
    return ExitCode::kOk;
  }
  if (!file.empty()) {
    DISTILL_RETURN_IF_ERROR(client->DownloadToFile(digest, file));
    session.Note(absl::StrCat("verified and saved as ", file));
    return ExitCode::kOk;
  }
  DISTILL_ASSIGN_OR_RETURN(const v1::Artifact artifact, client->GetArtifact(digest));
  if (session.json()) {
    session.PrintJson(artifact);
    return ExitCode::kOk;
  }
  if (session.names_only()) {
    session.PrintNames({artifact.digest()});
    return ExitCode::kOk;
  }
  PrintFields({{"artifact", artifact.digest()},
               {"type", ArtifactTypeName(artifact.type())},
               {"size", FormatBytes(artifact.size_bytes())},
               {"created", FormatTime(artifact.create_time())}},
              session.out());
  for (const v1::Lineage& lineage : artifact.lineage()) {
    session.out() << "made by  " << Maker(lineage) << "\n";
    for (const std::string& input : lineage.input_digests()) {
      session.out() << "  from   " << input << "\n";
    }
  }
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Put(Session& session, const std::string& file, const std::string& type) {
  const auto* const value = FindEnumValue(*v1::ArtifactType_descriptor(), type);
  if (value == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("--type ", type, ": unknown value",
                     Suggestion(type, ShortEnumNames(*v1::ArtifactType_descriptor()), "values")));
  }
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::string digest,
                           client->UploadFile(file, static_cast<v1::ArtifactType>(value->number()),
                                              session.DefaultProject()));
  if (session.json()) {
    DISTILL_ASSIGN_OR_RETURN(const v1::Artifact artifact, client->GetArtifact(digest));
    session.PrintJson(artifact);
  } else {
    session.out() << digest << "\n";
  }
  return ExitCode::kOk;
}

}  // namespace

void AddArtifactCommands(CLI::App& parent, Command& chosen) {
  CLI::App* const artifact = parent.add_subcommand("artifact", "Weights and results by digest");
  artifact->require_subcommand(1);
  artifact->footer("Example:\n  distill artifact list --job latest\n");

  CLI::App* const list = artifact->add_subcommand("list", "List artifacts");
  // Co-owned, here and below, by the callbacks, which outlive this function.
  const auto job = std::make_shared<std::string>();
  list->add_option("--job", *job, "Only artifacts of this job (or latest)");
  list->footer("Example:\n  distill artifact list --job latest\n");
  list->callback(
      [job, &chosen] { chosen = [job](Session& session) { return List(session, *job); }; });

  CLI::App* const get =
      artifact->add_subcommand("get", "Show an artifact and what it was made from, or download it");
  const auto digest = std::make_shared<std::string>();
  const auto file = std::make_shared<std::string>();
  get->add_option("digest", *digest, "sha256:...")->required();
  get->add_option("--file,-f", *file, "Download into this file, verified; - is standard output");
  get->footer("Example:\n  distill artifact get sha256:9f86d0... --file student.safetensors\n");
  get->callback([digest, file, &chosen] {
    chosen = [digest, file](Session& session) { return Get(session, *digest, *file); };
  });

  CLI::App* const put = artifact->add_subcommand("put", "Upload a file, for a job's `given` keys");
  const auto source = std::make_shared<std::string>();
  const auto type = std::make_shared<std::string>("model");
  put->add_option("file", *source, "File to upload")->required();
  put->add_option("--type", *type, "model, module, ...")->capture_default_str();
  put->footer("Example:\n  distill artifact put teacher.safetensors --type model\n");
  put->callback([source, type, &chosen] {
    chosen = [source, type](Session& session) { return Put(session, *source, *type); };
  });
  AddWeightCommands(*artifact, chosen);
}

}  // namespace distill::client
