#include "server/auth/caller.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace distill::server {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<Caller> Of(const std::vector<std::string>& uris) {
  return CallerOfCertificate(uris);
}

TEST(CallerTest, AUserHasTheRolesOfItsCertificate) {
  const Caller bob = *Of({"distill://user/bob", "distill://role/vision/editor",
                          "distill://role/audio/viewer", "https://example.org/other"});
  EXPECT_EQ(bob.name, "user/bob");
  EXPECT_EQ(bob.RoleIn(ProjectId("vision")), Role::kEditor);
  EXPECT_EQ(bob.RoleIn(ProjectId("audio")), Role::kViewer);
  EXPECT_EQ(bob.RoleIn(ProjectId("text")), Role::kNone);
  EXPECT_EQ(bob.BestRole(), Role::kEditor);
  EXPECT_FALSE(bob.Everywhere(Role::kViewer));
  EXPECT_FALSE(bob.MayActAs(WorkerId("bob")));
}

TEST(CallerTest, ARoleInAllProjectsHoldsInEach) {
  const Caller alice = *Of({"distill://user/alice", "distill://role/*/admin"});
  EXPECT_EQ(alice.RoleIn(ProjectId("any")), Role::kAdmin);
  EXPECT_TRUE(alice.Everywhere(Role::kAdmin));
}

TEST(CallerTest, AWorkerActsForItselfAndForItsRelatives) {
  const Caller worker = *Of({"distill://worker/gpu-01"});
  EXPECT_EQ(worker.name, "worker/gpu-01");
  EXPECT_TRUE(worker.MayActAs(WorkerId("gpu-01")));
  EXPECT_TRUE(worker.MayActAs(WorkerId("gpu-01.2")));
  EXPECT_FALSE(worker.MayActAs(WorkerId("gpu-011")));
  EXPECT_FALSE(worker.MayActAs(WorkerId("gpu-0")));
  EXPECT_EQ(worker.BestRole(), Role::kNone);
}

TEST(CallerTest, OtherNamesAreNobody) {
  for (const std::vector<std::string>& uris :
       std::vector<std::vector<std::string>>{{},
                                             {"distill://role/*/admin"},
                                             {"https://example.org/alice"},
                                             {"distill://user/"},
                                             {"distill://user/../etc"},
                                             {"distill://user/a", "distill://user/b"},
                                             {"distill://user/a", "distill://worker/b"},
                                             {"distill://worker/w", "distill://role/*/admin"},
                                             {"distill://user/a", "distill://role/*/root"},
                                             {"distill://user/a", "distill://role/admin"},
                                             {"distill://user/a", "distill://role/a b/admin"}}) {
    EXPECT_THAT(Of(uris),
                StatusIs(absl::StatusCode::kUnauthenticated, HasSubstr("cannot tell who calls")))
        << ::testing::PrintToString(uris);
  }
}

TEST(CallerTest, NamesOfRolesGoBothWays) {
  for (const Role role : {Role::kViewer, Role::kEditor, Role::kAdmin}) {
    EXPECT_EQ(RoleNamed(Name(role)), role);
  }
  EXPECT_EQ(RoleNamed("none"), Role::kNone);
  EXPECT_EQ(RoleNamed("Admin"), Role::kNone);
}

}  // namespace
}  // namespace distill::server
