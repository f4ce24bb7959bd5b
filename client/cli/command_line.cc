#include "client/cli/command_line.h"

#include <algorithm>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"
#include "client/cli/commands.h"
#include "client/cli/session.h"
#include "client/jobfile/names.h"

namespace distill::client {
namespace {

constexpr char kExitCodes[] =
    "Exit codes: 0 done, 1 job failed, 2 usage, 3 not found, 4 not allowed, 5 invalid job,\n"
    "6 exhausted, 7 unavailable or timed out, 8 cancelled, 130 Ctrl-C.\n";

void Declare(CLI::App& app, GlobalOptions& options, Command& chosen) {
  app.require_subcommand(1);
  // Global options may stand after the command too.
  app.fallthrough();
  app.get_formatter()->column_width(34);
  app.set_help_flag("--help,-h", "Print this help");
  app.add_option("--server", options.server,
                 "host:port, several separated by commas; default DISTILL_SERVER, or the `distill "
                 "dev` of this directory");
  app.add_option("--tls-ca", options.security.files.ca,
                 "Authority of the server's certificate (PEM file, or \"system\"); default "
                 "DISTILL_TLS_CA. Servers beyond this machine need it");
  app.add_option("--tls-cert", options.security.files.certificate,
                 "Your certificate; default DISTILL_TLS_CERT");
  app.add_option("--tls-key", options.security.files.key,
                 "Its private key; default DISTILL_TLS_KEY");
  app.add_option("--tls-server-name", options.security.server_name,
                 "Name in the server's certificate, when it is not the host of --server");
  app.add_option("--token-file", options.security.token_file,
                 "File with your token, for its owner alone to read; default DISTILL_TOKEN_FILE");
  app.add_flag("--insecure-allow-plaintext", options.security.allow_plaintext,
               "Speak unencrypted to a server beyond this machine");
  app.add_option_function<std::string>(
         "--output,-o",
         [&options](const std::string& format) {
           options.output = format == "json" ? OutputFormat::kJson : OutputFormat::kTable;
         },
         "What to print data as; default table")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("");
  app.add_flag("--quiet,-q", options.quiet, "Print no notes");
  app.footer(std::string("Example:\n  distill demo\n  distill dev & distill job submit "
                         "deploy/jobs/tiny.yaml --watch\n\n") +
             kExitCodes);
  AddDemoCommand(app, chosen);
  AddDevCommand(app, chosen);
  CLI::App* const job = app.add_subcommand("job", "Submit jobs, follow them, read their reports");
  job->require_subcommand(1);
  job->footer("Example:\n  distill job submit deploy/jobs/tiny.yaml --watch\n");
  AddJobCommands(*job, chosen);
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
  AddWorkerCommands(app, chosen);
  AddQuotaCommands(app, chosen);
  AddCacheCommands(app, chosen);
  AddLedgerCommand(app, chosen);
  AddAdminCommands(app, chosen);
  AddTokenCommands(app, chosen);
  AddVersionCommand(app, chosen);
}

// The command that parsing reached before it stopped, such as "distill job".
const CLI::App& Deepest(const CLI::App& app) {
  const std::vector<CLI::App*> parsed = app.get_subcommands();
  return parsed.empty() ? app : Deepest(*parsed.back());
}

// "distill job submit".
std::string FullName(const CLI::App& app) {
  if (app.get_parent() == nullptr) return app.get_name();
  return FullName(*app.get_parent()) + " " + app.get_name();
}

ExitCode ComplainOfUsage(const CLI::App& app, const CLI::ParseError& error,
                         const std::vector<std::string>& arguments, std::ostream& out) {
  const CLI::App& reached = Deepest(app);
  std::string message = error.what();
  // The first word that names no command where one is due is most likely a slip.
  std::vector<std::string> names;
  for (const CLI::App* const command : reached.get_subcommands({})) {
    names.push_back(command->get_name());
  }
  const auto is_word = [&](const std::string& argument) {
    return !argument.empty() && argument[0] != '-' && argument != reached.get_name();
  };
  const auto start = std::find(arguments.begin(), arguments.end(), reached.get_name());
  const auto word =
      std::find_if(start == arguments.end() ? arguments.begin() : start, arguments.end(), is_word);
  if (!names.empty() && word != arguments.end() &&
      std::find(names.begin(), names.end(), *word) == names.end()) {
    message = "unknown command \"" + *word + "\"" + Suggestion(*word, names, "commands");
  }
  out << "error: " << message << "\nhint: see `" << FullName(reached) << " --help`" << std::endl;
  return ExitCode::kUsage;
}

}  // namespace

ExitCode RunCommandLine(const std::vector<std::string>& arguments, const Environment& environment) {
  Session session(environment);
  Command chosen;
  CLI::App app("Distillery: turns a large vision model into a modular one.", "distill");
  Declare(app, session.options(), chosen);
  try {
    // CLI11 takes them last first.
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    *environment.data.out << app.help() << std::flush;
    return ExitCode::kOk;
  } catch (const CLI::ParseError& error) {
    return ComplainOfUsage(app, error, arguments, *environment.notes.out);
  }
  const absl::StatusOr<ExitCode> code = chosen(session);
  environment.data.out->flush();
  if (code.ok()) return *code;
  if (environment.interrupt->requested()) return ExitCode::kInterrupted;
  PrintError(code.status(), *environment.notes.out);
  return ExitCodeOf(code.status());
}

}  // namespace distill::client
