// A network that a test can break: stands between two programs, passes bytes on, and on command
// delays them, holds them back in one direction or both, or breaks all connections.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace distill {

// Thread-safe. Owns one thread.
class TcpProxy {
 public:
  enum class Direction { kToServer, kToClient };

  // Listens on a free port of 127.0.0.1. `server`: "127.0.0.1:7700", or the path of a socket.
  explicit TcpProxy(const std::string& server);
  ~TcpProxy();

  int port() const { return port_; }

  // Every byte arrives this much later.
  void SetDelay(Direction direction, absl::Duration delay) ABSL_LOCKS_EXCLUDED(mu_);
  // Nothing passes until Heal(); connections stay open, as when a cable is pulled. What was sent
  // meanwhile arrives after it, as TCP has it.
  void Cut(Direction direction) ABSL_LOCKS_EXCLUDED(mu_);
  void CutBoth();
  void Heal() ABSL_LOCKS_EXCLUDED(mu_);
  // Ends all connections with a reset.
  void BreakConnections() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  class Connection;

  struct Link {
    bool cut = false;
    absl::Duration delay;
  };
  struct Orders {
    std::array<Link, 2> links;
    int breaks = 0;
    bool stop = false;
  };

  void Run() ABSL_LOCKS_EXCLUDED(mu_);
  void Wake();
  Orders CurrentOrders() ABSL_LOCKS_EXCLUDED(mu_);

  const std::string server_;
  int listener_ = -1;
  int wake_ = -1;
  int port_ = 0;
  Mutex mu_;
  Orders orders_ ABSL_GUARDED_BY(mu_);
  std::thread thread_;
};

}  // namespace distill
