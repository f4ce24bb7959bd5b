// Values as people read them in tables and on live lines.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "distill/v1/artifact_service.pb.h"
#include "distill/v1/cache_service.pb.h"
#include "distill/v1/fleet_service.pb.h"
#include "distill/v1/job.pb.h"
#include "distill/v1/job_service.pb.h"
#include "distill/v1/ledger.pb.h"
#include "distill/v1/task.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace distill::client {

// "running", "succeeded", ...: the enum's name without its type, in lower case.
std::string StateName(v1::JobState state);
std::string StateName(v1::TaskState state);
std::string StateName(v1::WorkerState state);
std::string StateName(v1::Quarantine quarantine);
std::string StateName(v1::WaitReason reason);
std::string StateName(v1::Predicate predicate);
std::string StateName(v1::LossCause cause);
std::string StateName(v1::CacheOutcome outcome);
// "model", "metrics", ...; "-" when unset or unknown.
std::string ArtifactTypeName(v1::ArtifactType type);

// "job-1f2e3d4c/finetune-student" for projects/P/jobs/job-1f2e3d4c/tasks/finetune-student; other
// texts as they are.
std::string ShortTaskName(absl::string_view name);

absl::Time ToTime(const google::protobuf::Timestamp& timestamp);
// RFC 3339 in UTC to the second; "-" when unset.
std::string FormatTime(const google::protobuf::Timestamp& timestamp);
// "4.2 s", "3:07" (minutes), "2:03:07" (hours); "-" when negative.
std::string FormatSeconds(double seconds);
// "512 B", "1.5 MiB".
std::string FormatBytes(int64_t bytes);
// "853", "5.1k".
std::string FormatCount(double count);
// "0.8123" for a share of 1.
std::string FormatAccuracy(double accuracy);

}  // namespace distill::client
