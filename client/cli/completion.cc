#include "client/cli/completion.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "client/jobfile/names.h"
#include "distill/v1/job.pb.h"

namespace distill::client {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using Kind = CompletionRequest::Kind;

// What the name of a value says about it.
Kind KindOf(absl::string_view value_name) {
  static const auto* const kinds = new std::map<absl::string_view, Kind>{
      {"FILE", Kind::kFile},         {"CA", Kind::kFile},         {"CERT", Kind::kFile},
      {"KEY", Kind::kFile},          {"SOURCE", Kind::kFile},     {"DIR", Kind::kDirectory},
      {"TO", Kind::kDirectory},      {"FROM", Kind::kDirectory},  {"SAVE", Kind::kFile},
      {"PATH", Kind::kDirectory},    {"ARCH", Kind::kFile},       {"JOB", Kind::kJob},
      {"TASK", Kind::kTask},         {"WORKER", Kind::kWorker},   {"DATASET", Kind::kDataset},
      {"DIGEST", Kind::kDigest},     {"PROJECT", Kind::kProject}, {"PRESET", Kind::kPreset},
      {"CONTEXT", Kind::kContext},   {"TOKEN", Kind::kToken},     {"KEY=VALUE", Kind::kJobField},
      {"KEY=V1,V2", Kind::kJobField}};
  const auto found = kinds->find(value_name);
  return found == kinds->end() ? Kind::kWords : found->second;
}

const ArgumentInfo* FindFlag(const CommandInfo& command, const CommandInfo& root,
                             absl::string_view flag) {
  for (const CommandInfo* const owner : {&command, &root}) {
    for (const ArgumentInfo& argument : owner->arguments) {
      if (std::find(argument.flags.begin(), argument.flags.end(), flag) != argument.flags.end()) {
        return &argument;
      }
    }
  }
  return nullptr;
}

// The value of an argument, as far as it is typed.
void OfferValue(const ArgumentInfo& argument, CompletionRequest& request) {
  request.kind = KindOf(argument.value_name);
  for (const std::string& choice : argument.choices) request.candidates.push_back({choice, ""});
  if (!request.candidates.empty()) request.kind = Kind::kWords;
}

void OfferFlags(const CommandInfo& command, const CommandInfo& root, CompletionRequest& request) {
  std::set<std::string> names;
  for (const CommandInfo* const owner : {&command, &root}) {
    for (const ArgumentInfo& argument : owner->arguments) {
      // What a command declares itself goes before what all have.
      if (!argument.is_positional() && names.insert(argument.name()).second) {
        request.candidates.push_back({argument.name(), argument.description});
      }
    }
  }
}

// Keeps what later candidates depend on.
void Remember(const ArgumentInfo& argument, const std::string& value, CompletionRequest& request) {
  if (argument.value_name == "JOB") request.job = value;
  if (argument.name() == "--context") request.context = value;
  for (const SettingInfo& setting : AllSettings()) {
    if (argument.name() == setting.flag) request.flags[setting.name] = value;
  }
}

// The positional argument that comes after `given` ones; null when there is none.
const ArgumentInfo* NextPositional(const CommandInfo& command, size_t given) {
  const ArgumentInfo* last = nullptr;
  for (const ArgumentInfo& argument : command.arguments) {
    if (!argument.is_positional()) break;
    last = &argument;
    if (given == 0) return last;
    --given;
  }
  return last != nullptr && last->repeated ? last : nullptr;
}

void AppendFields(const Descriptor& type, const std::string& before, const std::string& typed,
                  std::vector<Candidate>& candidates) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const bool is_message = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (is_message && field.is_repeated()) continue;
    const std::string path = absl::StrCat(before, field.name());
    if (is_message && absl::StartsWith(typed, path + ".")) {
      AppendFields(*field.message_type(), path + ".", typed, candidates);
    } else if (!is_message && field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM &&
               absl::StartsWith(typed, path + "=")) {
      for (const std::string& value : ShortEnumNames(*field.enum_type())) {
        candidates.push_back({absl::StrCat(path, "=", value), ""});
      }
    } else {
      candidates.push_back({absl::StrCat(path, is_message ? "." : "="), ""});
    }
  }
}

constexpr char kBash[] =
    R"(# bash completion of distill. Load it with:  source <(distill completion bash)
_distill() {
  local line=${COMP_LINE:0:COMP_POINT} reply typed=${COMP_WORDS[COMP_CWORD]} candidate
  local word=${line##*[[:space:]]}
  COMPREPLY=()
  reply=$("${COMP_WORDS[0]}" __complete --line "$line" 2>/dev/null) || return 0
  case ${reply%%$'\n'*} in
    :files) compopt -o default; return 0 ;;
    :directories) compopt -o dirnames; return 0 ;;
  esac
  # Readline splits words at = and : too, and replaces only the last part.
  case $typed in =|:) typed= ;; esac
  local kept=${word%"$typed"}
  while IFS=$'\t' read -r candidate _; do
    [[ -n $candidate && $candidate == "$word"* ]] || continue
    case $candidate in *[=.]) compopt -o nospace ;; esac
    COMPREPLY+=("${candidate#"$kept"}")
  done <<<"$reply"
}
complete -F _distill distill
)";

