#include "transport/secure_channel.h"

#include <sys/stat.h>

#include <string>

#include "base/clock.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "tests/support/certificates.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill {
namespace {

using ::testing::HasSubstr;

absl::Status Credentials(const std::string& server, const ChannelSecurity& security) {
  return MakeChannelCredentials({"127.0.0.1:1", server}, security, SystemClock().WallNow())
      .status();
}

auto Refused(const std::string& text) {
  return StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(text));
}

TEST(SecureChannelTest, PlaintextLeavesThisMachineOnlyWhenAllowed) {
  ChannelSecurity security;
  EXPECT_THAT(Credentials("localhost:7700", security), IsOk());
  EXPECT_THAT(Credentials("control.lab:7700", security), Refused("server=control.lab:7700"));
  EXPECT_THAT(Credentials("control.lab:7700", security), Refused("--tls-ca"));
  security.allow_plaintext = true;
  EXPECT_THAT(Credentials("control.lab:7700", security), IsOk());
}

TEST(SecureChannelTest, ACertificateNeedsAnAuthorityToTrust) {
  const TestAuthority authority;
  authority.Run({"user", "bob", "viewer"});
  ChannelSecurity security;
  security.files = authority.Files("user-bob");
  EXPECT_THAT(Credentials("control.lab:7700", security), IsOk());
  security.files.ca = "system";
  EXPECT_THAT(Credentials("control.lab:7700", security), IsOk());
  security.files.ca.clear();
  EXPECT_THAT(Credentials("control.lab:7700", security), Refused("--tls-ca is missing"));
}

TEST(SecureChannelTest, ATokenIsReadFromAFileOfItsOwner) {
  const TestAuthority authority;
  const TempDir directory;
  ChannelSecurity security;
  security.files.ca = authority.ca();
  security.token_file = directory.Join("token");
  EXPECT_THAT(Credentials("control.lab:7700", security), Refused("cannot use token"));
  ASSERT_THAT(WriteFileAtomically(security.token_file, "distill_x_y\n"), IsOk());
  ASSERT_EQ(chmod(security.token_file.c_str(), 0644), 0);
  EXPECT_THAT(Credentials("control.lab:7700", security), Refused("chmod 600"));
  ASSERT_EQ(chmod(security.token_file.c_str(), 0600), 0);
  EXPECT_THAT(Credentials("control.lab:7700", security), IsOk());
  ASSERT_THAT(WriteFileAtomically(security.token_file, "two words\n"), IsOk());
  ASSERT_EQ(chmod(security.token_file.c_str(), 0600), 0);
  EXPECT_THAT(Credentials("control.lab:7700", security), Refused("the first line"));
  // Without TLS it is not sent, and so not needed.
  EXPECT_THAT(Credentials("localhost:7700", ChannelSecurity{{}, "", "/no/token", false}), IsOk());
}

}  // namespace
}  // namespace distill
