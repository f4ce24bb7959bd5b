// Every way in which a certificate cannot be used is told at the start, with the file and a remedy.
#include "base/tls_files.h"

#include <string>

#include "base/clock.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "tests/support/certificates.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

auto Invalid(const std::string& text, const std::string& path) {
  return StatusIs(absl::StatusCode::kInvalidArgument, AllOf(HasSubstr(text), HasSubstr(path)));
}

class TlsFilesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    authority_ = new TestAuthority();
    authority_->Run({"server", "localhost"});
    authority_->Run({"user", "bob", "editor@vision", "viewer"});
  }
  static void TearDownTestSuite() { delete authority_; }
  std::string Write(const std::string& text) {
    EXPECT_THAT(WriteFileAtomically(directory_.Join("file.pem"), text), IsOk());
    return directory_.Join("file.pem");
  }

  static TestAuthority* authority_;
  TempDir directory_;
  absl::Time now_ = SystemClock().WallNow();
};

TestAuthority* TlsFilesTest::authority_ = nullptr;

TEST_F(TlsFilesTest, FilesOfTheAuthorityAreFine) {
  EXPECT_THAT(CheckTlsFiles(authority_->Files("server"), now_), IsOk());
  EXPECT_THAT(CheckTlsFiles({"", "", authority_->ca()}, now_), IsOk());
  EXPECT_THAT(CheckTlsFiles({}, now_), IsOk());
}

TEST_F(TlsFilesTest, SaysWhichFileIsMissing) {
  TlsFiles files = authority_->Files("server");
  files.key = "/no/such.key";
  EXPECT_THAT(CheckTlsFiles(files, now_), Invalid("there is no such file", "path=/no/such.key"));
  files.key.clear();
  EXPECT_THAT(CheckTlsFiles(files, now_), Invalid("together", "key="));
  EXPECT_THAT(CheckTlsFiles({"", "", "/no/ca.pem"}, now_),
              Invalid("certificate authority", "path=/no/ca.pem"));
}

TEST_F(TlsFilesTest, SaysThatTheKeyIsOfAnotherCertificate) {
  TlsFiles files = authority_->Files("server");
  files.key = authority_->Files("user-bob").key;
  EXPECT_THAT(CheckTlsFiles(files, now_), Invalid("it does not belong to", files.key));
}

TEST_F(TlsFilesTest, SaysThatItExpiredOrIsNotYetValid) {
  const TlsFiles files = authority_->Files("server");
  EXPECT_THAT(CheckTlsFiles(files, now_ + absl::Hours(24 * 400)),
              Invalid("it expired at", files.certificate));
  EXPECT_THAT(CheckTlsFiles(files, now_ - absl::Hours(24)),
              Invalid("check the clock", files.certificate));
  const absl::Duration left = *CertificateExpiry(files.certificate) - now_;
  EXPECT_GT(left, absl::Hours(24 * 364));
  EXPECT_LT(left, absl::Hours(24 * 366));
}

TEST_F(TlsFilesTest, SaysThatAFileIsNoPem) {
  TlsFiles files = authority_->Files("server");
  for (const std::string& text :
       {std::string(), std::string("hello"), std::string("\0\xff", 2),
        std::string("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}) {
    files.certificate = Write(text);
    EXPECT_THAT(CheckTlsFiles(files, now_), Invalid("it holds no certificate", "file.pem"));
    files = authority_->Files("server");
    files.key = Write(text);
    EXPECT_THAT(CheckTlsFiles(files, now_), Invalid("it holds no key", "file.pem"));
    files = authority_->Files("server");
  }
  files.ca = directory_.path();
  EXPECT_THAT(CheckTlsFiles(files, now_), Invalid("certificate authority", directory_.path()));
}

TEST_F(TlsFilesTest, ReadsTheNamesInACertificate) {
  EXPECT_THAT(CertificateUris(authority_->Files("user-bob").certificate),
              IsOkAndHolds(ElementsAre("distill://user/bob", "distill://role/vision/editor",
                                       "distill://role/*/viewer")));
  EXPECT_THAT(CertificateUris(authority_->Files("server").certificate),
              IsOkAndHolds(ElementsAre()));
}

TEST(LoopbackTest, KnowsWhatNeverLeavesThisMachine) {
  for (const char* address : {"127.0.0.1:7700", "127.8.9.1:1", "localhost:7700", "[::1]:7700",
                              "unix:/run/distill.sock"}) {
    EXPECT_TRUE(IsLoopbackAddress(address)) << address;
  }
  for (const char* address : {"10.0.0.1:7700", "control.lab:7700", "[::]:7700", "0.0.0.0:7700",
                              "localhost.evil.org:7700", "1127.0.0.1:7700"}) {
    EXPECT_FALSE(IsLoopbackAddress(address)) << address;
  }
}

}  // namespace
}  // namespace distill
