#include "server/report/trace_builder.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "base/trace_context.h"

namespace distill::server {
namespace {

constexpr int kMostSpans = 10'000;
constexpr uint64_t kMostSpansBytes = 1 << 20;
constexpr int kEventsPerRead = 1000;
constexpr char kServer[] = "server";

// What happened to one task, from its events.
struct TaskTimes {
  absl::Time ready = storage::kUnsetTime;  // First QUEUED.
  std::vector<std::pair<absl::Time, absl::Time>> queued;
  absl::Time ended = storage::kUnsetTime;
};

int64_t Nanos(absl::Time time) { return time == storage::kUnsetTime ? 0 : absl::ToUnixNanos(time); }

class TraceBuilder {
 public:
  TraceBuilder(const storage::StateStore& store, const storage::BlobStore& blobs,
               storage::JobRecord job)
      : store_(store), blobs_(blobs), job_(std::move(job)) {}

  absl::StatusOr<v1::Trace> Build() {
    const std::optional<TraceContext> given = ParseTraceparent(job_.traceparent);
    trace_.set_trace_id(given.has_value() ? given->trace_id : TraceIdOf(job_.id.str()));
    job_span_ = SpanIdOf(absl::StrCat("job ", job_.id.str()));
    DISTILL_RETURN_IF_ERROR(ReadEvents());
    v1::Span& root = *AddSpan("job", job_span_, given.has_value() ? given->span_id : "",
                              job_.create_time, job_.status.finish_time);
    (*root.mutable_attributes())["job"] = job_.id.str();
    (*root.mutable_attributes())["project"] = job_.project.str();
    (*root.mutable_attributes())["state"] = storage::Name(job_.status.state);
    root.set_error(job_.status.failure_message);
    DISTILL_RETURN_IF_ERROR(AddTasks());
    std::stable_sort(trace_.mutable_spans()->begin(), trace_.mutable_spans()->end(),
                     [](const v1::Span& a, const v1::Span& b) {
                       return a.start_unix_nanos() < b.start_unix_nanos();
                     });
    return std::move(trace_);
  }

 private:
  // Null when there is no room.
  v1::Span* AddSpan(const std::string& name, const std::string& id, const std::string& parent,
                    absl::Time start, absl::Time end) {
    if (trace_.spans_size() >= kMostSpans) {
      trace_.set_dropped_spans(trace_.dropped_spans() + 1);
      return nullptr;
    }
    v1::Span* const span = trace_.add_spans();
    span->set_name(name);
    span->set_span_id(id);
    span->set_parent_span_id(parent);
    span->set_process(kServer);
    span->set_start_unix_nanos(Nanos(start));
    span->set_end_unix_nanos(Nanos(end));
    return span;
  }

  absl::Status ReadEvents() {
    int64_t revision = 0;
    while (true) {
      DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::EventRecord> events,
                               store_.EventsAfter(job_.id, revision, kEventsPerRead));
      for (const storage::EventRecord& event : events) {
        revision = event.revision;
        if (!event.task.empty()) Take(event);
      }
      if (static_cast<int>(events.size()) < kEventsPerRead) return absl::OkStatus();
    }
  }

  void Take(const storage::EventRecord& event) {
    TaskTimes& times = times_[event.task];
    if (event.task_state == storage::TaskState::kQueued) {
      if (times.ready == storage::kUnsetTime) times.ready = event.time;
      times.queued.emplace_back(event.time, storage::kUnsetTime);
    } else if (!times.queued.empty() && times.queued.back().second == storage::kUnsetTime) {
      times.queued.back().second = event.time;
    }
    times.ended = storage::IsTerminal(event.task_state) ? event.time : storage::kUnsetTime;
  }

  absl::Status AddTasks() {
    DISTILL_ASSIGN_OR_RETURN(const std::vector<storage::AttemptRecord> attempts,
                             store_.ListJobAttempts(job_.id));
    std::map<TaskId, std::vector<const storage::AttemptRecord*>> attempts_of;
    for (const storage::AttemptRecord& attempt : attempts) {
      attempts_of[attempt.task].push_back(&attempt);
    }
    for (const auto& [name, times] : times_) {
      if (times.ready == storage::kUnsetTime) continue;  // Still waits for its inputs.
      const TaskId task = storage::MakeTaskId(job_.id, name);
      const std::string id = SpanIdOf(absl::StrCat("task ", task.str()));
      v1::Span* const span = AddSpan(name, id, job_span_, times.ready, times.ended);
      if (span == nullptr) continue;
      (*span->mutable_attributes())["task"] = name;
      int index = 0;
      for (const auto& [start, end] : times.queued) {
        AddSpan("queued", SpanIdOf(absl::StrCat("queued ", task.str(), " ", index++)), id, start,
                end);
      }
      for (const storage::AttemptRecord* attempt : attempts_of[task]) AddAttempt(*attempt, id);
    }
    return absl::OkStatus();
  }

  void AddAttempt(const storage::AttemptRecord& attempt, const std::string& parent) {
    const std::string id = AttemptSpanId(attempt.lease_id);
    v1::Span* const span = AddSpan(absl::StrCat("attempt ", attempt.number), id, parent,
                                   attempt.start_time, attempt.finish_time);
    if (span == nullptr) return;
    (*span->mutable_attributes())["worker"] = attempt.worker.str();
    (*span->mutable_attributes())["state"] = storage::Name(attempt.state);
    if (attempt.state != storage::AttemptState::kSucceeded) span->set_error(attempt.message);
    int64_t last_end = 0;
    for (const storage::NamedBlob& blob : attempt.observations) {
      if (blob.name != "spans") continue;
      const absl::StatusOr<std::string> bytes =
          storage::ReadBlob(blobs_, blob.digest, kMostSpansBytes);
      v1::AttemptSpans told;
      if (bytes.ok() && told.ParseFromString(*bytes)) last_end = AddTold(told, attempt);
    }
    // What the worker's spans leave open: its last call, and the commit.
    if (last_end > 0 && last_end < Nanos(attempt.finish_time)) {
      AddSpan("commit", SpanIdOf(absl::StrCat("commit ", attempt.lease_id.str())), id,
              absl::FromUnixNanos(last_end), attempt.finish_time);
    }
  }

  // Returns when the last of them ended.
  int64_t AddTold(const v1::AttemptSpans& told, const storage::AttemptRecord& attempt) {
    int64_t last_end = 0;
    trace_.set_dropped_spans(trace_.dropped_spans() + told.dropped_spans());
    for (const v1::Span& span : told.spans()) {
      v1::Span* const copy = AddSpan("", "", "", storage::kUnsetTime, storage::kUnsetTime);
      if (copy == nullptr) continue;
      *copy = span;
      copy->set_process(attempt.worker.str());
      last_end = std::max(last_end, span.end_unix_nanos());
    }
    return last_end;
  }

  const storage::StateStore& store_;
  const storage::BlobStore& blobs_;
  const storage::JobRecord job_;
  std::string job_span_;
  std::map<std::string, TaskTimes> times_;
  v1::Trace trace_;
};

}  // namespace

std::string AttemptSpanId(const LeaseId& lease) {
  return SpanIdOf(absl::StrCat("lease ", lease.str()));
}

absl::StatusOr<v1::Trace> BuildTrace(const storage::StateStore& store,
                                     const storage::BlobStore& blobs, const JobId& job) {
  DISTILL_ASSIGN_OR_RETURN(storage::JobRecord record, store.GetJob(job));
  return TraceBuilder(store, blobs, std::move(record)).Build();
}

}  // namespace distill::server
