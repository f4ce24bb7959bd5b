#include "client/cli/session.h"

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

Client& Session::ConnectTo(const std::string& server) {
  ClientOptions options;
  options.server = server;
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
  if (server.empty()) {
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
  return &ConnectTo(server);
}

absl::StatusOr<std::string> Session::ResolveJob(const std::string& text) {
  if (text != "latest") {
    const std::vector<std::string> parts = absl::StrSplit(text, '/');
    return parts.back();
  }
  DISTILL_ASSIGN_OR_RETURN(Client* const client, Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs, client->ListJobs("-", 1));
  if (jobs.empty()) return absl::NotFoundError("cannot find the latest job: there is no job yet");
  return jobs[0].id();
}

bool Session::color(const Stream& stream) const {
  // no-color.org: any value that is not empty counts.
  return stream.is_terminal && environment_.variable("NO_COLOR").value_or("").empty();
}

}  // namespace distill::client
