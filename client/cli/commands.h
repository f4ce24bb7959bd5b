// The groups of commands. Each function declares its commands below `parent`, and arranges that
// parsing one of them puts what it asks for into `chosen`, which runs later. `session` is used for
// options only while parsing.
#pragma once

#include "CLI/App.hpp"
#include "client/cli/session.h"

namespace distill::client {

void AddDevCommand(CLI::App& parent, Command& chosen);
void AddDemoCommand(CLI::App& parent, Command& chosen);
// job submit, list, get, cancel, pause, resume, retry, delete.
void AddJobCommands(CLI::App& job, Command& chosen);
// job watch, wait.
void AddJobWatchCommands(CLI::App& job, Command& chosen);
// job report, compare, series.
void AddJobReportCommands(CLI::App& job, Command& chosen);
// job render.
void AddJobRenderCommand(CLI::App& job, Command& chosen);
void AddJobLogsCommand(CLI::App& job, Command& chosen);
void AddJobTraceCommand(CLI::App& job, Command& chosen);
void AddJobCostCommand(CLI::App& job, Command& chosen);
void AddTaskLogsCommand(CLI::App& task, Command& chosen);
void AddJobPresetCommand(CLI::App& job, Command& chosen);
void AddTaskCommands(CLI::App& parent, Command& chosen);
void AddArtifactCommands(CLI::App& parent, Command& chosen);
// artifact import, export, inspect.
void AddWeightCommands(CLI::App& artifact, Command& chosen);
void AddDatasetCommands(CLI::App& parent, Command& chosen);
void AddExperimentCommands(CLI::App& parent, Command& chosen);
void AddWorkerCommands(CLI::App& parent, Command& chosen);
void AddQuotaCommands(CLI::App& parent, Command& chosen);
void AddCacheCommands(CLI::App& parent, Command& chosen);
void AddLedgerCommand(CLI::App& parent, Command& chosen);
void AddAdminCommands(CLI::App& parent, Command& chosen);
// token create, list, revoke; whoami.
void AddTokenCommands(CLI::App& parent, Command& chosen);
void AddContextCommands(CLI::App& parent, Command& chosen);
void AddTopCommand(CLI::App& parent, Command& chosen);
// completion, and the hidden command that its scripts call.
void AddCompletionCommand(CLI::App& parent, Command& chosen);
void AddHelpCommand(CLI::App& parent, Command& chosen);
void AddVersionCommand(CLI::App& parent, Command& chosen);

}  // namespace distill::client
