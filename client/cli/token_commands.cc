// token create, list, revoke; whoami.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"
#include "client/jobfile/names.h"

namespace distill::client {
namespace {

std::string RoleName(v1::Role role) {
  const auto* const value = v1::Role_descriptor()->FindValueByNumber(role);
  return value == nullptr || role == v1::ROLE_UNSPECIFIED ? "-" : ShortEnumName(*value);
}

std::string StateOf(const v1::Token& token, absl::Time now) {
  if (token.has_revoke_time()) return "revoked";
  return absl::FromUnixSeconds(token.expire_time().seconds()) <= now ? "expired" : "valid";
}

const std::vector<std::string>& Header() {
  static const auto* const header = new std::vector<std::string>{
      "TOKEN", "PROJECT", "ROLE", "STATE", "EXPIRES", "LAST USED", "MADE BY", "FOR"};
  return *header;
}

std::vector<std::string> Row(const v1::Token& token, absl::Time now) {
  return {token.id(),
          token.project(),
          RoleName(token.role()),
          StateOf(token, now),
          FormatTime(token.expire_time()),
          token.has_last_used_time() ? FormatTime(token.last_used_time()) : "-",
          token.creator(),
          token.description().empty() ? "-" : token.description()};
}

// Into a new file that nobody else may read.
absl::Status Save(const std::string& path, const std::string& text) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (file < 0) return ErrnoStatus(errno, "create token file", path);
  const std::string line = text + "\n";
  const bool written = write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  const int error = errno;
  close(file);
  return written ? absl::OkStatus() : ErrnoStatus(error, "write token file", path);
}

struct CreateOptions {
  std::string project;
  std::string role;
  std::string description;
  std::string file;
  std::string lifetime = "720h";
};

absl::StatusOr<ExitCode> Create(Session& session, const CreateOptions& options) {
  v1::CreateTokenRequest request;
  request.set_project(options.project.empty() ? session.DefaultProject() : options.project);
  const auto* const role = FindEnumValue(*v1::Role_descriptor(), options.role);
  if (role != nullptr) request.set_role(static_cast<v1::Role>(role->number()));
  absl::Duration lifetime;
  if (!absl::ParseDuration(options.lifetime, &lifetime)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--lifetime: got ", options.lifetime, ", want a duration such as 720h"));
  }
  request.set_lifetime_seconds(absl::ToInt64Seconds(lifetime));
  request.set_description(options.description);
  request.set_request_id(session.environment().ids->RandomHex(16));
  if (!options.file.empty() && FileExists(options.file)) {
    return absl::AlreadyExistsError(
        absl::StrCat("cannot create token file: it exists; path=", options.file));
  }
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const v1::CreateTokenResponse made, client->CreateToken(request));
  if (!options.file.empty()) {
    DISTILL_RETURN_IF_ERROR(Save(options.file, made.text()));
    session.Note(absl::StrCat("token ", made.token().id(), " is in ", options.file,
                              "; its holder gives --token-file or sets DISTILL_TOKEN_FILE"));
    return ExitCode::kOk;
  }
  if (session.json()) {
    session.PrintJson(made);
    return ExitCode::kOk;
  }
  session.out() << made.text() << "\n";
  session.Note("this is the only time that it is shown");
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> List(Session& session) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Token> tokens, client->ListTokens());
  v1::ListTokensResponse response;
  std::vector<std::vector<std::string>> rows;
  for (const v1::Token& token : tokens) {
    *response.add_tokens() = token;
    rows.push_back(Row(token, session.environment().clock->WallNow()));
  }
  if (session.json()) {
    session.PrintJson(response);
  } else if (session.names_only()) {
    std::vector<std::string> names;
    for (const v1::Token& token : tokens) names.push_back(token.id());
    session.PrintNames(names);
  } else {
    PrintTable(Header(), rows, session.out());
  }
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Revoke(Session& session, const std::string& id) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const v1::Token token, client->RevokeToken(id));
  if (session.json()) {
    session.PrintJson(token);
  } else {
    PrintTable(Header(), {Row(token, session.environment().clock->WallNow())}, session.out());
  }
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> WhoAmI(Session& session) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const v1::WhoAmIResponse answer, client->WhoAmI());
  if (session.json()) {
    session.PrintJson(answer);
    return ExitCode::kOk;
  }
  session.out() << answer.caller() << "\n";
  for (const v1::ProjectGrant& grant : answer.grants()) {
    session.out() << "  " << RoleName(grant.role()) << " in "
                  << (grant.project() == "*" ? "all projects" : grant.project()) << "\n";
  }
  return ExitCode::kOk;
}

}  // namespace

void AddTokenCommands(CLI::App& parent, Command& chosen) {
  CLI::App* const token = parent.add_subcommand("token", "Tokens that let people in");
  token->require_subcommand(1);
  token->footer(
      "Example:\n  distill token create --role editor --project vision --file bob.token\n");

  CLI::App* const create = token->add_subcommand("create", "Make a token; its text is shown once");
  // Co-owned, here and below, by the callbacks, which outlive this function.
  const auto options = std::make_shared<CreateOptions>();
  create->add_option("--role", options->role, "viewer, editor or admin")
      ->required()
      ->check(CLI::IsMember({"viewer", "editor", "admin"}));
  create->add_option("--project", options->project,
                     "Where it holds; default DISTILL_PROJECT, or \"default\"; *: everywhere");
  create->add_option("--lifetime", options->lifetime, "Such as 8h; 1m to 8784h")
      ->capture_default_str();
  create->add_option("--description", options->description, "What it is for");
  create->add_option("--file", options->file, "New file for it, of mode 0600, instead of printing");
  create->footer("Example:\n  distill token create --role viewer --lifetime 8h\n");
  create->callback([options, &chosen] {
    chosen = [options](Session& session) { return Create(session, *options); };
  });

  CLI::App* const list = token->add_subcommand("list", "List the tokens of your projects");
  list->footer("Example:\n  distill token list\n");
  list->callback([&chosen] { chosen = [](Session& session) { return List(session); }; });

  CLI::App* const revoke = token->add_subcommand("revoke", "End a token at once");
  const auto id = std::make_shared<std::string>();
  revoke->add_option("token", *id, "Id of the token")->required();
  revoke->footer("Example:\n  distill token revoke 1f0c9a63d2e84b75\n");
  revoke->callback(
      [id, &chosen] { chosen = [id](Session& session) { return Revoke(session, *id); }; });

  CLI::App* const whoami =
      parent.add_subcommand("whoami", "Show whom the server takes you for, and your roles");
  whoami->footer("Example:\n  distill whoami\n");
  whoami->callback([&chosen] { chosen = [](Session& session) { return WhoAmI(session); }; });
}

}  // namespace distill::client
