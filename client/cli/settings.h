// Where a command's settings come from: a flag, else the environment, else the context, else a
// default. One table names them all, so that flags, variables, the context file and the manual
// cannot disagree.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/string_view.h"

namespace distill::client {

struct SettingInfo {
  // In the context file and in `distill context show`.
  const char* name;
  const char* flag;
  // Null: none.
  const char* variable;
  const char* description;
  // It says how to speak to a server or proves who you are: a context's own goes to no other server
  // than the context's.
  bool is_credential;
  // A path, which is kept absolute in the context file.
  bool is_file;
  // It takes no value: "true", or nothing.
  bool is_switch;
};

const std::vector<SettingInfo>& AllSettings();

// By name of the setting; those not given are absent.
using SettingValues = std::map<std::string, std::string>;

// A named server with all that it takes to use it.
struct Context {
  std::string name;
  SettingValues values;
};

struct ResolvedSetting {
  std::string value;
  // "--server", "DISTILL_SERVER", "context lab".
  std::string origin;
};

// By name of the setting; those that nothing gives are absent.
using ResolvedSettings = std::map<std::string, ResolvedSetting>;

// Applies the precedence. `context` may be null. An empty value counts as given by nobody.
ResolvedSettings ResolveSettings(
    const SettingValues& flags,
    const std::function<std::optional<std::string>(const std::string&)>& variable,
    const Context* context);

// Declares the flags of all settings; what they are given goes into `values`, which outlives the
// parsing of the command line. `describe` says what a flag means there.
void AddSettingFlags(CLI::App& command, SettingValues& values,
                     const std::function<std::string(const SettingInfo&)>& describe);

// The value of a setting, or "".
std::string ValueOf(const ResolvedSettings& settings, absl::string_view name);

}  // namespace distill::client
