// cache explain, stats, evict: results that equal tasks share.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "client/cli/commands.h"
#include "client/cli/format.h"

namespace distill::client {
namespace {

constexpr char kWhat[] = "JOB/TASK (latest/distill-module-0), or a task key (sha256:...)";

// Puts what a person named into a request.
template <typename Request>
absl::StatusOr<Request> RequestFor(Session& session, const std::string& what,
                                   const std::string& project) {
  Request request;
  if (absl::StartsWith(what, "sha256:")) {
    request.set_key(what);
    request.set_project(project);
    return request;
  }
  const size_t slash = what.rfind('/');
  if (slash == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot find task: got \"", what, "\", want ", kWhat));
  }
  DISTILL_ASSIGN_OR_RETURN(const std::string job, session.ResolveJob(what.substr(0, slash)));
  request.set_job(job);
  request.set_task(what.substr(slash + 1));
  return request;
}

// "not there", or what there is to know about it.
std::string ResultText(const v1::KeyExplanation& explanation) {
  if (!explanation.has_result()) return "none";
  const v1::CachedResult& result = explanation.result();
  return absl::StrCat(result.usable() ? "made by " : "no longer whole, made by ", result.made_by(),
                      ", cost ", FormatSeconds(result.device_seconds()));
}

void PrintUsers(Session& session, const v1::KeyExplanation& explanation) {
  if (explanation.users().empty()) return;
  std::vector<std::vector<std::string>> rows;
  for (const v1::KeyUser& user : explanation.users()) {
    rows.push_back({user.task(), StateName(user.state()), user.made() ? "made it" : "-"});
  }
  session.out() << "\n";
  PrintTable({"TASKS WITH THIS KEY", "STATE", "RESULT"}, rows, session.out());
}

void PrintDifferences(Session& session, const v1::KeyExplanation& explanation) {
  if (explanation.differences().empty()) return;
  std::vector<std::vector<std::string>> rows;
  for (const v1::KeyDifference& difference : explanation.differences()) {
    rows.push_back(
        {difference.task(), difference.path(), difference.value(), difference.earlier_value()});
  }
  session.out() << "\n";
  PrintTable({"DIFFERS IN", "PART", "HERE", "EARLIER"}, rows, session.out());
}

absl::StatusOr<ExitCode> Explain(Session& session, const std::string& what,
                                 const std::string& project, bool parts) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const auto request,
                           RequestFor<v1::ExplainKeyRequest>(session, what, project));
  DISTILL_ASSIGN_OR_RETURN(const v1::KeyExplanation explanation, client->ExplainKey(request));
  if (session.json()) {
    session.PrintJson(explanation);
    return ExitCode::kOk;
  }
  PrintFields({{"task", explanation.task()},
               {"key", explanation.key()},
               {"project", explanation.project()},
               {"kind", absl::AsciiStrToLower(explanation.kind())},
               {"outcome", StateName(explanation.outcome())},
               {"in words", explanation.detail()},
               {"result", ResultText(explanation)},
               {"pinned by", absl::StrJoin(explanation.result().pinned_by(), ", ")},
               {"compared with", explanation.compared_with()}},
              session.out());
  PrintDifferences(session, explanation);
  PrintUsers(session, explanation);
  if (!parts) return ExitCode::kOk;
  std::vector<std::vector<std::string>> rows;
  for (const v1::KeyPart& part : explanation.parts()) rows.push_back({part.path(), part.value()});
  session.out() << "\n";
  PrintTable({"PART", "VALUE"}, rows, session.out());
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Stats(Session& session, const std::string& project) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(const v1::CacheStats stats, client->GetCacheStats(project));
  if (session.json()) {
    session.PrintJson(stats);
    return ExitCode::kOk;
  }
  std::vector<std::vector<std::string>> rows;
  for (const v1::CacheStats::Row& row : stats.rows()) {
    rows.push_back({row.project(), row.kind().empty() ? "-" : absl::AsciiStrToLower(row.kind()),
                    absl::StrCat(row.entries()), FormatBytes(row.bytes()), absl::StrCat(row.hits()),
                    absl::StrCat(row.misses()), absl::StrCat(row.merged()),
                    FormatSeconds(row.saved_seconds())});
  }
  PrintTable({"PROJECT", "KIND", "RESULTS", "BYTES", "HITS", "MISSES", "MERGED", "SAVED"}, rows,
             session.out());
  return ExitCode::kOk;
}

absl::StatusOr<ExitCode> Evict(Session& session, const std::string& what,
                               const std::string& project) {
  DISTILL_ASSIGN_OR_RETURN(Client* const client, session.Connect());
  DISTILL_ASSIGN_OR_RETURN(auto request,
                           RequestFor<v1::EvictResultRequest>(session, what, project));
  DISTILL_ASSIGN_OR_RETURN(const v1::EvictResultResponse response,
                           client->EvictResult(std::move(request)));
  if (session.json()) {
    session.PrintJson(response);
  } else {
    session.Note(response.evicted()
                     ? absl::StrCat("evicted the result of ", what, "; the next such task runs")
                     : absl::StrCat("there is no result of ", what));
  }
  return ExitCode::kOk;
}

void AddExplain(CLI::App& cache, Command& chosen) {
  CLI::App* const explain = cache.add_subcommand(
      "explain", "Say whether a task's result was or will be shared, and why it was not");
  // Co-owned, here and below, by the callbacks, which outlive this function.
  const auto what = std::make_shared<std::string>();
  const auto project = std::make_shared<std::string>();
  const auto parts = std::make_shared<bool>(false);
  explain->add_option("what", *what, kWhat)->required();
  explain->add_option("--project", *project, "Of a key; default: default");
  explain->add_flag("--parts", *parts, "Also print all that the key is made of");
  explain->footer("Example:\n  distill cache explain latest/distill-module-0\n");
  explain->callback([what, project, parts, &chosen] {
    chosen = [what, project, parts](Session& session) {
      return Explain(session, *what, *project, *parts);
    };
  });
}

}  // namespace

void AddCacheCommands(CLI::App& parent, Command& chosen) {
  CLI::App* const cache = parent.add_subcommand("cache", "Results that equal tasks share");
  cache->require_subcommand(1);
  cache->footer("Example:\n  distill cache stats\n");
  AddExplain(*cache, chosen);

  CLI::App* const stats = cache->add_subcommand(
      "stats", "Results, bytes, hits, misses and time saved, by project and kind of task");
  const auto only = std::make_shared<std::string>();
  stats->add_option("--project", *only, "Only this one; default: all");
  stats->footer("Example:\n  distill cache stats --project vision\n");
  stats->callback(
      [only, &chosen] { chosen = [only](Session& session) { return Stats(session, *only); }; });

  CLI::App* const evict =
      cache->add_subcommand("evict", "Forget a result, so that the next task with its key runs");
  const auto what = std::make_shared<std::string>();
  const auto project = std::make_shared<std::string>();
  evict->add_option("what", *what, kWhat)->required();
  evict->add_option("--project", *project, "Of a key; default: default");
  evict->footer(
      "Refused while a job that is not over uses the result.\n"
      "Example:\n  distill cache evict job-1f2e3d4c/distill-module-0\n");
  evict->callback([what, project, &chosen] {
    chosen = [what, project](Session& session) { return Evict(session, *what, *project); };
  });
}

}  // namespace distill::client
