// Servers and workers as real processes in a folder of a test, which a test may kill and start
// again. One server with SQLite, or two that stand by for each other with PostgreSQL.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random_ids.h"
#include "client/client.h"
#include "client/interrupt.h"
#include "distill/v1/job.pb.h"
#include "tests/support/process.h"
#include "tests/support/tcp_proxy.h"
#include "tests/support/temp_dir.h"

namespace distill {

// One thread.
class Cluster {
 public:
  // Starts a server and `workers` workers with one slot each. Fails the test when they do not come
  // up; look at Logs() then. By default nobody is put in quarantine: trainers are killed on
  // purpose.
  explicit Cluster(int workers,
                   std::vector<std::string> server_flags = {"--quarantine-after-failures=0"});
  // The same with a pair of servers, each of which reaches the database through a proxy of its own;
  // `conninfo_of` makes a connection string of a proxy's port.
  using ConninfoOf = std::function<std::string(int port)>;
  Cluster(int workers, const std::string& database_socket, const ConninfoOf& conninfo_of);
  // Ends all, without grace.
  ~Cluster();

  client::Client& client() { return *client_; }
  // Folder with a small data set.
  const std::string& dataset() const { return dataset_; }

  // SIGKILL, then the same program on the same address and folder.
  void KillServer();
  // One of the pair.
  Process& server(int index) { return *servers_[static_cast<size_t>(index)].process; }
  TcpProxy& database_link(int index) { return *servers_[static_cast<size_t>(index)].database; }
  void StartServer(int index);
  // Whether this server, asked alone, serves.
  bool Leads(int index);
  // Starts one more, with more flags. Returns its index.
  int AddWorker(const std::vector<std::string>& flags);
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
  struct Server {
    std::string address = "127.0.0.1:0";
    std::unique_ptr<TcpProxy> database;
    std::string conninfo;
    std::unique_ptr<Process> process;
    std::unique_ptr<client::Client> client;  // That knows this one alone.
  };

  void Start(int workers);
  void AwaitWorkers();
  std::string AllAddresses() const;
  void StartWorker(int index, const std::vector<std::string>& flags = {});
  std::string AwaitAddress(const std::string& file, const std::string& key);

  TempDir directory_;
  const std::string dataset_;
  const std::vector<std::string> server_flags_;
  std::vector<Server> servers_;
  std::vector<std::unique_ptr<Process>> workers_;
  SystemClock clock_;
  SystemIdSource ids_;
  client::Interrupt interrupt_;
  std::unique_ptr<client::Client> client_;
};

}  // namespace distill
