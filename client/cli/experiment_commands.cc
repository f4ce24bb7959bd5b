// experiment run, report.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/digest.h"
#include "base/error_details.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"
#include "client/experiment/experiment_file.h"
#include "client/experiment/experiment_report.h"
#include "client/experiment/experiment_results.h"
#include "google/protobuf/util/json_util.h"
#include "nlohmann/json.hpp"

namespace distill::client {
namespace {

constexpr absl::Duration kFollowInterval = absl::Seconds(1);
// How often a report is looked at that the server does not store.
constexpr int kMostLooksAtAReport = 30;
constexpr char kRunsFile[] = "runs.json";

struct RunOptions {
  std::string file;
  std::string output;
  int retry = 0;
  bool dry_run = false;
};

// A run and the job that it became.
struct Submitted {
  const ExperimentRun* run;
  v1::Job job;
  bool collected = false;
  int looks = 0;  // At its report, after its end.
};

// The same run is the same request, so an experiment that is started again finds its jobs.
std::string RequestIdOf(const ExperimentRun& run, int retry) {
  return absl::StrCat(
      "experiment-",
      Digest::OfBytes(absl::StrCat(run.spec.SerializeAsString(), "\n", retry)).hex().substr(0, 40));
}

std::string ReportPath(const std::string& output, size_t index) {
  return JoinPath(output, absl::StrFormat("reports/%04d.json", static_cast<int>(index)));
}

nlohmann::ordered_json ToJson(const Settings& settings) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& [key, value] : settings) list.push_back({key, value});
  return list;
}

// What `experiment report` must know of the experiment file, and which run each report is of.
absl::Status SaveRuns(const Experiment& experiment, const std::vector<Submitted>& runs,
                      const std::string& output) {
  nlohmann::ordered_json file;
  file["name"] = experiment.name;
  file["title"] = experiment.title;
  file["description"] = experiment.description;
  file["models"] = experiment.models;
  file["compare"] = nlohmann::ordered_json::array();
  for (const ExperimentComparison& comparison : experiment.comparisons) {
    file["compare"].push_back({{"model", comparison.model},
                               {"against", comparison.against},
                               {"across", comparison.across},
                               {"claim", static_cast<int>(comparison.claim)}});
  }
  file["runs"] = nlohmann::ordered_json::array();
  for (const Submitted& run : runs) {
    file["runs"].push_back(
        {{"settings", ToJson(run.run->settings)}, {"seed", run.run->seed}, {"job", run.job.id()}});
  }
  return WriteFileAtomically(JoinPath(output, kRunsFile), file.dump(2) + "\n");
}

// Throws what the JSON library throws when the text is not what SaveRuns() wrote.
void ParseRuns(const std::string& text, Experiment* experiment, std::vector<RunResult>* results) {
  const auto file = nlohmann::ordered_json::parse(text);
  experiment->name = file.value("name", "");
  experiment->title = file.value("title", "");
  experiment->description = file.value("description", "");
  experiment->models = file.value("models", std::vector<std::string>());
  for (const auto& entry : file.value("compare", nlohmann::ordered_json::array())) {
    experiment->comparisons.push_back({entry.value("model", ""), entry.value("against", ""),
                                       entry.value("across", ""),
                                       static_cast<Claim>(entry.value("claim", 0))});
  }
  for (const auto& entry : file.at("runs")) {
    RunResult result;
    for (const auto& setting : entry.at("settings")) {
      result.settings.emplace_back(setting.at(0), setting.at(1));
    }
    result.seed = entry.at("seed");
    results->push_back(std::move(result));
  }
}

absl::Status LoadRuns(const std::string& output, Experiment* experiment,
                      std::vector<RunResult>* results) {
  const std::string path = JoinPath(output, kRunsFile);
  DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  try {
    ParseRuns(text, experiment, results);
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot read ", path, ": it is not what `distill experiment run` writes: ", error.what()));
  }
  for (size_t i = 0; i < results->size(); ++i) {
    const absl::StatusOr<std::string> report = ReadFile(ReportPath(output, i));
    if (absl::IsNotFound(report.status())) continue;  // Not collected yet.
    DISTILL_RETURN_IF_ERROR(report.status());
    google::protobuf::util::JsonParseOptions lenient;
    lenient.ignore_unknown_fields = true;
    if (!google::protobuf::util::JsonStringToMessage(*report, &(*results)[i].report, lenient)
             .ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("cannot read ", ReportPath(output, i), ": it is no report"));
    }
  }
  return absl::OkStatus();
}

