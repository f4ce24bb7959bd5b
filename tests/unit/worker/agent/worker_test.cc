// The whole daemon, in this process, against a scripted server and a fake trainer: what it promises
// when tasks succeed, fail, are cancelled or lost, and when the server goes away.
#include "worker/agent/worker.h"

#include <cstdlib>
#include <thread>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/metrics.h"
#include "base/prometheus_metrics.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/agent/fake_trainer.h"
#include "tests/unit/worker/agent/scripted_server.h"

namespace distill::worker {
namespace {

using ::testing::HasSubstr;
using State = ScriptedServer::State;

// An environment variable for the length of a scope.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~ScopedVariable() { unsetenv(name_); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* const name_;
};

class WorkerTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<Worker>> Create(int slots) {
    Worker::Config config;
    config.device = device_;
    config.nvml_library = FAKE_NVML_PATH;
    config.servers = {server_.address()};
    config.data_directory = directory_.path();
    config.trainer_binary = FAKE_TRAINER_PATH;
    config.slots = slots;
    if (device_ == Worker::Config::Device::kCpu) config.gang_network = "lo";
    config.cancel_grace = absl::Milliseconds(300);
    config.first_word_timeout = first_word_timeout_;
    config.warm_idle = warm_idle_;
    config.longest_retry = absl::Milliseconds(200);
    return Worker::Create(config, {clock_, ids_, metrics_, [this] { idle_.Cancel(); }});
  }
  void StartWorker(int slots) {
    auto worker = Create(slots);
    ASSERT_THAT(worker.status(), IsOk());
    worker_ = *std::move(worker);
    worker_->Start();
  }

  // A grant of the job "job-1" whose trainer behaves as told.
  v1::Grant NewGrant(FakeBehaviour behaviour) {
    const int number = ++grants_;
    v1::Grant grant;
    grant.mutable_lease()->set_job("job-1");
    grant.mutable_lease()->set_task(absl::StrCat("distill-module-", number));
    grant.mutable_lease()->set_attempt_number(1);
    grant.mutable_lease()->set_lease_id(absl::StrCat("lease-", number));
    grant.mutable_spec()->set_kind(v1::TASK_KIND_DISTILL_MODULE);
    grant.mutable_spec()->set_module_index(number);
    grant.mutable_spec()->set_seed(behaviour);
    grant.mutable_spec()->set_numeric_class("cpu-x86-default");
    grant.mutable_spec()->add_outputs("module");
    return grant;
  }

  void AddInput(v1::Grant& grant, const std::string& name, const std::string& digest) {
    v1::ResolvedInput& input = *grant.add_inputs();
    input.set_name(name);
    input.set_digest(digest);
  }

  void Offer(const std::vector<v1::Grant>& grants) {
    server_.With([&](State& state) {
      v1::LeaseSet& set = state.offered.emplace_back();
      set.set_id(absl::StrCat("set-", grants.front().lease().lease_id()));
      for (const v1::Grant& grant : grants) *set.add_grants() = grant;
    });
  }

  void Direct(v1::Directive::Kind kind, const v1::Grant& grant) {
    server_.With([&](State& state) {
      v1::Directive& directive = state.directives.emplace_back();
      directive.set_kind(kind);
      *directive.mutable_lease() = grant.lease();
    });
  }

  bool AwaitStep(int64_t step) {
    return server_.Await([&](const State& state) {
      for (const v1::LeaseProgress& lease : state.last_heartbeat.leases()) {
        if (lease.progress().step() >= step) return true;
      }
      return false;
    });
  }

  bool AwaitNoLeases() {
    return Eventually([this] { return worker_->idle(); }, absl::Seconds(10));
  }

  // No process below this one is left.
  bool AwaitNoTrainers() {
    return Eventually([] { return ChildrenOf(getpid()).empty(); }, absl::Seconds(10));
  }

