// completion, and the hidden __complete that the shells' scripts ask.
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "client/cli/command_tree.h"
#include "client/cli/commands.h"
#include "client/cli/completion.h"
#include "client/cli/context_file.h"
#include "client/cli/embedded_jobs.h"
#include "client/cli/format.h"

namespace distill::client {
namespace {

using Kind = CompletionRequest::Kind;

// More than that nobody looks through, and the shell asks again as more is typed.
constexpr int kMostJobs = 200;

absl::StatusOr<std::vector<Candidate>> Jobs(Session& session) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, client->ListJobs("-", kMostJobs));
  std::vector<Candidate> candidates = {{"latest", "the newest job"}};
  for (const v1::Job& job : jobs) {
    candidates.push_back(
        {job.id(), absl::StrCat(StateName(job.state()), " ", job.spec().display_name())});
  }
  return candidates;
}

absl::StatusOr<std::vector<Candidate>> Tasks(Session& session, const std::string& text) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::string job, session.ResolveJob(text));
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Task> tasks, client->ListTasks(job));
  std::vector<Candidate> candidates;
  for (const v1::Task& task : tasks) candidates.push_back({task.id(), StateName(task.state())});
  return candidates;
}

absl::StatusOr<std::vector<Candidate>> Workers(Session& session) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Worker> workers, client->ListWorkers());
  std::vector<Candidate> candidates;
  for (const v1::Worker& worker : workers) {
    candidates.push_back({worker.info().worker_id(), StateName(worker.state())});
  }
  return candidates;
}

absl::StatusOr<std::vector<Candidate>> Datasets(Session& session) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Dataset> datasets, client->ListDatasets());
  std::vector<Candidate> candidates;
  for (const v1::Dataset& dataset : datasets) {
    candidates.push_back({dataset.name(), dataset.source().path()});
  }
  return candidates;
}

absl::StatusOr<std::vector<Candidate>> Digests(Session& session) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Artifact> artifacts, client->ListArtifacts(""));
  std::vector<Candidate> candidates;
  for (const v1::Artifact& artifact : artifacts) {
    candidates.push_back({artifact.digest(), absl::StrCat(ArtifactTypeName(artifact.type()), " ",
                                                          FormatBytes(artifact.size_bytes()))});
  }
  return candidates;
}

// Those of the newest jobs; quotas would be all of them, but they are for administrators.
absl::StatusOr<std::vector<Candidate>> Projects(Session& session) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, client->ListJobs("-", kMostJobs));
  std::set<std::string> names;
  for (const v1::Job& job : jobs) names.insert(job.spec().project());
  std::vector<Candidate> candidates;
  for (const std::string& name : names) candidates.push_back({name, ""});
  return candidates;
}

absl::StatusOr<std::vector<Candidate>> Contexts(Session& session) {
  DISTILL_ASSIGN_OR_RETURN(const ContextFile file,
                           ReadContextFile(ContextFilePath(session.environment().variable)));
  std::vector<Candidate> candidates = {{kDevContext, "the `distill dev` of this directory"}};
  for (const Context& context : file.contexts) {
    const auto server = context.values.find("server");
    candidates.push_back({context.name, server == context.values.end() ? "" : server->second});
  }
  return candidates;
}

absl::StatusOr<std::vector<Candidate>> Candidates(Session& session,
                                                  const CompletionRequest& request) {
  switch (request.kind) {
    case Kind::kJob:
      return Jobs(session);
    case Kind::kTask:
      return Tasks(session, request.job);
    case Kind::kWorker:
      return Workers(session);
    case Kind::kDataset:
      return Datasets(session);
    case Kind::kDigest:
      return Digests(session);
    case Kind::kProject:
      return Projects(session);
    case Kind::kContext:
      return Contexts(session);
    case Kind::kPreset: {
      std::vector<Candidate> candidates;
      for (const EmbeddedJob& preset : EmbeddedJobs()) {
        candidates.push_back({std::string(preset.name), ""});
      }
      return candidates;
    }
    case Kind::kJobField:
      return JobFieldCandidates(request.typed);
    default:
      return request.candidates;
  }
}

// Prints ":files" or ":directories", or a candidate a line with its description after a tab.
// Silent when something is wrong: it is asked while somebody types.
absl::StatusOr<ExitCode> Complete(Session& session, const CommandInfo& root,
                                  const std::string& line) {
  std::vector<std::string> words = SplitLine(line);
  if (!words.empty()) words.erase(words.begin());
  const CompletionRequest request = WhatFits(root, words);
  if (request.kind == Kind::kFile || request.kind == Kind::kDirectory) {
    session.out() << (request.kind == Kind::kFile ? ":files\n" : ":directories\n");
    return ExitCode::kOk;
  }
  session.options().quiet = true;
  session.options().settings = request.flags;
  session.options().context = request.context;
  session.Hurry();
  const absl::StatusOr<std::vector<Candidate>> candidates = Candidates(session, request);
  if (!candidates.ok()) return ExitCode::kOk;
  for (const Candidate& candidate : *candidates) {
    if (!absl::StartsWith(candidate.text, request.typed)) continue;
    session.out() << request.prefix << candidate.text << "\t" << candidate.description << "\n";
  }
  return ExitCode::kOk;
}

}  // namespace

void AddCompletionCommand(CLI::App& parent, Command& chosen) {
  CLI::App* const completion =
      parent.add_subcommand("completion", "Print a script that completes commands in your shell");
  // Co-owned, here and below, by the callbacks, which outlive this function.
  const auto shell = std::make_shared<std::string>();
  completion->add_option("shell", *shell, "Your shell")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->footer(
      "It completes commands, options and their values, and also jobs, tasks, workers, data sets, "
      "artifacts and the fields of job files, for which it asks the server.\n"
      "Example:\n  distill completion bash > ~/.local/share/bash-completion/completions/distill\n"
      "  distill completion zsh > ~/.zfunc/_distill\n"
      "  distill completion fish > ~/.config/fish/completions/distill.fish\n");
  completion->callback([shell, &chosen] {
    chosen = [shell](Session& session) -> absl::StatusOr<ExitCode> {
      session.out() << CompletionScript(*shell);
      return ExitCode::kOk;
    };
  });

  CLI::App* const complete = parent.add_subcommand("__complete", "Say what fits at a cursor");
  complete->group("");
  const auto line = std::make_shared<std::string>();
  complete->add_option("--line", *line, "The command line up to the cursor")->required();
  complete->callback([line, &parent, &chosen] {
    chosen = [line, &parent](Session& session) {
      return Complete(session, Describe(parent), *line);
    };
  });
}

}  // namespace distill::client
