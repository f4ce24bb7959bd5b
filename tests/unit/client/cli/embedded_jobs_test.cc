// Every job file that we ship must be readable, and the built-in copies must be the shipped ones.
#include "client/cli/embedded_jobs.h"

#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "client/jobfile/job_file.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace distill::client {
namespace {

std::string JobsDirectory() {
  return absl::StrCat(std::getenv("DISTILL_SOURCE_DIR"), "/deploy/jobs");
}

TEST(EmbeddedJobsTest, AllShippedJobFilesAreReadable) {
  const auto names = ListDirectory(JobsDirectory());
  ASSERT_THAT(names, IsOk());
  EXPECT_GE(names->size(), 3u);
  for (const std::string& name : *names) {
    EXPECT_THAT(ReadJobFile(JoinPath(JobsDirectory(), name)), IsOk()) << name;
  }
}

TEST(EmbeddedJobsTest, AreTheShippedFiles) {
  EXPECT_THAT(ReadFile(JoinPath(JobsDirectory(), "fashion-mnist-vmoe.yaml")),
              IsOkAndHolds(std::string(kFashionMnistVmoeJob)));
  EXPECT_THAT(ReadFile(JoinPath(JobsDirectory(), "fashion-mnist-vit.yaml")),
              IsOkAndHolds(std::string(kFashionMnistVitJob)));
}

}  // namespace
}  // namespace distill::client