  SystemClock clock_;
  SystemIdSource ids_;
  PrometheusMetrics metrics_;
  CancelToken idle_;
  TempDir directory_;
  ScriptedServer server_;
  Worker::Config::Device device_ = Worker::Config::Device::kCpu;
  absl::Duration warm_idle_ = absl::Seconds(30);
  absl::Duration first_word_timeout_ = absl::Seconds(120);
  int grants_ = 0;
  std::unique_ptr<Worker> worker_;
};

TEST_F(WorkerTest, RegistersWithWhatTheMachineCanDo) {
  StartWorker(/*slots=*/3);
  ASSERT_TRUE(server_.Await([](const State& state) { return state.heartbeats > 0; }));
  server_.With([&](State& state) {
    const v1::WorkerInfo& info = state.last_registration.worker();
    EXPECT_EQ(info.slots(), 3);
    EXPECT_EQ(info.device_kind(), "cpu");
    EXPECT_EQ(info.gang_network(), "lo");
    EXPECT_EQ(info.numeric_classes(info.numeric_classes_size() - 1), "cpu-x86-default");
    EXPECT_GT(info.slot_memory_bytes(), 0);
  });
  EXPECT_THAT(worker_->Readiness(), IsOk());
}

TEST_F(WorkerTest, AMachineWithGpusHasASlotForEach) {
  device_ = Worker::Config::Device::kAuto;
  StartWorker(/*slots=*/0);
  ASSERT_TRUE(server_.Await([](const State& state) { return state.heartbeats > 0; }));
  server_.With([&](State& state) {
    const v1::WorkerInfo& info = state.last_registration.worker();
    EXPECT_EQ(info.device_kind(), "cuda");
    EXPECT_EQ(info.slots(), 2);
    EXPECT_EQ(info.slot_memory_bytes(), int64_t{8} << 30);
    ASSERT_EQ(info.numeric_classes_size(), 1);
    EXPECT_EQ(info.numeric_classes(0), kFakeCudaClass);
  });
  v1::Grant grant = NewGrant(kFakeSucceed);
  grant.mutable_spec()->set_numeric_class(kFakeCudaClass);
  Offer({grant});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
  v1::CompleteAttemptsRequest::Item item;
  server_.With([&](State& state) { item = state.completed[0]; });
  EXPECT_THAT(server_.Blob(item.observations(0).digest()), HasSubstr("lease-1 on GPU-"));
}

TEST_F(WorkerTest, SlotsOfOneGpuShareItsMemory) {
  device_ = Worker::Config::Device::kCuda;
  ScopedVariable visible("CUDA_VISIBLE_DEVICES", "GPU-0");
  StartWorker(/*slots=*/2);
  ASSERT_TRUE(server_.Await([](const State& state) { return state.heartbeats > 0; }));
  server_.With([&](State& state) {
    EXPECT_EQ(state.last_registration.worker().slots(), 2);
    EXPECT_EQ(state.last_registration.worker().slot_memory_bytes(), int64_t{4} << 30);
  });
}

TEST_F(WorkerTest, AGpuThatTheTrainerCannotUseIsLeftAlone) {
  ScopedVariable visible("CUDA_VISIBLE_DEVICES", "1");
  device_ = Worker::Config::Device::kCuda;
  EXPECT_THAT(Create(/*slots=*/1).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("built with CUDA")));
  device_ = Worker::Config::Device::kAuto;
  StartWorker(/*slots=*/1);
  ASSERT_TRUE(server_.Await([](const State& state) { return state.heartbeats > 0; }));
  server_.With(
      [&](State& state) { EXPECT_EQ(state.last_registration.worker().device_kind(), "cpu"); });
}

