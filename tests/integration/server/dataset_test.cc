// Registered data sets over real gRPC, SQLite and blob store: registration, its faults,
// verification, jobs that name them, and what survives a restart.
#include <grpcpp/grpcpp.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "distill/v1/dataset_service.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/archive/tar_reader.h"
#include "tests/integration/server/server_fixture.h"
#include "tests/support/idx_files.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DatasetTest : public ServerTest {
 protected:
  std::unique_ptr<v1::DatasetService::Stub> Datasets() {
    return v1::DatasetService::NewStub(channel_);
  }
  v1::CreateDatasetRequest Request(const std::string& name, const std::string& request_id) const {
    v1::CreateDatasetRequest request;
    request.set_name(name);
    request.set_request_id(request_id);
    request.mutable_source()->set_path(DatasetDir());
    request.mutable_source()->set_format(v1::DATASET_FORMAT_IDX);
    return request;
  }
  absl::StatusOr<v1::Dataset> Add(const v1::CreateDatasetRequest& request) {
    v1::Dataset dataset;
    const absl::Status status =
        FromGrpcStatus(Datasets()->CreateDataset(MakeContext().get(), request, &dataset));
    if (!status.ok()) return status;
    return dataset;
  }
  absl::StatusOr<v1::Dataset> Get(const std::string& name) {
    v1::GetDatasetRequest request;
    request.set_name(name);
    v1::Dataset dataset;
    const absl::Status status =
        FromGrpcStatus(Datasets()->GetDataset(MakeContext().get(), request, &dataset));
    if (!status.ok()) return status;
    return dataset;
  }
  absl::Status Remove(const std::string& name, bool allow_missing = false) {
    v1::DeleteDatasetRequest request;
    request.set_name(name);
    request.set_allow_missing(allow_missing);
    v1::DeleteDatasetResponse response;
    return FromGrpcStatus(Datasets()->DeleteDataset(MakeContext().get(), request, &response));
  }
  // Asks until nothing is being done to it.
  v1::Dataset Await(const std::string& name) {
    v1::Dataset dataset = Get(name).value();
    while ((dataset.has_scan() || dataset.state() == v1::DATASET_STATE_READING) && !HasFailure()) {
      dataset = Get(name).value();
    }
    return dataset;
  }
  v1::Dataset AddAndAwait(const v1::CreateDatasetRequest& request) {
    EXPECT_THAT(Add(request), IsOk());
    return Await(request.name());
  }
  v1::Dataset Verify(const std::string& name, const std::string& request_id) {
    v1::VerifyDatasetRequest request;
    request.set_name(name);
    request.set_request_id(request_id);
    v1::Dataset dataset;
    EXPECT_THAT(FromGrpcStatus(Datasets()->VerifyDataset(MakeContext().get(), request, &dataset)),
                IsOk());
    return Await(name);
  }
  v1::JobSpec SpecNaming(const std::string& name) const {
    v1::JobSpec spec = SmallSpec();
    spec.mutable_dataset()->Clear();
    spec.mutable_dataset()->set_name(name);
    return spec;
  }
};

TEST_F(DatasetTest, TellsWhatTheFilesHold) {
  const v1::Dataset dataset = AddAndAwait(Request("small", "r1"));
  ASSERT_EQ(dataset.state(), v1::DATASET_STATE_READY) << dataset.failure_message();
  const v1::DatasetFacts& facts = dataset.facts();
  EXPECT_THAT(Digest::Parse(facts.digest()), IsOk());
  EXPECT_EQ(facts.classes(), 10);
  ASSERT_EQ(facts.splits_size(), 2);
  EXPECT_EQ(facts.splits(0).name(), "train");
  EXPECT_EQ(facts.splits(0).images(), 40);
  EXPECT_THAT(facts.splits(0).images_per_class(), ElementsAre(4, 4, 4, 4, 4, 4, 4, 4, 4, 4));
  EXPECT_EQ(facts.splits(1).images(), 20);
  EXPECT_EQ(facts.smallest_height(), 14);
  EXPECT_EQ(facts.largest_width(), 14);
  ASSERT_EQ(facts.mean_size(), 1);
  EXPECT_NEAR(facts.mean(0), 0.5, 0.05);
  EXPECT_EQ(dataset.manifest_digest(), "");

  v1::ListDatasetsResponse list;
  ASSERT_THAT(FromGrpcStatus(Datasets()->ListDatasets(MakeContext().get(), {}, &list)), IsOk());
  ASSERT_EQ(list.datasets_size(), 1);
  EXPECT_EQ(list.datasets(0).facts().splits(0).images(), 40);
  EXPECT_EQ(list.datasets(0).facts().splits(0).images_per_class_size(), 0);
}

