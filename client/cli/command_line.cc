#include "client/cli/command_line.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/help_text.h"
#include "client/cli/session.h"
#include "client/cli/usage_error.h"

namespace distill::client {
namespace {

constexpr char kExitCodes[] =
    "Exit codes: 0 done, 1 job failed, 2 usage, 3 not found, 4 not allowed, 5 invalid job,\n"
    "6 exhausted, 7 unavailable or timed out, 8 cancelled, 130 Ctrl-C.\n";

// Commands that say `-o name` too: what they print has names that other commands take.
constexpr const char* kNamingCommands[] = {
    "distill artifact get", "distill artifact list", "distill artifact put",
    "distill context list", "distill dataset add",   "distill dataset get",
    "distill dataset list", "distill job cancel",    "distill job get",
    "distill job list",     "distill job pause",     "distill job presets",
    "distill job render",   "distill job resume",    "distill job retry",
    "distill job submit",   "distill quota list",    "distill task get",
    "distill task list",    "distill worker drain",  "distill worker list",
    "distill token list",   "distill worker resume", "distill worker quarantine",
};

OutputFormat FormatOf(const std::string& name) {
  return name == "json"   ? OutputFormat::kJson
         : name == "yaml" ? OutputFormat::kYaml
         : name == "name" ? OutputFormat::kName
                          : OutputFormat::kTable;
}

void DeclareGlobalOptions(CLI::App& app, GlobalOptions& options) {
  app.set_help_flag("--help,-h", "Print this help");
  AddSettingFlags(app, options.settings, [](const SettingInfo& setting) {
    return setting.variable == nullptr
               ? absl::StrCat(setting.description, "; default: as the context says")
               : absl::StrCat(setting.description, "; default ", setting.variable,
                              ", or the context's");
  });
  app.add_option("--context", options.context,
                 "Context to use (see `distill context`), or dev: the `distill dev` of this "
                 "directory; default DISTILL_CONTEXT, or the current one");
  app.add_option_function<std::string>(
         "--output,-o",
         [&options](const std::string& format) { options.output = FormatOf(format); },
         "What to print data as; default table. name: only names, one a line, where there are any")
      ->check(CLI::IsMember({"table", "json", "yaml", "name"}))
      ->type_name("");
  app.add_flag("--quiet,-q", options.quiet, "Print no notes");
}

void Declare(CLI::App& app, GlobalOptions& options, Command& chosen) {
  app.require_subcommand(1);
  // Global options may stand after the command too.
  app.fallthrough();
  DeclareGlobalOptions(app, options);
  app.footer(std::string("Example:\n  distill demo\n  distill dev & distill job submit "
                         "deploy/jobs/tiny.yaml --watch\n\n") +
             kExitCodes);
  AddDemoCommand(app, chosen);
  AddDevCommand(app, chosen);
  CLI::App* const job = app.add_subcommand("job", "Submit jobs, follow them, read their reports");
  job->require_subcommand(1);
  job->footer("Example:\n  distill job submit deploy/jobs/tiny.yaml --watch\n");
  AddJobCommands(*job, chosen);
  AddJobRenderCommand(*job, chosen);
  AddJobWatchCommands(*job, chosen);
  AddJobLogsCommand(*job, chosen);
  AddJobReportCommands(*job, chosen);
  AddJobTraceCommand(*job, chosen);
  AddJobCostCommand(*job, chosen);
  AddJobPresetCommand(*job, chosen);
  AddTaskCommands(app, chosen);
  AddArtifactCommands(app, chosen);
  AddDatasetCommands(app, chosen);
  AddExperimentCommands(app, chosen);
  AddTopCommand(app, chosen);
  AddWorkerCommands(app, chosen);
  AddQuotaCommands(app, chosen);
  AddCacheCommands(app, chosen);
  AddLedgerCommand(app, chosen);
  AddAdminCommands(app, chosen);
  AddTokenCommands(app, chosen);
  AddContextCommands(app, chosen);
  AddCompletionCommand(app, chosen);
  AddHelpCommand(app, chosen);
  AddVersionCommand(app, chosen);
}

// One command line: what it may say, and what it says.
struct Parser {
  explicit Parser(GlobalOptions& options)
      : app("Distillery: turns a large vision model into a modular one.", "distill") {
    Declare(app, options, chosen);
  }

  // Throws CLI::ParseError.
  void Parse(const std::vector<std::string>& arguments) {
    // CLI11 takes them last first.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  }

  Command chosen;
  CLI::App app;
};

// "" when the command can print what is asked for.
std::string ComplainOfOutput(const CommandInfo& command, OutputFormat format) {
  const bool has_names = std::find(std::begin(kNamingCommands), std::end(kNamingCommands),
                                   command.path) != std::end(kNamingCommands);
  if (format != OutputFormat::kName || has_names) return "";
  return absl::StrCat("error: `", command.path,
                      "` has no names to print; use -o table, json or yaml\n");
}

}  // namespace

ExitCode RunCommandLine(const std::vector<std::string>& arguments, const Environment& environment) {
  Session session(environment);
  Parser parser(session.options());
  try {
    parser.Parse(arguments);
  } catch (const CLI::CallForHelp&) {
    *environment.data.out << RenderHelp(Describe(Deepest(parser.app)), Describe(parser.app),
                                        session.columns())
                          << std::flush;
    return ExitCode::kOk;
  } catch (const CLI::ParseError& error) {
    *environment.notes.out << ExplainUsageError(parser.app, error, arguments) << std::flush;
    return ExitCode::kUsage;
  }
  const std::string complaint =
      ComplainOfOutput(Describe(Deepest(parser.app)), session.options().output);
  if (!complaint.empty()) {
    *environment.notes.out << complaint << std::flush;
    return ExitCode::kUsage;
  }
  const absl::StatusOr<ExitCode> code = parser.chosen(session);
  environment.data.out->flush();
  if (code.ok()) return *code;
  if (environment.interrupt->requested()) return ExitCode::kInterrupted;
  PrintError(code.status(), *environment.notes.out);
  return ExitCodeOf(code.status());
}

absl::Status CheckCommandLine(const std::vector<std::string>& arguments) {
  GlobalOptions options;
  Parser parser(options);
  try {
    parser.Parse(arguments);
  } catch (const CLI::CallForHelp&) {
    return absl::OkStatus();
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(ExplainUsageError(parser.app, error, arguments));
  }
  return absl::OkStatus();
}

CommandInfo DescribeCommandLine() {
  GlobalOptions options;
  return Describe(Parser(options).app);
}

}  // namespace distill::client
