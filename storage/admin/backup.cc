#include "storage/admin/backup.h"

#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/blob/filesystem_blob_store.h"
#include "storage/state/sql_state_store.h"
#include "storage/state/state_dump.h"

namespace distill::storage {
namespace {

constexpr uint64_t kChunkBytes = 1 << 20;

std::string DumpPath(const std::string& folder) { return JoinPath(folder, "state.dump"); }
std::string ListPath(const std::string& folder) { return JoinPath(folder, "blobs.txt"); }
std::string BlobRoot(const std::string& folder) { return JoinPath(folder, "blobs"); }

absl::StatusOr<std::unique_ptr<FilesystemBlobStore>> OpenBlobs(const std::string& root) {
  FilesystemBlobStore::Config config;
  config.root = root;
  config.max_bytes = 0;
  config.low_water_free_bytes = 0;
  return FilesystemBlobStore::Open(std::move(config));
}

// Copies one blob, verified on arrival. kNotFound when `from` has none.
absl::Status CopyBlob(const BlobStore& from, const Digest& digest, BlobStore& to) {
  DISTILL_ASSIGN_OR_RETURN(const std::unique_ptr<BlobReader> reader, from.OpenReader(digest));
  DISTILL_ASSIGN_OR_RETURN(
      const std::unique_ptr<BlobUpload> upload,
      to.StartUpload(absl::StrCat("copy-", digest.hex()), digest, reader->size_bytes()));
  uint64_t offset = upload->committed_size();
  while (!upload->already_present() && offset < reader->size_bytes()) {
    DISTILL_ASSIGN_OR_RETURN(const std::string bytes, reader->Read(offset, kChunkBytes));
    DISTILL_RETURN_IF_ERROR(upload->Append(offset, bytes));
    offset += bytes.size();
  }
  return upload->Commit();
}

struct ListedBlob {
  Digest digest;
  int64_t size_bytes = 0;
};

absl::Status CopyBlobs(const std::vector<ListedBlob>& blobs, const BlobStore& from, BlobStore& to,
                       BackupInfo& info) {
  for (const ListedBlob& blob : blobs) {
    if (to.Stat(blob.digest).ok()) continue;
    const absl::Status copied = CopyBlob(from, blob.digest, to);
    if (absl::IsNotFound(copied)) {
      ++info.missing;
      continue;
    }
    DISTILL_RETURN_IF_ERROR(Annotate(copied, absl::StrCat("cannot copy blob ", blob.digest.str())));
    ++info.copied;
  }
  return absl::OkStatus();
}

// Those that may be referred to.
absl::StatusOr<std::vector<ListedBlob>> BlobsOfState(SqlConnection& connection) {
  SqlStatement rows =
      connection.Prepare("SELECT digest, size_bytes FROM blobs WHERE state<>3 ORDER BY digest");
  std::vector<ListedBlob> blobs;
  for (;;) {
    DISTILL_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return blobs;
    ListedBlob blob;
    DISTILL_ASSIGN_OR_RETURN(blob.digest, Digest::Parse(rows.ReadText()));
    blob.size_bytes = rows.ReadInt();
    blobs.push_back(std::move(blob));
  }
}

absl::StatusOr<std::vector<ListedBlob>> ReadList(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::vector<ListedBlob> blobs;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    const absl::StatusOr<Digest> digest = Digest::Parse(words[0]);
    ListedBlob blob;
    if (words.size() != 2 || !digest.ok() || !absl::SimpleAtoi(words[1], &blob.size_bytes)) {
      return absl::DataLossError(absl::StrCat("cannot read list of blobs: line=", line));
    }
    blob.digest = *digest;
    blobs.push_back(std::move(blob));
  }
  return blobs;
}

void Count(const std::vector<ListedBlob>& blobs, BackupInfo& info) {
  info.blobs = static_cast<int64_t>(blobs.size());
  for (const ListedBlob& blob : blobs) info.blob_bytes += blob.size_bytes;
}

}  // namespace

absl::StatusOr<BackupInfo> MakeBackup(SqlConnection& connection, const BlobStore* from,
                                      const std::string& folder) {
  DISTILL_RETURN_IF_ERROR(CreateDirectories(folder));
  DISTILL_ASSIGN_OR_RETURN(const StateDumpInfo dump, WriteStateDump(connection, DumpPath(folder)));
  BackupInfo info;
  info.schema = dump.schema;
  info.rows = dump.rows;
  // Read after the dump: a blob that the dump refers to is in it, or was taken away since.
  DISTILL_ASSIGN_OR_RETURN(const std::vector<ListedBlob> blobs, BlobsOfState(connection));
  Count(blobs, info);
  std::string list;
  for (const ListedBlob& blob : blobs) {
    absl::StrAppend(&list, blob.digest.str(), " ", blob.size_bytes, "\n");
  }
  DISTILL_RETURN_IF_ERROR(WriteFileAtomically(ListPath(folder), list));
  if (from == nullptr) return info;
  DISTILL_ASSIGN_OR_RETURN(const auto to, OpenBlobs(BlobRoot(folder)));
  DISTILL_RETURN_IF_ERROR(CopyBlobs(blobs, *from, *to, info));
  return info;
}

absl::StatusOr<BackupInfo> RestoreBackup(const std::string& folder, SqlConnection& connection,
                                         BlobStore* to) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<ListedBlob> blobs, ReadList(ListPath(folder)));
  BackupInfo info;
  Count(blobs, info);
  // Blobs first: a restored state never refers to what is still on its way.
  if (to != nullptr) {
    DISTILL_ASSIGN_OR_RETURN(const auto from, OpenBlobs(BlobRoot(folder)));
    DISTILL_RETURN_IF_ERROR(CopyBlobs(blobs, *from, *to, info));
  }
  DISTILL_ASSIGN_OR_RETURN(const StateDumpInfo dump,
                           RestoreStateDump(DumpPath(folder), connection));
  info.schema = dump.schema;
  info.rows = dump.rows;
  return info;
}

}  // namespace distill::storage
