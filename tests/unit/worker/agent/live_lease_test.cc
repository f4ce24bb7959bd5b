// What a lease remembers of wishes and progress.
#include "worker/agent/live_lease.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace distill::worker {
namespace {

v1::Grant NewGrant(const std::string& id) {
  v1::Grant grant;
  grant.mutable_lease()->set_lease_id(id);
  return grant;
}

TEST(LiveLeaseTest, WishesOnlyRise) {
  int wakes = 0;
  LiveLease lease(NewGrant("a"), [&] { ++wakes; });
  lease.Wish(LeaseWish::kAbandon);
  lease.Wish(LeaseWish::kStop);
  lease.Wish(LeaseWish::kAbandon);
  EXPECT_EQ(lease.wish(), LeaseWish::kAbandon);
  EXPECT_EQ(wakes, 1);
  EXPECT_TRUE(lease.preparation().cancelled());
  EXPECT_TRUE(lease.publication().cancelled());
}

// A cancelled attempt is still handed back; only a lost one is silent.
TEST(LiveLeaseTest, StopEndsPreparationButNotPublication) {
  LiveLease lease(NewGrant("a"), [] {});
  lease.Wish(LeaseWish::kStop);
  EXPECT_TRUE(lease.preparation().cancelled());
  EXPECT_FALSE(lease.publication().cancelled());
}

TEST(LiveLeaseTest, StartedAttemptIsNotReleasedForAFreeSlot) {
  LiveLease lease(NewGrant("a"), [] {});
  lease.SetProgress(v1::Progress(), /*started=*/true);
  lease.Wish(LeaseWish::kReleaseIfUnstarted);
  EXPECT_EQ(lease.wish(), LeaseWish::kRun);
}

TEST(LiveLeaseTest, ReportsNewestCheckpoint) {
  v1::Grant grant = NewGrant("a");
  grant.mutable_checkpoint()->set_digest("sha256:granted");
  grant.set_checkpoint_step(10);
  LiveLease lease(grant, [] {});
  v1::ArtifactRef late;
  late.set_digest("sha256:late");
  lease.SetCheckpoint(late, 30);
  v1::ArtifactRef early;
  early.set_digest("sha256:early");
  lease.SetCheckpoint(early, 20);
  EXPECT_EQ(lease.Report().checkpoint_step(), 30);
  EXPECT_EQ(lease.Report().checkpoint().digest(), "sha256:late");
}

TEST(LiveLeaseTest, NewsOfTheGangComeOnce) {
  int wakes = 0;
  LiveLease lease(NewGrant("a"), [&] { ++wakes; });
  lease.SetGangContact("mine");
  EXPECT_EQ(lease.Report().gang_contact(), "mine");
  lease.SetGangPeers({"mine", "another"}, "view 1");
  lease.SetGangPeers({"mine", "another"}, "view 1");
  EXPECT_EQ(wakes, 1);
  EXPECT_THAT(lease.TakeGangPeers(), testing::ElementsAre("mine", "another"));
  EXPECT_THAT(lease.TakeGangPeers(), testing::IsEmpty());
  EXPECT_EQ(lease.Report().gang_view(), "view 1");
  lease.SetGangPeers({"mine", "changed"}, "view 2");
  EXPECT_THAT(lease.TakeGangPeers(), testing::ElementsAre("mine", "changed"));
}

TEST(LeaseTableTest, DirectivesReachTheLeaseThatTheyName) {
  LeaseTable leases;
  const auto a = std::make_shared<LiveLease>(NewGrant("a"), [] {});
  const auto b = std::make_shared<LiveLease>(NewGrant("b"), [] {});
  leases.Add(a);
  leases.Add(b);
  v1::Directive directive;
  directive.set_kind(v1::Directive::KIND_STOP_ATTEMPT);
  directive.mutable_lease()->set_lease_id("b");
  ApplyLeaseDirective(directive, leases);
  EXPECT_EQ(a->wish(), LeaseWish::kRun);
  EXPECT_EQ(b->wish(), LeaseWish::kStop);
  directive.mutable_lease()->set_lease_id("unknown");
  ApplyLeaseDirective(directive, leases);
}

}  // namespace
}  // namespace distill::worker
