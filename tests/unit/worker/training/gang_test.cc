// Ranks of a gang, each on a thread of its own, joined by c10d over the loopback interface: what
// they make is what one trainer alone makes of the same batches, to within rounding, and the same
// bits each time; they stop together, and go on from the first rank's checkpoint.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/integration/trainer/training_fixture.h"
#include "tests/support/status_matchers.h"
#include "worker/training/gang_connection.h"
#include "worker/training/lease_set.h"
#include "worker/training/tensor_file.h"

namespace distill::training {
namespace {

constexpr char kLoopback[] = "lo";
// Of weights after ten steps; of a reported loss. Sums of float32 in another order differ in the
// last bits, which AdamW's division by the gradient's own size brings up to a fraction of its step.
constexpr double kWeightTolerance = 2e-5;
constexpr double kLossTolerance = 1e-5;

// Where the threads of one gang meet; members are named "...rank". Thread-safe.
class MeetingPoint : public GangRendezvous {
 public:
  explicit MeetingPoint(int ranks) : contacts_(static_cast<size_t>(ranks)) {}

  void Publish(const std::string& member, const std::string& contact) override {
    MutexLock lock(mutex_);
    contacts_[static_cast<size_t>(member.back() - '0')] = contact;
    changed_.NotifyAll();
  }
  absl::StatusOr<std::vector<std::string>> Await(const std::string&,
                                                 const std::vector<std::string>& known) override {
    MutexLock lock(mutex_);
    const auto all_there = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return std::none_of(contacts_.begin(), contacts_.end(),
                          [](const std::string& contact) { return contact.empty(); });
    };
    while (!all_there() || contacts_ == known) changed_.Wait(mutex_);
    return contacts_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> contacts_ ABSL_GUARDED_BY(mutex_);
};

struct Rank {
  v1::MemberAssignment assignment;
  RecordingObserver observer;
};
using Gang = std::vector<std::unique_ptr<Rank>>;

class GangTest : public testing::Test {
 protected:
  static v1::TaskSpec InGang(v1::TaskSpec spec, int ranks) {
    spec.mutable_recipe()->set_gang_size(ranks);
    return spec;
  }

  Gang Assemble(const std::string& name, const v1::TaskSpec& spec,
                const std::map<std::string, std::string>& inputs = {}) const {
    Gang gang;
    for (int rank = 0; rank < spec.recipe().gang_size(); ++rank) {
      gang.push_back(std::make_unique<Rank>());
      gang.back()->assignment = job_.Assign(absl::StrCat(name, "-", rank), spec, inputs);
      v1::GangSeat& seat = *gang.back()->assignment.mutable_gang();
      seat.set_rank(rank);
      seat.set_size(spec.recipe().gang_size());
      seat.set_interface(kLoopback);
    }
    return gang;
  }

