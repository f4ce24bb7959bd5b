// The promise on which reuse, bundling and recovery stand: the same task gives the same bits alone
// and in company, in one go and in pieces, in a fresh trainer and in a used one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/counter_random.h"
#include "base/file.h"
#include "base/random_ids.h"
#include "tests/integration/trainer/training_fixture.h"
#include "tests/support/status_matchers.h"
#include "worker/data/scan.h"

namespace distill::training {
namespace {

constexpr int kModules = 4;
constexpr int64_t kSteps = 10;  // 160 images in batches of 16.

class DeterminismTest : public testing::Test {
 protected:
  std::map<std::string, std::string> InputsOf(v1::TaskKind kind, int module) {
    std::map<std::string, std::string> inputs = {{"meta", job_.Meta()}};
    if (kind == v1::TASK_KIND_DISTILL_MODULE) {
      inputs["teacher_stage"] = job_.TeacherStage(module);
    }
    return inputs;
  }

  std::string RunAlone(const std::string& name, v1::TaskKind kind, int module) {
    const auto outputs = job_.RunTask(name, job_.Task(kind, module), InputsOf(kind, module));
    return outputs.empty() ? "" : DigestOf(outputs.begin()->second);
  }

  void ExpectBundleEqualsSingles(v1::TaskKind kind) {
    std::vector<v1::MemberAssignment> bundle;
    for (int i = 0; i < kModules; ++i) {
      bundle.push_back(
          job_.Assign(absl::StrCat("bundled-", i), job_.Task(kind, i), InputsOf(kind, i)));
    }
    RecordingObserver observer;
    job_.Run(bundle, observer);
    for (int i = 0; i < kModules; ++i) {
      const v1::MemberEnded ended = observer.EndOf(absl::StrCat("bundled-", i));
      ASSERT_EQ(ended.results_size(), 1) << ended.message();
      EXPECT_EQ(DigestOf(ended.results(0).path()), RunAlone(absl::StrCat("single-", i), kind, i))
          << "module " << i;
    }
  }

