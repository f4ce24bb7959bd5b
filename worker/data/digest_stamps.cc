#include "worker/data/digest_stamps.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "worker/data/dataset.h"

namespace distill::data {
namespace {

constexpr size_t kMostStamps = 256;
constexpr uint64_t kMostStampBytes = 4096;
// Clocks of file systems tick coarsely, and those of file servers differ from ours.
constexpr absl::Duration kSettled = absl::Seconds(10);

void AppendNumber(int64_t number, DigestBuilder* builder) {
  builder->Append(absl::string_view(reinterpret_cast<const char*>(&number), sizeof(number)));
}

int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

// Adds labels and files; returns how many files there are.
absl::StatusOr<int64_t> AppendLook(const Dataset& dataset, DigestBuilder* builder,
                                   absl::Time* last_change) {
  AppendNumber(dataset.size(), builder);
  AppendNumber(dataset.classes(), builder);
  for (int64_t i = 0; i < dataset.size(); ++i) AppendNumber(dataset.Label(i), builder);
  int64_t files = 0;
  const absl::Status visited = dataset.VisitFiles([&](const std::string& path) -> absl::Status {
    struct stat info = {};
    if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, "read", path);
    builder->Append(path);
    builder->Append(absl::string_view("\0", 1));
    AppendNumber(info.st_size, builder);
    AppendNumber(Nanoseconds(info.st_mtim), builder);
    AppendNumber(Nanoseconds(info.st_ctim), builder);
    AppendNumber(static_cast<int64_t>(info.st_ino), builder);
    AppendNumber(static_cast<int64_t>(info.st_dev), builder);
    *last_change = std::max(
        {*last_change, absl::TimeFromTimespec(info.st_mtim), absl::TimeFromTimespec(info.st_ctim)});
    ++files;
    return absl::OkStatus();
  });
  DISTILL_RETURN_IF_ERROR(visited);
  AppendNumber(files, builder);
  return files;
}

absl::StatusOr<Digest> ReadPairDigest(const DatasetPair& pair) {
  Digest train;
  if (pair.train != nullptr) {
    DISTILL_ASSIGN_OR_RETURN(train, ContentDigest(*pair.train));
  }
  DISTILL_ASSIGN_OR_RETURN(const Digest test, ContentDigest(*pair.test));
  return PairDigest(train, test);
}

// The text of a stamp; it says of itself whether it is whole.
std::string StampText(const Digest& look, const Digest& content) {
  const std::string body = absl::StrCat("distill digest stamp v1\nfiles ", look.str(), "\ncontent ",
                                        content.str(), "\n");
  return absl::StrCat(body, "whole ", Digest::OfBytes(body).str(), "\n");
}

}  // namespace

absl::StatusOr<Digest> DigestStamps::PairDigestOf(const DatasetPair& pair,
                                                  absl::Time opened) const {
  const absl::StatusOr<Look> before =
      directory_.empty() ? absl::NotFoundError("nothing is kept") : LookAt(pair);
  if (!before.ok()) return ReadPairDigest(pair);
  const absl::StatusOr<Digest> kept = Load(*before);
  if (kept.ok()) {
    LogInfo("no file of the data set changed; its digest is kept", {{"digest", kept->str()}});
    return kept;
  }
  if (!absl::IsNotFound(kept.status())) {
    LogWarning("stamp of a data set is not believed", {{"error", kept.status()}});
  }
  DISTILL_ASSIGN_OR_RETURN(const Digest content, ReadPairDigest(pair));
  const absl::StatusOr<Look> after = LookAt(pair);
  const bool is_certain =
      after.ok() && after->digest == before->digest && before->last_change + kSettled < opened;
  if (!is_certain) return content;
  const absl::Status stored = Store(*before, content);
  if (!stored.ok()) LogWarning("stamp of a data set is not kept", {{"error", stored}});
  return content;
}

absl::StatusOr<DigestStamps::Look> DigestStamps::LookAt(const DatasetPair& pair) {
  Look look;
  DigestBuilder builder;
  builder.Append("distill data set from outside v1\n");
  for (const Dataset* const split : {pair.train.get(), pair.test.get()}) {
    AppendNumber(split != nullptr ? 1 : 0, &builder);
    if (split == nullptr) continue;
    DISTILL_ASSIGN_OR_RETURN(const int64_t files, AppendLook(*split, &builder, &look.last_change));
    if (files == 0) return absl::NotFoundError("the images are in memory");
  }
  look.digest = builder.Finish();
  return look;
}

std::string DigestStamps::PathOf(const Look& look) const {
  return JoinPath(directory_, look.digest.hex());
}

absl::StatusOr<Digest> DigestStamps::Load(const Look& look) const {
  const std::string path = PathOf(look);
  DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMostStampBytes));
  const size_t start = text.find("\ncontent ");
  if (start != text.npos) {
    const absl::string_view rest = absl::string_view(text).substr(start + sizeof("\ncontent ") - 1);
    const absl::StatusOr<Digest> content = Digest::Parse(rest.substr(0, rest.find('\n')));
    if (content.ok() && text == StampText(look.digest, *content)) {
      // So that those in use are kept.
      utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
      return content;
    }
  }
  return absl::DataLossError(absl::StrCat("the stamp is damaged; path=", path));
}

absl::Status DigestStamps::Store(const Look& look, const Digest& content) const {
  DISTILL_RETURN_IF_ERROR(CreateDirectories(directory_));
  RemoveOldest();
  return WriteFileAtomically(PathOf(look), StampText(look.digest, content));
}

void DigestStamps::RemoveOldest() const {
  const absl::StatusOr<std::vector<std::string>> names = ListDirectory(directory_);
  if (!names.ok() || names->size() < kMostStamps) return;
  std::vector<std::pair<int64_t, std::string>> by_use;
  for (const std::string& name : *names) {
    const std::string path = JoinPath(directory_, name);
    struct stat info = {};
    if (stat(path.c_str(), &info) == 0) by_use.emplace_back(Nanoseconds(info.st_mtim), path);
  }
  std::sort(by_use.begin(), by_use.end());
  for (size_t i = 0; i + kMostStamps <= by_use.size(); ++i) {
    RemoveFile(by_use[i].second).IgnoreError();  // Another program was first, or it is tried again.
  }
}

}  // namespace distill::data
