// Every job file that we ship must be readable, and the built-in copies must be the shipped ones.
#include "client/cli/embedded_jobs.h"

#include <cstdlib>
#include <set>
#include <string>

#include "absl/strings/match.h"
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
    if (!absl::EndsWith(name, ".yaml")) continue;
    EXPECT_THAT(ReadJobFile(JoinPath(JobsDirectory(), name)), IsOk()) << name;
  }
}

TEST(EmbeddedJobsTest, AreTheShippedFiles) {
  EXPECT_GE(EmbeddedJobs().size(), 10u);
  for (const EmbeddedJob& job : EmbeddedJobs()) {
    const std::string file = absl::StrCat(job.name, ".yaml");
    const std::string presets = JoinPath(JobsDirectory(), "presets");
    const std::string path =
        JoinPath(FileExists(JoinPath(presets, file)) ? presets : JobsDirectory(), file);
    EXPECT_THAT(ReadFile(path), IsOkAndHolds(std::string(job.text)));
  }
}

// A preset that is not listed in cmake/DistillPresets.cmake would be there and not be found.
TEST(EmbeddedJobsTest, AllPresetsAreEmbedded) {
  std::set<std::string> names;
  for (const EmbeddedJob& job : EmbeddedJobs()) names.insert(absl::StrCat(job.name, ".yaml"));
  const auto files = ListDirectory(JoinPath(JobsDirectory(), "presets"));
  ASSERT_THAT(files, IsOk());
  for (const std::string& file : *files) EXPECT_EQ(names.count(file), 1u) << file;
}

}  // namespace
}  // namespace distill::client