  SmallJob job_{kModules};
};

TEST_F(DeterminismTest, BundledIncubationEqualsSingles) {
  ExpectBundleEqualsSingles(v1::TASK_KIND_INCUBATE_TEACHER);
}

TEST_F(DeterminismTest, BundledDistillationEqualsSingles) {
  ExpectBundleEqualsSingles(v1::TASK_KIND_DISTILL_MODULE);
}

// What a server fills in at submission is what a trainer computes from the same files.
TEST_F(DeterminismTest, StatisticsFromTheServerChangeNoBit) {
  v1::TaskSpec spec = job_.Task(v1::TASK_KIND_PRETRAIN_META);
  ASSERT_EQ(spec.dataset().mean_size(), 0);
  const auto computed = job_.RunTask("computed", spec, {});
  data::DatasetOptions files;
  files.path = spec.dataset().path();
  const absl::StatusOr<data::DatasetFacts> facts = data::InspectDataset(files);
  ASSERT_THAT(facts, IsOk());
  spec.mutable_dataset()->add_mean(facts->train.statistics.mean[0]);
  spec.mutable_dataset()->add_deviation(facts->train.statistics.deviation[0]);
  const auto given = job_.RunTask("given", spec, {});
  ASSERT_EQ(computed.size(), 1U);
  EXPECT_EQ(DigestOf(given.at("model")), DigestOf(computed.at("model")));
}

// Losing members must not disturb those that go on.
TEST_F(DeterminismTest, CancelledMemberLeavesTheOthersAlone) {
  constexpr v1::TaskKind kKind = v1::TASK_KIND_DISTILL_MODULE;
  std::vector<v1::MemberAssignment> bundle;
  for (int i = 0; i < kModules; ++i) {
    bundle.push_back(
        job_.Assign(absl::StrCat("member-", i), job_.Task(kKind, i), InputsOf(kKind, i)));
  }
  RecordingObserver observer;
  observer.Cancel("member-3");
  job_.Run(bundle, observer);
  EXPECT_EQ(observer.EndOf("member-3").outcome(), v1::MemberEnded::ENDED_CANCELLED);
  EXPECT_EQ(DigestOf(observer.EndOf("member-1").results(0).path()), RunAlone("single", kKind, 1));
}

TEST_F(DeterminismTest, ResumedRunEqualsUninterruptedOne) {
  const std::string seed = SystemIdSource().RandomHex(8);
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  CounterRandom random = CounterRandom(0).Stream(seed);
  constexpr v1::TaskKind kKind = v1::TASK_KIND_DISTILL_MODULE;
  const std::string whole = RunAlone("whole", kKind, 2);

  v1::MemberAssignment assignment = job_.Assign("pieces", job_.Task(kKind, 2), InputsOf(kKind, 2));
  std::string result;
  for (int piece = 0; piece < 30 && result.empty(); ++piece) {
    RecordingObserver observer;
    // The first poll is that of the lease set, before anything starts.
    observer.StopAtPoll(3 + int64_t{random.Below(4)});
    job_.Run({assignment}, observer);
    const v1::MemberEnded ended = observer.EndOf("pieces");
    if (ended.outcome() == v1::MemberEnded::ENDED_SUCCEEDED) {
      result = DigestOf(ended.results(0).path());
      EXPECT_GT(ended.stats().resumed_from_step(), 0);
      EXPECT_LT(ended.stats().images_seen(), kSteps * 16);
    } else {
      ASSERT_EQ(ended.outcome(), v1::MemberEnded::ENDED_RELEASED) << ended.message();
      ASSERT_FALSE(observer.checkpoints().empty());
      assignment.set_checkpoint_path(observer.checkpoints().back().path());
    }
  }
  EXPECT_EQ(result, whole);
}

TEST_F(DeterminismTest, ResumedWholeModelEqualsUninterruptedOne) {
  const auto outputs = job_.RunTask("whole", job_.Task(v1::TASK_KIND_TRAIN_BASELINE), {});
  v1::MemberAssignment assignment =
      job_.Assign("pieces", job_.Task(v1::TASK_KIND_TRAIN_BASELINE), {});
  RecordingObserver first;
  first.StopAtPoll(6);
  job_.Run({assignment}, first);
  ASSERT_EQ(first.checkpoints().size(), 1);
  EXPECT_EQ(first.checkpoints()[0].step(), 4);
  assignment.set_checkpoint_path(first.checkpoints()[0].path());
  RecordingObserver second;
  job_.Run({assignment}, second);
  EXPECT_EQ(DigestOf(second.EndOf("pieces").results(0).path()), DigestOf(outputs.at("model")));
}

// The curve goes on where it stopped: one point for every step, in order.
TEST_F(DeterminismTest, SeriesSurvivesAResume) {
  v1::MemberAssignment assignment =
      job_.Assign("pieces", job_.Task(v1::TASK_KIND_PRETRAIN_META), {});
  RecordingObserver first;
  first.StopAtPoll(5);
  job_.Run({assignment}, first);
  assignment.set_checkpoint_path(first.checkpoints().at(0).path());
  RecordingObserver second;
  job_.Run({assignment}, second);
  const v1::MemberEnded ended = second.EndOf("pieces");
  ASSERT_EQ(ended.observations_size(), 1);
  v1::Series series;
  ASSERT_TRUE(series.ParseFromString(ReadFile(ended.observations(0).path()).value()));
  ASSERT_EQ(series.points_size(), kSteps);
  for (int i = 0; i < kSteps; ++i) EXPECT_EQ(series.points(i).step(), i + 1);
}

TEST_F(DeterminismTest, WarmTrainerEqualsColdOne) {
  SmallJob cold;  // Its own image cache, its own folders.
  const auto spec = [](SmallJob& job) { return job.Task(v1::TASK_KIND_TRAIN_BASELINE); };
  // Something else first, so that the process is as used as it gets.
  RunAlone("other", v1::TASK_KIND_DISTILL_MODULE, 0);
  const auto warm_outputs = job_.RunTask("baseline", spec(job_), {});
  const auto cold_outputs = cold.RunTask("baseline", spec(cold), {});
  EXPECT_EQ(DigestOf(warm_outputs.at("model")), DigestOf(cold_outputs.at("model")));
}

TEST_F(DeterminismTest, EvaluationIsDeterministic) {
  const v1::TaskSpec spec = job_.Evaluation(v1::EVALUATION_SUBJECT_META);
  const auto first = job_.RunTask("first", spec, {{"model", job_.Meta()}});
  const auto second = job_.RunTask("second", spec, {{"model", job_.Meta()}});
  EXPECT_EQ(ReadFile(first.at("metrics")).value(), ReadFile(second.at("metrics")).value());
}

// A checkpoint of another task would go unnoticed otherwise: shapes are equal.
TEST_F(DeterminismTest, CheckpointOfAnotherTaskIsRefused) {
  v1::MemberAssignment assignment =
      job_.Assign("first", job_.Task(v1::TASK_KIND_PRETRAIN_META), {});
  RecordingObserver first;
  first.StopAtPoll(5);
  job_.Run({assignment}, first);
  v1::TaskSpec other = job_.Task(v1::TASK_KIND_PRETRAIN_META);
  other.set_seed(4711);
  v1::MemberAssignment second = job_.Assign("second", other, {});
  second.set_checkpoint_path(first.checkpoints().at(0).path());
  RecordingObserver observer;
  job_.Run({second}, observer);
  EXPECT_EQ(observer.EndOf("second").failure_class(), v1::FAILURE_CLASS_INFRASTRUCTURE);
  EXPECT_THAT(observer.EndOf("second").message(), testing::HasSubstr("checkpoint of another task"));
}

TEST_F(DeterminismTest, PeriodicCheckpointsAreWrittenAndUsable) {
  v1::TaskSpec spec = job_.Task(v1::TASK_KIND_PRETRAIN_META);
  spec.set_checkpoint_interval_seconds(1e-6);
  v1::MemberAssignment assignment = job_.Assign("often", spec, {});
  RecordingObserver observer;
  job_.Run({assignment}, observer);
  ASSERT_FALSE(observer.checkpoints().empty());
  const std::string whole = DigestOf(observer.EndOf("often").results(0).path());
  v1::MemberAssignment resumed = job_.Assign("resumed", spec, {});
  resumed.set_checkpoint_path(observer.checkpoints().front().path());
  RecordingObserver second;
  job_.Run({resumed}, second);
  EXPECT_EQ(DigestOf(second.EndOf("resumed").results(0).path()), whole);
}

}  // namespace
}  // namespace distill::training
