// Registered data sets: one per name, repeatable registration, and no removal under a job's feet.
#include "tests/unit/server/scheduler/core_fixture.h"

namespace distill::server {
namespace {

using storage::DatasetState;
using ::testing::HasSubstr;

class CoreDatasetTest : public CoreFixture {
 protected:
  absl::StatusOr<CreateDatasetReply> Create(const std::string& name, const std::string& request,
                                            const std::string& body = "body") {
    return Call(CreateDataset{DatasetName(name), RequestId(request), DigestFor(body),
                              /*source=*/body, ProjectId()});
  }
  absl::StatusOr<Done> Update(const std::string& name, const std::string& request,
                              DatasetState state, std::vector<storage::NamedBlob> blobs = {}) {
    storage::DatasetStatus status;
    status.state = state;
    status.facts = "facts";
    status.blobs = std::move(blobs);
    return Call(UpdateDataset{DatasetName(name), RequestId(request), std::move(status)});
  }
  storage::DatasetRecord Stored(const std::string& name) {
    return store_.GetDataset(DatasetName(name)).value();
  }
  absl::StatusOr<SubmitJobReply> SubmitUsing(const std::string& job, const std::string& dataset) {
    SubmitJob event = MakeJob(job, {TaskBuilder("a")});
    event.job.datasets = {DatasetName(dataset)};
    return Call(std::move(event));
  }
};

TEST_F(CoreDatasetTest, ARepeatedRequestFindsTheDataSetThatItMade) {
  EXPECT_FALSE(Create("d", "r1")->existed);
  EXPECT_TRUE(Create("d", "r1")->existed);
  Restart();
  EXPECT_TRUE(Create("d", "r1")->existed);
  EXPECT_THAT(Create("d", "r1", "another body"), StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(Create("d", "r2"),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("dataset=d")));
}

TEST_F(CoreDatasetTest, ThereAreOnlySoMany) {
  for (int i = 0; i < 3; ++i) ASSERT_THAT(Create(absl::StrCat("d", i), "r"), IsOk());
  EXPECT_THAT(Create("d3", "r"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("datasets=3 limit=3")));
  EXPECT_THAT(Create("d2", "r"), IsOk()) << "a repeat makes none";
  ASSERT_THAT(Update("d2", "r", DatasetState::kFailed), IsOk());
  EXPECT_THAT(Create("d2", "r2"), IsOk()) << "it takes the place of the one that failed";
  ASSERT_THAT(Call(DeleteDataset{DatasetName("d0")}), IsOk());
  EXPECT_THAT(Create("d3", "r"), IsOk());
}

TEST_F(CoreDatasetTest, TheirCopiesHaveABound) {
  const Digest blob = DigestFor("shard");
  ASSERT_THAT(Upload(blob), IsOk());
  ASSERT_THAT(Create("a", "r"), IsOk());
  ASSERT_THAT(Create("b", "r"), IsOk());
  ASSERT_THAT(Update("a", "r", DatasetState::kReady, {{"shard-00000", blob, 700}}), IsOk());
  EXPECT_THAT(Update("b", "r", DatasetState::kReady, {{"shard-00000", blob, 700}}),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("limit=1000")));
  EXPECT_EQ(Stored("b").status.state, DatasetState::kReading);
  EXPECT_THAT(Update("b", "r", DatasetState::kFailed), IsOk());
  // What is there may be verified.
  EXPECT_THAT(Update("a", "r", DatasetState::kReady, {{"shard-00000", blob, 700}}), IsOk());
}

TEST_F(CoreDatasetTest, TheNameOfAFailedOneIsFree) {
  ASSERT_THAT(Create("d", "r1"), IsOk());
  ASSERT_THAT(Update("d", "r1", DatasetState::kFailed), IsOk());
  EXPECT_FALSE(Create("d", "r2")->existed);
  EXPECT_EQ(Stored("d").status.state, DatasetState::kReading);
  // Whoever still reads for the first one must not speak for the second.
  EXPECT_THAT(Update("d", "r1", DatasetState::kReady), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CoreDatasetTest, TheEndOfReadingIsWrittenDownOnce) {
  ASSERT_THAT(Create("d", "r"), IsOk());
  Advance(absl::Seconds(5));
  ASSERT_THAT(Update("d", "r", DatasetState::kReady), IsOk());
  const absl::Time ready = Stored("d").status.finish_time;
  EXPECT_EQ(ready, Now().wall);
  Advance(absl::Seconds(5));
  ASSERT_THAT(Update("d", "r", DatasetState::kReady), IsOk());
  EXPECT_EQ(Stored("d").status.finish_time, ready);
}

TEST_F(CoreDatasetTest, OnlyReadyOnesMayBeUsed) {
  EXPECT_THAT(SubmitUsing("j", "d"), StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_THAT(Create("d", "r"), IsOk());
  EXPECT_THAT(SubmitUsing("j", "d"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not ready")));
  ASSERT_THAT(Update("d", "r", DatasetState::kReady), IsOk());
  EXPECT_THAT(SubmitUsing("j", "d"), IsOk());
}

TEST_F(CoreDatasetTest, AnUnfinishedJobKeepsItsDataSet) {
  ASSERT_THAT(Create("d", "r"), IsOk());
  ASSERT_THAT(Update("d", "r", DatasetState::kReady), IsOk());
  ASSERT_THAT(SubmitUsing("j", "d"), IsOk());
  Restart();
  EXPECT_THAT(Call(DeleteDataset{DatasetName("d")}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("job=j")));
  ASSERT_THAT(Call(CancelJob{JobId("j")}), IsOk());
  EXPECT_THAT(Call(DeleteDataset{DatasetName("d")}), IsOk());
  EXPECT_THAT(Call(DeleteDataset{DatasetName("d")}), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(store_.GetDataset(DatasetName("d")), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(CoreDatasetTest, TheCopyLivesAsLongAsTheDataSet) {
  const Digest shard = DigestFor("shard");
  ASSERT_THAT(Create("d", "r"), IsOk());
  EXPECT_THAT(Update("d", "r", DatasetState::kReady, {{"shard", shard, 1}}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(shard.str())));
  ASSERT_THAT(Upload(shard), IsOk());
  ASSERT_THAT(Update("d", "r", DatasetState::kReady, {{"shard", shard, 1}}), IsOk());
  const CollectGarbage collect{absl::Hours(1), absl::Hours(1), /*max_blob_bytes=*/0};
  Advance(absl::Hours(5));
  EXPECT_EQ(Call(collect)->blobs_marked, 0);
  ASSERT_THAT(Call(DeleteDataset{DatasetName("d")}), IsOk());
  EXPECT_EQ(Call(collect)->blobs_marked, 1);
}

}  // namespace
}  // namespace distill::server
