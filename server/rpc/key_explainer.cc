#include "server/rpc/key_explainer.h"

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "distill/v1/task.pb.h"
#include "server/planner/task_key.h"
#include "server/rpc/convert.h"

namespace distill::server {
namespace {

using storage::TaskRecord;
using storage::TaskState;

constexpr int kEarlierJobs = 64;
// A task may have ten thousand inputs, each of which costs a query to compare.
constexpr size_t kMostInputsCompared = 1000;
constexpr size_t kMostTasksCompared = 500;
constexpr int kMostDifferences = 200;
constexpr char kNoPart[] = "-";

absl::StatusOr<v1::TaskSpec> SpecOf(const TaskRecord& task) {
  v1::TaskSpec spec;
  if (spec.ParseFromString(task.definition.spec)) return spec;
  return absl::DataLossError(
      absl::StrCat("cannot explain key: stored task does not parse; task=", task.id.str()));
}

// Paths at which the two differ, with both values.
std::map<std::string, std::pair<std::string, std::string>> Differences(
    const std::map<std::string, std::string>& a, const std::map<std::string, std::string>& b) {
  std::map<std::string, std::pair<std::string, std::string>> differences;
  for (const auto& [path, value] : a) differences[path] = {value, kNoPart};
  for (const auto& [path, value] : b) {
    auto& pair = differences.try_emplace(path, kNoPart, kNoPart).first->second;
    pair.second = value;
    if (pair.first == pair.second) differences.erase(path);
  }
  return differences;
}

// By role, the producing task's name; given artifacts are left out.
std::map<std::string, std::string> ProducersOf(const TaskRecord& task) {
  std::map<std::string, std::string> producers;
  for (const storage::TaskInput& input : task.definition.inputs) {
    if (!input.producer.empty()) {
      producers[absl::StrCat("inputs.", input.name, ".producer")] = input.producer;
    }
  }
  return producers;
}

void Say(v1::CacheOutcome outcome, std::string detail, v1::KeyExplanation& explanation) {
  explanation.set_outcome(outcome);
  explanation.set_detail(std::move(detail));
}

void AddView(const KeyView& view, v1::KeyExplanation& explanation) {
  for (const KeyUserView& user : view.users) {
    v1::KeyUser* const out = explanation.add_users();
    out->set_task(user.task.str());
    out->set_state(static_cast<v1::TaskState>(user.state));
    out->set_made(user.state == TaskState::kSucceeded && user.reused_from.empty());
  }
  if (!view.result.has_value()) return;
  v1::CachedResult& result = *explanation.mutable_result();
  result.set_made_by(view.result->task.str());
  if (view.result->create_time != storage::kUnsetTime) {
    *result.mutable_create_time() = ToProto(view.result->create_time);
  }
  result.set_device_seconds(absl::ToDoubleSeconds(view.result->device_time));
  for (const storage::NamedBlob& output : view.result->outputs) {
    *result.add_outputs() = ToProto(output);
  }
  result.set_usable(view.usable);
  for (const JobId& job : view.pinned_by) result.add_pinned_by(job.str());
}

}  // namespace

absl::StatusOr<KeyExplainer::Parts> KeyExplainer::PartsOf(const TaskRecord& task) const {
  DISTILL_ASSIGN_OR_RETURN(const v1::TaskSpec spec, SpecOf(task));
  ProducerKeys producers;
  for (const auto& [path, name] : ProducersOf(task)) {
    DISTILL_ASSIGN_OR_RETURN(const TaskRecord producer,
                             store_.GetTask(storage::MakeTaskId(task.job, name)));
    producers[name] = producer.definition.key;
  }
  const bool shared = spec.numeric_class() != kAnyNumericClass;
  TaskKeyEncoder encoder(shared ? std::string() : task.job.str());
  DISTILL_ASSIGN_OR_RETURN(const Digest key, encoder.Key(spec, producers));
  if (key != task.definition.key) return Parts();
  return encoder.Parts(spec, producers);
}

absl::Status KeyExplainer::AddParts(const TaskRecord& task, v1::KeyExplanation& explanation) const {
  DISTILL_ASSIGN_OR_RETURN(const Parts parts, PartsOf(task));
  for (const auto& [path, value] : parts) {
    v1::KeyPart* const part = explanation.add_parts();
    part->set_path(path);
    part->set_value(value);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<TaskRecord>> KeyExplainer::EarlierTasks(const TaskRecord& task,
                                                                   const ProjectId& project) const {
  DISTILL_ASSIGN_OR_RETURN(const storage::JobRecord job, store_.GetJob(task.job));
  storage::JobPageRequest page;
  page.project = project;
  page.before_create_revision = job.create_revision;
  page.limit = kEarlierJobs;
  DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::JobRecord> jobs, store_.ListJobs(page));
  std::vector<TaskRecord> tasks;
  for (const storage::JobRecord& earlier : jobs) {
    absl::StatusOr<TaskRecord> same =
        store_.GetTask(storage::MakeTaskId(earlier.id, task.definition.name));
    if (absl::IsNotFound(same.status())) continue;
    if (!same.ok()) return same.status();
    tasks.push_back(*std::move(same));
  }
  return tasks;
}

absl::Status KeyExplainer::ExplainMiss(const TaskRecord& task, const ProjectId& project,
                                       v1::KeyExplanation& explanation) const {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<TaskRecord> earlier, EarlierTasks(task, project));
  if (earlier.empty()) {
    Say(v1::CACHE_OUTCOME_FIRST,
        "it ran: no earlier job of the project that is still known has a task of this name",
        explanation);
    return absl::OkStatus();
  }
  const auto equal = std::find_if(earlier.begin(), earlier.end(), [&](const TaskRecord& other) {
    return other.definition.key == task.definition.key;
  });
  if (equal != earlier.end()) {
    explanation.set_compared_with(equal->id.str());
    const bool succeeded = equal->status.state == TaskState::kSucceeded;
    Say(v1::CACHE_OUTCOME_NO_RESULT,
        absl::StrCat("it ran: ", equal->id.str(), " has the same key, but ",
                     succeeded
                         ? "its result was gone or not there yet"
                         : absl::StrCat("no result: it is ", storage::Name(equal->status.state))),
        explanation);
    return absl::OkStatus();
  }
  DISTILL_ASSIGN_OR_RETURN(const Parts own, PartsOf(task));
  const TaskRecord* nearest = nullptr;
  size_t fewest = 0;
  size_t inputs_compared = 0;
  for (const TaskRecord& other : earlier) {
    if (nearest != nullptr && inputs_compared >= kMostInputsCompared) break;
    inputs_compared += other.definition.inputs.size();
    const absl::StatusOr<Parts> parts = PartsOf(other);
    if (!parts.ok() || parts->empty()) continue;
    const size_t differences = Differences(own, *parts).size();
    if (nearest != nullptr && differences >= fewest) continue;
    nearest = &other;
    fewest = differences;
  }
  Say(v1::CACHE_OUTCOME_DIFFERS, "it ran: no earlier task has the same key", explanation);
  if (own.empty() || nearest == nullptr) {
    explanation.set_detail(
        "it ran: earlier tasks have other keys, which a server of another version made");
    return absl::OkStatus();
  }
  return AddDifferences(task, *nearest, explanation);
}

absl::Status KeyExplainer::AddDifferences(const TaskRecord& task, const TaskRecord& earlier,
                                          v1::KeyExplanation& explanation) const {
  explanation.set_compared_with(earlier.id.str());
  std::deque<std::pair<TaskRecord, TaskRecord>> open = {{task, earlier}};
  std::set<std::pair<TaskId, TaskId>> seen = {{task.id, earlier.id}};
  const v1::KeyDifference* root = nullptr;
  while (!open.empty()) {
    const auto [a, b] = std::move(open.front());
    open.pop_front();
    DISTILL_ASSIGN_OR_RETURN(const Parts parts_a, PartsOf(a));
    DISTILL_ASSIGN_OR_RETURN(const Parts parts_b, PartsOf(b));
    const std::map<std::string, std::string> producers_a = ProducersOf(a);
    const std::map<std::string, std::string> producers_b = ProducersOf(b);
    for (const auto& [path, values] : Differences(parts_a, parts_b)) {
      if (explanation.differences_size() == kMostDifferences) return absl::OkStatus();
      const auto producer_a = producers_a.find(path);
      const auto producer_b = producers_b.find(path);
      const bool follows = producer_a != producers_a.end() && producer_b != producers_b.end();
      if (follows) {
        const TaskId id_a = storage::MakeTaskId(a.job, producer_a->second);
        const TaskId id_b = storage::MakeTaskId(b.job, producer_b->second);
        if (seen.size() >= kMostTasksCompared || !seen.insert({id_a, id_b}).second) continue;
        DISTILL_ASSIGN_OR_RETURN(TaskRecord made_a, store_.GetTask(id_a));
        DISTILL_ASSIGN_OR_RETURN(TaskRecord made_b, store_.GetTask(id_b));
        open.emplace_back(std::move(made_a), std::move(made_b));
        continue;
      }
      v1::KeyDifference* const difference = explanation.add_differences();
      difference->set_task(a.definition.name);
      difference->set_path(path);
      difference->set_value(values.first);
      difference->set_earlier_value(values.second);
      root = root == nullptr ? difference : root;
    }
  }
  if (root == nullptr) return absl::OkStatus();
  explanation.set_detail(absl::StrCat(
      "it ran: nearest is ", earlier.id.str(), "; ", root->task(), " has ", root->path(), " ",
      root->value(), " instead of ", root->earlier_value(),
      explanation.differences_size() > 1
          ? absl::StrCat(" and ", explanation.differences_size() - 1, " more differences")
          : ""));
  return absl::OkStatus();
}

absl::StatusOr<v1::KeyExplanation> KeyExplainer::ExplainTask(const TaskRecord& task,
                                                             const ProjectId& project,
                                                             const KeyView& view) {
  v1::KeyExplanation explanation;
  explanation.set_project(project.str());
  explanation.set_task(task.id.str());
  explanation.set_kind(task.definition.kind);
  if (task.definition.key.empty()) {
    Say(v1::CACHE_OUTCOME_NOT_SHARED, "the task has no key: it shares nothing", explanation);
    return explanation;
  }
  explanation.set_key(task.definition.key.str());
  AddView(view, explanation);
  DISTILL_RETURN_IF_ERROR(AddParts(task, explanation));
  const auto self = std::find_if(view.users.begin(), view.users.end(),
                                 [&](const KeyUserView& user) { return user.task == task.id; });
  const TaskState state = task.status.state;
  if (!task.status.reused_from.empty()) {
    Say(v1::CACHE_OUTCOME_HIT,
        absl::StrCat("it took the result of ", task.status.reused_from.str()), explanation);
  } else if (self != view.users.end() && self->follows) {
    Say(v1::CACHE_OUTCOME_FOLLOWS, "an equal task is under way; its result will serve",
        explanation);
  } else if (state == TaskState::kBlocked ||
             (state == TaskState::kCancelled && task.status.attempts == 0)) {
    Say(v1::CACHE_OUTCOME_PENDING,
        view.usable ? "it was not ready yet; a result is there and would be taken"
                    : "it was not ready yet; no result is there",
        explanation);
  } else {
    DISTILL_RETURN_IF_ERROR(ExplainMiss(task, project, explanation));
  }
  return explanation;
}

absl::StatusOr<v1::KeyExplanation> KeyExplainer::ExplainKey(const ProjectId& project,
                                                            const Digest& key,
                                                            const KeyView& view) {
  v1::KeyExplanation explanation;
  explanation.set_project(project.str());
  explanation.set_key(key.str());
  Say(v1::CACHE_OUTCOME_NOT_A_TASK,
      view.usable ? "a result is there and will be taken" : "no result is there", explanation);
  AddView(view, explanation);
  if (view.result.has_value()) explanation.set_kind(view.result->kind);
  if (view.users.empty()) return explanation;
  absl::StatusOr<TaskRecord> newest = store_.GetTask(view.users.front().task);
  if (absl::IsNotFound(newest.status())) return explanation;  // Forgotten meanwhile.
  if (!newest.ok()) return newest.status();
  explanation.set_task(newest->id.str());
  explanation.set_kind(newest->definition.kind);
  DISTILL_RETURN_IF_ERROR(AddParts(*newest, explanation));
  return explanation;
}

}  // namespace distill::server
