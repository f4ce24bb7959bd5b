#include "client/cli/session.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "base/trace_context.h"
#include "client/cli/context_file.h"
#include "client/cli/dev_addresses.h"

namespace distill::client {
namespace {

constexpr absl::Duration kHurriedCall = absl::Seconds(1);
constexpr int kColumnsOfNoTerminal = 80;

}  // namespace

void Session::Note(absl::string_view line) {
  if (!options_.quiet) *environment_.notes.out << line << std::endl;
}

void Session::PrintJson(const google::protobuf::Message& message) {
  if (options_.output == OutputFormat::kYaml) {
    out() << JsonToYaml(ToJson(message, JsonShape::kOneLine));
  } else {
    out() << ToJson(message, JsonShape::kIndented);
  }
}

void Session::PrintJson(absl::string_view json) {
  out() << (options_.output == OutputFormat::kYaml ? JsonToYaml(json) : IndentJson(json));
}

void Session::PrintJsonLine(const google::protobuf::Message& message) {
  PrintJsonLine(ToJson(message, JsonShape::kOneLine));
}

void Session::PrintJsonLine(absl::string_view json) {
  if (options_.output == OutputFormat::kYaml) {
    out() << "---\n" << JsonToYaml(json) << std::flush;
  } else {
    out() << json << std::flush;
  }
}

void Session::PrintNames(const std::vector<std::string>& names) {
  for (const std::string& name : names) out() << name << "\n";
}

int Session::columns() const {
  return environment_.data.is_terminal ? environment_.terminal_size().columns
                                       : kColumnsOfNoTerminal;
}

std::string Session::DefaultDataDirectory() const {
  return environment_.variable("DISTILL_DATA_DIR").value_or(".distill");
}

absl::StatusOr<ResolvedSettings> Session::ResolvedOptions() {
  if (settings_.has_value()) return *settings_;
  DISTILL_ASSIGN_OR_RETURN(const ContextFile file,
                           ReadContextFile(ContextFilePath(environment_.variable)));
  std::string name = options_.context;
  if (name.empty()) name = environment_.variable("DISTILL_CONTEXT").value_or("");
  if (name.empty()) name = file.current;
  const Context* const context = file.Find(name);
  if (context == nullptr && !name.empty() && name != kDevContext) return NoSuchContext(file, name);
  settings_ = ResolveSettings(options_.settings, environment_.variable, context);
  return *settings_;
}

ChannelSecurity Session::SecurityOf(const ResolvedSettings& settings) {
  ChannelSecurity security;
  security.files.ca = ValueOf(settings, "tls_ca");
  security.files.certificate = ValueOf(settings, "tls_cert");
  security.files.key = ValueOf(settings, "tls_key");
  security.server_name = ValueOf(settings, "tls_server_name");
  security.token_file = ValueOf(settings, "token_file");
  security.allow_plaintext = !ValueOf(settings, "insecure_allow_plaintext").empty();
  return security;
}

Client& Session::ConnectTo(const std::string& server) {
  ClientOptions options;
  options.server = server;
  return MakeClient(std::move(options));
}

std::string Session::ProjectSetting() {
  const absl::StatusOr<ResolvedSettings> settings = ResolvedOptions();
  // An unreadable context file fails the command when it connects.
  return settings.ok() ? ValueOf(*settings, "project") : "";
}

std::string Session::DefaultProject() {
  const std::string project = ProjectSetting();
  return project.empty() ? "default" : project;
}

v1::JobSpec Session::InProject(v1::JobSpec spec) {
  const auto flag = options_.settings.find("project");
  if (flag != options_.settings.end()) {
    spec.set_project(flag->second);
  } else if (!spec.has_project() && !ProjectSetting().empty()) {
    spec.set_project(ProjectSetting());
  }
  return spec;
}

Client& Session::MakeClient(ClientOptions options) {
  // Set by build systems and tracing shells, so that a job shows up below what submitted it.
  const std::string traceparent = environment_.variable("TRACEPARENT").value_or("");
  if (ParseTraceparent(traceparent).has_value()) options.traceparent = traceparent;
  if (hurried_) {
    options.call_timeout = kHurriedCall;
    options.retry_for = absl::ZeroDuration();
  }
  ClientDependencies dependencies{environment_.clock, environment_.ids, environment_.interrupt, {}};
  dependencies.on_retry = [this](const absl::Status& status) {
    Note(absl::StrCat("the server does not answer (", status.message(), "); trying again"));
  };
  client_ = std::make_unique<Client>(std::move(options), std::move(dependencies));
  return *client_;
}

absl::StatusOr<Client*> Session::Connect() {
  if (client_ != nullptr) return client_.get();
  DISTILL_ASSIGN_OR_RETURN(const ResolvedSettings settings, ResolvedOptions());
  const auto named = settings.find("server");
  if (named != settings.end()) {
    DISTILL_RETURN_IF_ERROR(CheckServerList(named->second.origin, named->second.value));
    ClientOptions options;
    options.server = named->second.value;
    options.security = SecurityOf(settings);
    DISTILL_ASSIGN_OR_RETURN(
        options.credentials,
        MakeChannelCredentials(absl::StrSplit(options.server, ',', absl::SkipEmpty()),
                               options.security, environment_.clock->WallNow()));
    return &MakeClient(std::move(options));
  }
  // A `distill dev` of this directory is found by its file, not named: it speaks unencrypted.
  const std::string path = JoinPath(DefaultDataDirectory(), kServerAddressesFile);
  const absl::StatusOr<DevAddresses> addresses = ReadAddresses(path);
  if (addresses.ok()) return &ConnectTo(addresses->grpc);
  if (!absl::IsNotFound(addresses.status())) return addresses.status();
  return absl::UnavailableError(
      "cannot find a server: neither --server, DISTILL_SERVER nor a context names one, and no "
      "`distill dev` runs in this directory");
}

absl::StatusOr<std::string> Session::ResolveJob(const std::string& text) {
  if (text != "latest") {
    const std::vector<std::string> parts = absl::StrSplit(text, '/');
    return parts.back();
  }
  DISTILL_ASSIGN_OR_RETURN(Client* const client, Connect());
  const std::string project = ProjectSetting();
  DISTILL_ASSIGN_OR_RETURN(const std::vector<v1::Job> jobs,
                           client->ListJobs(project.empty() ? "-" : project, 1));
  if (jobs.empty()) {
    return absl::NotFoundError(
        absl::StrCat("cannot find the latest job: there is no job yet",
                     project.empty() ? "" : absl::StrCat(" in project ", project)));
  }
  return jobs[0].id();
}

bool Session::color(const Stream& stream) const {
  // no-color.org: any value that is not empty counts.
  return stream.is_terminal && environment_.variable("NO_COLOR").value_or("").empty();
}

}  // namespace distill::client
