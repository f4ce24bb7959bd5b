// Archives of data sets: the same bytes from the same files, readable by every tar, and harmless
// whatever somebody put into one.
#include "base/digest.h"
#include "base/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/archive/tar_format.h"
#include "storage/archive/tar_reader.h"
#include "storage/archive/tar_writer.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace distill::storage {
namespace {

using ::testing::HasSubstr;
using Files = std::vector<std::pair<std::string, std::string>>;

std::string Pack(const Files& files) {
  std::string archive;
  TarWriter writer([&](absl::string_view bytes) {
    archive.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  });
  for (const auto& [name, content] : files) {
    EXPECT_THAT(writer.BeginFile(name, content.size()), IsOk());
    EXPECT_THAT(writer.Append(content), IsOk());
  }
  EXPECT_THAT(writer.Finish(), IsOk());
  return archive;
}

class TarTest : public ::testing::Test {
 protected:
  absl::StatusOr<TarContent> Unpack(const std::string& archive, TarLimits limits = {100, 1 << 20}) {
    EXPECT_THAT(WriteFileAtomically(dir_.Join("a.tar"), archive), IsOk());
    EXPECT_THAT(RemoveTree(dir_.Join("out")), IsOk());
    EXPECT_THAT(CreateDirectories(dir_.Join("out")), IsOk());
    return UnpackTar(dir_.Join("a.tar"), dir_.Join("out"), limits);
  }
  std::string Content(const std::string& name) {
    return ReadFile(JoinPath(dir_.Join("out"), name)).value();
  }

  TempDir dir_;
};

TEST_F(TarTest, WhatIsPackedIsUnpacked) {
  const std::string long_name = "deep/" + std::string(150, 'n') + "/" + std::string(90, 'm');
  const Files files = {{"a.txt", ""},
                       {"train/n01/images/b.jpg", std::string(512, 'x')},
                       {"train/n01/images/c.jpg", std::string(513, '\0')},
                       {long_name, "long"},
                       {"z", std::string(3'000'000, 'z')}};
  const absl::StatusOr<TarContent> content = Unpack(Pack(files), {5, 4'000'000});
  ASSERT_THAT(content, IsOk());
  EXPECT_EQ(content->files, 5u);
  EXPECT_EQ(content->bytes, 3'001'029u);
  for (const auto& [name, bytes] : files) EXPECT_EQ(Content(name), bytes) << name;
}

// Shards are shared between registrations by their digest.
TEST_F(TarTest, TheBytesAreFixedForEver) {
  const std::string archive = Pack({{"train/a.txt", "hello"}, {std::string(120, 'p'), "long"}});
  EXPECT_EQ(archive.size(), 4096u);
  EXPECT_EQ(Digest::OfBytes(archive).str(),
            "sha256:"
            "a245821d4164b84632c8cfb7dde6c76031ae7a6e67d239ad724ddb9c7ecfda88");
}

TEST_F(TarTest, RefusesFilesThatChangeWhileTheyArePacked) {
  TarWriter writer([](absl::string_view) { return absl::OkStatus(); });
  EXPECT_THAT(writer.BeginFile("a", 3), IsOk());
  EXPECT_THAT(writer.Append("ab"), IsOk());
  EXPECT_THAT(writer.Finish(),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("shorter")));
  EXPECT_THAT(writer.Append("cd"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("longer")));
}

TEST_F(TarTest, RefusesNamesThatLeadElsewhere) {
  for (const char* name :
       {"", "/etc/passwd", "..", "../a", "a/../b", "a//b", "a/", "./a", "a\nb"}) {
    EXPECT_THAT(CheckTarName(name), StatusIs(absl::StatusCode::kInvalidArgument)) << name;
  }
  std::string archive = Pack({{"harmless", "x"}});
  TarHeader header{"../harm", 1, TarEntryKind::kFile};
  archive.replace(0, kTarBlockBytes, EncodeTarHeader(header));
  EXPECT_THAT(Unpack(archive), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("../harm")));
  EXPECT_FALSE(FileExists(dir_.Join("harm")));
}

TEST_F(TarTest, RefusesLinksAndDamage) {
  std::string link = Pack({{"l", "x"}});
  std::string block = EncodeTarHeader({"l", 0, static_cast<TarEntryKind>('2')});
  link.replace(0, kTarBlockBytes, block);
  EXPECT_THAT(Unpack(link), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("no regular file")));

  std::string damaged = Pack({{"a", "x"}});
  damaged[3] = 'q';
  EXPECT_THAT(Unpack(damaged), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged")));

  const std::string whole = Pack({{"a", std::string(2000, 'x')}});
  for (const size_t size : {0, 100, 512, 1000, 2048, 2560}) {
    EXPECT_THAT(Unpack(whole.substr(0, size)), StatusIs(absl::StatusCode::kDataLoss)) << size;
  }
  EXPECT_THAT(Unpack(Pack({{"a", "1"}, {"a", "2"}})),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("twice")));
  EXPECT_THAT(Unpack(Pack({{"a", "1"}, {"a/b", "2"}})), ::testing::Not(IsOk()));
}

TEST_F(TarTest, HoldsNoMoreThanAnnounced) {
  const std::string archive = Pack({{"a", "12345"}, {"b", "12345"}});
  EXPECT_THAT(Unpack(archive, {2, 10}), IsOk());
  EXPECT_THAT(Unpack(archive, {1, 10}), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(Unpack(archive, {2, 9}), StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace distill::storage
