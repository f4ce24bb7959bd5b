#include "server/auth/token_registry.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "tests/support/simulated_clock.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class TokenRegistryTest : public ::testing::Test {
 protected:
  NewToken Issue(const std::string& id, absl::Duration lifetime) {
    NewToken token = MakeToken(id, ids_);
    token.record.project = ProjectId("vision");
    token.record.role = static_cast<int32_t>(Role::kEditor);
    token.record.expire_time = clock_.WallNow() + lifetime;
    registry_.Put(token.record);
    return token;
  }

  SimulatedClock clock_;
  SystemIdSource ids_;
  std::vector<storage::TouchToken> uses_;
  TokenRegistry registry_{clock_, [this](const storage::TouchToken& use) { uses_.push_back(use); }};
};

constexpr char kId[] = "0123456789abcdef";

TEST_F(TokenRegistryTest, ATokenGivesItsRoleInItsProject) {
  const NewToken token = Issue(kId, absl::Hours(1));
  const absl::StatusOr<Caller> caller = registry_.Authenticate(token.text);
  ASSERT_THAT(caller, IsOk());
  EXPECT_EQ(caller->name, std::string("token/") + kId);
  EXPECT_EQ(caller->RoleIn(ProjectId("vision")), Role::kEditor);
  EXPECT_EQ(caller->RoleIn(ProjectId("audio")), Role::kNone);
}

TEST_F(TokenRegistryTest, TheSecretIsNotKept) {
  const NewToken token = Issue(kId, absl::Hours(1));
  const std::string secret = token.text.substr(token.text.rfind('_') + 1);
  EXPECT_THAT(secret, SizeIs(64));
  EXPECT_THAT(token.record.secret.str(), Not(HasSubstr(secret)));
  EXPECT_NE(Issue("fedcba9876543210", absl::Hours(1)).text.substr(24), token.text.substr(24));
}

TEST_F(TokenRegistryTest, AnythingElseIsNobody) {
  const NewToken token = Issue(kId, absl::Hours(1));
  std::string other = token.text;
  other.back() = other.back() == '0' ? '1' : '0';
  for (const std::string& text :
       {std::string(), std::string("distill_"), other, token.text.substr(1), token.text + "0",
        token.text.substr(0, token.text.size() - 1), std::string("Distill_") + token.text.substr(8),
        std::string(100'000, 'x')}) {
    EXPECT_THAT(registry_.Authenticate(text),
                StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("not known here")));
  }
}

TEST_F(TokenRegistryTest, ItEndsOnTheMoment) {
  const NewToken token = Issue(kId, absl::Hours(1));
  clock_.Advance(absl::Hours(1) - absl::Seconds(1));
  EXPECT_THAT(registry_.Authenticate(token.text), IsOk());
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(registry_.Authenticate(token.text),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("expired")));
}

TEST_F(TokenRegistryTest, ARevokedTokenIsRefused) {
  NewToken token = Issue(kId, absl::Hours(1));
  token.record.revoke_time = clock_.WallNow();
  registry_.Put(token.record);
  EXPECT_THAT(registry_.Authenticate(token.text),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("revoked")));
  registry_.Remove(kId);
  EXPECT_THAT(registry_.Authenticate(token.text),
              StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("not known here")));
}

TEST_F(TokenRegistryTest, TheLastUseIsToldNowAndThen) {
  const NewToken token = Issue(kId, absl::Hours(10));
  for (int i = 0; i < 5; ++i) ASSERT_THAT(registry_.Authenticate(token.text), IsOk());
  EXPECT_THAT(uses_, SizeIs(1));
  clock_.Advance(absl::Minutes(11));
  ASSERT_THAT(registry_.Authenticate(token.text), IsOk());
  ASSERT_THAT(uses_, SizeIs(2));
  EXPECT_EQ(uses_[1].id, kId);
  EXPECT_EQ(uses_[1].last_used_time, registry_.Find(kId)->last_used_time);
}

TEST_F(TokenRegistryTest, ARepeatedRequestGetsTheSameId) {
  EXPECT_EQ(TokenIdOf("user/alice", "r-1"), TokenIdOf("user/alice", "r-1"));
  EXPECT_NE(TokenIdOf("user/alice", "r-1"), TokenIdOf("user/alice", "r-2"));
  EXPECT_NE(TokenIdOf("user/alice", "r-1"), TokenIdOf("user/bob", "r-1"));
  EXPECT_THAT(TokenIdOf("user/alice", "r-1"), SizeIs(16));
}

}  // namespace
}  // namespace distill::server
