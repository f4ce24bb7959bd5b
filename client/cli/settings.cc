#include "client/cli/settings.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace distill::client {

const std::vector<SettingInfo>& AllSettings() {
  static const auto* const settings = new std::vector<SettingInfo>{
      {"server", "--server", "DISTILL_SERVER",
       "Where the server is, host:port; several, separated by commas, when servers stand by for "
       "each other",
       /*is_credential=*/false, /*is_file=*/false, /*is_switch=*/false},
      {"project", "--project", "DISTILL_PROJECT",
       "Project of what is submitted, listed, uploaded and registered",
       /*is_credential=*/false, /*is_file=*/false, /*is_switch=*/false},
      {"tls_ca", "--tls-ca", "DISTILL_TLS_CA",
       "Authority of the server's certificate (PEM file, or \"system\"); servers beyond this "
       "machine need it",
       /*is_credential=*/true, /*is_file=*/true, /*is_switch=*/false},
      {"tls_cert", "--tls-cert", "DISTILL_TLS_CERT", "Your certificate (PEM file)",
       /*is_credential=*/true, /*is_file=*/true, /*is_switch=*/false},
      {"tls_key", "--tls-key", "DISTILL_TLS_KEY", "Its private key (PEM file)",
       /*is_credential=*/true, /*is_file=*/true, /*is_switch=*/false},
      {"tls_server_name", "--tls-server-name", "DISTILL_TLS_SERVER_NAME",
       "Name in the server's certificate, when it is not the host of its address",
       /*is_credential=*/true, /*is_file=*/false, /*is_switch=*/false},
      {"token_file", "--token-file", "DISTILL_TOKEN_FILE",
       "File with your token, for its owner alone to read",
       /*is_credential=*/true, /*is_file=*/true, /*is_switch=*/false},
      {"insecure_allow_plaintext", "--insecure-allow-plaintext", nullptr,
       "Speak unencrypted to a server beyond this machine",
       /*is_credential=*/true, /*is_file=*/false, /*is_switch=*/true},
  };
  return *settings;
}

ResolvedSettings ResolveSettings(
    const SettingValues& flags,
    const std::function<std::optional<std::string>(const std::string&)>& variable,
    const Context* context) {
  ResolvedSettings resolved;
  const auto take = [&resolved](const SettingInfo& setting, std::string value, std::string origin) {
    if (!value.empty()) {
      resolved.try_emplace(setting.name, ResolvedSetting{std::move(value), std::move(origin)});
    }
  };
  const auto in = [](const SettingValues& values, const char* name) {
    const auto found = values.find(name);
    return found == values.end() ? std::string() : found->second;
  };
  // The server comes first: it decides what else of the context counts.
  for (const SettingInfo& setting : AllSettings()) {
    take(setting, in(flags, setting.name), setting.flag);
    if (setting.variable != nullptr) {
      take(setting, variable(setting.variable).value_or(""), setting.variable);
    }
    if (context == nullptr) continue;
    const bool is_for_its_server =
        ValueOf(resolved, "server") == in(context->values, "server") || !setting.is_credential;
    if (is_for_its_server) {
      take(setting, in(context->values, setting.name), absl::StrCat("context ", context->name));
    }
  }
  return resolved;
}

void AddSettingFlags(CLI::App& command, SettingValues& values,
                     const std::function<std::string(const SettingInfo&)>& describe) {
  for (const SettingInfo& setting : AllSettings()) {
    if (setting.is_switch) {
      command.add_flag_callback(
          setting.flag, [&values, name = setting.name] { values[name] = "true"; },
          describe(setting));
      continue;
    }
    command
        .add_option_function<std::string>(
            setting.flag,
            [&values, name = setting.name](const std::string& value) { values[name] = value; },
            describe(setting))
        ->type_name(setting.is_file ? "FILE" : "TEXT");
  }
}

std::string ValueOf(const ResolvedSettings& settings, absl::string_view name) {
  const auto found = settings.find(std::string(name));
  return found == settings.end() ? "" : found->second.value;
}

}  // namespace distill::client
