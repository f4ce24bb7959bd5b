#include "server/scheduler/graph_check.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/ids.h"

namespace distill::server {
namespace {

using IndexOf = absl::flat_hash_map<absl::string_view, size_t>;
// Outputs by the index of their task: one that splits a network may have thousands.
using Outputs = absl::flat_hash_set<std::pair<size_t, absl::string_view>>;

absl::Status Invalid(const storage::JobRecord& job, absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot submit job: ", cause, "; job=", job.id.str()));
}

absl::Status CheckInput(const storage::JobRecord& job, const storage::TaskRecord& task,
                        const storage::TaskInput& input, const IndexOf& index_of,
                        const Outputs& outputs) {
  if (input.producer.empty() == input.given.empty()) {
    return Invalid(job, absl::StrCat("an input needs one source; task=", task.definition.name,
                                     " input=", input.name));
  }
  if (input.producer.empty()) return absl::OkStatus();
  const auto producer = index_of.find(input.producer);
  if (producer == index_of.end()) {
    return Invalid(job, absl::StrCat("an input has no producer; task=", task.definition.name,
                                     " producer=", input.producer));
  }
  if (!outputs.contains({producer->second, input.output})) {
    return Invalid(job, absl::StrCat("a producer has no such output; task=", task.definition.name,
                                     " producer=", input.producer, " output=", input.output));
  }
  return absl::OkStatus();
}

// Removes tasks without open inputs until none is left; what stays waits for itself.
absl::Status CheckAcyclic(const storage::JobRecord& job,
                          absl::Span<const storage::TaskRecord> tasks, const IndexOf& index_of) {
  std::vector<size_t> open_inputs(tasks.size(), 0);
  std::vector<std::vector<size_t>> consumers(tasks.size());
  for (size_t i = 0; i < tasks.size(); ++i) {
    for (const storage::TaskInput& input : tasks[i].definition.inputs) {
      if (input.producer.empty()) continue;
      consumers[index_of.at(input.producer)].push_back(i);
      ++open_inputs[i];
    }
  }
  std::vector<size_t> free;
  for (size_t i = 0; i < tasks.size(); ++i) {
    if (open_inputs[i] == 0) free.push_back(i);
  }
  for (size_t next = 0; next < free.size(); ++next) {
    for (const size_t consumer : consumers[free[next]]) {
      if (--open_inputs[consumer] == 0) free.push_back(consumer);
    }
  }
  if (free.size() == tasks.size()) return absl::OkStatus();
  const auto stuck =
      std::find_if(open_inputs.begin(), open_inputs.end(), [](size_t count) { return count > 0; });
  const auto position = static_cast<size_t>(stuck - open_inputs.begin());
  return Invalid(job,
                 absl::StrCat("a task waits for itself; task=", tasks[position].definition.name));
}

}  // namespace

absl::Status CheckGraph(const storage::JobRecord& job,
                        absl::Span<const storage::TaskRecord> tasks) {
  if (!IsValidIdText(job.id.str())) return Invalid(job, "its id is not 1 to 128 of [A-Za-z0-9._-]");
  if (job.project.empty()) return Invalid(job, "it has no project");
  if (tasks.empty()) return Invalid(job, "it has no tasks");
  IndexOf index_of;
  Outputs outputs;
  for (size_t i = 0; i < tasks.size(); ++i) {
    const std::string& name = tasks[i].definition.name;
    if (!IsValidIdText(name)) {
      return Invalid(job,
                     absl::StrCat("a task name is not 1 to 128 of [A-Za-z0-9._-]; task=", name));
    }
    if (!index_of.emplace(name, i).second) {
      return Invalid(job, absl::StrCat("two tasks have one name; task=", name));
    }
    for (const std::string& output : tasks[i].definition.outputs) outputs.emplace(i, output);
  }
  for (const storage::TaskRecord& task : tasks) {
    for (const storage::TaskInput& input : task.definition.inputs) {
      const absl::Status status = CheckInput(job, task, input, index_of, outputs);
      if (!status.ok()) return status;
    }
  }
  return CheckAcyclic(job, tasks, index_of);
}

}  // namespace distill::server
