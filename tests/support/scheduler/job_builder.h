// Small jobs for tests of the scheduler, in a line or two.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "server/scheduler/events.h"
#include "storage/state/records.h"

namespace distill {

// A digest that stands for `name`.
inline Digest DigestFor(const std::string& name) { return Digest::OfBytes(name); }

// One task: kind DISTILL_MODULE, output "out", no key, and inputs from producers' "out".
struct TaskBuilder {
  explicit TaskBuilder(const std::string& name, const std::vector<std::string>& producers = {}) {
    record.definition.name = name;
    record.definition.kind = "DISTILL_MODULE";
    record.definition.spec = "spec of " + name;
    record.definition.outputs = {"out"};
    for (const std::string& producer : producers) {
      record.definition.inputs.push_back({"from-" + producer, producer, "out", Digest()});
    }
  }
  TaskBuilder& Key(const std::string& key) {
    record.definition.key = DigestFor("key " + key);
    return *this;
  }
  TaskBuilder& Group(const std::string& group) {
    record.definition.bundle_group = group;
    return *this;
  }
  TaskBuilder& NumericClass(const std::string& numeric_class) {
    record.definition.numeric_class = numeric_class;
    return *this;
  }
  TaskBuilder& Gang(int32_t size) {
    record.definition.gang_size = size;
    return *this;
  }
  TaskBuilder& Given(const Digest& digest) {
    record.definition.inputs.push_back({"given", "", "", digest});
    return *this;
  }

  storage::TaskRecord record;
};

inline server::SubmitJob MakeJob(const std::string& id, const std::vector<TaskBuilder>& tasks) {
  server::SubmitJob submit;
  submit.job.id = JobId(id);
  submit.job.project = ProjectId("default");
  submit.job.spec = "spec of " + id;
  submit.request_id = RequestId("request-" + id);
  submit.body = DigestFor("body " + id);
  for (const TaskBuilder& task : tasks) submit.tasks.push_back(task.record);
  return submit;
}

inline server::WorkerInfo MakeWorker(const std::string& id, int slots = 1) {
  server::WorkerInfo info;
  info.id = WorkerId(id);
  info.hostname = id;
  info.slots = slots;
  info.device_kind = "cpu";
  info.numeric_classes = {"cpu-x86-avx512", "cpu-x86-avx2"};
  return info;
}

}  // namespace distill
