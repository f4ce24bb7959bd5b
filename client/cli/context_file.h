// The file of contexts, by default ~/.config/distillery/config.yaml:
//
//   current: lab
//   contexts:
//     lab:
//       server: gpu-head:7070,gpu-standby:7070
//       project: vision
//       tls_ca: /etc/distillery/ca.pem
//       token_file: /home/alice/.config/distillery/lab.token
//
// It says where tokens go, so it is read only while nobody but its owner can read or change it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/settings.h"

namespace distill::client {

// Names the `distill dev` of the directory; no context may have this name.
inline constexpr char kDevContext[] = "dev";

struct ContextFile {
  // Name of one of `contexts`, or empty.
  std::string current;
  // In order of name.
  std::vector<Context> contexts;

  // Null when there is none of this name.
  const Context* Find(const std::string& name) const;
  Context* Find(const std::string& name);
};

// DISTILL_CONFIG, else distillery/config.yaml below XDG_CONFIG_HOME or ~/.config. Empty when
// neither of them nor HOME is set.
std::string ContextFilePath(
    const std::function<std::optional<std::string>(const std::string&)>& variable);

// Reads the file; one that does not exist holds no contexts. kInvalidArgument, a compiler's way,
// when it makes no sense; kFailedPrecondition, with the remedy, when others can read or change it.
absl::StatusOr<ContextFile> ReadContextFile(const std::string& path);
absl::StatusOr<ContextFile> ParseContextFile(absl::string_view text, absl::string_view name);

// Replaces the file, for its owner alone (0600), and makes its directory (0700).
absl::Status WriteContextFile(const std::string& path, const ContextFile& file);
std::string RenderContextFile(const ContextFile& file);

// kInvalidArgument unless `name` can name a context: 1 to 64 letters, digits, . _ and -, not "dev".
absl::Status CheckContextName(const std::string& name);

// kInvalidArgument unless `servers` is "host:port", or several separated by commas.
absl::Status CheckServerList(absl::string_view flag, const std::string& servers);

// kNotFound that names the nearest context, or all of them.
absl::Status NoSuchContext(const ContextFile& file, const std::string& name);

}  // namespace distill::client
