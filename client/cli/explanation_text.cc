#include "client/cli/explanation_text.h"

#include <sstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/format.h"
#include "client/cli/output.h"

namespace distill::client {
namespace {

// More names than that are a list that nobody reads.
constexpr int kMostNames = 6;

std::string Names(const v1::TaskExplanation& explanation) {
  std::vector<std::string> names;
  for (const std::string& name : explanation.waits_for()) {
    if (names.size() < kMostNames) names.push_back(ShortTaskName(name));
  }
  const int more = explanation.waits_for_size() - static_cast<int>(names.size());
  return absl::StrCat(absl::StrJoin(names, ", "),
                      more > 0 ? absl::StrCat(" and ", more, " more") : "");
}

// The reason as the end of the sentence "It waits ...".
std::string Why(const v1::TaskExplanation& explanation) {
  switch (explanation.reason()) {
    case v1::WAIT_REASON_INPUTS:
      return absl::StrCat("for its inputs, which other tasks make: ", Names(explanation));
    case v1::WAIT_REASON_JOB_PAUSED:
      return "because its job is paused";
    case v1::WAIT_REASON_EQUAL_TASK:
      return absl::StrCat("for an equal task, whose result will be its own: ", Names(explanation));
    case v1::WAIT_REASON_BACKOFF:
      return absl::StrCat("after a failure, for another ",
                          FormatSeconds(explanation.retry_in_seconds()));
    case v1::WAIT_REASON_NO_WORKER:
      return "because no worker is connected";
    case v1::WAIT_REASON_NO_FIT:
      return "because no worker that is connected could ever run it";
    case v1::WAIT_REASON_UNAVAILABLE:
      return "because all workers that could run it are draining or in quarantine";
    case v1::WAIT_REASON_QUOTA:
      return "because its project uses all that its quota allows";
    case v1::WAIT_REASON_NO_FREE_SLOT:
      return "for a slot: all that could run it are busy";
    case v1::WAIT_REASON_GANG:
      return "for several slots at once: not enough of them are free together";
    case v1::WAIT_REASON_TURN:
      return "for its turn: a slot is free, or about to be";
    default:
      return "";
  }
}

std::string CanRun(const v1::WorkerFit& fit) {
  switch (fit.failed()) {
    case v1::PREDICATE_NONE:
      return "now";
    case v1::PREDICATE_FREE_SLOT:
    case v1::PREDICATE_ASKING:
      return "soon";
    case v1::PREDICATE_CONNECTED:
    case v1::PREDICATE_NOT_DRAINING:
    case v1::PREDICATE_NOT_QUARANTINED:
      return "not now";
    default:
      return "never";
  }
}

std::string Workers(const v1::TaskExplanation& explanation) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::WorkerFit& fit : explanation.workers()) {
    rows.push_back({fit.worker_id(), CanRun(fit), StateName(fit.failed()),
                    fit.detail().empty() ? "-" : fit.detail()});
  }
  if (rows.empty()) return "";
  std::ostringstream table;
  PrintTable({"WORKER", "CAN RUN IT", "LACKS", "IN WORDS"}, rows, table);
  return absl::StrCat("\n", table.str());
}

}  // namespace

std::string RemedyFor(const v1::TaskExplanation& explanation) {
  const std::string task = absl::StrCat(explanation.job(), " ", explanation.task());
  switch (explanation.reason()) {
    case v1::WAIT_REASON_INPUTS:
      return explanation.waits_for().empty()
                 ? ""
                 : absl::StrCat("look at what it waits for: distill task explain ",
                                explanation.job(), " ", explanation.waits_for(0));
    case v1::WAIT_REASON_JOB_PAUSED:
      return absl::StrCat("let it go on: distill job resume ", explanation.job());
    case v1::WAIT_REASON_BACKOFF:
      return absl::StrCat("see what failed: distill task logs ", task);
    case v1::WAIT_REASON_NO_WORKER:
      return "start one: distill-worker --server HOST:PORT, or distill dev for this machine";
    case v1::WAIT_REASON_NO_FIT:
      return "start a worker that fits (the table says what these lack), or ask for less in the "
             "job's execution: or with a smaller micro batch";
    case v1::WAIT_REASON_UNAVAILABLE:
      return "let one take work again: distill worker resume WORKER";
    case v1::WAIT_REASON_QUOTA:
      return "wait, cancel other jobs of the project, or have its quota raised: distill quota list";
    case v1::WAIT_REASON_GANG:
    case v1::WAIT_REASON_NO_FREE_SLOT:
      return "wait, add workers, or raise the job's execution.priority; who has the slots: distill "
             "top";
    default:
      return "";
  }
}

std::string RenderExplanation(const v1::TaskExplanation& explanation) {
  const v1::TaskState state = explanation.state();
  const char* const verb = state == v1::TASK_STATE_CANCELLED ? "was "
                           : state == v1::TASK_STATE_SUCCEEDED || state == v1::TASK_STATE_FAILED
                               ? "has "
                               : "is ";
  std::string text = absl::StrCat("Task ", explanation.task(), " of ", explanation.job(), " ", verb,
                                  StateName(state), ".\n");
  const std::string why = Why(explanation);
  if (why.empty()) return text;
  absl::StrAppend(&text, "It waits ", why, ".\n");
  // The server's words may know more: which quota, what each worker lacks.
  if (!explanation.detail().empty() && explanation.reason() != v1::WAIT_REASON_INPUTS &&
      explanation.reason() != v1::WAIT_REASON_EQUAL_TASK) {
    absl::StrAppend(&text, "The server says: ", explanation.detail(), ".\n");
  }
  const bool queued = explanation.state() == v1::TASK_STATE_QUEUED;
  absl::StrAppend(&text, "Its priority is ", explanation.priority());
  if (queued && explanation.effective_priority() != explanation.priority()) {
    absl::StrAppend(&text, ", risen to ", explanation.effective_priority(), " by waiting");
  }
  absl::StrAppendFormat(&text, "; its project's share is %.2f slots by weight, lower goes first.\n",
                        explanation.project_share());
  const std::string remedy = RemedyFor(explanation);
  if (!remedy.empty()) absl::StrAppend(&text, "To do: ", remedy, "\n");
  return absl::StrCat(text, Workers(explanation));
}

}  // namespace distill::client