TEST_F(WorkerTest, RunsTaskFromItsInputsToItsResult) {
  v1::Grant grant = NewGrant(kFakeSucceed);
  AddInput(grant, "meta", server_.AddBlob("the meta model"));
  AddInput(grant, "teacher_stage", server_.AddBlob(std::string(5000, 't')));
  StartWorker(1);
  Offer({grant});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
  v1::CompleteAttemptsRequest::Item item;
  server_.With([&](State& state) { item = state.completed[0]; });
  EXPECT_EQ(item.lease().lease_id(), grant.lease().lease_id());
  ASSERT_EQ(item.results_size(), 1);
  EXPECT_EQ(item.results(0).name(), "module");
  EXPECT_EQ(server_.Blob(item.results(0).digest()),
            absl::StrCat("module 1 meta=the meta model teacher_stage=", std::string(5000, 't'),
                         " output module"));
  ASSERT_EQ(item.observations_size(), 1);
  EXPECT_THAT(server_.Blob(item.observations(0).digest()),
              HasSubstr("fake trainer starts lease-1"));
  EXPECT_TRUE(AwaitNoLeases());
  // Nothing of the attempt is left, but what a warm cache keeps.
  EXPECT_THAT(ListDirectory(directory_.Join("attempts")), IsOkAndHolds(testing::IsEmpty()));
  EXPECT_THAT(ListDirectory(directory_.Join("outbox")), IsOkAndHolds(testing::IsEmpty()));
}

TEST_F(WorkerTest, RunsBundleInOneTrainerAndEndsEachMemberAlone) {
  StartWorker(1);
  Offer({NewGrant(kFakeSucceed), NewGrant(kFakeFail), NewGrant(kFakeSlow)});
  ASSERT_TRUE(server_.Await(
      [](const State& state) { return state.completed.size() == 2 && state.failed.size() == 1; }));
  server_.With([](State& state) {
    EXPECT_EQ(state.completed[0].stats().parameters(), state.completed[1].stats().parameters());
    EXPECT_EQ(state.failed[0].failure_class(), v1::FAILURE_CLASS_USER);
    EXPECT_THAT(state.failed[0].message(), HasSubstr("loss is not finite"));
  });
  // A failure ends the trainer.
  EXPECT_TRUE(AwaitNoTrainers());
}

TEST_F(WorkerTest, ReusesWarmTrainerForTheSameJobOnly) {
  StartWorker(1);
  v1::Grant other_job = NewGrant(kFakeSucceed);
  other_job.mutable_lease()->set_job("job-2");
  Offer({NewGrant(kFakeSucceed)});
  Offer({NewGrant(kFakeSucceed)});
  Offer({other_job});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 3; }));
  server_.With([](State& state) {
    std::map<std::string, int64_t> pids;
    for (const auto& item : state.completed) pids[item.lease().task()] = item.stats().parameters();
    EXPECT_EQ(pids["distill-module-2"], pids["distill-module-3"]);
    EXPECT_NE(pids["distill-module-1"], pids["distill-module-3"]);
  });
}

TEST_F(WorkerTest, EndsWarmTrainerThatWaitsTooLong) {
  warm_idle_ = absl::Milliseconds(50);
  StartWorker(1);
  Offer({NewGrant(kFakeSucceed)});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
  EXPECT_TRUE(AwaitNoTrainers());
}

TEST_F(WorkerTest, ReportsCrashWithExitAndLastLine) {
  StartWorker(1);
  Offer({NewGrant(kFakeCrash)});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.failed.size() == 1; }));
  server_.With([&](State& state) {
    EXPECT_EQ(state.failed[0].failure_class(), v1::FAILURE_CLASS_INFRASTRUCTURE);
    EXPECT_THAT(state.failed[0].message(), HasSubstr("killed by signal 6"));
    EXPECT_THAT(state.failed[0].message(), HasSubstr("last line: about to crash"));
    ASSERT_EQ(state.failed[0].observations_size(), 1);
    EXPECT_THAT(state.blobs[state.failed[0].observations(0).digest()], HasSubstr("about to crash"));
  });
  // The slot is good for the next.
  Offer({NewGrant(kFakeSucceed)});
  EXPECT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
}

TEST_F(WorkerTest, EndsTrainerThatHangsBeforeItStarts) {
  first_word_timeout_ = absl::Milliseconds(300);
  StartWorker(1);
  Offer({NewGrant(kFakeFreeze)});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.failed.size() == 1; }));
  server_.With([](State& state) {
    EXPECT_EQ(state.failed[0].failure_class(), v1::FAILURE_CLASS_INFRASTRUCTURE);
    EXPECT_THAT(state.failed[0].message(), HasSubstr("it said nothing for 300ms"));
  });
  EXPECT_TRUE(AwaitNoTrainers());
}

