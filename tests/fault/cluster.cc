#include "tests/fault/cluster.h"

#include <csignal>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/counter_random.h"
#include "base/file.h"
#include "gtest/gtest.h"
#include "tests/support/idx_files.h"

namespace distill {
namespace {

constexpr uint32_t kTrainImages = 320;
constexpr uint32_t kTestImages = 100;
constexpr uint32_t kSide = 14;
constexpr int kClasses = 10;
constexpr absl::Duration kStartLimit = absl::Seconds(20);
constexpr size_t kLogEndBytes = 6000;

std::string Program(const std::string& name) {
  const char* directory = std::getenv("DISTILL_BIN_DIR");
  return JoinPath(directory == nullptr ? "build/release/bin" : directory, name);
}

// Noise, with a brighter square whose place is the class: something to learn.
std::string LearnableImages(uint32_t count, uint64_t seed) {
  CounterRandom random(seed);
  std::string bytes =
      absl::StrCat(BigEndian(0x803), BigEndian(count), BigEndian(kSide), BigEndian(kSide));
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t place = i % kClasses;
    for (uint32_t y = 0; y < kSide; ++y) {
      for (uint32_t x = 0; x < kSide; ++x) {
        const bool bright = y / 5 == place / 4 && x / 4 == place % 4;
        bytes.push_back(static_cast<char>(random.Below(100) + (bright ? 120 : 0)));
      }
    }
  }
  return bytes;
}

void WriteDataset(const std::string& directory) {
  ASSERT_TRUE(CreateDirectories(directory).ok());
  const auto write = [&](const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(JoinPath(directory, name), bytes).ok());
  };
  write("train-images-idx3-ubyte", LearnableImages(kTrainImages, 1));
  write("train-labels-idx1-ubyte", IdxLabels(CyclicLabels(kTrainImages, kClasses)));
  write("t10k-images-idx3-ubyte", LearnableImages(kTestImages, 2));
  write("t10k-labels-idx1-ubyte", IdxLabels(CyclicLabels(kTestImages, kClasses)));
}

}  // namespace

Cluster::Cluster(int workers, std::vector<std::string> server_flags)
    : dataset_(directory_.Join("dataset")), server_flags_(std::move(server_flags)), servers_(1) {
  Start(workers);
}

Cluster::Cluster(int workers, const std::string& database_socket, const ConninfoOf& conninfo_of)
    : dataset_(directory_.Join("dataset")),
      server_flags_({"--quarantine-after-failures=0"}),
      servers_(2) {
  for (Server& server : servers_) {
    server.database = std::make_unique<TcpProxy>(database_socket);
    server.conninfo = conninfo_of(server.database->port());
  }
  Start(workers);
}

void Cluster::Start(int workers) {
  WriteDataset(dataset_);
  for (size_t i = 0; i < servers_.size(); ++i) StartServer(static_cast<int>(i));
  workers_.resize(static_cast<size_t>(workers));
  for (int i = 0; i < workers; ++i) StartWorker(i);
  client::ClientOptions options;
  options.server = AllAddresses();
  options.retry_for = absl::Seconds(30);
  options.longest_backoff = absl::Milliseconds(300);
  client_ = std::make_unique<client::Client>(
      options, client::ClientDependencies{&clock_, &ids_, &interrupt_, {}});
  AwaitWorkers();
}

// A job is planned for the numeric class that all live workers share, so they must be known.
void Cluster::AwaitWorkers() {
  EXPECT_TRUE(Eventually(
      [&] {
        const auto known = client_->ListWorkers();
        return known.ok() && known->size() == workers_.size();
      },
      kStartLimit))
      << Logs();
}

int Cluster::AddWorker(const std::vector<std::string>& flags) {
  const int index = static_cast<int>(workers_.size());
  workers_.emplace_back();
  StartWorker(index, flags);
  AwaitWorkers();
  return index;
}

Cluster::~Cluster() = default;

std::string Cluster::AllAddresses() const {
  return absl::StrJoin(servers_, ",",
                       [](std::string* out, const Server& server) { out->append(server.address); });
}

