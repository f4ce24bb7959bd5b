// What all commands share: the options before or after any command, the connection, and the two
// streams. A command is a function of a Session; parsing the command line only chooses one.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/environment.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/cli/settings.h"
#include "client/client.h"

namespace distill::client {

struct GlobalOptions {
  // Flags that were given, by name of the setting.
  SettingValues settings;
  // Empty: DISTILL_CONTEXT, or the current one.
  std::string context;
  OutputFormat output = OutputFormat::kTable;
  bool quiet = false;
};

// One thread only.
class Session {
 public:
  explicit Session(const Environment& environment) : environment_(environment) {}

  GlobalOptions& options() { return options_; }
  const GlobalOptions& options() const { return options_; }
  const Environment& environment() const { return environment_; }
  // Whether data is for programs: JSON, or YAML of the same structure.
  bool json() const {
    return options_.output == OutputFormat::kJson || options_.output == OutputFormat::kYaml;
  }
  // Whether only names are wanted, for shells.
  bool names_only() const { return options_.output == OutputFormat::kName; }

  std::ostream& out() { return *environment_.data.out; }
  // Writes one line to the notes, unless --quiet.
  void Note(absl::string_view line);
  // Prints a message, or a JSON text, as JSON or YAML.
  void PrintJson(const google::protobuf::Message& message);
  void PrintJson(absl::string_view json);
  // Prints one of a stream of messages: a line of JSON, or a YAML document.
  void PrintJsonLine(const google::protobuf::Message& message);
  // The same with a JSON text, which is one line and ends with a line break.
  void PrintJsonLine(absl::string_view json);
  void PrintNames(const std::vector<std::string>& names);
  // Columns of the terminal that data goes to; 80 when it is none.
  int columns() const;

  // What flags, environment and context come to. The errors of ReadContextFile(); kNotFound for a
  // context that is asked for and not there.
  absl::StatusOr<ResolvedSettings> ResolvedOptions();

  // Returns the client of the server that the settings or a `distill dev` in this directory name.
  // kUnavailable when none does.
  absl::StatusOr<Client*> Connect();
  // Directory of `distill dev`: DISTILL_DATA_DIR, or ".distill".
  std::string DefaultDataDirectory() const;
  // Connects, unencrypted, to a server of this machine from now on.
  Client& ConnectTo(const std::string& server);
  // Calls give up within a second and are not tried again, from now on: somebody is typing.
  void Hurry() { hurried_ = true; }

  // Project of what is listed, uploaded or registered: as the settings say, or "default".
  std::string DefaultProject();
  // Returns `spec`, in the project of --project if that is given, else in its own, else in that of
  // the environment or the context if there is one.
  v1::JobSpec InProject(v1::JobSpec spec);

  // Turns what people type into a job id: an id, a full name, or "latest".
  absl::StatusOr<std::string> ResolveJob(const std::string& text);

  bool color(const Stream& stream) const;

 private:
  // How to speak to the server of the settings.
  static ChannelSecurity SecurityOf(const ResolvedSettings& settings);
  Client& MakeClient(ClientOptions options);
  std::string ProjectSetting();

  const Environment environment_;
  GlobalOptions options_;
  std::optional<ResolvedSettings> settings_;
  std::unique_ptr<Client> client_;
  bool hurried_ = false;
};

// What a command line asks for, once it is parsed. The code tells how it went when nothing failed.
using Command = std::function<absl::StatusOr<ExitCode>(Session&)>;

}  // namespace distill::client
