// What a server refuses: with an error that names the field, nothing started and nothing stored.
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/integration/server/server_fixture.h"
#include "tests/support/idx_files.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class BadInputTest : public ServerTest {
 protected:
  void ExpectRefused(const v1::JobSpec& spec, const std::string& message,
                     absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
    EXPECT_THAT(Create(spec, "request"), StatusIs(code, HasSubstr(message)));
    EXPECT_THAT(ListJobs(), IsEmpty()) << message;
  }

  // Writes one file of the data set anew.
  void Spoil(const std::string& file, const std::string& bytes) {
    ASSERT_THAT(WriteFileAtomically(JoinPath(DatasetDir(), file), bytes), IsOk());
  }
};

struct BadJob {
  std::string message;
  std::function<void(v1::JobSpec&)> spoil;
};

TEST_F(BadInputTest, ImpossibleSpecsAreRefusedByField) {
  const std::vector<BadJob> table = {
      {"modules: got 0", [](v1::JobSpec& s) { s.set_modules(0); }},
      {"teacher.depth: got 1", [](v1::JobSpec& s) { s.mutable_teacher()->set_depth(1); }},
      {"teacher.stage_depths: got sum 3",
       [](v1::JobSpec& s) {
         s.mutable_teacher()->set_depth(4);
         s.mutable_teacher()->add_stage_depths(1);
         s.mutable_teacher()->add_stage_depths(2);
       }},
      {"patch_size: got 4", [](v1::JobSpec& s) { s.set_patch_size(4); }},
      {"dataset.path: got nothing", [](v1::JobSpec& s) { s.clear_dataset(); }},
      {"dataset.path: ", [](v1::JobSpec& s) { s.mutable_dataset()->set_path("/no/such/folder"); }},
      {"dataset.train_images: got 50",
       [](v1::JobSpec& s) { s.mutable_dataset()->set_train_images(50); }},
      {"dataset.digest: got",
       [](v1::JobSpec& s) { s.mutable_dataset()->set_digest("sha256:" + std::string(64, '0')); }},
      {"project: got \"a/b\"", [](v1::JobSpec& s) { s.set_project("a/b"); }},
  };
  for (const BadJob& bad : table) {
    v1::JobSpec spec = SmallSpec();
    bad.spoil(spec);
    ExpectRefused(spec, bad.message);
  }
}

TEST_F(BadInputTest, ATruncatedDataSetIsRefused) {
  Spoil("train-images-idx3-ubyte", IdxImages(40, 14).substr(0, 2000));
  ExpectRefused(SmallSpec(), "dataset.path: ");
}

TEST_F(BadInputTest, ALabelOutOfRangeIsRefused) {
  Spoil("train-labels-idx1-ubyte", IdxLabels(CyclicLabels(40, 20)));
  v1::JobSpec spec = SmallSpec();
  spec.mutable_dataset()->set_classes(10);
  ExpectRefused(spec, "dataset.path: ");
}

TEST_F(BadInputTest, AnEmptyClassIsRefused) {
  Spoil("train-labels-idx1-ubyte", IdxLabels(CyclicLabels(40, 9)));
  v1::JobSpec spec = SmallSpec();
  spec.mutable_dataset()->set_classes(10);
  ExpectRefused(spec, "dataset.path: ");
}

TEST_F(BadInputTest, AMissingFileIsRefused) {
  ASSERT_THAT(RemoveFile(JoinPath(DatasetDir(), "t10k-labels-idx1-ubyte")), IsOk());
  ExpectRefused(SmallSpec(), "t10k-labels");
}

TEST_F(BadInputTest, ADataSetThatChangedIsReadAgain) {
  ASSERT_THAT(Create(SmallSpec(), "r1"), IsOk());
  Spoil("train-images-idx3-ubyte", IdxImages(39, 14));
  EXPECT_THAT(Create(SmallSpec(), "r2"), StatusIs(absl::StatusCode::kInvalidArgument));
}

// The server need not see the files when the job says what is in them.
TEST_F(BadInputTest, ADescribedDataSetIsTakenOnTrust) {
  v1::JobSpec spec = SmallSpec();
  v1::DatasetSpec& dataset = *spec.mutable_dataset();
  dataset.set_path("/only/workers/have/this");
  dataset.set_digest("sha256:" + std::string(64, 'a'));
  dataset.set_image_size(14);
  dataset.set_channels(1);
  dataset.set_classes(10);
  dataset.set_train_size(40);
  EXPECT_THAT(Create(spec, "r1"), IsOk());
}

