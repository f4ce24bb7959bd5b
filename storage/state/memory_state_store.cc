#include "storage/state/memory_state_store.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "storage/state/job_blobs.h"

namespace distill::storage {
namespace {

absl::Status NoSuch(absl::string_view noun, const std::string& id) {
  return WithResource(
      absl::NotFoundError(absl::StrCat("cannot find ", noun, ": no such ", noun, "; id=", id)),
      noun, id);
}

absl::Status Unknown(absl::string_view noun, const std::string& id) {
  return absl::InternalError(absl::StrCat("cannot commit: unknown ", noun, "; id=", id));
}

}  // namespace

// Refuses what a database's foreign keys would refuse, before anything is applied.
struct MemoryStateStore::Checker {
  const Tables& tables;
  std::set<JobId> new_jobs;
  std::set<TaskId> new_tasks;
  std::set<JobId> deleted_jobs;

  absl::Status Job(const JobId& id) const {
    const bool known = tables.jobs.count(id) != 0 || new_jobs.count(id) != 0;
    return known && deleted_jobs.count(id) == 0 ? absl::OkStatus() : Unknown("job", id.str());
  }
  absl::Status Task(const TaskId& id) const {
    const bool known = tables.tasks.count(id) != 0 || new_tasks.count(id) != 0;
    return known && deleted_jobs.count(JobOf(id)) == 0 ? absl::OkStatus()
                                                       : Unknown("task", id.str());
  }

  absl::Status operator()(const InsertJob& mutation) {
    new_jobs.insert(mutation.job.id);
    deleted_jobs.erase(mutation.job.id);
    return absl::OkStatus();
  }
  absl::Status operator()(const UpdateJob& mutation) { return Job(mutation.id); }
  absl::Status operator()(const DeleteJob& mutation) {
    deleted_jobs.insert(mutation.id);
    return absl::OkStatus();
  }
  absl::Status operator()(const InsertTask& mutation) {
    new_tasks.insert(mutation.task.id);
    return Job(mutation.task.job);
  }
  absl::Status operator()(const UpdateTask& mutation) { return Task(mutation.id); }
  absl::Status operator()(const PutAttempt& mutation) { return Task(mutation.attempt.task); }
  absl::Status operator()(const PutLineage& mutation) { return Task(mutation.lineage.task); }
  absl::Status operator()(const PutRequest& mutation) { return Job(mutation.request.job); }
  absl::Status operator()(const AppendEvent& mutation) { return Job(mutation.event.job); }
  template <typename Other>
  absl::Status operator()(const Other&) {
    return absl::OkStatus();
  }
};

// Applies mutations that were checked.
struct MemoryStateStore::Applier {
  Tables& tables;

