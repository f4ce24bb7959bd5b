#include "base/digest.h"

#include "base/file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill {
namespace {

using ::testing::HasSubstr;

constexpr char kEmpty[] = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kAbc[] = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(DigestTest, MatchesPublishedVectors) {
  EXPECT_EQ(Digest::OfBytes("").str(), kEmpty);
  EXPECT_EQ(Digest::OfBytes("abc").str(), kAbc);
  EXPECT_EQ(Digest::OfBytes("abc").hex(), std::string(kAbc).substr(7));
}

TEST(DigestTest, PiecesGiveTheDigestOfTheWhole) {
  DigestBuilder builder;
  builder.Append("a");
  builder.Append("");
  DigestBuilder moved = std::move(builder);
  moved.Append("bc");
  EXPECT_EQ(moved.Finish().str(), kAbc);
}

TEST(DigestTest, ParseAcceptsOnlyTheCanonicalForm) {
  EXPECT_THAT(Digest::Parse(kAbc), IsOkAndHolds(Digest::OfBytes("abc")));
  for (const std::string& text :
       {std::string(), std::string("sha256:"), std::string(kAbc).substr(7), std::string(kAbc) + "0",
        std::string(kAbc).substr(0, 70)}) {
    EXPECT_THAT(Digest::Parse(text), StatusIs(absl::StatusCode::kInvalidArgument)) << text;
  }
  std::string upper = kAbc;
  upper[7] = 'B';
  EXPECT_THAT(Digest::Parse(upper),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("lower-case")));
  std::string slash = kAbc;
  slash[9] = '/';
  EXPECT_THAT(Digest::Parse(slash), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(DigestTest, EmptyIsEqualOnlyToEmpty) {
  EXPECT_TRUE(Digest().empty());
  EXPECT_EQ(Digest().hex(), "");
  EXPECT_EQ(Digest(), Digest());
  EXPECT_NE(Digest(), Digest::OfBytes(""));
}

TEST(DigestTest, OfFileReadsAllOfIt) {
  const TempDir directory;
  const std::string bytes(3'000'000, 'x');
  ASSERT_THAT(WriteFileAtomically(directory.Join("f"), bytes), IsOk());
  EXPECT_THAT(DigestOfFile(directory.Join("f")), IsOkAndHolds(Digest::OfBytes(bytes)));
  EXPECT_THAT(DigestOfFile(directory.Join("missing")), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(DigestOfFile(directory.path()), StatusIs(absl::StatusCode::kInternal));
}

}  // namespace
}  // namespace distill
