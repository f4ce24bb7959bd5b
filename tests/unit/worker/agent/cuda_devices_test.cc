#include "worker/agent/cuda_devices.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/worker/agent/fake_trainer.h"
#include "worker/agent/device_inventory.h"

namespace distill::worker {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::vector<CudaDevice> kMachine = {
    {"GPU-aa01", "NVIDIA H200", 9}, {"GPU-ab02", "NVIDIA H200", 9}, {"GPU-b103", "NVIDIA L4", 2}};

std::vector<std::string> Uuids(const std::vector<CudaDevice>& devices) {
  std::vector<std::string> uuids;
  for (const CudaDevice& device : devices) uuids.push_back(device.uuid);
  return uuids;
}

std::vector<std::string> Visible(const std::optional<std::string>& visible) {
  return Uuids(VisibleCudaDevices(kMachine, visible).value());
}

TEST(CudaDevicesTest, ListsWhatTheManagementLibraryTells) {
  const auto nvml = Nvml::Open(FAKE_NVML_PATH);
  ASSERT_THAT(nvml.status(), IsOk());
  const std::vector<CudaDevice> devices = ListCudaDevices(**nvml);
  EXPECT_THAT(Uuids(devices), ElementsAre("GPU-0", "GPU-1"));
  EXPECT_EQ(devices[0].memory_bytes, int64_t{8} << 30);
}

TEST(CudaDevicesTest, TheEnvironmentChooses) {
  EXPECT_THAT(Visible(std::nullopt), SizeIs(3));
  EXPECT_THAT(Visible("2,0"), ElementsAre("GPU-b103", "GPU-aa01"));
  EXPECT_THAT(Visible("GPU-ab, GPU-aa01"), ElementsAre("GPU-ab02", "GPU-aa01"));
  EXPECT_THAT(Visible(""), IsEmpty());
  EXPECT_THAT(Visible("1,-1,0"), ElementsAre("GPU-ab02"));
  EXPECT_THAT(VisibleCudaDevices(kMachine, "3").status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name=3 devices=3")));
  EXPECT_THAT(VisibleCudaDevices(kMachine, "GPU-c").status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("name=GPU-c")));
}

TEST(CudaDevicesTest, OneWorkerHasOneKind) {
  EXPECT_THAT(Uuids(CudaDevicesOfOneKind(kMachine)), ElementsAre("GPU-aa01", "GPU-ab02"));
}

TEST(CudaDevicesTest, TheTrainerSaysInWhichClassItComputes) {
  const TempDir directory;
  TrainerProcess::Config trainer;
  trainer.binary = FAKE_TRAINER_PATH;
  trainer.working_directory = directory.path();
  EXPECT_THAT(AskCudaNumericClass(trainer, {"GPU-0", "", 0}), IsOkAndHolds(kFakeCudaClass));
  EXPECT_THAT(AskCudaNumericClass(trainer, {kFakeBrokenGpu, "", 0}).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("class=cuda-none")));
}

TEST(CudaDevicesTest, ATrainerIsPinnedToTheClass) {
  const auto environment = NumericEnvironment("any", {kFakeCudaClass});
  ASSERT_THAT(environment.status(), IsOk());
  EXPECT_THAT(*environment, Contains("DISTILL_NUMERIC_CLASS=cuda-sm90-libtorch2.11"));
  EXPECT_THAT(*environment, Contains(HasSubstr("CUBLAS_WORKSPACE_CONFIG")));
  EXPECT_THAT(NumericEnvironment("cuda-sm80-libtorch2.11", {kFakeCudaClass}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace distill::worker
