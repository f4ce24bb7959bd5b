// A real PostgreSQL server for tests: in a folder of its own, reached by a socket in that folder
// only, gone when the test ends. Run by root it becomes another user, since PostgreSQL refuses
// root.
#pragma once

#include <memory>
#include <string>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace distill {

// One thread.
class PostgresServer {
 public:
  // Blocks until it answers. Fails the program when Debian's package postgresql is not there.
  PostgresServer();
  ~PostgresServer();

  // Of an empty space for tables, new with each call.
  std::string NewDatabase();
  // The same space, reached through another host and port (see tcp_proxy.h).
  static std::string Through(const std::string& conninfo, const std::string& host, int port);
  // Of its socket.
  std::string socket_path() const;
  // Runs statements as its administrator.
  void Execute(const std::string& sql) const;

 private:
  std::string AdministratorConninfo() const;

  TempDir directory_;
  std::unique_ptr<Process> server_;
  int databases_ = 0;
};

// One server for all tests of a program: starting it takes a second or two.
PostgresServer& SharedPostgresServer();

}  // namespace distill
