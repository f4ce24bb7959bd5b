// Blobs as the scheduler sees them: present or not, in use or not; what to do when one is lost; and
// retention.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/scheduler/core_step.h"
#include "server/scheduler/references.h"

namespace distill::server {

using storage::BlobState;
using storage::TaskState;

bool CoreStep::Touch(const Digest& digest) {
  const auto found = state_.blobs.find(digest);
  if (found == state_.blobs.end()) return false;
  Blob& blob = found->second;
  if (blob.record.state == BlobState::kUnlinking) return false;
  blob.last_use = now_.monotonic;
  if (blob.record.state == BlobState::kDeleting) {
    blob.record.state = BlobState::kPresent;
    effects_.mutations.push_back(storage::PutBlob{blob.record});
  }
  return true;
}

void CoreStep::On(uint64_t call, BlobPresent& event) {
  const auto [found, added] = state_.blobs.try_emplace(event.digest);
  Blob& blob = found->second;
  if (!added) {
    if (Touch(event.digest)) return ReplyTo(call, Done{});
    return Refuse(call, absl::UnavailableError(absl::StrCat(
                            "cannot publish blob: it is being removed, upload it again; "
                            "digest=",
                            event.digest.str())));
  }
  blob.record = storage::BlobRecord{event.digest, event.size_bytes, event.type, BlobState::kPresent,
                                    now_.wall};
  blob.last_use = now_.monotonic;
  state_.CountBlob(blob.record, 1);
  effects_.mutations.push_back(storage::PutBlob{blob.record});
  ReplyTo(call, Done{});
}

void CoreStep::On(uint64_t call, FindMissing& event) {
  FindMissingReply reply;
  for (Digest& digest : event.digests) {
    if (Touch(digest)) continue;
    (state_.blobs.contains(digest) ? reply.busy : reply.missing).push_back(std::move(digest));
  }
  ReplyTo(call, std::move(reply));
}

void CoreStep::On(uint64_t call, BlobsGone& event) {
  bool lost_any = false;
  for (const Digest& digest : event.digests) {
    const auto found = state_.blobs.find(digest);
    if (found == state_.blobs.end()) continue;
    // Retention removes only what nothing refers to.
    lost_any = lost_any || found->second.record.state != BlobState::kUnlinking;
    effects_.mutations.push_back(storage::DeleteBlob{digest});
    state_.CountBlob(found->second.record, -1);
    state_.blobs.erase(found);
  }
  if (lost_any) RemakeLostResults();
  ReplyTo(call, Done{});
}

void CoreStep::RemakeLostResults() {
  std::vector<TaskRank> lost;
  for (const auto& entry : state_.jobs) {
    const Job& job = *entry.second;
    if (job.stopping()) continue;
    for (size_t i = 0; i < job.tasks.size(); ++i) {
      const Task& task = job.tasks[i];
      if (task.status.state != TaskState::kSucceeded) continue;
      const bool whole = std::all_of(
          task.status.results.begin(), task.status.results.end(),
          [&](const storage::NamedBlob& result) { return state_.IsPresent(result.digest); });
      const bool needed =
          task.dependents.empty() ||
          std::any_of(task.dependents.begin(), task.dependents.end(), [&](int32_t index) {
            return !storage::IsTerminal(job.tasks[static_cast<size_t>(index)].status.state);
          });
      if (!whole && needed) lost.push_back(TaskRank{entry.first, static_cast<int32_t>(i)});
    }
  }
  // Consumers first: a producer is needed again when one of its consumers is.
  for (auto rank = lost.rbegin(); rank != lost.rend(); ++rank) LoseResult(*rank);
  for (const TaskRank rank : lost) {
    if (state_.TaskAt(rank).blocked_on == 0) state_.unblocked.push_back(rank);
  }
  if (!lost.empty()) {
    // A task that has to run again may need inputs that nobody needed a moment ago.
    RemakeLostResults();
  }
}

void CoreStep::LoseResult(TaskRank rank) {
  Job& job = state_.JobAt(rank);
  Task& task = state_.TaskAt(rank);
  BookLostResult(rank);
  if (!task.status.reused_from.empty()) --job.counts.reused;
  task.status.reused_from = TaskId();
  task.status.results.clear();
  task.status.winner_attempt = 0;
  task.status.finish_time = storage::kUnsetTime;
  task.status.failure_message = "a result blob was lost; it is made again";
  Move(rank, TaskEvent::kResultLost);
  for (const int32_t index : task.dependents) {
    Task& dependent = job.tasks[static_cast<size_t>(index)];
    ++dependent.blocked_on;
    if (dependent.status.state == TaskState::kQueued) {
      const TaskRank dependent_rank{rank.job_age, index};
      Dequeue(dependent_rank);
      Move(dependent_rank, TaskEvent::kInputLost);
      // Others with the same key need not wait until this one has its inputs again.
      LeaveExecution(dependent_rank);
    }
  }
}

void CoreStep::DeleteFinishedJob(int64_t age) {
  const Job& job = *state_.jobs.at(age);
  effects_.mutations.push_back(storage::DeleteJob{job.record.id});
  for (const RequestId& request : job.requests)
    state_.requests.erase({job.record.project, request});
  state_.age_of.erase(job.record.id);
  state_.jobs.erase(age);
}

void CoreStep::DropEmptyResults() {
  for (auto result = state_.results.begin(); result != state_.results.end();) {
    const auto current = result++;
    const std::vector<storage::NamedBlob>& outputs = current->second.outputs;
    if (std::all_of(outputs.begin(), outputs.end(), [&](const storage::NamedBlob& output) {
          return state_.blobs.contains(output.digest);
        })) {
      continue;
    }
    effects_.mutations.push_back(
        storage::DeleteResult{current->second.project, current->second.key});
    state_.results.erase(current);
  }
}

int64_t CoreStep::SizeOf(const Digest& digest) const {
  const auto blob = state_.blobs.find(digest);
  return blob == state_.blobs.end() ? 0 : blob->second.record.size_bytes;
}

void CoreStep::CountReferences(const CollectGarbage& event, BlobReferences& references) const {
  const auto add = [&](const Digest& digest) {
    if (++references.counts[digest] == 1) references.held_bytes += SizeOf(digest);
  };
  for (const auto& [name, dataset] : state_.datasets) {
    for (const storage::NamedBlob& blob : dataset.status.blobs) add(blob.digest);
  }
  for (const auto& [age, job] : state_.jobs) {
    const bool old_logs = storage::IsTerminal(job->record.status.state) &&
                          now_.monotonic - job->finished >= event.log_retention;
    ForEachReference(*job, [&](const Digest& digest) {
      if (!digest.empty() && !(old_logs && IsLog(digest))) add(digest);
    });
  }
}

bool CoreStep::IsLog(const Digest& digest) const {
  const auto blob = state_.blobs.find(digest);
  return blob != state_.blobs.end() && ClassOfArtifact(blob->second.record.type) == BlobClass::kLog;
}

int CoreStep::DeleteOldJobs(const CollectGarbage& event, BlobReferences& references) {
  std::vector<int64_t> finished;  // Oldest first.
  for (const auto& [age, job] : state_.jobs) {
    if (storage::IsTerminal(job->record.status.state)) finished.push_back(age);
  }
  int deleted = 0;
  for (const int64_t age : finished) {
    const Job& job = *state_.jobs.at(age);
    const bool expired = now_.monotonic - job.finished >= event.job_retention;
    const bool too_much = event.max_blob_bytes > 0 && references.held_bytes > event.max_blob_bytes;
    if (!expired && !too_much) continue;
    const bool old_logs = now_.monotonic - job.finished >= event.log_retention;
    ForEachReference(job, [&](const Digest& digest) {
      if (digest.empty() || (old_logs && IsLog(digest))) return;
      if (--references.counts[digest] == 0) references.held_bytes -= SizeOf(digest);
    });
    DeleteFinishedJob(age);
    ++deleted;
  }
  return deleted;
}

void CoreStep::On(uint64_t call, CollectGarbage& event) {
  CollectGarbageReply reply;
  BlobReferences references;
  CountReferences(event, references);
  reply.jobs_deleted = DeleteOldJobs(event, references);
  for (auto& [digest, blob] : state_.blobs) {
    const auto held = references.counts.find(digest);
    const bool referenced = held != references.counts.end() && held->second > 0;
    const bool is_checkpoint = ClassOfArtifact(blob.record.type) == BlobClass::kCheckpoint;
    const absl::Duration grace =
        is_checkpoint ? std::min(event.blob_grace, event.checkpoint_grace) : event.blob_grace;
    if (blob.record.state == BlobState::kPresent && !referenced &&
        now_.monotonic - blob.last_use >= grace) {
      blob.record.state = BlobState::kDeleting;
      blob.marked = now_.monotonic;
      effects_.mutations.push_back(storage::PutBlob{blob.record});
      ++reply.blobs_marked;
    } else if (blob.record.state == BlobState::kDeleting && referenced) {
      Touch(digest);
    } else if (blob.record.state == BlobState::kDeleting && now_.monotonic - blob.marked >= grace) {
      blob.record.state = BlobState::kUnlinking;
      effects_.mutations.push_back(storage::PutBlob{blob.record});
      effects_.unlinks.push_back(digest);
      reply.bytes_unlinked += blob.record.size_bytes;
    } else if (blob.record.state == BlobState::kUnlinking) {
      effects_.unlinks.push_back(digest);  // Asked for before; removal can be repeated.
    }
    reply.blob_bytes += blob.record.size_bytes;
  }
  std::sort(effects_.unlinks.begin(), effects_.unlinks.end());
  effects_.unlinks.erase(std::unique(effects_.unlinks.begin(), effects_.unlinks.end()),
                         effects_.unlinks.end());
  DropEmptyResults();
  ReplyTo(call, reply);
}

}  // namespace distill::server
