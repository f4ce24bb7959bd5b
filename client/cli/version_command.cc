// version.
#include <memory>

#include "base/corruption_names.h"
#include "client/cli/commands.h"
#include "nlohmann/json.hpp"

namespace distill::client {
namespace {

ExitCode PrintVersion(Session& session, bool corruptions) {
  if (session.json()) {
    nlohmann::ordered_json json;
    json["version"] = DISTILL_VERSION;
    if (corruptions) {
      json["corruptions"] = nlohmann::ordered_json::array();
      for (const absl::string_view name : kCorruptionNames) {
        json["corruptions"].push_back(std::string(name));
      }
    }
    session.PrintJson(json.dump());
  } else if (corruptions) {
    for (const absl::string_view name : kCorruptionNames) session.out() << name << "\n";
  } else {
    session.out() << "distill " << DISTILL_VERSION << "\n";
  }
  return ExitCode::kOk;
}

}  // namespace

void AddVersionCommand(CLI::App& parent, Command& chosen) {
  CLI::App* const version = parent.add_subcommand("version", "Print the version");
  // Co-owned by the callback, which outlives this function.
  const auto corruptions = std::make_shared<bool>(false);
  version->add_flag("--corruptions", *corruptions, "List the corruptions that jobs may name");
  version->footer("Example:\n  distill version\n");
  version->callback([corruptions, &chosen] {
    chosen = [corruptions](Session& session) -> absl::StatusOr<ExitCode> {
      return PrintVersion(session, *corruptions);
    };
  });
}

}  // namespace distill::client
