// job presets: the named recipes that a job may be based on.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/cli/commands.h"
#include "client/cli/embedded_jobs.h"
#include "client/cli/format.h"
#include "client/jobfile/names.h"
#include "nlohmann/json.hpp"

namespace distill::client {
namespace {

// The first sentence of the comment at the top of a job file.
std::string TitleOf(absl::string_view text) {
  std::string title;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!absl::ConsumePrefix(&line, "#")) break;
    absl::ConsumePrefix(&line, " ");
    if (line.empty()) break;
    absl::StrAppend(&title, title.empty() ? "" : " ", line);
    const size_t end = title.find(". ");
    if (end != std::string::npos) return title.substr(0, end);
  }
  return std::string(absl::StripSuffix(absl::StripSuffix(title, "."), ":"));
}

nlohmann::ordered_json ToJson(const EmbeddedJob& job) {
  return {{"name", std::string(job.name)}, {"title", TitleOf(job.text)}};
}

ExitCode ShowPreset(Session& session, const EmbeddedJob& job) {
  if (session.json()) {
    nlohmann::ordered_json json = ToJson(job);
    json["job_file"] = std::string(job.text);
    session.PrintJson(json.dump());
  } else {
    session.out() << job.text << std::flush;
  }
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> ShowPresets(Session& session, const std::string& name) {
  nlohmann::ordered_json presets = nlohmann::ordered_json::array();
  std::vector<std::string> names;
  std::vector<std::vector<std::string>> rows;
  for (const EmbeddedJob& job : EmbeddedJobs()) {
    if (job.name == name) return ShowPreset(session, job);
    presets.push_back(ToJson(job));
    names.emplace_back(job.name);
    rows.push_back({std::string(job.name), TitleOf(job.text)});
  }
  if (!name.empty()) {
    return absl::NotFoundError(
        absl::StrCat("no preset ", name, Suggestion(name, names, "presets")));
  }
  if (session.json()) {
    session.PrintJson(nlohmann::ordered_json({{"presets", presets}}).dump());
  } else {
    PrintTable({"PRESET", "WHAT IT IS"}, rows, session.out());
  }
  return ExitCode::kOk;
}

}  // namespace

void AddJobPresetCommand(CLI::App& job, Command& chosen) {
  CLI::App* const presets = job.add_subcommand(
      "presets", "List the recipes that `preset:` in a job file can name, or show one");
  // Co-owned by the callback, which outlives this function.
  const auto name = std::make_shared<std::string>();
  presets->add_option("name", *name, "Preset whose job file is printed")->type_name("PRESET");
  presets->footer(
      "Example:\n  distill job presets\n"
      "  distill job presets m2mkd-vmoe-base-imagenet > job.yaml\n");
  presets->callback([name, &chosen] {
    chosen = [name](Session& session) { return ShowPresets(session, *name); };
  });
}

}  // namespace distill::client
