#include "client/cli/session.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/trace_context.h"
#include "client/cli/dev_addresses.h"

namespace distill::client {

void Session::Note(absl::string_view line) {
  if (!options_.quiet) *environment_.notes.out << line << std::endl;
}

void Session::PrintJson(const google::protobuf::Message& message) {
  out() << ToJson(message, JsonShape::kIndented);
}

std::string Session::DefaultDataDirectory() const {
  return environment_.variable("DISTILL_DATA_DIR").value_or(".distill");
}

ChannelSecurity Session::Security() const {
  ChannelSecurity security = options_.security;
  const auto complete = [this](std::string& value, const char* variable) {
    if (value.empty()) value = environment_.variable(variable).value_or("");
  };
  complete(security.files.ca, "DISTILL_TLS_CA");
  complete(security.files.certificate, "DISTILL_TLS_CERT");
  complete(security.files.key, "DISTILL_TLS_KEY");
  complete(security.server_name, "DISTILL_TLS_SERVER_NAME");
  complete(security.token_file, "DISTILL_TOKEN_FILE");
  return security;
}

Client& Session::ConnectTo(const std::string& server) {
  ClientOptions options;
  options.server = server;
  return MakeClient(std::move(options));
}

std::string Session::DefaultProject() const {
  return environment_.variable("DISTILL_PROJECT").value_or("default");
}

v1::JobSpec Session::InProject(v1::JobSpec spec) const {
  const std::optional<std::string> project = environment_.variable("DISTILL_PROJECT");
  if (project.has_value() && !spec.has_project()) spec.set_project(*project);
  return spec;
}

Client& Session::MakeClient(ClientOptions options) {
  // Set by build systems and tracing shells, so that a job shows up below what submitted it.
  const std::string traceparent = environment_.variable("TRACEPARENT").value_or("");
  if (ParseTraceparent(traceparent).has_value()) options.traceparent = traceparent;
  ClientDependencies dependencies{environment_.clock, environment_.ids, environment_.interrupt, {}};
  dependencies.on_retry = [this](const absl::Status& status) {
    Note(absl::StrCat("the server does not answer (", status.message(), "); trying again"));
  };
  client_ = std::make_unique<Client>(std::move(options), std::move(dependencies));
  return *client_;
}

absl::StatusOr<Client*> Session::Connect() {
  if (client_ != nullptr) return client_.get();
  std::string server = options_.server;
  if (server.empty()) server = environment_.variable("DISTILL_SERVER").value_or("");
  const bool is_dev = server.empty();
  if (is_dev) {
    const std::string path = JoinPath(DefaultDataDirectory(), kServerAddressesFile);
    const absl::StatusOr<DevAddresses> addresses = ReadAddresses(path);
    if (addresses.ok()) server = addresses->grpc;
    if (!addresses.ok() && !absl::IsNotFound(addresses.status())) return addresses.status();
  }
  if (server.empty()) {
    return absl::UnavailableError(
        "cannot find a server: neither --server nor DISTILL_SERVER is given, and no `distill dev` "
        "runs in this directory");
  }
  // A `distill dev` of this directory is found by its file, not named: it speaks unencrypted.
  if (is_dev) return &ConnectTo(server);
  ClientOptions options;
  options.server = server;
  options.security = Security();
  DISTILL_ASSIGN_OR_RETURN(options.credentials,
                           MakeChannelCredentials(absl::StrSplit(server, ',', absl::SkipEmpty()),
                                                  options.security, environment_.clock->WallNow()));
  return &MakeClient(std::move(options));
}

absl::StatusOr<std::string> Session::ResolveJob(const std::string& text) {
  if (text != "latest") {
    const std::vector<std::string> parts = absl::StrSplit(text, '/');
    return parts.back();
  }
  DISTILL_ASSIGN_OR_RETURN(Client* const client, Connect());
  DISTILL_ASSIGN_OR_RETURN(
      const std::vector<v1::Job> jobs,
      client->ListJobs(environment_.variable("DISTILL_PROJECT").value_or("-"), 1));
  if (jobs.empty()) return absl::NotFoundError("cannot find the latest job: there is no job yet");
  return jobs[0].id();
}

bool Session::color(const Stream& stream) const {
  // no-color.org: any value that is not empty counts.
  return stream.is_terminal && environment_.variable("NO_COLOR").value_or("").empty();
}

}  // namespace distill::client