TEST_F(BadInputTest, AGivenArtifactMustBeThere) {
  v1::JobSpec spec = SmallSpec();
  spec.mutable_given()->set_meta("sha256:" + std::string(64, 'b'));
  ExpectRefused(spec, "given.meta: got sha256:" + std::string(64, 'b'));
}

// The last room on the disk is for the results of what runs already.
TEST_F(BadInputTest, JobsAreRefusedOnADiskThatIsNearlyFullButRepeatsAreAnswered) {
  const absl::StatusOr<v1::Job> earlier = Create(SmallSpec(), "earlier");
  ASSERT_THAT(earlier, IsOk());
  StopServer();
  min_free_disk_bytes_ = int64_t{1} << 58;
  StartServer();
  EXPECT_THAT(Create(SmallSpec(), "request"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("the disk is nearly full")));
  const absl::StatusOr<v1::Job> again = Create(SmallSpec(), "earlier");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->id(), earlier->id());
  EXPECT_EQ(ListJobs().size(), 1u);
}

TEST_F(BadInputTest, RequestsAreCheckedFieldByField) {
  EXPECT_THAT(Create(SmallSpec(), ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("request_id: got \"\"")));
  EXPECT_THAT(GetJob("../../etc/passwd"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("job: ")));
  EXPECT_THAT(GetJob("job-none"), StatusIs(absl::StatusCode::kNotFound));
  v1::ListJobsRequest list;
  list.set_page_size(1001);
  v1::ListJobsResponse listed;
  EXPECT_THAT(FromGrpcStatus(jobs_->ListJobs(MakeContext().get(), list, &listed)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("page_size: got 1001")));
  v1::AcquireTasksRequest acquire;
  acquire.set_worker_id("w");
  acquire.set_request_id("r");
  acquire.set_wait_seconds(std::numeric_limits<double>::quiet_NaN());
  v1::AcquireTasksResponse acquired;
  EXPECT_THAT(FromGrpcStatus(workers_->AcquireTasks(MakeContext().get(), acquire, &acquired)),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("wait_seconds: got nan")));
}

TEST_F(BadInputTest, AMessageAboveFourMebibytesIsRefused) {
  v1::JobSpec spec = SmallSpec();
  spec.set_display_name(std::string(5 << 20, 'x'));
  ExpectRefused(spec, "", absl::StatusCode::kResourceExhausted);
}

TEST_F(BadInputTest, ASecondServerOnTheDataDirectoryIsRefused) {
  EXPECT_THAT(ServerApp::Start(Config(), {&clock_, &ids_, nullptr}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--data-dir")));
}

TEST_F(BadInputTest, APortInUseIsRefused) {
  ServerConfig config = Config();
  config.data_dir = JoinPath(temp_dir_.path(), "other");
  config.listen = server_->grpc_address();
  EXPECT_THAT(ServerApp::Start(config, {&clock_, &ids_, nullptr}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("--listen")));
  config.listen = "127.0.0.1:0";
  config.http = server_->http_address();
  EXPECT_THAT(ServerApp::Start(config, {&clock_, &ids_, nullptr}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("--http")));
}

TEST_F(BadInputTest, ADatabaseThatIsNoneIsRefused) {
  StopServer();
  ASSERT_THAT(WriteFileAtomically(JoinPath(Config().data_dir, "state.db"), "not a database"),
              IsOk());
  EXPECT_FALSE(ServerApp::Start(Config(), {&clock_, &ids_, nullptr}).ok());
  ASSERT_THAT(RemoveFile(JoinPath(Config().data_dir, "state.db")), IsOk());
}

TEST_F(BadInputTest, PlaintextBeyondThisMachineNeedsAFlag) {
  ServerConfig config = Config();
  config.listen = "0.0.0.0:0";
  EXPECT_THAT(ValidateConfig(config), StatusIs(absl::StatusCode::kInvalidArgument,
                                               HasSubstr("--insecure-allow-plaintext")));
  config.insecure_allow_plaintext = true;
  EXPECT_THAT(ValidateConfig(config), IsOk());
}

}  // namespace
}  // namespace distill::server
