// Names that two layers know, which must not include each other.
#include <string>
#include <vector>

#include "base/corruption_names.h"
#include "distill/v1/artifact_service.pb.h"
#include "distill/v1/fleet_service.pb.h"
#include "distill/v1/job_service.pb.h"
#include "distill/v1/ledger.pb.h"
#include "distill/v1/worker_service.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/status/grpc_status.h"
#include "server/scheduler/blob_class.h"
#include "server/scheduler/events.h"
#include "server/scheduler/explanation.h"
#include "storage/state/records.h"
#include "worker/data/corruption.h"

namespace distill::server {
namespace {

// A job may ask for exactly the corruptions that workers can make.
TEST(NamesAgreeTest, Corruptions) {
  std::vector<std::string> made;
  for (const data::CorruptionKind kind : data::AllCorruptions()) {
    made.emplace_back(data::CorruptionName(kind));
  }
  EXPECT_EQ(made, std::vector<std::string>(kCorruptionNames.begin(), kCorruptionNames.end()));
  EXPECT_EQ(kMostSevereCorruption, data::kMostSevere);
}

TEST(NamesAgreeTest, EnumsOfTheProtocolAndOfTheRecords) {
  EXPECT_EQ(static_cast<int>(storage::JobState::kCancelled), v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(static_cast<int>(storage::JobState::kRunning), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(static_cast<int>(storage::TaskState::kCancelled), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(static_cast<int>(storage::TaskState::kBlocked), v1::TASK_STATE_BLOCKED);
  EXPECT_EQ(static_cast<int>(storage::FailureClass::kPoison), v1::FAILURE_CLASS_POISON);
  EXPECT_EQ(static_cast<int>(storage::FailureClass::kUser), v1::FAILURE_CLASS_USER);
  EXPECT_EQ(static_cast<int>(Directive::Kind::kStopAttempt), v1::Directive::KIND_STOP_ATTEMPT);
  EXPECT_EQ(static_cast<int>(Directive::Kind::kRegister), v1::Directive::KIND_REGISTER);
  EXPECT_EQ(static_cast<int>(Directive::Kind::kPreemptAttempt),
            v1::Directive::KIND_PREEMPT_ATTEMPT);
  EXPECT_EQ(static_cast<int>(storage::JobState::kPaused), v1::JOB_STATE_PAUSED);
  EXPECT_EQ(static_cast<int>(storage::Quarantine::kManual), v1::QUARANTINE_MANUAL);
  EXPECT_EQ(static_cast<int>(storage::Quarantine::kAutomatic), v1::QUARANTINE_AUTOMATIC);
}

TEST(NamesAgreeTest, ReasonsAndPredicatesOfAnExplanation) {
  for (int number = v1::WAIT_REASON_NONE; number <= v1::WaitReason_MAX; ++number) {
    EXPECT_EQ(v1::WaitReason_Name(number),
              std::string("WAIT_REASON_") + Name(static_cast<WaitReason>(number)));
  }
  for (int number = v1::PREDICATE_NONE; number <= v1::Predicate_MAX; ++number) {
    EXPECT_EQ(v1::Predicate_Name(number),
              std::string("PREDICATE_") + Name(static_cast<Predicate>(number)));
  }
}

TEST(NamesAgreeTest, LossesOfTheLedger) {
  constexpr int kFirst = static_cast<int>(storage::LedgerEntry::kLostUser);
  for (int number = v1::LOSS_CAUSE_USER; number <= v1::LossCause_MAX; ++number) {
    const auto entry = static_cast<storage::LedgerEntry>(kFirst + number - v1::LOSS_CAUSE_USER);
    EXPECT_TRUE(storage::IsLoss(entry));
    EXPECT_EQ(v1::LossCause_Name(number), std::string("LOSS_CAUSE_") + storage::Name(entry));
  }
  EXPECT_FALSE(storage::IsLoss(storage::LedgerEntry::kMerged));
}

TEST(NamesAgreeTest, ClassesOfArtifacts) {
  EXPECT_EQ(ClassOfArtifact(v1::ARTIFACT_TYPE_CHECKPOINT), BlobClass::kCheckpoint);
  EXPECT_EQ(ClassOfArtifact(v1::ARTIFACT_TYPE_LOG), BlobClass::kLog);
  EXPECT_EQ(ClassOfArtifact(v1::ARTIFACT_TYPE_DATASET), BlobClass::kDataset);
  EXPECT_EQ(ClassOfArtifact(v1::ARTIFACT_TYPE_SERIES), BlobClass::kResult);
  EXPECT_EQ(ClassOfArtifact(v1::ARTIFACT_TYPE_MODEL), BlobClass::kResult);
}

TEST(NamesAgreeTest, StatusCodes) {
  EXPECT_EQ(ToGrpcStatus(absl::DataLossError("rotten")).error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(ToGrpcStatus(absl::InvalidArgumentError("x")).error_message(), "x");
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_EQ(ToGrpcStatus(absl::InternalError(std::string(9000, 'x'))).error_message().size(),
            2048u);
}

}  // namespace
}  // namespace distill::server
