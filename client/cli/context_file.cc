#include "client/cli/context_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/jobfile/document.h"
#include "client/jobfile/names.h"

namespace distill::client {
namespace {

constexpr size_t kLongestName = 64;

bool IsNameLetter(char letter) {
  return absl::ascii_isalnum(static_cast<unsigned char>(letter)) || letter == '.' ||
         letter == '_' || letter == '-';
}

// Whoever can change the file can lead a token to a server of theirs.
absl::Status CheckAccess(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return ErrnoStatus(errno, "read contexts", path);
  constexpr mode_t kOthers = S_IRWXG | S_IRWXO;
  if (status.st_uid != geteuid()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot use contexts: the file belongs to another user, who could lead your token "
        "anywhere; make one of your own, or name it in DISTILL_CONFIG; path=",
        path));
  }
  if ((status.st_mode & kOthers) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot use contexts: others can read or change the file, and so lead your token "
        "elsewhere; run: chmod 600 ",
        path, absl::StrFormat("; mode=%04o", status.st_mode & 07777)));
  }
  return absl::OkStatus();
}

// Reads the tree of a document; the first complaint wins.
class Reader {
 public:
  explicit Reader(absl::string_view name) : name_(name) {}

  absl::StatusOr<ContextFile> Read(const Node& root) {
    ContextFile file;
    if (root.kind == Node::Kind::kNull) return file;
    if (root.kind != Node::Kind::kMapping) return Complain(root, "want keys, such as contexts:");
    for (size_t i = 0; i < root.items.size(); ++i) {
      const Node& key = root.keys[i];
      const Node& value = root.items[i];
      if (key.text == "current") {
        DISTILL_ASSIGN_OR_RETURN(file.current, Text(value, "current"));
      } else if (key.text == "contexts") {
        DISTILL_RETURN_IF_ERROR(ReadContexts(value, file));
      } else {
        return Unknown(key, {"current", "contexts"});
      }
    }
    if (!file.current.empty() && file.Find(file.current) == nullptr) {
      return Complain(root, absl::StrCat("current: there is no context \"", file.current, "\""));
    }
    return file;
  }

 private:
  absl::Status ReadContexts(const Node& node, ContextFile& file) {
    if (node.kind == Node::Kind::kNull) return absl::OkStatus();
    if (node.kind != Node::Kind::kMapping) {
      return Complain(node, "contexts: want names, each with its settings");
    }
    for (size_t i = 0; i < node.items.size(); ++i) {
      const std::string& name = node.keys[i].text;
      const absl::Status named = CheckContextName(name);
      if (!named.ok()) return Complain(node.keys[i], named.message());
      if (file.Find(name) != nullptr) {
        return Complain(node.keys[i], absl::StrCat("context \"", name, "\" is there twice"));
      }
      Context context{name, {}};
      DISTILL_RETURN_IF_ERROR(ReadSettings(node.items[i], context));
      file.contexts.push_back(std::move(context));
    }
    std::sort(file.contexts.begin(), file.contexts.end(),
              [](const Context& a, const Context& b) { return a.name < b.name; });
    return absl::OkStatus();
  }

  absl::Status ReadSettings(const Node& node, Context& context) {
    if (node.kind == Node::Kind::kNull) return absl::OkStatus();
    if (node.kind != Node::Kind::kMapping) {
      return Complain(node, absl::StrCat("contexts.", context.name, ": want settings"));
    }
    std::vector<std::string> known;
    for (const SettingInfo& setting : AllSettings()) known.emplace_back(setting.name);
    for (size_t i = 0; i < node.items.size(); ++i) {
      const std::string& key = node.keys[i].text;
      const auto found = std::find(known.begin(), known.end(), key);
      if (found == known.end()) return Unknown(node.keys[i], known);
      DISTILL_ASSIGN_OR_RETURN(context.values[key], Text(node.items[i], key));
      const bool is_switch = AllSettings()[static_cast<size_t>(found - known.begin())].is_switch;
      if (is_switch && context.values[key] != "true") {
        return Complain(node.items[i], absl::StrCat(key, ": want true, or no such key"));
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Text(const Node& node, absl::string_view key) const {
    if (node.kind != Node::Kind::kScalar) return Complain(node, absl::StrCat(key, ": want a text"));
    return node.text;
  }

  absl::Status Unknown(const Node& key, const std::vector<std::string>& known) const {
    return Complain(
        key, absl::StrCat("unknown key \"", key.text, "\"", Suggestion(key.text, known, "keys")));
  }

  absl::Status Complain(const Node& node, absl::string_view text) const {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, ":", node.position.line, ":", node.position.column, ": ", text));
  }

  const absl::string_view name_;
};

}  // namespace

const Context* ContextFile::Find(const std::string& name) const {
  const auto found = std::find_if(contexts.begin(), contexts.end(),
                                  [&](const Context& context) { return context.name == name; });
  return found == contexts.end() ? nullptr : &*found;
}