TEST_F(WorkerTest, ReportsWantOfMemoryAsSuch) {
  StartWorker(1);
  Offer({NewGrant(kFakeOutOfMemory)});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.failed.size() == 1; }));
  server_.With(
      [](State& state) { EXPECT_EQ(state.failed[0].failure_class(), v1::FAILURE_CLASS_RESOURCE); });
}

TEST_F(WorkerTest, CancelsMemberCooperativelyAndGoesOnWithTheOthers) {
  StartWorker(1);
  const v1::Grant doomed = NewGrant(kFakeHang);
  Offer({doomed, NewGrant(kFakeHang)});
  ASSERT_TRUE(AwaitStep(3));
  Direct(v1::Directive::KIND_STOP_ATTEMPT, doomed);
  ASSERT_TRUE(server_.Await([](const State& state) { return state.released.size() == 1; }));
  server_.With([&](State& state) {
    EXPECT_EQ(state.released[0].lease().lease_id(), doomed.lease().lease_id());
    EXPECT_EQ(state.released[0].reason(), "cancelled");
  });
  EXPECT_TRUE(AwaitStep(30));
}

// The deadline of a cancellation holds against a trainer that has gone deaf, and its children.
TEST_F(WorkerTest, KillsTrainerThatDoesNotObeyCancel) {
  StartWorker(1);
  const v1::Grant doomed = NewGrant(kFakeIgnoreCancel);
  const v1::Grant other = NewGrant(kFakeHang);
  Offer({doomed, other});
  ASSERT_TRUE(AwaitStep(2));
  Direct(v1::Directive::KIND_STOP_ATTEMPT, doomed);
  ASSERT_TRUE(server_.Await([](const State& state) { return state.released.size() == 2; }));
  server_.With([&](State& state) { EXPECT_EQ(state.failed.size(), 0U); });
  EXPECT_TRUE(AwaitNoTrainers());
}

TEST_F(WorkerTest, AbandonsLostLeaseWithoutAWord) {
  StartWorker(1);
  const v1::Grant lost = NewGrant(kFakeHang);
  Offer({lost});
  ASSERT_TRUE(AwaitStep(2));
  Direct(v1::Directive::KIND_ABANDON_ATTEMPT, lost);
  EXPECT_TRUE(AwaitNoLeases());
  EXPECT_TRUE(AwaitNoTrainers());
  server_.With([](State& state) {
    EXPECT_TRUE(state.released.empty() && state.failed.empty() && state.completed.empty());
  });
}

TEST_F(WorkerTest, GoesOnWithoutNoticingWhenTheServerRestarts) {
  StartWorker(1);
  Offer({NewGrant(kFakeSlow)});
  ASSERT_TRUE(AwaitStep(1));
  server_.Stop();
  // The task ends while nobody listens; its result waits in the outbox.
  ASSERT_TRUE(Eventually([this] { return FileExists(directory_.Join("outbox/lease-1")); },
                         absl::Seconds(20)));
  EXPECT_FALSE(worker_->idle());
  server_.Start();
  server_.With([](State& state) { state.forget_workers = true; });
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
  EXPECT_TRUE(server_.Await([](const State& state) { return state.registrations == 2; }));
  EXPECT_TRUE(AwaitNoLeases());
}

// The grant was committed; only its answer was lost. Asking again with the same id finds it.
TEST_F(WorkerTest, RepeatsLostQuestionWithTheSameId) {
  server_.With([](State& state) { state.grants_to_lose = 2; });
  StartWorker(1);
  Offer({NewGrant(kFakeSucceed)});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
}

TEST_F(WorkerTest, TakesMoreWorkOnlyWhenASlotIsFree) {
  StartWorker(2);
  const v1::Grant first = NewGrant(kFakeHang);
  Offer({first});
  Offer({NewGrant(kFakeHang)});
  Offer({NewGrant(kFakeSucceed)});
  ASSERT_TRUE(server_.Await([](const State& state) {
    return !state.acquisitions.empty() && state.acquisitions.back().max_lease_sets() == 0;
  }));
  server_.With([](State& state) { EXPECT_EQ(state.offered.size(), 1U); });
  Direct(v1::Directive::KIND_STOP_ATTEMPT, first);
  // The open poll for directives alone must not hold back the slot that is free now.
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; },
                            absl::Seconds(10)));
}

