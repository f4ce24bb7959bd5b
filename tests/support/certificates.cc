#include "tests/support/certificates.h"

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/file.h"
#include "tests/support/process.h"

namespace distill {

TestAuthority::TestAuthority() { Run({"init"}); }

void TestAuthority::Run(const std::vector<std::string>& arguments) const {
  std::vector<std::string> command = {DISTILL_CA_SCRIPT, "--dir", directory_.Join("ca")};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const std::string log = directory_.Join("log");
  Process process(command, log);
  const bool done = process.Wait(absl::Seconds(60)) == 0;
  DISTILL_CHECK(done, absl::StrCat("ca.sh works: ", ReadFile(log).value_or("")).c_str());
}

TlsFiles TestAuthority::Files(const std::string& name) const {
  return {Path(absl::StrCat(name, ".pem")), Path(absl::StrCat(name, ".key")), ca()};
}

}  // namespace distill
