#include "server/rpc/job_event_feed.h"

#include <utility>

#include "base/status_macros.h"
#include "server/rpc/call.h"
#include "server/rpc/convert.h"

namespace distill::server {
namespace {

constexpr int kEventsPerRead = 256;

}  // namespace

// Subscribed before history is read, so that nothing falls between the two.
JobEventFeed::JobEventFeed(const storage::StateStore& store, WatchHub& hub, const JobId& job,
                           const Options& options, std::function<void()> wake)
    : store_(store),
      job_(job),
      include_progress_(options.include_progress),
      subscription_(hub.Subscribe(job, options.after_revision, std::move(wake))),
      last_revision_(options.after_revision) {}

absl::StatusOr<JobEventFeed::Batch> JobEventFeed::Next() {
  Batch batch;
  do {
    if (in_history_) DISTILL_RETURN_IF_ERROR(ReadHistory(batch));
    // Also at the end of history: the hub wakes once until its news are taken, and may have done so
    // while history was read.
    if (!in_history_ && !batch.terminal) DISTILL_RETURN_IF_ERROR(TakeNews(batch));
  } while (in_history_ && batch.events.empty());
  return batch;
}

absl::Status JobEventFeed::ReadHistory(Batch& batch) {
  DISTILL_ASSIGN_OR_RETURN(const storage::JobRecord record, store_.GetJob(job_));
  shown_job_ = ToProto(record, storage::JobCounts());
  DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::EventRecord> history,
                           store_.EventsAfter(job_, last_revision_, kEventsPerRead));
  if (!history.empty()) return Add(history, batch);
  in_history_ = false;
  // Read before the history, so nothing can follow.
  batch.terminal = storage::IsTerminal(record.status.state);
  return absl::OkStatus();
}

absl::Status JobEventFeed::TakeNews(Batch& batch) {
  const WatchBatch news = subscription_->Next();
  if (news.closed) return ServerStopping();
  DISTILL_RETURN_IF_ERROR(Add(news.events, batch));
  if (include_progress_ && !batch.terminal) {
    for (const ProgressNews& progress : news.progress) batch.events.push_back(ToProto(progress));
  }
  in_history_ = news.lagged;
  return absl::OkStatus();
}

absl::Status JobEventFeed::Add(const std::vector<storage::EventRecord>& records, Batch& batch) {
  for (const storage::EventRecord& record : records) {
    if (record.revision <= last_revision_) continue;  // Read from history already.
    last_revision_ = record.revision;
    std::vector<storage::NamedBlob> results;
    if (!record.task.empty() && record.task_state == storage::TaskState::kSucceeded) {
      DISTILL_ASSIGN_OR_RETURN(const storage::TaskRecord task,
                               store_.GetTask(storage::MakeTaskId(job_, record.task)));
      results = task.status.results;
    }
    batch.events.push_back(ToProto(record, shown_job_, results));
    batch.terminal =
        batch.terminal || (record.task.empty() && storage::IsTerminal(record.job_state));
  }
  return absl::OkStatus();
}

}  // namespace distill::server