TEST_F(WorkerTest, ReportsInputThatTheServerCannotGive) {
  StartWorker(1);
  v1::Grant grant = NewGrant(kFakeSucceed);
  const std::string missing = Digest::OfBytes("nobody has this").str();
  AddInput(grant, "meta", missing);
  Offer({grant});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.failed.size() == 1; }));
  server_.With([&](State& state) {
    EXPECT_THAT(state.failed[0].bad_inputs(), testing::ElementsAre(missing));
  });
}

// The trainer finds out what no stamp tells; from then on the files are left alone.
TEST_F(WorkerTest, TakesTheServersCopyOfADataSetThatDiffersHere) {
  TempDir files;
  ASSERT_THAT(WriteFileAtomically(files.Join("wrong"), ""), IsOk());
  const auto judged = [&] {
    v1::Grant grant = NewGrant(kFakeJudgeDataset);
    grant.mutable_spec()->mutable_dataset()->set_path(files.path());
    grant.mutable_spec()->mutable_dataset()->set_digest(Digest::OfBytes("the job's").str());
    v1::DatasetManifest manifest;
    manifest.set_dataset_digest(Digest::OfBytes("the job's").str());
    grant.mutable_spec()->mutable_dataset()->set_manifest(
        server_.AddBlob(manifest.SerializeAsString()));
    return grant;
  };
  StartWorker(1);
  Offer({judged()});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.released.size() == 1; }));
  server_.With([](State& state) {
    EXPECT_THAT(state.released[0].reason(), HasSubstr("the server's copy is taken next"));
  });
  Offer({judged()});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
  server_.With([](State& state) { EXPECT_TRUE(state.failed.empty()); });
}

TEST_F(WorkerTest, RefusesADataSetThatDiffersHereWithoutReadingItAgain) {
  TempDir files;
  ASSERT_THAT(WriteFileAtomically(files.Join("wrong"), ""), IsOk());
  const auto judged = [&] {
    v1::Grant grant = NewGrant(kFakeJudgeDataset);
    grant.mutable_spec()->mutable_dataset()->set_path(files.path());
    grant.mutable_spec()->mutable_dataset()->set_digest(Digest::OfBytes("the job's").str());
    return grant;
  };
  StartWorker(1);
  Offer({judged()});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.failed.size() == 1; }));
  Offer({judged()});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.failed.size() == 2; }));
  server_.With([&](State& state) {
    EXPECT_EQ(state.failed[0].message(), "files are not the job's");
    EXPECT_EQ(state.failed[1].failure_class(), v1::FAILURE_CLASS_INFRASTRUCTURE);
    EXPECT_THAT(state.failed[1].message(), HasSubstr("as a trainer found"));
    EXPECT_THAT(state.failed[1].message(), HasSubstr(files.path()));
    EXPECT_EQ(state.failed[1].observations_size(), 0) << "no trainer was asked";
  });
  // Other data is not concerned.
  Offer({NewGrant(kFakeSucceed)});
  EXPECT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
}

TEST_F(WorkerTest, FetchesDamagedInputAgain) {
  v1::Grant grant = NewGrant(kFakeSucceed);
  AddInput(grant, "meta", server_.AddBlob(std::string(3000, 'm')));
  server_.With([](State& state) { state.downloads_to_damage = 1; });
  StartWorker(1);
  Offer({grant});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
  server_.With([](State& state) { EXPECT_EQ(state.downloads, 2); });
}