TEST_F(DatasetTest, IsRegisteredOnceHoweverOftenItIsAsked) {
  EXPECT_THAT(Add(Request("small", "r1")), IsOk());
  EXPECT_THAT(Add(Request("small", "r1")), IsOk());
  EXPECT_THAT(Add(Request("small", "r2")),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("dataset=small")));
  EXPECT_THAT(Remove("small"), IsOk());
  EXPECT_THAT(Get("small"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("dataset list")));
  EXPECT_THAT(Remove("small"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Remove("small", /*allow_missing=*/true), IsOk());
  EXPECT_THAT(Add(Request("small", "r3")), IsOk());
}

TEST_F(DatasetTest, BadRequestsAreRefusedAtOnce) {
  const auto refused = [&](auto change, const std::string& words) {
    v1::CreateDatasetRequest request = Request("small", "r1");
    change(&request);
    EXPECT_THAT(Add(request), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(words)));
  };
  refused([](auto* r) { r->set_name("a/b"); }, "name");
  refused([](auto* r) { r->clear_request_id(); }, "request_id");
  refused([](auto* r) { r->mutable_source()->set_path("relative"); }, "source.path");
  refused([](auto* r) { r->mutable_source()->set_path("/nowhere/at/all"); }, "/nowhere/at/all");
  refused([](auto* r) { r->mutable_source()->set_path("/etc/passwd"); }, "is a file");
  refused([](auto* r) { r->mutable_source()->set_classes(-1); }, "source.classes");
  refused([](auto* r) { r->mutable_source()->set_format(static_cast<v1::DatasetFormat>(99)); },
          "source.format");
}

TEST_F(DatasetTest, AFaultyOneFailsAndItsNameIsFree) {
  const std::string labels = JoinPath(DatasetDir(), "train-labels-idx1-ubyte");
  const std::string sound = ReadFile(labels).value();
  ASSERT_THAT(WriteFileAtomically(labels, sound.substr(0, 20)), IsOk());
  const v1::Dataset failed = AddAndAwait(Request("small", "r1"));
  EXPECT_EQ(failed.state(), v1::DATASET_STATE_FAILED);
  EXPECT_THAT(failed.failure_message(), HasSubstr("train-labels-idx1-ubyte"));
  EXPECT_THAT(Create(SpecNaming("small"), "j1"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("could not be read")));
  ASSERT_THAT(WriteFileAtomically(labels, sound), IsOk());
  EXPECT_EQ(AddAndAwait(Request("small", "r2")).state(), v1::DATASET_STATE_READY);
}

TEST_F(DatasetTest, AJobNamesItAndKeepsIt) {
  EXPECT_THAT(Create(SpecNaming("small"), "j0"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("distill dataset add")));
  const v1::Dataset dataset = AddAndAwait(Request("small", "r1"));
  const absl::StatusOr<v1::Job> job = Create(SpecNaming("small"), "j1");
  ASSERT_THAT(job, IsOk());
  const v1::DatasetSpec& resolved = job->spec().dataset();
  EXPECT_EQ(resolved.path(), DatasetDir());
  EXPECT_EQ(resolved.digest(), dataset.facts().digest());
  EXPECT_EQ(resolved.image_size(), 14);
  EXPECT_EQ(resolved.classes(), 10);
  EXPECT_EQ(resolved.train_size(), 40);
  EXPECT_THAT(resolved.mean(), ElementsAre(dataset.facts().mean(0)));
  EXPECT_THAT(resolved.deviation(), ElementsAre(dataset.facts().deviation(0)));
  EXPECT_THAT(Remove("small"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(job->id())));

  // What was resolved may be submitted again; what contradicts the record may not.
  EXPECT_THAT(Create(job->spec(), "j2"), IsOk());
  v1::JobSpec other = SpecNaming("small");
  other.mutable_dataset()->set_path("/elsewhere");
  EXPECT_THAT(Create(other, "j3"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("dataset.path")));
  // By name or by path, the tasks are the same.
  const absl::StatusOr<v1::Job> by_path = Create(SmallSpec(), "j4");
  ASSERT_THAT(by_path, IsOk());
  EXPECT_EQ(by_path->spec().dataset().digest(), resolved.digest());
  EXPECT_THAT(by_path->spec().dataset().mean(), ElementsAre(resolved.mean(0)));
}

