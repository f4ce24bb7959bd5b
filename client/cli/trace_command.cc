// job trace.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/trace_export.h"

namespace distill::client {
namespace {

struct TraceOptions {
  std::string job;
  std::string format = "chrome";
  std::string file;
};

absl::StatusOr<ExitCode> Export(Session& session, const TraceOptions& options) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const std::string job, session.ResolveJob(options.job));
  DISTILL_ASSIGN_OR_RETURN(const v1::Trace trace, client->GetTrace(job));
  const std::string text = options.format == "otlp" ? ToOtlpJson(trace) : ToChromeTrace(trace);
  if (trace.dropped_spans() > 0) {
    session.Note(absl::StrCat(trace.dropped_spans(), " spans were left out: there are too many"));
  }
  if (options.file.empty()) {
    session.out() << text;
    return ExitCode::kOk;
  }
  DISTILL_RETURN_IF_ERROR(WriteFileAtomically(options.file, text));
  session.Note(absl::StrCat("saved ", trace.spans_size(), " spans in ", options.file));
  return ExitCode::kOk;
}

}  // namespace

void AddJobTraceCommand(CLI::App& job, Command& chosen) {
  CLI::App* const command = job.add_subcommand(
      "trace", "Export where a job's time went: queues, attempts, training, uploads");
  // Co-owned by the callbacks, which outlive this function.
  const auto options = std::make_shared<TraceOptions>();
  command->add_option("job", options->job, "Job id, or latest")->required();
  command
      ->add_option("--output,-o", options->format,
                   "chrome: for chrome://tracing or ui.perfetto.dev; otlp: for OpenTelemetry")
      ->check(CLI::IsMember({"chrome", "otlp"}))
      ->capture_default_str();
  command->add_option("--save", options->file, "File to write; default: standard output");
  command->footer("Example:\n  distill job trace latest -o chrome --save trace.json\n");
  command->callback([options, &chosen] {
    chosen = [options](Session& session) { return Export(session, *options); };
  });
}

}  // namespace distill::client