// Renders what is there so far. Returns how many runs have a report.
absl::StatusOr<int> WriteReport(const std::string& output) {
  Experiment experiment;
  std::vector<RunResult> results;
  DISTILL_RETURN_IF_ERROR(LoadRuns(output, &experiment, &results));
  int reported = 0;
  for (const RunResult& result : results) reported += result.report.has_job() ? 1 : 0;
  for (const auto& [name, content] : RenderExperiment(experiment, results)) {
    DISTILL_RETURN_IF_ERROR(WriteFileAtomically(JoinPath(output, name), content));
  }
  return reported;
}

absl::StatusOr<std::vector<Submitted>> SubmitRuns(Session& session, Client& client,
                                                  const Experiment& experiment, int retry) {
  std::vector<Submitted> runs;
  for (const ExperimentRun& run : experiment.runs) {
    absl::StatusOr<v1::Job> job =
        client.CreateJob(session.InProject(run.spec), RequestIdOf(run, retry));
    if (!job.ok()) {
      return WithDetails(
          absl::Status(job.status().code(),
                       absl::StrCat("cannot submit the run ", SettingsLabel(run.settings),
                                    " seed=", run.seed, ": ", job.status().message())),
          DetailsOf(job.status()));
    }
    runs.push_back({&run, *std::move(job)});
    if (session.environment().interrupt->requested()) return absl::CancelledError("interrupted");
  }
  return runs;
}

std::string ProgressText(const std::vector<Submitted>& runs) {
  int jobs_done = 0;
  int tasks = 0;
  int tasks_done = 0;
  int reused = 0;
  for (const Submitted& run : runs) {
    jobs_done += IsTerminal(run.job.state()) ? 1 : 0;
    tasks += run.job.tasks_total();
    tasks_done += run.job.tasks_succeeded();
    reused += run.job.tasks_reused();
  }
  return absl::StrCat(jobs_done, " of ", runs.size(), " jobs, ", tasks_done, " of ", tasks,
                      " tasks done, ", reused, " of them reused");
}

absl::Status Collect(Client& client, const std::string& output, size_t index, Submitted& run) {
  DISTILL_ASSIGN_OR_RETURN(const v1::Report report, client.GetReport(run.job.id()));
  DISTILL_RETURN_IF_ERROR(
      WriteFileAtomically(ReportPath(output, index), ToJson(report, JsonShape::kIndented)));
  // The server stores it a moment after the job's end; only then has it a digest.
  run.collected = !report.json_digest().empty() || ++run.looks >= kMostLooksAtAReport;
  return absl::OkStatus();
}