  // Runs all ranks to their ends.
  void Run(const Gang& gang) {
    MeetingPoint meeting(static_cast<int>(gang.size()));
    std::vector<std::thread> threads;
    for (const auto& rank : gang) {
      threads.emplace_back([this, &meeting, rank = rank.get()] {
        ImageSetsCache images(clock_);
        FeatureCache features;
        v1::StartLeaseSet set;
        *set.add_members() = rank->assignment;
        RunLeaseSet(set, "test-class", {clock_, images, features, rank->observer, &meeting});
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  static v1::MemberEnded EndOf(const Rank& rank) {
    return rank.observer.EndOf(rank.assignment.member());
  }

  // The first rank's result; fails the test unless all succeed and it alone has one.
  static std::string ResultOf(const Gang& gang) {
    for (const auto& rank : gang) {
      const v1::MemberEnded ended = EndOf(*rank);
      EXPECT_EQ(ended.outcome(), v1::MemberEnded::ENDED_SUCCEEDED) << ended.message();
      EXPECT_EQ(ended.results_size(), rank == gang.front() ? 1 : 0);
    }
    const v1::MemberEnded first = EndOf(*gang.front());
    return first.results_size() == 1 ? first.results(0).path() : "";
  }

  std::string RunGang(const std::string& name, const v1::TaskSpec& spec,
                      const std::map<std::string, std::string>& inputs = {}) {
    const Gang gang = Assemble(name, spec, inputs);
    Run(gang);
    return ResultOf(gang);
  }

  static void ExpectNear(const std::string& path, const std::string& want) {
    const auto file = ReadTensorFile(path), wanted = ReadTensorFile(want);
    ASSERT_THAT(file, IsOk());
    ASSERT_THAT(wanted, IsOk());
    ASSERT_EQ(file->tensors.size(), wanted->tensors.size());
    double largest = 0;
    for (const auto& [name, tensor] : wanted->tensors) {
      const auto found = file->tensors.find(name);
      ASSERT_NE(found, file->tensors.end()) << name;
      const double difference = (found->second - tensor).abs().max().item<double>();
      EXPECT_LE(difference, kWeightTolerance) << name;
      largest = std::max(largest, difference);
    }
    RecordProperty("largest_difference", absl::StrCat(largest));
    EXPECT_GT(largest, 0) << "two ways of summing that agree to the bit are one way";
  }

  static std::vector<double> LossesOf(const RecordingObserver& observer) {
    std::vector<double> losses;
    for (const v1::MemberProgress& progress : observer.progress()) {
      for (const v1::Series::Point& point : progress.points()) losses.push_back(point.loss());
    }
    return losses;
  }

  SmallJob job_{/*modules=*/2};
  SystemClock clock_;
};

// Drop path and mixing are on: both look at where in the batch an image stands.
TEST_F(GangTest, EqualsOneTrainer) {
  const v1::TaskSpec spec = job_.Task(v1::TASK_KIND_PRETRAIN_META);
  const std::string alone = job_.RunTask("alone", spec, {}).at("model");
  for (const int ranks : {2, 4}) {
    SCOPED_TRACE(ranks);
    ExpectNear(RunGang(absl::StrCat("gang-of-", ranks), InGang(spec, ranks)), alone);
  }
}

TEST_F(GangTest, MixtureWithAccumulationEqualsOneTrainer) {
  v1::TaskSpec spec = job_.Task(v1::TASK_KIND_TRAIN_BASELINE);
  spec.mutable_recipe()->set_accumulate_steps(2);
  spec.mutable_recipe()->set_ema_decay(0.9);
  const std::string alone = job_.RunTask("alone", spec, {}).at("model");
  ExpectNear(RunGang("gang", InGang(spec, 2)), alone);
}

TEST_F(GangTest, ReportsTheLossOfTheWholeBatch) {
  const v1::TaskSpec spec = job_.Task(v1::TASK_KIND_PRETRAIN_META);
  RecordingObserver alone;
  job_.Run({job_.Assign("alone", spec, {})}, alone);
  const Gang gang = Assemble("gang", InGang(spec, 2));
  Run(gang);
  const std::vector<double> losses = LossesOf(gang.front()->observer);
  EXPECT_THAT(losses, testing::Pointwise(testing::DoubleNear(kLossTolerance), LossesOf(alone)));
  EXPECT_FALSE(losses.empty());
  EXPECT_TRUE(LossesOf(gang.back()->observer).empty());
}

// Four ranks, since the order of a sum of two does not matter.
TEST_F(GangTest, RepeatsItsBits) {
  const v1::TaskSpec spec = InGang(job_.Task(v1::TASK_KIND_PRETRAIN_META), 4);
  const std::string first = RunGang("first", spec), second = RunGang("second", spec);
  EXPECT_EQ(DigestOf(first), DigestOf(second));
}

TEST_F(GangTest, GoesOnFromTheFirstRanksCheckpoint) {
  const v1::TaskSpec spec = InGang(job_.Task(v1::TASK_KIND_PRETRAIN_META), 4);
  const std::string undisturbed = RunGang("undisturbed", spec);

  const Gang stopped = Assemble("stopped", spec);
  stopped[2]->observer.StopAtPoll(4);  // One of them is told, all stop.
  Run(stopped);
  for (const auto& rank : stopped) {
    EXPECT_EQ(EndOf(*rank).outcome(), v1::MemberEnded::ENDED_RELEASED) << EndOf(*rank).message();
    EXPECT_EQ(rank->observer.checkpoints().size(), rank == stopped.front() ? 1U : 0U);
  }
  const std::vector<v1::CheckpointWritten> written = stopped.front()->observer.checkpoints();
  ASSERT_EQ(written.size(), 1U);
  EXPECT_GT(written[0].step(), 0);

  const Gang resumed = Assemble("resumed", spec);
  for (const auto& rank : resumed) rank->assignment.set_checkpoint_path(written[0].path());
  Run(resumed);
  EXPECT_EQ(DigestOf(ResultOf(resumed)), DigestOf(undisturbed));
}

TEST_F(GangTest, RanksAtDifferentStepsDoNotStart) {
  const v1::TaskSpec spec = InGang(job_.Task(v1::TASK_KIND_PRETRAIN_META), 2);
  const Gang stopped = Assemble("stopped", spec);
  stopped.front()->observer.StopAtPoll(4);
  Run(stopped);
  const std::vector<v1::CheckpointWritten> written = stopped.front()->observer.checkpoints();
  ASSERT_EQ(written.size(), 1U);
  const Gang gang = Assemble("gang", spec);
  gang.front()->assignment.set_checkpoint_path(written[0].path());
  Run(gang);
  for (const auto& rank : gang) {
    EXPECT_EQ(EndOf(*rank).failure_class(), v1::FAILURE_CLASS_INFRASTRUCTURE);
    EXPECT_THAT(EndOf(*rank).message(), testing::HasSubstr("different steps"));
  }
}

// A loss that is not finite on one rank is the same user error on all.
TEST_F(GangTest, DivergesTogether) {
  v1::TaskSpec spec = InGang(job_.Task(v1::TASK_KIND_PRETRAIN_META), 2);
  spec.mutable_recipe()->set_learning_rate(1e30);
  spec.mutable_recipe()->set_clip_grad_norm(0);
  const Gang gang = Assemble("gang", spec);
  Run(gang);
  for (const auto& rank : gang) {
    EXPECT_EQ(EndOf(*rank).failure_class(), v1::FAILURE_CLASS_USER);
    EXPECT_EQ(EndOf(*rank).message(), EndOf(*gang.front()).message());
  }
}

TEST_F(GangTest, RefusesWhatCannotBeSharedOut) {
  const auto message_of = [this](const v1::TaskSpec& spec) {
    const Gang gang = Assemble(absl::StrCat("refused-", v1::TaskKind_Name(spec.kind())), spec);
    RecordingObserver observer;
    job_.Run({gang.front()->assignment}, observer);
    const v1::MemberEnded ended = observer.EndOf(gang.front()->assignment.member());
    EXPECT_EQ(ended.failure_class(), v1::FAILURE_CLASS_USER);
    return ended.message();
  };
  EXPECT_THAT(message_of(InGang(job_.Task(v1::TASK_KIND_PRETRAIN_META), 3)),
              testing::HasSubstr("must divide recipe.batch_size"));
  EXPECT_THAT(message_of(InGang(job_.Task(v1::TASK_KIND_INCUBATE_TEACHER), 2)),
              testing::HasSubstr("must be 1"));
  v1::TaskSpec across = InGang(job_.Task(v1::TASK_KIND_TRAIN_BASELINE), 2);
  across.mutable_student()->mutable_vmoe()->mutable_router()->set_kind(v1::ROUTER_KIND_SWITCH);
  EXPECT_THAT(message_of(across), testing::HasSubstr("routers that look at more than one token"));
}

TEST_F(GangTest, UnknownInterfaceIsNamed) {
  const Gang gang = Assemble("gang", InGang(job_.Task(v1::TASK_KIND_PRETRAIN_META), 2));
  MeetingPoint meeting(2);
  GangOptions options;
  options.interface = "no-such-interface0";
  EXPECT_THAT(ConnectGang("gang-0", {0, 2}, 0, {}, options, meeting),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::HasSubstr("interface=no-such-interface0")));
}

}  // namespace
}  // namespace distill::training
