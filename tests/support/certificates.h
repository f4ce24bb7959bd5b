// A private authority in a temporary folder, made by the script that operators use.
#pragma once

#include <string>
#include <vector>

#include "base/tls_files.h"
#include "tests/support/temp_dir.h"

namespace distill {

class TestAuthority {
 public:
  // Runs `init`. Fails the program when the script does not work.
  TestAuthority();

  std::string ca() const { return directory_.Join("ca/ca.pem"); }
  // Runs deploy/ca/ca.sh with `arguments`.
  void Run(const std::vector<std::string>& arguments) const;
  // Of "server", "worker-NAME" or "user-NAME", with the authority to trust.
  TlsFiles Files(const std::string& name) const;
  std::string Path(const std::string& name) const { return directory_.Join("ca/" + name); }

 private:
  TempDir directory_;
};

}  // namespace distill