// Follows the jobs until all are over, and keeps each report as soon as it is complete.
absl::Status Await(Session& session, Client& client, const std::string& output,
                   std::vector<Submitted>& runs) {
  const Stream& notes = session.environment().notes;
  const bool live = notes.is_terminal && !session.options().quiet;
  std::string shown;
  while (true) {
    bool all = true;
    for (size_t i = 0; i < runs.size(); ++i) {
      Submitted& run = runs[i];
      if (run.collected) continue;
      DISTILL_ASSIGN_OR_RETURN(run.job, client.GetJob(run.job.id()));
      if (IsTerminal(run.job.state())) {
        DISTILL_RETURN_IF_ERROR(Collect(client, output, i, run));
      }
      all = all && run.collected;
    }
    const std::string text = ProgressText(runs);
    if (text != shown) {
      live ? void(*notes.out << "\r\x1b[K" << text << std::flush) : session.Note(text);
    }
    shown = text;
    if (all) break;
    if (session.environment().interrupt->WaitFor(kFollowInterval)) {
      if (live) *notes.out << "\n";
      session.Note("the jobs go on; run the same command to take the experiment up again");
      return absl::CancelledError("interrupted");
    }
  }
  if (live) *notes.out << "\n";
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> DryRun(Session& session, Client& client, const Experiment& experiment) {
  std::vector<std::vector<std::string>> rows;
  for (const ExperimentRun& run : experiment.runs) {
    DISTILL_ASSIGN_OR_RETURN(const v1::Job job, client.ValidateJob(run.spec));
    rows.push_back(
        {SettingsLabel(run.settings), absl::StrCat(run.seed), absl::StrCat(job.tasks_total())});
  }
  PrintTable({"SETTINGS", "SEED", "TASKS"}, rows, session.out());
  session.Note("nothing was submitted");
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Run(Session& session, const RunOptions& options) {
  DISTILL_ASSIGN_OR_RETURN(const Experiment experiment, ReadExperiment(options.file));
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  if (options.dry_run) return DryRun(session, *client, experiment);
  const std::string output =
      options.output.empty() ? absl::StrCat("experiment-", experiment.name) : options.output;
  DISTILL_RETURN_IF_ERROR(CreateDirectories(JoinPath(output, "reports")));
  DISTILL_ASSIGN_OR_RETURN(std::vector<Submitted> runs,
                           SubmitRuns(session, *client, experiment, options.retry));
  DISTILL_RETURN_IF_ERROR(SaveRuns(experiment, runs, output));
  DISTILL_RETURN_IF_ERROR(Await(session, *client, output, runs));
  DISTILL_RETURN_IF_ERROR(WriteReport(output).status());
  session.out() << JoinPath(output, "report.md") << "\n";
  int failed = 0;
  for (const Submitted& run : runs) {
    if (run.job.state() == v1::JOB_STATE_SUCCEEDED) continue;
    ++failed;
    session.Note(absl::StrCat(SettingsLabel(run.run->settings), " seed=", run.run->seed, ": job ",
                              run.job.id(), " ", StateName(run.job.state()), ": ",
                              run.job.failure_message()));
  }
  if (failed == 0) return ExitCode::kOk;
  session.Note(absl::StrCat(failed, " of ", runs.size(), " jobs did not succeed; --retry ",
                            options.retry + 1,
                            " submits all again, and what succeeded is not computed again"));
  return ExitCode::kFailed;
}

absl::StatusOr<ExitCode> Report(Session& session, const std::string& output) {
  DISTILL_ASSIGN_OR_RETURN(const int reported, WriteReport(output));
  session.Note(absl::StrCat(reported, " runs have reports"));
  session.out() << JoinPath(output, "report.md") << "\n";
  return ExitCode::kOk;
}

}  // namespace

void AddExperimentCommands(CLI::App& parent, Command& chosen) {
  CLI::App* const experiment =
      parent.add_subcommand("experiment", "Many jobs from one file, and what they show");
  experiment->require_subcommand(1);
  experiment->footer("Example:\n  distill experiment run deploy/experiments/tiny.yaml\n");

  CLI::App* const run = experiment->add_subcommand(
      "run", "Submit all jobs of an experiment, await them, and write tables and charts");
  // Co-owned, here and below, by the callbacks, which outlive this function.
  const auto options = std::make_shared<RunOptions>();
  run->add_option("file", options->file, "Experiment file (YAML)")->required();
  run->add_option("--output-dir,-d", options->output,
                  "Where the results go; default experiment-NAME");
  run->add_option("--retry", options->retry,
                  "A number not used before submits failed and cancelled jobs once more")
      ->capture_default_str();
  run->add_flag("--dry-run", options->dry_run, "Check every job and submit none");
  run->footer(
      "Started again, it finds its jobs and goes on where it was.\n"
      "Example:\n  distill experiment run deploy/experiments/tiny.yaml --output-dir results\n");
  run->callback([options, &chosen] {
    chosen = [options](Session& session) { return client::Run(session, *options); };
  });

  CLI::App* const report =
      experiment->add_subcommand("report", "Write tables and charts anew from collected reports");
  const auto output = std::make_shared<std::string>();
  report->add_option("dir", *output, "Folder of `distill experiment run`")->required();
  report->footer("Example:\n  distill experiment report results\n");
  report->callback([output, &chosen] {
    chosen = [output](Session& session) { return client::Report(session, *output); };
  });
}

}  // namespace distill::client
