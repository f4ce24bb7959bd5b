// Tells the service manager that started this process how it is, by the protocol of sd_notify(3):
// systemd with Type=notify, and what imitates it. Without one, all of it does nothing.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace distill {

// Thread-safe.
class ServiceManager {
 public:
  // Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, and removes them from the environment, so
  // that no child speaks in this process's name. Before any thread starts.
  static ServiceManager FromEnvironment();

  // `socket`: the path of a datagram socket, or an abstract one's name after '@'; empty: nobody
  // listens. `watchdog`: what goes without Alive() for so long is killed; infinite: nothing is.
  ServiceManager(std::string socket, absl::Duration watchdog);

  // Work is taken from now on. `status` is what `systemctl status` shows.
  void Ready(absl::string_view status) const;
  void SetStatus(absl::string_view status) const;
  void Stopping() const;
  void Alive() const;
  // How often Alive() should be called at least; infinite without a watchdog.
  absl::Duration alive_interval() const { return watchdog_ / 3; }

 private:
  // What cannot be sent is logged: the manager will act on its silence.
  void Send(const std::string& message) const;

  std::string socket_;
  absl::Duration watchdog_;
};

}  // namespace distill