TEST_F(DatasetTest, VerificationSaysWhatDiffers) {
  AddAndAwait(Request("small", "r1"));
  EXPECT_EQ(Verify("small", "v1").verification().state(), v1::DatasetVerification::STATE_SAME);
  const std::string labels = JoinPath(DatasetDir(), "t10k-labels-idx1-ubyte");
  std::string bytes = ReadFile(labels).value();
  std::swap(bytes[8], bytes[9]);
  ASSERT_THAT(WriteFileAtomically(labels, bytes), IsOk());
  v1::DatasetVerification verification = Verify("small", "v2").verification();
  EXPECT_EQ(verification.state(), v1::DatasetVerification::STATE_DIFFERS);
  EXPECT_THAT(verification.differences(), Contains(HasSubstr("digest: was sha256:")));
  ASSERT_THAT(RemoveFile(labels), IsOk());
  verification = Verify("small", "v3").verification();
  EXPECT_EQ(verification.state(), v1::DatasetVerification::STATE_FAILED);
  EXPECT_THAT(verification.differences(), Contains(HasSubstr("t10k-labels-idx1-ubyte")));
  StopServer();
  StartServer();
  EXPECT_EQ(Get("small")->verification().request_id(), "v3");
}

// Nobody takes the answer to an earlier question for that to his own.
TEST_F(DatasetTest, EachVerificationIsSeenByWhoAskedForIt) {
  AddAndAwait(Request("small", "r1"));
  for (int i = 0; i < 200; ++i) {
    const std::string request_id = absl::StrCat("v", i);
    ASSERT_EQ(Verify("small", request_id).verification().request_id(), request_id);
  }
}

TEST_F(DatasetTest, TheCopyHoldsTheFilesAndNothingElse) {
  ASSERT_THAT(WriteFileAtomically(JoinPath(DatasetDir(), "secret"), "key"), IsOk());
  v1::CreateDatasetRequest request = Request("small", "r1");
  request.mutable_source()->set_upload(true);
  const v1::Dataset dataset = AddAndAwait(request);
  ASSERT_EQ(dataset.state(), v1::DATASET_STATE_READY) << dataset.failure_message();
  v1::DatasetManifest manifest;
  ASSERT_TRUE(manifest.ParseFromString(Download(dataset.manifest_digest()).value()));
  EXPECT_EQ(manifest.dataset_digest(), dataset.facts().digest());
  EXPECT_EQ(manifest.files(), 4);
  ASSERT_EQ(manifest.shards_size(), 1);
  ASSERT_THAT(WriteFileAtomically(temp_dir_.Join("shard.tar"),
                                  Download(manifest.shards(0).digest()).value()),
              IsOk());
  ASSERT_THAT(CreateDirectories(temp_dir_.Join("unpacked")), IsOk());
  ASSERT_THAT(storage::UnpackTar(temp_dir_.Join("shard.tar"), temp_dir_.Join("unpacked"),
                                 {4, static_cast<uint64_t>(manifest.content_bytes())}),
              IsOk());
  EXPECT_THAT(ListDirectory(temp_dir_.Join("unpacked")),
              IsOkAndHolds(ElementsAre("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
                                       "train-images-idx3-ubyte", "train-labels-idx1-ubyte")));

  // The same files give the same copy, and a job tells its workers where it is.
  v1::CreateDatasetRequest again = Request("again", "r2");
  again.mutable_source()->set_upload(true);
  EXPECT_EQ(AddAndAwait(again).manifest_digest(), dataset.manifest_digest());
  EXPECT_EQ(Create(SpecNaming("small"), "j1")->spec().dataset().manifest(),
            dataset.manifest_digest());
  EXPECT_EQ(Verify("small", "v1").verification().state(), v1::DatasetVerification::STATE_SAME);
}

TEST_F(DatasetTest, OutlivesARestart) {
  AddAndAwait(Request("small", "r1"));
  EXPECT_THAT(Add(Request("late", "r2")), IsOk());
  StopServer();  // Perhaps in the middle of it.
  StartServer();
  EXPECT_EQ(Get("small")->state(), v1::DATASET_STATE_READY);
  EXPECT_EQ(Await("late").state(), v1::DATASET_STATE_READY);
}

}  // namespace
}  // namespace distill::server