TEST_F(WorkerTest, UploadsCheckpointsAndTellsOfThemInHeartbeats) {
  StartWorker(1);
  Offer({NewGrant(kFakeCheckpoints)});
  ASSERT_TRUE(server_.Await([](const State& state) {
    return state.last_heartbeat.leases_size() == 1 &&
           state.last_heartbeat.leases(0).checkpoint_step() == 3;
  }));
  server_.With([](State& state) {
    EXPECT_EQ(state.blobs[state.last_heartbeat.leases(0).checkpoint().digest()], "checkpoint 3");
  });
  // The last two are kept here.
  EXPECT_FALSE(FileExists(directory_.Join("attempts/lease-1/checkpoint-1")));
  EXPECT_TRUE(FileExists(directory_.Join("attempts/lease-1/checkpoint-2")));
}

TEST_F(WorkerTest, ResumesFromGrantedCheckpoint) {
  v1::Grant grant = NewGrant(kFakeSucceed);
  grant.mutable_checkpoint()->set_digest(server_.AddBlob("state of step 40"));
  grant.set_checkpoint_step(40);
  StartWorker(1);
  Offer({grant});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
  server_.With([](State& state) {
    EXPECT_THAT(state.blobs[state.completed[0].results(0).digest()],
                HasSubstr("after state of step 40"));
  });
}

TEST_F(WorkerTest, HandsBackWithCheckpointWhenDrained) {
  StartWorker(2);
  Offer({NewGrant(kFakeCheckpoints), NewGrant(kFakeHang)});
  ASSERT_TRUE(AwaitStep(5));
  worker_->Drain();
  ASSERT_TRUE(server_.Await([](const State& state) { return state.released.size() == 2; }));
  server_.With([](State& state) {
    for (const auto& item : state.released) {
      EXPECT_GE(item.checkpoint_step(), 5);
      EXPECT_EQ(state.blobs[item.checkpoint().digest()],
                absl::StrCat("checkpoint ", item.checkpoint_step()));
    }
  });
  EXPECT_TRUE(AwaitNoLeases());
  EXPECT_TRUE(AwaitNoTrainers());
  EXPECT_TRUE(idle_.cancelled());
}

// A rank other than the first has no result to deliver, only its end.
TEST_F(WorkerTest, CarriesContactsBetweenTrainerAndServer) {
  v1::Grant grant = NewGrant(kFakeJoinGang);
  grant.mutable_gang()->set_rank(1);
  grant.mutable_gang()->set_size(2);
  StartWorker(1);
  Offer({grant});
  ASSERT_TRUE(server_.Await([](const State& state) {
    return state.last_heartbeat.leases_size() == 1 &&
           state.last_heartbeat.leases(0).gang_contact() == "rank 1 of 2 on lo";
  }));
  server_.With([&](State& state) {
    v1::Directive& directive = state.directives.emplace_back();
    directive.set_kind(v1::Directive::KIND_JOIN_GANG);
    *directive.mutable_lease() = grant.lease();
    directive.add_gang_contacts("the first");
    directive.add_gang_contacts("the second");
    directive.set_gang_view("both");
  });
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
  v1::CompleteAttemptsRequest::Item item;
  server_.With([&](State& state) { item = state.completed[0]; });
  EXPECT_EQ(item.results_size(), 0);
  ASSERT_EQ(item.observations_size(), 1);
  EXPECT_THAT(server_.Blob(item.observations(0).digest()),
              HasSubstr("heard of ; the first; the second"));
}

TEST_F(WorkerTest, SaysThatAFailureIsThatOfAnotherRank) {
  v1::Grant grant = NewGrant(kFakeLoseGang);
  grant.mutable_gang()->set_size(2);
  StartWorker(1);
  Offer({grant});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.failed.size() == 1; }));
  server_.With([](State& state) { EXPECT_TRUE(state.failed[0].lost_gang()); });
}

// All ranks go on from one step, so none may start over on its own.
TEST_F(WorkerTest, RankWithoutItsCheckpointDoesNotStart) {
  v1::Grant grant = NewGrant(kFakeJoinGang);
  grant.mutable_gang()->set_size(2);
  grant.mutable_checkpoint()->set_digest(Digest::OfBytes("gone").str());
  grant.set_checkpoint_step(40);
  StartWorker(1);
  Offer({grant});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.failed.size() == 1; }));
  server_.With([](State& state) {
    EXPECT_THAT(state.failed[0].bad_inputs(), testing::ElementsAre(Digest::OfBytes("gone").str()));
  });
}

