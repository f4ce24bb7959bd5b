// What all commands share: the options before or after any command, the connection, and the two
// streams. A command is a function of a Session; parsing the command line only chooses one.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/cli/environment.h"
#include "client/cli/exit_code.h"
#include "client/cli/output.h"
#include "client/client.h"

namespace distill::client {

struct GlobalOptions {
  // Empty: DISTILL_SERVER, or the server that `distill dev` runs in this directory.
  std::string server;
  // Each empty file: DISTILL_TLS_CA, _CERT, _KEY, DISTILL_TOKEN_FILE, DISTILL_TLS_SERVER_NAME.
  ChannelSecurity security;
  OutputFormat output = OutputFormat::kTable;
  bool quiet = false;
};

// One thread only.
class Session {
 public:
  explicit Session(const Environment& environment) : environment_(environment) {}

  GlobalOptions& options() { return options_; }
  const Environment& environment() const { return environment_; }
  bool json() const { return options_.output == OutputFormat::kJson; }

  std::ostream& out() { return *environment_.data.out; }
  // Writes one line to the notes, unless --quiet.
  void Note(absl::string_view line);
  // Prints a message as JSON.
  void PrintJson(const google::protobuf::Message& message);

  // Returns the client of the server that the options, the environment or a `distill dev` in this
  // directory name. kUnavailable when none does.
  absl::StatusOr<Client*> Connect();
  // Directory of `distill dev`: DISTILL_DATA_DIR, or ".distill".
  std::string DefaultDataDirectory() const;
  // Connects, unencrypted, to a server of this machine from now on.
  Client& ConnectTo(const std::string& server);

  // Project of what is listed, uploaded or registered: DISTILL_PROJECT, or "default".
  std::string DefaultProject() const;
  // Returns `spec`, in DISTILL_PROJECT if that is set and the spec names none.
  v1::JobSpec InProject(v1::JobSpec spec) const;

  // Turns what people type into a job id: an id, a full name, or "latest".
  absl::StatusOr<std::string> ResolveJob(const std::string& text);

  bool color(const Stream& stream) const;

 private:
  // The options, completed from the environment.
  ChannelSecurity Security() const;
  Client& MakeClient(ClientOptions options);

  const Environment environment_;
  GlobalOptions options_;
  std::unique_ptr<Client> client_;
};

// What a command line asks for, once it is parsed. The code tells how it went when nothing failed.
using Command = std::function<absl::StatusOr<ExitCode>(Session&)>;

}  // namespace distill::client
