#include "server/datasets/dataset_packer.h"

#include <algorithm>
#include <fstream>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "distill/v1/dataset_service.pb.h"
#include "server/datasets/dataset_description.h"
#include "server/datasets/dataset_files.h"
#include "storage/archive/tar_writer.h"

namespace distill::server {
namespace {

constexpr uint64_t kPieceBytes = 1 << 20;

// Writes one shard after the other to the scratch file, and from there into the store.
class Packer {
 public:
  Packer(const PackOptions& options, storage::BlobStore& blobs)
      : options_(options), blobs_(&blobs) {}

  absl::StatusOr<std::vector<storage::NamedBlob>> Run(const std::vector<DatasetFile>& files) {
    for (const DatasetFile& file : files) total_bytes_ += file.size_bytes;
    if (total_bytes_ > options_.most_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("cannot copy data set: it is too large; add it without --upload, or raise "
                       "--max-dataset-bytes; bytes=",
                       total_bytes_, " limit=", options_.most_bytes));
    }
    for (const DatasetFile& file : files) {
      const absl::Status packed = PackFile(file);
      if (!packed.ok()) {
        return Annotate(packed, absl::StrCat("cannot pack ", file.name));
      }
      if (options_.progress && !options_.progress(done_bytes_, total_bytes_)) {
        return absl::CancelledError("packing was cancelled");
      }
      if (shard_bytes_ >= options_.shard_bytes) DISTILL_RETURN_IF_ERROR(EndShard());
    }
    if (tar_ != nullptr) DISTILL_RETURN_IF_ERROR(EndShard());
    DISTILL_RETURN_IF_ERROR(WriteManifest(files.size()));
    return std::move(packed_);
  }

 private:
  absl::Status BeginShard() {
    DISTILL_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(options_.scratch_file));
    scratch_.emplace(std::move(file));
    tar_ = std::make_unique<storage::TarWriter>(
        [this](absl::string_view bytes) { return scratch_->Append(bytes); });
    shard_bytes_ = 0;
    shard_files_ = 0;
    return absl::OkStatus();
  }

  absl::Status PackFile(const DatasetFile& file) {
    if (tar_ == nullptr) DISTILL_RETURN_IF_ERROR(BeginShard());
    const std::string path = JoinPath(options_.path, file.name);
    std::ifstream input(path, std::ios::binary);
    if (!input) return absl::InternalError(absl::StrCat("cannot read ", path));
    DISTILL_RETURN_IF_ERROR(tar_->BeginFile(file.name, file.size_bytes));
    std::string piece;
    while (input) {
      piece.resize(kPieceBytes);
      input.read(piece.data(), static_cast<std::streamsize>(piece.size()));
      piece.resize(static_cast<size_t>(input.gcount()));
      if (!piece.empty()) DISTILL_RETURN_IF_ERROR(tar_->Append(piece));
    }
    if (input.bad()) return absl::InternalError(absl::StrCat("cannot read ", path));
    shard_bytes_ += file.size_bytes;
    done_bytes_ += file.size_bytes;
    ++shard_files_;
    return absl::OkStatus();
  }

  absl::Status EndShard() {
    DISTILL_RETURN_IF_ERROR(tar_->Finish());
    tar_.reset();
    DISTILL_RETURN_IF_ERROR(scratch_->Commit());
    scratch_.reset();
    const std::string name = absl::StrFormat("shard-%05d", manifest_.shards_size());
    DISTILL_ASSIGN_OR_RETURN(const uint64_t size, FileSize(options_.scratch_file));
    DISTILL_ASSIGN_OR_RETURN(
        const Digest digest,
        storage::WriteBlobFile(*blobs_, absl::StrCat(options_.upload_prefix, ".", name),
                               options_.scratch_file));
    DISTILL_RETURN_IF_ERROR(RemoveFile(options_.scratch_file));
    v1::DatasetManifest::Shard* const shard = manifest_.add_shards();
    shard->set_digest(digest.str());
    shard->set_size_bytes(static_cast<int64_t>(size));
    shard->set_files(shard_files_);
    packed_.push_back({name, digest, static_cast<int64_t>(size)});
    return absl::OkStatus();
  }

  absl::Status WriteManifest(size_t files) {
    manifest_.set_dataset_digest(options_.dataset_digest.str());
    manifest_.set_files(static_cast<int64_t>(files));
    manifest_.set_content_bytes(static_cast<int64_t>(done_bytes_));
    // Field order makes the bytes of so plain a message the same at every time.
    const std::string bytes = manifest_.SerializeAsString();
    DISTILL_ASSIGN_OR_RETURN(
        const Digest digest,
        storage::WriteBlob(*blobs_, absl::StrCat(options_.upload_prefix, ".", kManifestBlob),
                           bytes));
    packed_.insert(packed_.begin(), {kManifestBlob, digest, static_cast<int64_t>(bytes.size())});
    return absl::OkStatus();
  }

  const PackOptions& options_;
  storage::BlobStore* const blobs_;
  std::optional<AtomicFile> scratch_;
  std::unique_ptr<storage::TarWriter> tar_;
  uint64_t shard_bytes_ = 0;
  int64_t shard_files_ = 0;
  uint64_t done_bytes_ = 0;
  uint64_t total_bytes_ = 0;
  v1::DatasetManifest manifest_;
  std::vector<storage::NamedBlob> packed_;
};

}  // namespace

absl::StatusOr<std::vector<storage::NamedBlob>> PackDataset(const PackOptions& options,
                                                            storage::BlobStore& blobs) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<DatasetFile> files,
                           ListDatasetFiles(options.path, options.format, options.most_files));
  return Packer(options, blobs).Run(files);
}

}  // namespace distill::server