// The answer of the server is the last word on a result: a lost lease ends the entry.
TEST_F(WorkerTest, DropsResultThatIsNotWantedAnyMore) {
  server_.With([](State& state) {
    state.complete_item_code = static_cast<int>(absl::StatusCode::kFailedPrecondition);
  });
  StartWorker(1);
  Offer({NewGrant(kFakeSucceed)});
  // Asked twice: the first answer may have meant a blob that is gone.
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 2; }));
  EXPECT_TRUE(AwaitNoLeases());
  EXPECT_THAT(ListDirectory(directory_.Join("outbox")), IsOkAndHolds(testing::IsEmpty()));
}

// Another attempt has won with other bits: an alarm for the server, and nothing to repeat for us.
TEST_F(WorkerTest, DropsResultThatDiffersFromTheWinner) {
  server_.With([](State& state) {
    state.complete_item_code = static_cast<int>(absl::StatusCode::kAborted);
  });
  StartWorker(1);
  Offer({NewGrant(kFakeSucceed)});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
  EXPECT_TRUE(AwaitNoLeases());
}

TEST_F(WorkerTest, ResumesUploadWhereItWasCut) {
  server_.With([](State& state) { state.uploads_to_cut = 1; });
  v1::Grant grant = NewGrant(kFakeSucceed);
  AddInput(grant, "meta", server_.AddBlob(std::string(1 << 20, 'm')));
  StartWorker(1);
  Offer({grant});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.completed.size() == 1; }));
  server_.With([](State& state) {
    ASSERT_GE(state.upload_offsets.size(), 2U);
    EXPECT_EQ(state.upload_offsets[0], 0);
    EXPECT_GT(state.upload_offsets[1], 0);
  });
}

// A trainer that was just being started outlives a killed worker for a moment, and has its lock.
TEST_F(WorkerTest, WaitsForALockThatIsAboutToBeLetGo) {
  absl::StatusOr<FileLock> lock = FileLock::Acquire(JoinPath(directory_.path(), "lock"));
  ASSERT_THAT(lock, IsOk());
  std::thread starting([&] { StartWorker(1); });
  lock = absl::CancelledError();
  starting.join();
  EXPECT_NE(worker_, nullptr);
}

TEST_F(WorkerTest, TwoWorkersCannotShareADirectory) {
  StartWorker(1);
  Worker::Config config;
  config.servers = {server_.address()};
  config.data_directory = directory_.path();
  config.trainer_binary = FAKE_TRAINER_PATH;
  EXPECT_THAT(Worker::Create(config, {clock_, ids_, metrics_, [] {}}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("lock")));
}

TEST_F(WorkerTest, ReleasesMembersNotYetStartedWhenASlotIsFreeElsewhere) {
  // A bundle that still fetches its inputs: the server holds them back.
  v1::Grant waiting = NewGrant(kFakeSucceed);
  AddInput(waiting, "meta", server_.AddBlob(std::string(3000, 'm')));
  server_.With([](State& state) { state.downloads_to_cut = 1'000'000; });
  StartWorker(1);
  const v1::Grant spare = NewGrant(kFakeSucceed);
  Offer({waiting, spare});
  ASSERT_TRUE(server_.Await([](const State& state) { return state.downloads > 1; }));
  Direct(v1::Directive::KIND_RELEASE_IF_UNSTARTED, spare);
  // The wish is remembered until the bundle starts.
  ASSERT_TRUE(server_.Await([](const State& state) { return state.heartbeats > 5; }));
  server_.With([](State& state) { state.downloads_to_cut = 0; });
  ASSERT_TRUE(server_.Await([](const State& state) {
    return state.completed.size() == 1 && state.released.size() == 1;
  }));
  server_.With([&](State& state) {
    EXPECT_EQ(state.released[0].lease().lease_id(), spare.lease().lease_id());
  });
}

}  // namespace
}  // namespace distill::worker
