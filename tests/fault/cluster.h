// A server and workers as real processes in a folder of a test, which a test may kill and start
// again.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random_ids.h"
#include "client/client.h"
#include "client/interrupt.h"
#include "distill/v1/job.pb.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace distill {

// One thread.
class Cluster {
 public:
  // Starts a server and `workers` workers with one slot each. Fails the test when they do not come
  // up; look at Logs() then.
  explicit Cluster(int workers);
  // Ends all, without grace.
  ~Cluster();

  client::Client& client() { return *client_; }
  // Folder with a small data set.
  const std::string& dataset() const { return dataset_; }

  // SIGKILL, then the same program on the same address and folder.
  void KillServer();
  void KillWorker(int index);
  // SIGTERM, the wait for an orderly end, and a new start. Returns whether it exited with 0.
  bool RestartWorker(int index);
  // SIGKILL to the trainer of a worker, whichever has one. Returns false when none runs.
  bool KillTrainer();

  // Ends all with SIGTERM, workers first. Returns whether each exited with 0. The client is gone
  // then.
  bool EndInOrder();
  // The ends of all logs.
  std::string Logs() const;

 private:
  void StartServer();
  void StartWorker(int index);
  std::string AwaitAddress(const std::string& file, const std::string& key);

  TempDir directory_;
  const std::string dataset_;
  std::string server_address_ = "127.0.0.1:0";
  std::unique_ptr<Process> server_;
  std::vector<std::unique_ptr<Process>> workers_;
  SystemClock clock_;
  SystemIdSource ids_;
  client::Interrupt interrupt_;
  std::unique_ptr<client::Client> client_;
};

}  // namespace distill