  void operator()(const InsertJob& mutation) { tables.jobs[mutation.job.id] = mutation.job; }
  void operator()(const UpdateJob& mutation) {
    tables.jobs.at(mutation.id).status = mutation.status;
  }
  void operator()(const DeleteJob& mutation) {
    for (const auto& [index, task] : tables.plan[mutation.id]) {
      tables.tasks.erase(task);
      tables.attempts.erase(task);
      for (auto& [digest, rows] : tables.lineage) {
        for (auto row = rows.begin(); row != rows.end();) {
          const bool of_task = std::get<0>(row->first) == task;
          if (of_task && tables.blobs.count(digest) != 0) {
            tables.blob_owners.insert({digest, tables.jobs.at(mutation.id).project});
          }
          row = of_task ? rows.erase(row) : std::next(row);
        }
      }
    }
    tables.plan.erase(mutation.id);
    tables.events.erase(mutation.id);
    for (auto row = tables.requests.begin(); row != tables.requests.end();) {
      row = row->second.job == mutation.id ? tables.requests.erase(row) : std::next(row);
    }
    for (auto line = tables.ledger.begin(); line != tables.ledger.end();) {
      line = line->second.job == mutation.id ? tables.ledger.erase(line) : std::next(line);
    }
    tables.jobs.erase(mutation.id);
  }
  void operator()(const InsertTask& mutation) {
    const TaskRecord& task = mutation.task;
    tables.tasks[task.id] = task;
    tables.plan[task.job][task.definition.index] = task.id;
  }
  void operator()(const UpdateTask& mutation) {
    tables.tasks.at(mutation.id).status = mutation.status;
  }
  void operator()(const PutAttempt& mutation) {
    tables.attempts[mutation.attempt.task][mutation.attempt.number] = mutation.attempt;
  }
  void operator()(const PutBlob& mutation) { tables.blobs[mutation.blob.digest] = mutation.blob; }
  void operator()(const DeleteBlob& mutation) {
    tables.blobs.erase(mutation.digest);
    auto owner = tables.blob_owners.lower_bound({mutation.digest, ProjectId()});
    while (owner != tables.blob_owners.end() && owner->first == mutation.digest) {
      owner = tables.blob_owners.erase(owner);
    }
  }
  void operator()(const PutBlobOwner& mutation) {
    tables.blob_owners.insert({mutation.owner.digest, mutation.owner.project});
  }
  void operator()(const PutToken& mutation) { tables.tokens[mutation.token.id] = mutation.token; }
  void operator()(const TouchToken& mutation) {
    const auto token = tables.tokens.find(mutation.id);
    if (token != tables.tokens.end()) token->second.last_used_time = mutation.last_used_time;
  }
  void operator()(const DeleteToken& mutation) { tables.tokens.erase(mutation.id); }
  void operator()(const PutLineage& mutation) {
    const LineageRecord& row = mutation.lineage;
    tables.lineage[row.digest][{row.task, row.attempt, row.output}] = row;
  }
  void operator()(const PutResult& mutation) {
    tables.results[{mutation.result.project, mutation.result.key}] = mutation.result;
  }
  void operator()(const DeleteResult& mutation) {
    tables.results.erase({mutation.project, mutation.key});
  }
  void operator()(const PutLedger& mutation) {
    const LedgerRecord& line = mutation.line;
    tables.ledger[{line.project, line.job, line.kind, line.entry}] = line;
  }
  void operator()(const PutRequest& mutation) {
    const RequestRecord& row = mutation.request;
    tables.requests[{row.project, row.request}] = row;
  }
  void operator()(const PutWorker& mutation) {
    tables.workers[mutation.worker.id] = mutation.worker;
  }
  void operator()(const PutQuota& mutation) {
    tables.quotas[mutation.quota.project] = mutation.quota;
  }
  void operator()(const DeleteQuota& mutation) { tables.quotas.erase(mutation.project); }
  void operator()(const PutDataset& mutation) {
    tables.datasets[mutation.dataset.name] = mutation.dataset;
  }
  void operator()(const DeleteDataset& mutation) { tables.datasets.erase(mutation.name); }
  void operator()(const AppendEvent& mutation) {
    const EventRecord& event = mutation.event;
    tables.events[event.job][event.revision] = event;
    tables.last_revision = std::max(tables.last_revision, event.revision);
  }
};

absl::Status MemoryStateStore::Commit(absl::Span<const Mutation> mutations) {
  MutexLock lock(mu_);
  if (failed_) {
    return absl::FailedPreconditionError("cannot commit: an earlier commit failed");
  }
  Checker checker{tables_, {}, {}, {}};
  for (const Mutation& mutation : mutations) {
    const absl::Status status = std::visit(checker, mutation);
    if (status.ok()) continue;
    failed_ = true;
    return status;
  }
  for (const Mutation& mutation : mutations) std::visit(Applier{tables_}, mutation);
  return absl::OkStatus();
}

absl::StatusOr<StateImage> MemoryStateStore::Load() {
  MutexLock lock(mu_);
  StateImage image;
  image.last_revision = tables_.last_revision;
  for (const auto& [id, job] : tables_.jobs) image.jobs.push_back(job);
  std::sort(image.jobs.begin(), image.jobs.end(), [](const JobRecord& a, const JobRecord& b) {
    return a.create_revision < b.create_revision;
  });
  for (const JobRecord& job : image.jobs) {
    const auto plan = tables_.plan.find(job.id);
    if (plan == tables_.plan.end()) continue;
    for (const auto& [index, task] : plan->second) {
      image.tasks.push_back(tables_.tasks.at(task));
      if (IsTerminal(job.status.state)) image.tasks.back().definition.spec.clear();
      const auto attempts = tables_.attempts.find(task);
      if (attempts == tables_.attempts.end()) continue;
      for (const auto& [number, attempt] : attempts->second) image.attempts.push_back(attempt);
    }
  }
  for (const auto& [digest, blob] : tables_.blobs) image.blobs.push_back(blob);
  for (const auto& [key, result] : tables_.results) image.results.push_back(result);
  for (const auto& [key, line] : tables_.ledger) image.ledger.push_back(line);
  for (const auto& [key, request] : tables_.requests) image.requests.push_back(request);
  for (const auto& [id, worker] : tables_.workers) image.workers.push_back(worker);
  for (const auto& [project, quota] : tables_.quotas) image.quotas.push_back(quota);
  for (const auto& [name, dataset] : tables_.datasets) image.datasets.push_back(dataset);
  return image;
}

absl::StatusOr<JobRecord> MemoryStateStore::GetJob(const JobId& job) const {
  MutexLock lock(mu_);
  const auto found = tables_.jobs.find(job);
  if (found == tables_.jobs.end()) return NoSuch("job", job.str());
  return found->second;
}

absl::StatusOr<std::vector<JobRecord>> MemoryStateStore::ListJobs(
    const JobPageRequest& page) const {
  MutexLock lock(mu_);
  std::vector<JobRecord> jobs;
  for (const auto& [id, job] : tables_.jobs) {
    if (!page.project.empty() && job.project != page.project) continue;
    if (page.before_create_revision > 0 && job.create_revision >= page.before_create_revision) {
      continue;
    }
    jobs.push_back(job);
  }
  std::sort(jobs.begin(), jobs.end(), [](const JobRecord& a, const JobRecord& b) {
    return a.create_revision > b.create_revision;
  });
  if (static_cast<int>(jobs.size()) > page.limit) jobs.resize(static_cast<size_t>(page.limit));
  return jobs;
}

absl::StatusOr<JobCounts> MemoryStateStore::CountTasks(const JobId& job) const {
  MutexLock lock(mu_);
  JobCounts counts;
  const auto plan = tables_.plan.find(job);
  if (plan == tables_.plan.end()) return NoSuch("job", job.str());
  for (const auto& [index, id] : plan->second) {
    const TaskStatus& status = tables_.tasks.at(id).status;
    ++counts.total;
    counts.running += status.state == TaskState::kRunning ? 1 : 0;
    if (status.state != TaskState::kSucceeded) continue;
    ++counts.succeeded;
    counts.reused += status.reused_from.empty() ? 0 : 1;
  }
  return counts;
}

absl::StatusOr<TaskRecord> MemoryStateStore::GetTask(const TaskId& task) const {
  MutexLock lock(mu_);
  const auto found = tables_.tasks.find(task);
  if (found == tables_.tasks.end()) return NoSuch("task", task.str());
  return found->second;
}

absl::StatusOr<std::vector<TaskRecord>> MemoryStateStore::ListTasks(const JobId& job,
                                                                    int32_t after_index,
                                                                    int limit) const {
  MutexLock lock(mu_);
  std::vector<TaskRecord> tasks;
  const auto plan = tables_.plan.find(job);
  if (plan == tables_.plan.end()) return tasks;
  for (auto row = plan->second.upper_bound(after_index); row != plan->second.end(); ++row) {
    if (static_cast<int>(tasks.size()) >= limit) break;
    tasks.push_back(tables_.tasks.at(row->second));
  }
  return tasks;
}

absl::StatusOr<std::vector<AttemptRecord>> MemoryStateStore::ListAttempts(
    const TaskId& task) const {
  MutexLock lock(mu_);
  std::vector<AttemptRecord> attempts;
  const auto found = tables_.attempts.find(task);
  if (found == tables_.attempts.end()) return attempts;
  for (const auto& [number, attempt] : found->second) attempts.push_back(attempt);
  return attempts;
}

absl::StatusOr<std::vector<AttemptRecord>> MemoryStateStore::ListJobAttempts(
    const JobId& job) const {
  MutexLock lock(mu_);
  std::vector<AttemptRecord> attempts;
  const auto plan = tables_.plan.find(job);
  if (plan == tables_.plan.end()) return attempts;
  for (const auto& [index, task] : plan->second) {
    const auto found = tables_.attempts.find(task);
    if (found == tables_.attempts.end()) continue;
    for (const auto& [number, attempt] : found->second) attempts.push_back(attempt);
  }
  return attempts;
}

absl::StatusOr<std::vector<EventRecord>> MemoryStateStore::EventsAfter(const JobId& job,
                                                                       int64_t after_revision,
                                                                       int limit) const {
  MutexLock lock(mu_);
  std::vector<EventRecord> events;
  const auto found = tables_.events.find(job);
  if (found == tables_.events.end()) return events;
  for (auto row = found->second.upper_bound(after_revision); row != found->second.end(); ++row) {
    if (static_cast<int>(events.size()) >= limit) break;
    events.push_back(row->second);
  }
  return events;
}

absl::StatusOr<BlobRecord> MemoryStateStore::GetBlob(const Digest& digest) const {
  MutexLock lock(mu_);
  const auto found = tables_.blobs.find(digest);
  if (found == tables_.blobs.end()) return NoSuch("blob", digest.str());
  return found->second;
}

absl::StatusOr<std::vector<BlobRecord>> MemoryStateStore::ListBlobs(
    const ArtifactPageRequest& page) const {
  std::set<Digest> of_job;
  if (!page.job.empty()) {
    const absl::StatusOr<JobRecord> job = GetJob(page.job);
    if (!job.ok()) return job.status();
    of_job = BlobsOfJob(*job, *ListTasks(page.job, -1, std::numeric_limits<int>::max()),
                        *ListJobAttempts(page.job));
  }
  MutexLock lock(mu_);
  std::vector<BlobRecord> blobs;
  for (const auto& [digest, blob] : tables_.blobs) {
    if (static_cast<int>(blobs.size()) >= page.limit) break;
    if (digest.str() <= page.after) continue;
    if (!page.job.empty() && of_job.count(digest) == 0) continue;
    blobs.push_back(blob);
  }
  return blobs;
}

absl::StatusOr<DatasetRecord> MemoryStateStore::GetDataset(const DatasetName& name) const {
  MutexLock lock(mu_);
  const auto found = tables_.datasets.find(name);
  if (found == tables_.datasets.end()) return NoSuch("data set", name.str());
  return found->second;
}

absl::StatusOr<std::vector<DatasetRecord>> MemoryStateStore::ListDatasets(const DatasetName& after,
                                                                          int limit) const {
  MutexLock lock(mu_);
  std::vector<DatasetRecord> datasets;
  for (auto row = tables_.datasets.upper_bound(after); row != tables_.datasets.end(); ++row) {
    if (static_cast<int>(datasets.size()) >= limit) break;
    datasets.push_back(row->second);
  }
  return datasets;
}

absl::StatusOr<std::vector<LineageRecord>> MemoryStateStore::Lineage(const Digest& digest) const {
  MutexLock lock(mu_);
  std::vector<LineageRecord> rows;
  const auto found = tables_.lineage.find(digest);
  if (found == tables_.lineage.end()) return rows;
  for (const auto& [key, row] : found->second) rows.push_back(row);
  return rows;
}

absl::StatusOr<std::vector<ProjectId>> MemoryStateStore::ProjectsOfBlob(
    const Digest& digest) const {
  MutexLock lock(mu_);
  std::set<ProjectId> projects;
  for (auto owner = tables_.blob_owners.lower_bound({digest, ProjectId()});
       owner != tables_.blob_owners.end() && owner->first == digest; ++owner) {
    projects.insert(owner->second);
  }
  const auto lineage = tables_.lineage.find(digest);
  if (lineage != tables_.lineage.end()) {
    for (const auto& [key, row] : lineage->second) {
      projects.insert(tables_.jobs.at(JobOf(row.task)).project);
    }
  }
  return std::vector<ProjectId>(projects.begin(), projects.end());
}

absl::StatusOr<std::vector<TokenRecord>> MemoryStateStore::ListTokens() const {
  MutexLock lock(mu_);
  std::vector<TokenRecord> tokens;
  for (const auto& [id, token] : tables_.tokens) tokens.push_back(token);
  return tokens;
}

}  // namespace distill::storage