void Cluster::StartServer(int index) {
  Server& server = servers_[static_cast<size_t>(index)];
  const std::string name = absl::StrCat("server-", index);
  const std::string addresses = directory_.Join(name + ".addresses");
  EXPECT_TRUE(RemoveFile(addresses).ok());
  // What a pair of servers shares is their folder of blobs, and the database.
  std::vector<std::string> command = {
      Program("distill-server"), absl::StrCat("--data-dir=", directory_.Join("server")),
      absl::StrCat("--listen=", server.address), "--http=127.0.0.1:0",
      absl::StrCat("--addresses-file=", addresses), "--lease-seconds=3", "--heartbeat-seconds=0.2",
      // Many kills of one task would else be minutes of waiting.
      "--max-retry-backoff-seconds=0.5"};
  command.insert(command.end(), server_flags_.begin(), server_flags_.end());
  if (!server.conninfo.empty()) {
    command.push_back("--state=postgres");
    command.push_back(absl::StrCat("--postgres=", server.conninfo));
  }
  server.process = std::make_unique<Process>(command, directory_.Join(name + ".log"));
  server.address = AwaitAddress(addresses, "grpc");
  client::ClientOptions alone;
  alone.server = server.address;
  alone.retry_for = absl::ZeroDuration();
  alone.call_timeout = absl::Milliseconds(500);
  server.client = std::make_unique<client::Client>(
      alone, client::ClientDependencies{&clock_, &ids_, &interrupt_, {}});
}

bool Cluster::Leads(int index) {
  return servers_[static_cast<size_t>(index)].client->ListWorkers().ok();
}

void Cluster::StartWorker(int index, const std::vector<std::string>& flags) {
  const std::string name = absl::StrCat("worker-", index);
  const std::string addresses = directory_.Join(absl::StrCat(name, ".addresses"));
  EXPECT_TRUE(RemoveFile(addresses).ok());
  std::vector<std::string> command = {Program("distill-worker"),
                                      absl::StrCat("--data-dir=", directory_.Join(name)),
                                      absl::StrCat("--server=", AllAddresses()),
                                      "--slots=1",
                                      "--gang-network=lo",
                                      "--http=127.0.0.1:0",
                                      absl::StrCat("--addresses-file=", addresses)};
  command.insert(command.end(), flags.begin(), flags.end());
  workers_[static_cast<size_t>(index)] =
      std::make_unique<Process>(command, directory_.Join(absl::StrCat(name, ".log")));
  // From then on it takes SIGTERM for a wish.
  AwaitAddress(addresses, "http");
}

std::string Cluster::AwaitAddress(const std::string& file, const std::string& key) {
  EXPECT_TRUE(Eventually([&] { return FileExists(file); }, kStartLimit)) << Logs();
  const std::string text = ReadFile(file).value_or("");
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::pair<std::string, std::string> field = absl::StrSplit(line, absl::MaxSplits('=', 1));
    if (field.first == key) return field.second;
  }
  ADD_FAILURE() << "no address in " << file << ": " << text;
  return "";
}

void Cluster::KillServer() {
  server(0).Kill();
  StartServer(0);
}

void Cluster::KillWorker(int index) {
  workers_[static_cast<size_t>(index)]->Kill();
  StartWorker(index);
}

bool Cluster::RestartWorker(int index) {
  Process& worker = *workers_[static_cast<size_t>(index)];
  worker.Signal(SIGTERM);
  const bool clean = worker.Wait(absl::Seconds(30)) == 0;
  StartWorker(index);
  return clean;
}

bool Cluster::KillTrainer() {
  for (const auto& worker : workers_) {
    for (const pid_t trainer : ChildrenOf(worker->pid())) {
      if (kill(trainer, SIGKILL) == 0) return true;
    }
  }
  return false;
}

bool Cluster::EndInOrder() {
  bool clean = true;
  const auto end = [&](const std::string& name, Process& process) {
    const std::optional<int> status = process.Wait(absl::Seconds(30));
    if (status == 0) return;
    clean = false;
    ADD_FAILURE() << name << " ended with status " << status.value_or(-1);
  };
  for (const auto& worker : workers_) worker->Signal(SIGTERM);
  for (const auto& worker : workers_) end("worker", *worker);
  // An idle connection would hold the server back until its grace is over.
  client_.reset();
  for (Server& server : servers_) {
    server.client.reset();
    server.process->Signal(SIGTERM);
  }
  for (Server& server : servers_) end("server", *server.process);
  return clean;
}

std::string Cluster::Logs() const {
  std::string all;
  const std::vector<std::string> names = ListDirectory(directory_.path()).value();
  for (const std::string& name : names) {
    if (name.size() < 4 || name.substr(name.size() - 4) != ".log") continue;
    const std::string text = ReadFile(directory_.Join(name)).value_or("");
    const size_t start = text.size() > kLogEndBytes ? text.size() - kLogEndBytes : 0;
    absl::StrAppend(&all, "--- ", name, "\n", text.substr(start));
  }
  return all;
}

}  // namespace distill
