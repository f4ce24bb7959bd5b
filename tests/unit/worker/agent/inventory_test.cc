// What a worker says about its machine, and how it names itself.
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/scripted_id_source.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"
#include "worker/agent/attempt_log.h"
#include "worker/agent/backoff.h"
#include "worker/agent/device_inventory.h"
#include "worker/agent/worker_identity.h"

namespace distill::worker {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(NumericClassesTest, BestFirstAndLesserOnesToo) {
  EXPECT_THAT(NumericClasses({/*avx2=*/true, /*avx512=*/true}),
              ElementsAre("cpu-x86-avx512", "cpu-x86-avx2", "cpu-x86-default"));
  EXPECT_THAT(NumericClasses({/*avx2=*/true, /*avx512=*/false}),
              ElementsAre("cpu-x86-avx2", "cpu-x86-default"));
  EXPECT_THAT(NumericClasses({}), ElementsAre("cpu-x86-default"));
}

TEST(NumericEnvironmentTest, PinsKernelsAndOneThread) {
  const auto environment = NumericEnvironment("cpu-x86-avx2", {"cpu-x86-avx512", "cpu-x86-avx2"});
  ASSERT_THAT(environment.status(), IsOk());
  EXPECT_THAT(*environment, Contains("OPENBLAS_CORETYPE=Haswell"));
  EXPECT_THAT(*environment, Contains("ATEN_CPU_CAPABILITY=avx2"));
  EXPECT_THAT(*environment, Contains("OMP_NUM_THREADS=1"));
}

TEST(NumericEnvironmentTest, AnyMeansTheBest) {
  EXPECT_THAT(*NumericEnvironment("any", {"cpu-x86-avx512", "cpu-x86-avx2"}),
              Contains("OPENBLAS_CORETYPE=SkylakeX"));
}

TEST(NumericEnvironmentTest, RefusesWhatTheMachineDoesNotHave) {
  EXPECT_THAT(NumericEnvironment("cpu-x86-avx512", {"cpu-x86-avx2"}).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("available=cpu-x86-avx2")));
}

TEST(InventoryTest, ReadsTheVersionOfTheDriver) {
  EXPECT_EQ(ParseDriverVersion("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat "
                               "Aug 19 01:15:15 UTC 2023\nGCC version:  gcc 12.2.0\n"),
            "535.104.05");
  EXPECT_EQ(ParseDriverVersion("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06 "
                               " Release Build  (dvs)\n"),
            "580.65.06");
  EXPECT_EQ(ParseDriverVersion("no such thing\nGCC version: gcc 12.2.0\n"), "");
}

TEST(InventoryTest, ReadsMemory) {
  EXPECT_THAT(ParseMemTotal("MemTotal:       16 kB\nMemFree: 1 kB\n"), IsOkAndHolds(16 * 1024));
  EXPECT_THAT(ParseMemTotal("MemFree: 1 kB\n").status(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("MemTotal")));
  const auto inventory = TakeInventory();
  ASSERT_THAT(inventory.status(), IsOk());
  EXPECT_GT(inventory->memory_bytes, 0);
  EXPECT_GE(inventory->cores, 1);
}

TEST(WorkerIdentityTest, StaysTheSame) {
  TempDir directory;
  SystemIdSource ids;
  const auto first = LoadOrCreateWorkerId(directory.path(), "Host.Example", ids);
  ASSERT_THAT(first.status(), IsOk());
  EXPECT_THAT(*first, testing::MatchesRegex("host-example-[0-9a-f]{8}"));
  EXPECT_THAT(LoadOrCreateWorkerId(directory.path(), "renamed", ids), IsOkAndHolds(*first));
}

TEST(WorkerIdentityTest, RefusesDamagedFile) {
  TempDir directory;
  SystemIdSource ids;
  ASSERT_THAT(WriteFileAtomically(directory.Join("worker_id"), "no id!\n"), IsOk());
  EXPECT_THAT(LoadOrCreateWorkerId(directory.path(), "host", ids).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("delete the file")));
}

TEST(BackoffTest, DoublesUpToItsBoundWithJitter) {
  Backoff backoff({absl::Seconds(1), absl::Seconds(4)}, /*seed=*/7);
  for (const double whole : {1.0, 2.0, 4.0, 4.0}) {
    const double wait = absl::ToDoubleSeconds(backoff.Next());
    EXPECT_GE(wait, whole / 2);
    EXPECT_LE(wait, whole);
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next(), absl::Seconds(1));
}

TEST(AttemptLogTest, KeepsBeginningAndEnd) {
  AttemptLog log({/*max_head_bytes=*/6, /*max_tail_bytes=*/4});
  log.Append("begin\n");
  for (int i = 0; i < 10; ++i) log.Append("middle\n");
  log.Append("end\n");
  EXPECT_THAT(log.Text(), testing::StartsWith("begin\n"));
  EXPECT_THAT(log.Text(), HasSubstr("bytes left out"));
  EXPECT_THAT(log.Text(), testing::EndsWith("end\n"));
  EXPECT_EQ(log.LastLine(), "end");
}

// Who follows a log must never see bytes that the finished log does not have in that place.
TEST(AttemptLogTest, WhatCanBeReadBeginsTheFinishedText) {
  AttemptLog log({/*max_head_bytes=*/6, /*max_tail_bytes=*/4});
  EXPECT_EQ(log.Read(0, 100), "");
  log.Append("abc");
  EXPECT_EQ(log.Read(0, 100), "abc");
  EXPECT_EQ(log.Read(1, 1), "b");
  EXPECT_EQ(log.Read(3, 100), "");
  for (int i = 0; i < 10; ++i) log.Append("defghij");
  const std::string seen = log.Read(0, 100);
  EXPECT_EQ(seen, "abcdef");
  EXPECT_THAT(log.Text(), testing::StartsWith(seen));
  EXPECT_EQ(log.Read(1000, 100), "");
}

}  // namespace
}  // namespace distill::worker
