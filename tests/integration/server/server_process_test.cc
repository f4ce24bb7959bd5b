// The server as a process: how it starts, refuses, stops, and how much memory it takes.
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "distill/v1/job_service.grpc.pb.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/idx_files.h"
#include "tests/support/sanitizer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

extern char** environ;

namespace distill::server {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMostResidentBytes = int64_t{150} << 20;

// A child that is killed with its owner. Its standard error goes to a file.
class ServerProcess {
 public:
  ServerProcess(const std::vector<std::string>& flags, const std::string& log_path) {
    const char* directory = std::getenv("DISTILL_BIN_DIR");
    std::vector<std::string> words = {
        JoinPath(directory == nullptr ? "build/release/bin" : directory, "distill-server")};
    words.insert(words.end(), flags.begin(), flags.end());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    EXPECT_EQ(posix_spawn(&pid_, words[0].c_str(), &actions, nullptr, arguments.data(), environ),
              0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~ServerProcess() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

  void Signal(int number) { kill(pid_, number); }
  // Blocks until the process ends; returns its exit code, or -1 after a signal.
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  bool Ended() { return waitpid(pid_, nullptr, WNOHANG) != 0; }

  int64_t ResidentBytes() const {
    const absl::StatusOr<std::string> status = ReadFile(absl::StrCat("/proc/", pid_, "/status"));
    if (!status.ok()) return -1;
    for (const absl::string_view line : absl::StrSplit(*status, '\n')) {
      int64_t kilobytes = 0;
      const std::vector<absl::string_view> words =
          absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
      if (words.size() >= 2 && words[0] == "VmRSS:" && absl::SimpleAtoi(words[1], &kilobytes)) {
        return kilobytes << 10;
      }
    }
    return -1;
  }

 private:
  pid_t pid_ = -1;
};

class ServerProcessTest : public ::testing::Test {
 protected:
  std::vector<std::string> Flags() const {
    return {absl::StrCat("--data-dir=", dir_.Join("data")), "--listen=127.0.0.1:0",
            "--http=127.0.0.1:0", absl::StrCat("--addresses-file=", dir_.Join("addresses")),
            "--min-free-disk-bytes=0"};
  }

  // Waits for the addresses file, which a server writes when it is ready; empty if it ended.
  std::string AwaitAddress(ServerProcess& process) {
    while (!process.Ended()) {
      const absl::StatusOr<std::string> text = ReadFile(dir_.Join("addresses"));
      if (!text.ok()) continue;
      for (const absl::string_view line : absl::StrSplit(*text, '\n')) {
        const std::pair<std::string, std::string> entry =
            absl::StrSplit(line, absl::MaxSplits('=', 1));
        if (entry.first == "grpc") return entry.second;
      }
    }
    return "";
  }

  std::string Log() const {
    const absl::StatusOr<std::string> text = ReadFile(dir_.Join("log"));
    return text.ok() ? *text : "";
  }

  TempDir dir_;
};

TEST_F(ServerProcessTest, StartsServesAndStopsOnSigterm) {
  ServerProcess process(Flags(), dir_.Join("log"));
  ASSERT_FALSE(AwaitAddress(process).empty()) << Log();
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 0) << Log();
}

TEST_F(ServerProcessTest, ASecondOneOnTheSameDataDirectorySaysSo) {
  ServerProcess first(Flags(), dir_.Join("log"));
  ASSERT_FALSE(AwaitAddress(first).empty()) << Log();
  ServerProcess second(Flags(), dir_.Join("log2"));
  EXPECT_EQ(second.Wait(), 3);
  EXPECT_THAT(*ReadFile(dir_.Join("log2")), HasSubstr("another server may be running on it"));
}

TEST_F(ServerProcessTest, APortInUseSaysSo) {
  ServerProcess first(Flags(), dir_.Join("log"));
  const std::string address = AwaitAddress(first);
  ASSERT_FALSE(address.empty()) << Log();
  ServerProcess second({absl::StrCat("--data-dir=", dir_.Join("other")),
                        absl::StrCat("--listen=", address), "--http=none"},
                       dir_.Join("log2"));
  EXPECT_EQ(second.Wait(), 4);
  EXPECT_THAT(*ReadFile(dir_.Join("log2")), HasSubstr("the port is in use"));
}

TEST_F(ServerProcessTest, WrongSettingsSaySo) {
  ServerProcess process({absl::StrCat("--data-dir=", dir_.Join("data")), "--listen=0.0.0.0:0"},
                        dir_.Join("log"));
  EXPECT_EQ(process.Wait(), 2);
  EXPECT_THAT(Log(), HasSubstr("--listen: got 0.0.0.0:0"));
}

TEST_F(ServerProcessTest, TenThousandQueuedTasksFitInMemory) {
  WriteIdxDataset(dir_.Join("dataset"));
  ServerProcess process(Flags(), dir_.Join("log"));
  const std::string address = AwaitAddress(process);
  ASSERT_FALSE(address.empty()) << Log();
  const auto jobs =
      v1::JobService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  int tasks = 0;
  for (uint64_t seed = 0; tasks < 10'000; ++seed) {
    v1::CreateJobRequest request;
    request.set_request_id(absl::StrCat("r", seed));
    v1::JobSpec& spec = *request.mutable_spec();
    spec.mutable_dataset()->set_path(dir_.Join("dataset"));
    spec.set_modules(4);
    spec.set_seed(seed);
    for (v1::TrainingRecipe* recipe :
         {spec.mutable_pretrain_meta(), spec.mutable_incubate_teacher(),
          spec.mutable_finetune_teacher(), spec.mutable_distill_modules(),
          spec.mutable_finetune_student()}) {
      recipe->set_batch_size(8);
    }
    grpc::ClientContext context;
    v1::Job job;
    const grpc::Status status = jobs->CreateJob(&context, request, &job);
    ASSERT_TRUE(status.ok()) << status.error_message() << Log();
    tasks += job.tasks_total();
  }
  const int64_t resident = process.ResidentBytes();
  std::cout << "server_rss_megabytes_10k_tasks " << (resident >> 20) << " tasks " << tasks
            << std::endl;
  EXPECT_GT(resident, 0);
  if (!kHasSanitizer) {
    EXPECT_LT(resident, kMostResidentBytes);
  }
  process.Signal(SIGTERM);
  EXPECT_EQ(process.Wait(), 0);
}

}  // namespace
}  // namespace distill::server