Context* ContextFile::Find(const std::string& name) {
  return const_cast<Context*>(static_cast<const ContextFile*>(this)->Find(name));
}

std::string ContextFilePath(
    const std::function<std::optional<std::string>(const std::string&)>& variable) {
  const std::string named = variable("DISTILL_CONFIG").value_or("");
  if (!named.empty()) return named;
  std::string folder = variable("XDG_CONFIG_HOME").value_or("");
  const std::string home = variable("HOME").value_or("");
  if (folder.empty() && !home.empty()) folder = JoinPath(home, ".config");
  return folder.empty() ? "" : JoinPath(folder, "distillery/config.yaml");
}

absl::StatusOr<ContextFile> ReadContextFile(const std::string& path) {
  if (path.empty()) return ContextFile();
  const absl::Status access = CheckAccess(path);
  if (absl::IsNotFound(access)) return ContextFile();
  DISTILL_RETURN_IF_ERROR(access);
  DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxDocumentBytes));
  return ParseContextFile(text, path);
}

absl::StatusOr<ContextFile> ParseContextFile(absl::string_view text, absl::string_view name) {
  Node root;
  std::vector<Problem> problems;
  if (!ParseDocument(text, &root, &problems)) {
    return absl::InvalidArgumentError(absl::StrCat(name, ":", problems[0].position.line, ":",
                                                   problems[0].position.column, ": ",
                                                   problems[0].text));
  }
  return Reader(name).Read(root);
}

std::string RenderContextFile(const ContextFile& file) {
  std::string text = "# Kept by `distill context`.\n";
  if (!file.current.empty()) absl::StrAppend(&text, "current: ", file.current, "\n");
  absl::StrAppend(&text, "contexts:\n");
  for (const Context& context : file.contexts) {
    absl::StrAppend(&text, "  ", context.name, ":\n");
    for (const SettingInfo& setting : AllSettings()) {
      const auto value = context.values.find(setting.name);
      if (value == context.values.end() || value->second.empty()) continue;
      // In single quotes only a quote has to be written otherwise.
      const std::vector<std::string> parts = absl::StrSplit(value->second, '\'');
      absl::StrAppend(&text, "    ", setting.name, ": '", absl::StrJoin(parts, "''"), "'\n");
    }
  }
  return text;
}

absl::Status WriteContextFile(const std::string& path, const ContextFile& file) {
  if (path.empty()) {
    return absl::FailedPreconditionError(
        "cannot write contexts: neither HOME nor XDG_CONFIG_HOME nor DISTILL_CONFIG says where");
  }
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  std::error_code error;
  const bool is_new = !std::filesystem::exists(folder, error);
  DISTILL_RETURN_IF_ERROR(CreateDirectories(folder.string()));
  if (is_new) chmod(folder.c_str(), S_IRWXU);
  DISTILL_RETURN_IF_ERROR(WriteFileAtomically(path, RenderContextFile(file)));
  if (chmod(path.c_str(), S_IRUSR | S_IWUSR) != 0) {
    return ErrnoStatus(errno, "restrict contexts to their owner", path);
  }
  return absl::OkStatus();
}

absl::Status CheckContextName(const std::string& name) {
  if (name == kDevContext) {
    return absl::InvalidArgumentError(
        "context \"dev\": the name is taken, it means the `distill dev` of the directory");
  }
  if (!name.empty() && name.size() <= kLongestName &&
      std::all_of(name.begin(), name.end(), IsNameLetter)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("context \"", name, "\": want a name of 1 to ",
                                                 kLongestName, " letters, digits, . _ and -"));
}

absl::Status CheckServerList(absl::string_view flag, const std::string& servers) {
  for (const absl::string_view server : absl::StrSplit(servers, ',')) {
    if (absl::StartsWith(server, "unix:") && server.size() > 5) continue;
    const size_t colon = server.rfind(':');
    int port = 0;
    const bool has_port = colon != absl::string_view::npos && colon > 0 &&
                          absl::SimpleAtoi(server.substr(colon + 1), &port) && port >= 1 &&
                          port <= 65535;
    const absl::string_view host = server.substr(0, std::min(colon, server.size()));
    const bool is_url = absl::StrContains(host, "://") || absl::StrContains(host, " ");
    if (has_port && !is_url) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " ", servers,
                     ": want host:port, such as gpu-head:7070; several are "
                     "separated by commas; got=",
                     server));
  }
  return absl::OkStatus();
}

absl::Status NoSuchContext(const ContextFile& file, const std::string& name) {
  std::vector<std::string> names;
  for (const Context& context : file.contexts) names.push_back(context.name);
  if (names.empty()) {
    return absl::NotFoundError(absl::StrCat(
        "cannot find context \"", name, "\": there is none yet; make it with: distill context set ",
        name, " --server host:port"));
  }
  return absl::NotFoundError(
      absl::StrCat("cannot find context \"", name, "\"", Suggestion(name, names, "contexts")));
}

}  // namespace distill::client
