// demo: a server, workers and the main job, from nothing to its report in one command.
#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/dev_fleet.h"
#include "client/cli/embedded_jobs.h"
#include "client/cli/job_actions.h"
#include "client/jobfile/job_file.h"
#include "client/jobfile/overrides.h"

namespace distill::client {
namespace {

struct DemoOptions {
  std::string job_file;
  std::string student = "vmoe";
  std::string prior;
  int workers = 2;
  std::optional<uint64_t> seed;
  std::vector<std::string> sets;
  std::string data_directory;
  std::string program_directory;
  bool full_eval = false;
  bool fresh = false;
  bool keep = false;
};

// The names of priors as people write them, and as job files do.
constexpr std::array<std::array<absl::string_view, 2>, 4> kPriors = {{
    {"scale-free", "scale_free"},
    {"planted-partition", "planted_partition"},
    {"ring-of-cliques", "ring_of_cliques"},
    {"erdos-renyi", "erdos_renyi"},
}};

std::set<std::string> PriorNames() {
  std::set<std::string> names;
  for (const auto& prior : kPriors) names.emplace(prior[0]);
  return names;
}

absl::StatusOr<JobFile> DemoJob(const DemoOptions& options) {
  if (!options.job_file.empty()) return ReadJobFile(options.job_file);
  const std::string name = absl::StrCat("fashion-mnist-", options.student);
  for (const EmbeddedJob& job : EmbeddedJobs()) {
    if (job.name == name) {
      return ParseJobFile(job.text, absl::StrCat(name, ".yaml"), JobFileFormat::kYaml);
    }
  }
  return absl::InternalError(absl::StrCat("no job is built in for student ", options.student));
}

absl::Status ChoosePrior(const std::string& prior, JobFile* file) {
  if (prior.empty()) return absl::OkStatus();
  if (!file->spec.student().has_nac()) {
    return absl::InvalidArgumentError("--prior: only a NAC has one; add --student nac");
  }
  for (const auto& [name, value] : kPriors) {
    if (name != prior) continue;
    file->spec.set_display_name(absl::StrCat(file->spec.display_name(), " ", prior));
    return ApplyOverride("--prior", absl::StrCat("student.nac.prior.kind=", value), &file->spec);
  }
  return absl::InternalError(absl::StrCat("unknown prior ", prior));
}

absl::StatusOr<JobFile> PrepareJob(Session& session, const DemoOptions& options) {
  DISTILL_ASSIGN_OR_RETURN(JobFile file, DemoJob(options));
  if (options.seed.has_value()) file.spec.set_seed(*options.seed);
  DISTILL_RETURN_IF_ERROR(ChoosePrior(options.prior, &file));
  if (options.full_eval) file.spec.mutable_evaluation()->set_corruption_images(0);
  for (const std::string& set : options.sets) {
    DISTILL_RETURN_IF_ERROR(ApplyOverride("--set", set, &file.spec));
  }
  // Results are shared within a project only, so a new one starts from nothing and loses nothing.
  if (options.fresh) {
    file.spec.set_project(absl::StrCat("demo-", session.environment().ids->RandomHex(4)));
  }
  return file;
}

// Submits, watches, reports.
absl::StatusOr<ExitCode> RunJob(Session& session, const v1::JobSpec& spec, const DevFleet& fleet) {
  const Environment& environment = session.environment();
  Client& client = session.ConnectTo(fleet.server().grpc);
  DISTILL_ASSIGN_OR_RETURN(const v1::Job job,
                           client.CreateJob(spec, environment.ids->RandomHex(16)));
  session.Note(absl::StrCat("job ", job.id(), ": ", job.tasks_total(), " tasks"));
  DISTILL_ASSIGN_OR_RETURN(const ExitCode code,
                           WatchToEnd(session, client, job.id(), WatchOutput::kNotes));
  if (code == ExitCode::kInterrupted) return code;
  DISTILL_ASSIGN_OR_RETURN(const v1::Report report, client.GetReport(job.id()));
  if (session.json()) {
    session.PrintJson(report);
  } else {
    session.out() << report.markdown() << std::flush;
  }
  const std::string directory = JoinPath(JoinPath(fleet.data_directory(), "reports"), job.id());
  DISTILL_RETURN_IF_ERROR(SaveReport(client, report, directory));
  session.Note(absl::StrCat("report and training curves: ", directory));
  return code;
}

absl::StatusOr<ExitCode> Demo(Session& session, const DemoOptions& options) {
  const Environment& environment = session.environment();
  DISTILL_ASSIGN_OR_RETURN(const JobFile file, PrepareJob(session, options));
  DevFleetOptions fleet_options;
  fleet_options.program_directory =
      options.program_directory.empty() ? environment.program_directory : options.program_directory;
  const std::string directory =
      options.data_directory.empty() ? session.DefaultDataDirectory() : options.data_directory;
  fleet_options.data_directory = std::filesystem::absolute(directory).lexically_normal().string();
  fleet_options.workers = options.workers;
  const absl::StatusOr<std::unique_ptr<DevFleet>> fleet =
      DevFleet::Start(fleet_options, environment.clock, environment.interrupt,
                      [&session](absl::string_view line) { session.Note(line); });
  if (environment.interrupt->requested()) return ExitCode::kInterrupted;
  if (!fleet.ok()) return fleet.status();
  session.Note(absl::StrCat("server ", (*fleet)->server().grpc, ", web http://",
                            (*fleet)->server().http, ", ", options.workers, " workers, data in ",
                            (*fleet)->data_directory()));
  const absl::StatusOr<ExitCode> code = RunJob(session, file.spec, **fleet);
  if (environment.interrupt->requested()) {
    session.Note("stopping; what is done is kept, and the same command goes on from there");
    return ExitCode::kInterrupted;
  }
  if (options.keep && code.ok()) {
    session.Note("--keep: server and workers go on until Ctrl-C");
    while (!environment.interrupt->WaitFor(absl::Hours(1))) {
    }
  }
  return code;
}

}  // namespace

void AddDemoCommand(CLI::App& parent, Command& chosen) {
  CLI::App* const demo = parent.add_subcommand(
      "demo", "Turn a teacher into a modular student on this machine, and print the report");
  // Co-owned by the callback, which outlives this function.
  const auto options = std::make_shared<DemoOptions>();
  demo->add_option("--job", options->job_file, "Job file to run instead of the built-in one");
  demo->add_option("--student", options->student, "Built-in job: vmoe, vit or nac")
      ->check(CLI::IsMember({"vmoe", "vit", "nac"}))
      ->capture_default_str();
  demo->add_option("--prior", options->prior,
                   "Graph prior of a NAC: scale-free, planted-partition, ring-of-cliques or "
                   "erdos-renyi; default: the job's")
      ->check(CLI::IsMember(PriorNames()));
  demo->add_option("--workers,-n", options->workers, "Workers, of one slot each")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  demo->add_option("--seed", options->seed, "Seed of everything random; default: the file's");
  demo->add_option("--set", options->sets, "Replace one field of the job; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  demo->add_flag("--full-eval", options->full_eval, "Evaluate corruptions on all test images");
  demo->add_flag("--fresh", options->fresh, "Reuse no result of an earlier run");
  demo->add_flag("--keep", options->keep, "Leave server and workers running until Ctrl-C");
  demo->add_option("--data-dir", options->data_directory,
                   "Where results are kept; default DISTILL_DATA_DIR or .distill");
  demo->add_option("--program-dir", options->program_directory,
                   "Folder of distill-server and distill-worker; default: beside this program");
  demo->footer(
      "Run it again and finished tasks are reused; so are the modules of a NAC under another "
      "prior.\n"
      "Example:\n  distill demo --seed 1 > report.md\n"
      "  distill demo --student nac --prior ring-of-cliques\n");
  demo->callback([options, &chosen] {
    chosen = [options](Session& session) { return Demo(session, *options); };
  });
}

}  // namespace distill::client