constexpr char kZsh[] = R"(#compdef distill
# zsh completion of distill. Load it with:  source <(distill completion zsh)
# or save it as _distill in a folder of $fpath.
_distill() {
  local reply line
  local -a described continued
  reply=$("${(Q)words[1]}" __complete --line "${(j: :)words[1,CURRENT-1]} ${PREFIX}" 2>/dev/null) ||
    return 1
  case ${reply%%$'\n'*} in
    :files) _files; return ;;
    :directories) _files -/; return ;;
  esac
  for line in ${(f)reply}; do
    local text=${line%%$'\t'*} about=${line#*$'\t'}
    case $text in
      *[=.]) continued+=("${text//:/\\:}:$about") ;;
      *) described+=("${text//:/\\:}:$about") ;;
    esac
  done
  (( $#continued )) && _describe 'distill' continued -S ''
  (( $#described )) && _describe 'distill' described
}
if [[ ${funcstack[1]} == _distill ]]; then
  _distill "$@"
else
  compdef _distill distill
fi
)";

constexpr char kFish[] =
    R"(# fish completion of distill. Load it with:  distill completion fish | source
function __distill_complete
    set -l tokens (commandline -opc)
    set -l reply ($tokens[1] __complete --line (commandline -cp | string collect) 2>/dev/null)
    switch "$reply[1]"
        case :files
            __fish_complete_path (commandline -ct)
        case :directories
            __fish_complete_directories (commandline -ct) ''
        case '*'
            printf '%s\n' $reply
    end
end
complete -c distill -f -a '(__distill_complete)'
)";

}  // namespace

std::vector<std::string> SplitLine(absl::string_view line) {
  std::vector<std::string> words(1);
  char quote = 0;
  bool escaped = false;
  for (const char letter : line) {
    if (escaped) {
      words.back() += letter;
      escaped = false;
    } else if (letter == '\\' && quote != '\'') {
      escaped = true;
    } else if (quote != 0) {
      if (letter == quote) {
        quote = 0;
      } else {
        words.back() += letter;
      }
    } else if (letter == '\'' || letter == '"') {
      quote = letter;
    } else if (letter != ' ' && letter != '\t' && letter != '\n') {
      words.back() += letter;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  return words;
}

CompletionRequest WhatFits(const CommandInfo& root, const std::vector<std::string>& words) {
  CompletionRequest request;
  const CommandInfo* command = &root;
  size_t positionals = 0;
  const ArgumentInfo* awaits_value = nullptr;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (awaits_value != nullptr) {
      Remember(*awaits_value, word, request);
      awaits_value = nullptr;
      continue;
    }
    if (absl::StartsWith(word, "-") && word.size() > 1) {
      const std::vector<std::string> parts = absl::StrSplit(word, absl::MaxSplits('=', 1));
      const ArgumentInfo* const flag = FindFlag(*command, root, parts[0]);
      if (flag == nullptr || flag->value_name.empty()) continue;
      if (parts.size() == 2) {
        Remember(*flag, parts[1], request);
      } else {
        awaits_value = flag;
      }
      continue;
    }
    const CommandInfo* const below = FindCommand(*command, {word});
    if (below != nullptr) {
      command = below;
      continue;
    }
    const ArgumentInfo* const positional = NextPositional(*command, positionals++);
    if (positional != nullptr) Remember(*positional, word, request);
  }
  request.typed = words.empty() ? "" : words.back();
  if (awaits_value != nullptr) {
    OfferValue(*awaits_value, request);
    return request;
  }
  const size_t equals = request.typed.find('=');
  if (absl::StartsWith(request.typed, "--") && equals != std::string::npos) {
    const ArgumentInfo* const flag = FindFlag(*command, root, request.typed.substr(0, equals));
    request.prefix = request.typed.substr(0, equals + 1);
    request.typed = request.typed.substr(equals + 1);
    if (flag != nullptr) OfferValue(*flag, request);
    return request;
  }
  if (absl::StartsWith(request.typed, "-")) {
    OfferFlags(*command, root, request);
    return request;
  }
  for (const CommandInfo& below : command->subcommands) {
    request.candidates.push_back({below.name, below.summary});
  }
  const ArgumentInfo* const positional = NextPositional(*command, positionals);
  if (request.candidates.empty() && positional != nullptr) OfferValue(*positional, request);
  if (positional != nullptr && positional->value_name == "COMMAND") {
    for (const CommandInfo& top : root.subcommands) {
      request.candidates.push_back({top.name, top.summary});
    }
  }
  return request;
}

std::vector<Candidate> JobFieldCandidates(const std::string& typed) {
  std::vector<Candidate> candidates;
  AppendFields(*v1::JobSpec::descriptor(), "", typed, candidates);
  candidates.erase(std::remove_if(candidates.begin(), candidates.end(),
                                  [&typed](const Candidate& candidate) {
                                    return !absl::StartsWith(candidate.text, typed);
                                  }),
                   candidates.end());
  return candidates;
}

std::string CompletionScript(absl::string_view shell) {
  if (shell == "zsh") return kZsh;
  if (shell == "fish") return kFish;
  return kBash;
}

}  // namespace distill::client
