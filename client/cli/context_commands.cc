// context list, show, use, set, delete: named servers, and which one is meant.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/context_file.h"
#include "client/cli/settings.h"
#include "nlohmann/json.hpp"

namespace distill::client {
namespace {

using nlohmann::ordered_json;

std::string PathOf(Session& session) { return ContextFilePath(session.environment().variable); }

std::string Valued(const Context& context, const char* setting) {
  const auto found = context.values.find(setting);
  return found == context.values.end() || found->second.empty() ? "-" : found->second;
}

// How one proves who one is there.
std::string Proof(const Context& context) {
  std::vector<std::string> proofs;
  if (Valued(context, "token_file") != "-") proofs.emplace_back("token");
  if (Valued(context, "tls_cert") != "-") proofs.emplace_back("certificate");
  return proofs.empty() ? "-" : absl::StrJoin(proofs, ", ");
}

ordered_json ToJson(const Context& context, bool current) {
  ordered_json json = {{"name", context.name}, {"current", current}};
  for (const SettingInfo& setting : AllSettings()) {
    const auto found = context.values.find(setting.name);
    json[setting.name] = found == context.values.end() ? "" : found->second;
  }
  return json;
}

absl::StatusOr<ExitCode> List(Session& session) {
  DISTILL_ASSIGN_OR_RETURN(const ContextFile file, ReadContextFile(PathOf(session)));
  ordered_json document = {{"contexts", ordered_json::array()}};
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> names;
  for (const Context& context : file.contexts) {
    const bool current = context.name == file.current;
    document["contexts"].push_back(ToJson(context, current));
    names.push_back(context.name);
    rows.push_back({current ? "*" : "", context.name, Valued(context, "server"),
                    Valued(context, "project"), Proof(context)});
  }
  if (session.json()) {
    session.PrintJson(document.dump());
  } else if (session.names_only()) {
    session.PrintNames(names);
  } else {
    PrintTable({"", "CONTEXT", "SERVER", "PROJECT", "PROOF"}, rows, session.out());
    if (file.contexts.empty()) {
      session.Note("there is none yet; make one with: distill context set NAME --server host:port");
    }
  }
  return ExitCode::kOk;
}

// What holds now and why, or what one context says.
absl::StatusOr<ExitCode> Show(Session& session, const std::string& name) {
  ResolvedSettings settings;
  if (name.empty()) {
    DISTILL_ASSIGN_OR_RETURN(settings, session.ResolvedOptions());
  } else {
    DISTILL_ASSIGN_OR_RETURN(const ContextFile file, ReadContextFile(PathOf(session)));
    const Context* const context = file.Find(name);
    if (context == nullptr) return NoSuchContext(file, name);
    settings = ResolveSettings(
        {}, [](const std::string&) { return std::nullopt; }, context);
  }
  ordered_json document = {{"settings", ordered_json::array()}};
  std::vector<std::vector<std::string>> rows;
  for (const SettingInfo& setting : AllSettings()) {
    const auto found = settings.find(setting.name);
    const bool is_set = found != settings.end();
    document["settings"].push_back({{"name", setting.name},
                                    {"value", is_set ? found->second.value : ""},
                                    {"origin", is_set ? found->second.origin : ""}});
    rows.push_back(
        {setting.name, is_set ? found->second.value : "-", is_set ? found->second.origin : "-"});
  }
  if (session.json()) {
    session.PrintJson(document.dump());
  } else {
    PrintTable({"SETTING", "VALUE", "FROM"}, rows, session.out());
  }
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Use(Session& session, const std::string& name) {
  const std::string path = PathOf(session);
  DISTILL_ASSIGN_OR_RETURN(ContextFile file, ReadContextFile(path));
  if (name != kDevContext && file.Find(name) == nullptr) return NoSuchContext(file, name);
  file.current = name == kDevContext ? "" : name;
  DISTILL_RETURN_IF_ERROR(WriteContextFile(path, file));
  session.Note(file.current.empty()
                   ? "no context is current: commands use the `distill dev` of their directory"
                   : absl::StrCat("now using context ", name, ", server ",
                                  Valued(*file.Find(name), "server")));
  return ExitCode::kOk;
}

struct SetOptions {
  std::string name;
  // Those given; an empty value removes a setting.
  SettingValues values;
  bool use = false;
};

absl::StatusOr<ExitCode> Set(Session& session, const SetOptions& options) {
  DISTILL_RETURN_IF_ERROR(CheckContextName(options.name));
  const std::string path = PathOf(session);
  DISTILL_ASSIGN_OR_RETURN(ContextFile file, ReadContextFile(path));
  if (file.Find(options.name) == nullptr) {
    file.contexts.push_back({options.name, {}});
    std::sort(file.contexts.begin(), file.contexts.end(),
              [](const Context& a, const Context& b) { return a.name < b.name; });
  }
  Context& context = *file.Find(options.name);
  // Given before the command they mean the same.
  SettingValues values = options.values;
  values.insert(session.options().settings.begin(), session.options().settings.end());
  for (const SettingInfo& setting : AllSettings()) {
    const auto given = values.find(setting.name);
    if (given == values.end()) continue;
    std::string value = given->second;
    if (setting.is_file && !value.empty() && value != "system") {
      value = std::filesystem::absolute(value).lexically_normal().string();
      if (!FileExists(value)) {
        session.Note(
            absl::StrCat("note: ", setting.flag, " names a file that is not there (yet): ", value));
      }
    }
    context.values[setting.name] = value;
  }
  if (Valued(context, "server") == "-") {
    return absl::InvalidArgumentError(absl::StrCat("cannot set context ", options.name,
                                                   ": it needs a server; give --server host:port"));
  }
  DISTILL_RETURN_IF_ERROR(CheckServerList("--server", Valued(context, "server")));
  const bool becomes_current = options.use || file.contexts.size() == 1;
  if (becomes_current) file.current = options.name;
  DISTILL_RETURN_IF_ERROR(WriteContextFile(path, file));
  session.Note(absl::StrCat("saved context ", options.name, " in ", path));
  session.Note(file.current == options.name
                   ? "it is the current one: commands use it unless they are told otherwise"
                   : absl::StrCat("use it with: distill context use ", options.name));
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Delete(Session& session, const std::string& name) {
  const std::string path = PathOf(session);
  DISTILL_ASSIGN_OR_RETURN(ContextFile file, ReadContextFile(path));
  if (file.Find(name) == nullptr) return NoSuchContext(file, name);
  file.contexts.erase(file.contexts.begin() + (file.Find(name) - file.contexts.data()));
  const bool was_current = file.current == name;
  if (was_current) file.current.clear();
  DISTILL_RETURN_IF_ERROR(WriteContextFile(path, file));
  session.Note(
      absl::StrCat("deleted context ", name, was_current ? "; no context is current now" : ""));
  return ExitCode::kOk;
}

void AddSet(CLI::App& context, Command& chosen) {
  CLI::App* const set =
      context.add_subcommand("set", "Make a context, or change those settings that are given");
  // Co-owned by the callbacks, which outlive this function.
  const auto options = std::make_shared<SetOptions>();
  set->add_option("name", options->name, "Name of the context")->required()->type_name("CONTEXT");
  AddSettingFlags(*set, options->values,
                  [](const SettingInfo& setting) { return std::string(setting.description); });
  set->add_flag("--use", options->use, "Also make it the current one; the first context is anyway");
  set->footer(
      "An empty value (--project \"\") removes a setting. Tokens stay in their own files.\n"
      "Example:\n  distill context set lab --server gpu-head:7070,gpu-standby:7070 --tls-ca ca.pem "
      "--token-file lab.token\n  distill context set lab --project vision --use\n");
  set->callback([options, &chosen] {
    chosen = [options](Session& session) { return Set(session, *options); };
  });
}

}  // namespace

void AddContextCommands(CLI::App& parent, Command& chosen) {
  CLI::App* const context =
      parent.add_subcommand("context", "Named servers, and which one commands talk to");
  context->require_subcommand(1);
  context->footer(
      "A flag wins over the environment, that over the context, that over the default.\n"
      "Example:\n  distill context set lab --server gpu-head:7070 --tls-ca ca.pem\n");

  CLI::App* const list = context->add_subcommand("list", "List contexts; * marks the current one");
  list->footer("Example:\n  distill context list\n");
  list->callback([&chosen] { chosen = [](Session& session) { return List(session); }; });

  using Action = absl::StatusOr<ExitCode> (*)(Session&, const std::string&);
  const auto add_single = [&](const char* name, const char* description, const char* footer,
                              bool required, Action action) {
    CLI::App* const command = context->add_subcommand(name, description);
    // Co-owned by the callback, which outlives this function.
    const auto which = std::make_shared<std::string>();
    command->add_option("name", *which, "Name of the context")
        ->required(required)
        ->type_name("CONTEXT");
    command->footer(footer);
    command->callback([which, action, &chosen] {
      chosen = [which, action](Session& session) { return action(session, *which); };
    });
  };
  add_single("show", "Show what settings hold and where each comes from, or those of a context",
             "Example:\n  distill context show\n  distill --project vision context show\n",
             /*required=*/false, &Show);
  add_single("use", "Make a context the current one",
             "The name dev makes none current: commands then use the `distill dev` of their "
             "directory.\nExample:\n  distill context use lab\n",
             /*required=*/true, &Use);
  AddSet(*context, chosen);
  add_single("delete", "Forget a context; the files that it names stay",
             "Example:\n  distill context delete lab\n", /*required=*/true, &Delete);
}

}  // namespace distill::client
