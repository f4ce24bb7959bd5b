#include "storage/blob/s3_blob_store.h"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "storage/blob/blob_file.h"
#include "storage/blob/upload_checks.h"

namespace distill::storage {
namespace {

constexpr uint64_t kMostParts = 10'000;                    // By S3's rules.
constexpr uint64_t kLeastPartBytes = 5 << 20;              // Likewise.
constexpr uint64_t kMostPutBytes = uint64_t{5} << 30;      // Likewise, in one request.
constexpr absl::Duration kOldMultipart = absl::Hours(24);  // Nothing of ours takes that long.

// The bytes of a file from `begin`, as a request's body.
HttpBody FileBody(int descriptor, const std::string& path, uint64_t begin) {
  return [descriptor, path, begin](uint64_t offset, char* out, size_t size) {
    return ReadAt(descriptor, begin + offset, out, size, path);
  };
}

absl::StatusOr<Digest> DigestOfRange(int descriptor, const std::string& path, uint64_t begin,
                                     uint64_t size) {
  DigestBuilder builder;
  std::string buffer(1 << 20, '\0');
  for (uint64_t done = 0; done < size;) {
    const size_t want = static_cast<size_t>(std::min<uint64_t>(buffer.size(), size - done));
    DISTILL_ASSIGN_OR_RETURN(const size_t got,
                             ReadAt(descriptor, begin + done, buffer.data(), want, path));
    if (got == 0) return absl::DataLossError(absl::StrCat("cannot read ", path, ": too short"));
    builder.Append(absl::string_view(buffer.data(), got));
    done += got;
  }
  return builder.Finish();
}

class S3BlobReader : public BlobReader {
 public:
  S3BlobReader(S3Client& client, Digest digest, std::string key, uint64_t size_bytes,
               uint64_t read_ahead_bytes)
      : client_(&client),
        digest_(std::move(digest)),
        key_(std::move(key)),
        size_bytes_(size_bytes),
        read_ahead_bytes_(read_ahead_bytes) {}

  uint64_t size_bytes() const override { return size_bytes_; }

  absl::StatusOr<std::string> Read(uint64_t offset, uint64_t limit) const override {
    if (offset > size_bytes_) return ReadBeyondEnd(digest_, offset, size_bytes_);
    const uint64_t want = std::min(limit, size_bytes_ - offset);
    uint64_t fetch = want;
    {
      const MutexLock lock(mu_);
      if (offset >= ahead_begin_ && offset + want <= ahead_begin_ + ahead_.size()) {
        next_ = offset + want;
        return ahead_.substr(static_cast<size_t>(offset - ahead_begin_), static_cast<size_t>(want));
      }
      // Whoever goes on where the last one stopped will go on.
      if (offset > 0 && offset == next_) {
        fetch = std::max(want, std::min(read_ahead_bytes_, size_bytes_ - offset));
      }
    }
    std::string bytes;
    bytes.reserve(static_cast<size_t>(fetch));
    const absl::Status got = client_->Get(key_, offset, fetch, [&bytes](absl::string_view piece) {
      bytes.append(piece.data(), piece.size());
      return absl::OkStatus();
    });
    if (absl::IsNotFound(got)) return BlobNotFound(digest_);
    if (!got.ok()) return got;
    const MutexLock lock(mu_);
    next_ = offset + want;
    if (fetch == want) return bytes;
    std::string asked = bytes.substr(0, static_cast<size_t>(want));
    ahead_ = std::move(bytes);
    ahead_begin_ = offset;
    return asked;
  }

 private:
  S3Client* const client_;
  const Digest digest_;
  const std::string key_;
  const uint64_t size_bytes_;
  const uint64_t read_ahead_bytes_;
  mutable Mutex mu_;
  mutable uint64_t next_ ABSL_GUARDED_BY(mu_) = 0;
  mutable std::string ahead_ ABSL_GUARDED_BY(mu_);
  mutable uint64_t ahead_begin_ ABSL_GUARDED_BY(mu_) = 0;
};

uint64_t Prefix64(const Digest& digest) {
  uint64_t prefix = 0;
  const bool parsed = absl::SimpleHexAtoi(digest.hex().substr(0, 16), &prefix);
  return parsed ? prefix : 0;
}

absl::Status CheckConfig(const S3BlobStore::Config& config) {
  DISTILL_RETURN_IF_ERROR(S3Client::Check(config.client));
  if (!config.prefix.empty() && !absl::EndsWith(config.prefix, "/")) {
    return absl::InvalidArgumentError(absl::StrCat("cannot use S3: prefix: got \"", config.prefix,
                                                   "\", want nothing or a text that ends in /"));
  }
  if (config.part_bytes < kLeastPartBytes || config.parallel_parts < 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot use S3: parts: got ", config.part_bytes, " bytes, ", config.parallel_parts,
        " at a time, want at least ", kLeastPartBytes, " and 1"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<S3BlobStore>> S3BlobStore::Open(Config config, const Clock& clock,
                                                               Metrics& metrics) {
  DISTILL_RETURN_IF_ERROR(CheckConfig(config));
  std::unique_ptr<S3BlobStore> store(new S3BlobStore(std::move(config), clock, metrics));
  const absl::Status prepared = store->Prepare();
  if (!prepared.ok()) {
    return Annotate(
        prepared, absl::StrCat("cannot open the object store at ", store->config_.client.endpoint));
  }
  return store;
}

S3BlobStore::S3BlobStore(Config config, const Clock& clock, Metrics& metrics)
    : config_(std::move(config)),
      clock_(&clock),
      credentials_(config_.credentials_file, clock),
      client_(config_.client, credentials_, clock, metrics) {}

S3BlobStore::~S3BlobStore() { StopWaiting(); }

void S3BlobStore::StopWaiting() { client_.Cancel(); }

absl::Status S3BlobStore::Prepare() {
  UploadSpool::Config spool;
  spool.directory = config_.spool_directory;
  spool.max_bytes = config_.max_bytes;
  spool.low_water_free_bytes = config_.low_water_free_bytes;
  spool.max_uploads = config_.max_uploads;
  spool.sync_parts = false;  // What a power failure takes is sent again.
  DISTILL_ASSIGN_OR_RETURN(spool_, UploadSpool::Open(std::move(spool)));
  DISTILL_RETURN_IF_ERROR(Probe());
  DISTILL_ASSIGN_OR_RETURN(const std::vector<BlobInfo> blobs, List());
  for (const BlobInfo& blob : blobs) SetSize(blob.digest, blob.size_bytes);
  return EndOldMultiparts();
}

absl::Status S3BlobStore::Probe() {
  const std::string key = absl::StrCat(config_.prefix, "probe");
  const std::string good = "this object may be removed at any time\n";
  const std::string bad = "these bytes are not the announced ones\n";
  DISTILL_RETURN_IF_ERROR(client_.Put(key, BodyOf(good), good.size(), Digest::OfBytes(good).hex()));
  const absl::Status refused =
      client_.Put(key, BodyOf(bad), bad.size(), Digest::OfBytes(good).hex());
  direct_uploads_ = config_.direct_transfers && !refused.ok();
  if (refused.ok()) {
    LogWarning(
        "the object store does not check what it is sent; uploads go through this server, which "
        "does",
        {{"endpoint", config_.client.endpoint}});
  } else if (absl::IsUnavailable(refused)) {
    return refused;
  }
  return client_.Delete(key);
}

absl::Status S3BlobStore::EndOldMultiparts() {
  const absl::StatusOr<std::vector<S3Multipart>> multiparts =
      client_.ListMultiparts(absl::StrCat(config_.prefix, "blobs/"));
  if (!multiparts.ok()) {
    // Some stores lack the call; they have rules of their own for what is left over.
    LogWarning("cannot list unfinished multipart uploads", {{"cause", multiparts.status()}});
    return absl::OkStatus();
  }
  for (const S3Multipart& multipart : *multiparts) {
    if (clock_->WallNow() - multipart.begin_time < kOldMultipart) continue;
    DISTILL_RETURN_IF_ERROR(client_.AbortMultipart(multipart.key, multipart.id));
    LogInfo("ended a multipart upload that was left over", {{"key", multipart.key}});
  }
  return absl::OkStatus();
}

std::string S3BlobStore::BlobKey(const Digest& digest) const {
  const absl::string_view hex = digest.hex();
  return absl::StrCat(config_.prefix, "blobs/sha256/", hex.substr(0, 2), "/", hex.substr(2, 2), "/",
                      hex);
}

absl::StatusOr<S3ObjectInfo> S3BlobStore::Find(const Digest& digest) const {
  if (digest.empty()) return BlobNotFound(digest);
  absl::StatusOr<S3ObjectInfo> info = client_.Head(BlobKey(digest));
  if (absl::IsNotFound(info.status())) return BlobNotFound(digest);
  return info;
}

absl::StatusOr<std::unique_ptr<BlobUpload>> S3BlobStore::StartUpload(absl::string_view upload_id,
                                                                     const Digest& expected_digest,
                                                                     uint64_t expected_size) {
  DISTILL_RETURN_IF_ERROR(CheckUpload(upload_id, expected_digest));
  const absl::StatusOr<S3ObjectInfo> found = Find(expected_digest);
  if (!found.ok() && !absl::IsNotFound(found.status())) return found.status();
  // An object of another size is corrupt, and a good copy is welcome: it replaces the bad one.
  if (found.ok() && found->size_bytes == expected_size) {
    SetSize(expected_digest, expected_size);
    return spool_->StartPresent(upload_id, expected_size);
  }
  return spool_->Start(upload_id, expected_digest, expected_size,
                       [this](const std::string& part_path, const Digest& digest, uint64_t size) {
                         return Publish(part_path, digest, size);
                       });
}

absl::Status S3BlobStore::Publish(const std::string& part_path, const Digest& digest,
                                  uint64_t size) {
  BeginChange(digest);
  absl::Status status = Send(part_path, digest, size);
  if (status.ok()) SetSize(digest, size);
  EndChange(digest);
  // The object store got other bytes than were hashed here: the file or the way is damaged.
  if (absl::IsDataLoss(status)) status = absl::AbortedError(status.message());
  if (status.ok() || absl::IsAborted(status)) {
    const absl::Status removed = RemoveFile(part_path);
    if (!removed.ok()) LogWarning("part of a finished upload stays", {{"status", removed}});
  }
  return status;
}

absl::Status S3BlobStore::Send(const std::string& part_path, const Digest& digest, uint64_t size) {
  DISTILL_ASSIGN_OR_RETURN(const Descriptor file, OpenFile(part_path, O_RDONLY));
  const std::string key = BlobKey(digest);
  if (size > config_.multipart_bytes) return SendParts(file.get(), part_path, key, size);
  return client_.Put(key, FileBody(file.get(), part_path, 0), size, digest.hex());
}

absl::Status S3BlobStore::SendParts(int descriptor, const std::string& path, const std::string& key,
                                    uint64_t size) {
  const uint64_t part_bytes = std::max(config_.part_bytes, (size + kMostParts - 1) / kMostParts);
  const uint64_t count = (size + part_bytes - 1) / part_bytes;
  DISTILL_ASSIGN_OR_RETURN(const std::string id, client_.StartMultipart(key));
  std::vector<absl::StatusOr<std::string>> etags(static_cast<size_t>(count),
                                                 absl::CancelledError("another part failed"));
  std::atomic<uint64_t> next{0};
  std::atomic<bool> failed{false};
  const auto send_some = [&] {
    for (uint64_t i = next++; i < count && !failed; i = next++) {
      const uint64_t begin = i * part_bytes;
      const uint64_t bytes = std::min(part_bytes, size - begin);
      const absl::StatusOr<Digest> hash = DigestOfRange(descriptor, path, begin, bytes);
      etags[static_cast<size_t>(i)] =
          hash.ok() ? client_.PutPart(key, id, static_cast<int>(i) + 1,
                                      FileBody(descriptor, path, begin), bytes, hash->hex())
                    : hash.status();
      if (!etags[static_cast<size_t>(i)].ok()) failed = true;
    }
  };
  std::vector<std::thread> threads;
  const uint64_t others = std::min<uint64_t>(static_cast<uint64_t>(config_.parallel_parts), count);
  for (uint64_t i = 1; i < others; ++i) threads.emplace_back(send_some);
  send_some();
  for (std::thread& thread : threads) thread.join();
  absl::Status status;
  std::vector<std::string> good;
  for (absl::StatusOr<std::string>& etag : etags) {
    if (etag.ok()) {
      good.push_back(*std::move(etag));
    } else if (status.ok() || absl::IsCancelled(status)) {
      status = etag.status();
    }
  }
  if (status.ok()) status = client_.CompleteMultipart(key, id, good, size);
  if (status.ok()) return status;
  const absl::Status aborted = client_.AbortMultipart(key, id);
  if (!aborted.ok()) LogWarning("multipart upload is left over", {{"cause", aborted}});
  return status;
}

absl::StatusOr<uint64_t> S3BlobStore::UploadedBytes(absl::string_view upload_id) const {
  return spool_->UploadedBytes(upload_id);
}

absl::StatusOr<std::vector<UploadInfo>> S3BlobStore::ListUploads() const { return spool_->List(); }

absl::Status S3BlobStore::DiscardUpload(absl::string_view upload_id) {
  return spool_->Discard(upload_id);
}

absl::StatusOr<std::unique_ptr<BlobReader>> S3BlobStore::OpenReader(const Digest& digest) const {
  DISTILL_ASSIGN_OR_RETURN(const S3ObjectInfo info, Find(digest));
  return std::make_unique<S3BlobReader>(client_, digest, BlobKey(digest), info.size_bytes,
                                        config_.read_ahead_bytes);
}

absl::StatusOr<uint64_t> S3BlobStore::Stat(const Digest& digest) const {
  DISTILL_ASSIGN_OR_RETURN(const S3ObjectInfo info, Find(digest));
  return info.size_bytes;
}

absl::StatusOr<std::vector<BlobInfo>> S3BlobStore::List() const {
  std::vector<BlobInfo> blobs;
  std::string token;
  do {
    DISTILL_ASSIGN_OR_RETURN(S3Page page,
                             client_.List(absl::StrCat(config_.prefix, "blobs/sha256/"), token));
    for (const S3Object& object : page.objects) {
      const absl::StatusOr<Digest> digest =
          Digest::Parse(absl::StrCat("sha256:", object.key.substr(object.key.rfind('/') + 1)));
      if (!digest.ok() || BlobKey(*digest) != object.key) {
        LogWarning("object in blobs/ is not a blob, left alone", {{"key", object.key}});
        continue;
      }
      blobs.push_back({*digest, object.size_bytes});
    }
    token = std::move(page.next_token);
  } while (!token.empty());
  return blobs;
}

absl::Status S3BlobStore::Delete(const Digest& digest) {
  if (digest.empty()) return absl::OkStatus();
  BeginChange(digest);
  const absl::Status deleted = client_.Delete(BlobKey(digest));
  if (deleted.ok()) SetSize(digest, std::nullopt);
  EndChange(digest);
  return deleted;
}

absl::Status S3BlobStore::Verify(const Digest& digest) const {
  DISTILL_ASSIGN_OR_RETURN(const S3ObjectInfo info, Find(digest));
  DigestBuilder builder;
  const absl::Status got =
      client_.Get(BlobKey(digest), 0, info.size_bytes, [&builder](absl::string_view bytes) {
        builder.Append(bytes);
        return absl::OkStatus();
      });
  if (absl::IsNotFound(got)) return BlobNotFound(digest);
  DISTILL_RETURN_IF_ERROR(got);
  const Digest actual = builder.Finish();
  return actual == digest ? absl::OkStatus() : BlobCorrupt(digest, actual);
}

absl::Status S3BlobStore::Quarantine(const Digest& digest) {
  BeginChange(digest);
  const absl::Status moved = MoveToQuarantine(digest);
  if (moved.ok()) SetSize(digest, std::nullopt);
  EndChange(digest);
  return moved;
}

absl::Status S3BlobStore::MoveToQuarantine(const Digest& digest) {
  DISTILL_ASSIGN_OR_RETURN(const S3ObjectInfo info, Find(digest));
  DISTILL_RETURN_IF_ERROR(
      client_.Copy(BlobKey(digest), absl::StrCat(config_.prefix, "quarantine/", digest.hex())));
  DISTILL_RETURN_IF_ERROR(client_.Delete(BlobKey(digest)));
  LogWarning("blob quarantined", {{"digest", digest.str()}, {"size_bytes", info.size_bytes}});
  return absl::OkStatus();
}

absl::StatusOr<std::optional<BlobLocation>> S3BlobStore::LocateDownload(
    const Digest& digest) const {
  if (!config_.direct_transfers || digest.empty()) return std::nullopt;
  DISTILL_ASSIGN_OR_RETURN(BlobLocation location,
                           client_.PresignGet(BlobKey(digest), config_.download_lifetime));
  return location;
}

absl::StatusOr<std::optional<BlobLocation>> S3BlobStore::LocateUpload(const Digest& digest,
                                                                      uint64_t size_bytes) {
  if (!direct_uploads_ || digest.empty() || size_bytes > kMostPutBytes) return std::nullopt;
  DISTILL_RETURN_IF_ERROR(spool_->CheckRoomFor(size_bytes));
  DISTILL_ASSIGN_OR_RETURN(BlobLocation location, client_.SignPut(BlobKey(digest), digest.hex()));
  return location;
}

absl::Status S3BlobStore::FinishDirectUpload(const Digest& digest, uint64_t size_bytes) {
  BeginChange(digest);
  const absl::Status checked = CheckDirectUpload(digest, size_bytes);
  if (checked.ok()) SetSize(digest, size_bytes);
  EndChange(digest);
  return checked;
}

absl::Status S3BlobStore::CheckDirectUpload(const Digest& digest, uint64_t size_bytes) {
  DISTILL_ASSIGN_OR_RETURN(const S3ObjectInfo info, Find(digest));
  absl::Status wrong;
  if (info.size_bytes != size_bytes) {
    wrong = absl::InvalidArgumentError(
        absl::StrCat("cannot finish upload: it has another size; digest=", digest.str(),
                     " got=", info.size_bytes, " want=", size_bytes));
  } else if (config_.read_back) {
    const absl::Status verified = Verify(digest);
    if (!verified.ok() && !absl::IsDataLoss(verified)) return verified;
    if (!verified.ok()) wrong = absl::InvalidArgumentError(verified.message());
  }
  if (wrong.ok()) return absl::OkStatus();
  DISTILL_RETURN_IF_ERROR(client_.Delete(BlobKey(digest)));
  SetSize(digest, std::nullopt);
  return wrong;
}

void S3BlobStore::BeginChange(const Digest& digest) {
  const MutexLock lock(mu_);
  while (changing_.count(digest) > 0) changed_.Wait(mu_);
  changing_.insert(digest);
}

void S3BlobStore::EndChange(const Digest& digest) {
  const MutexLock lock(mu_);
  changing_.erase(digest);
  changed_.NotifyAll();
}

void S3BlobStore::SetSize(const Digest& digest, std::optional<uint64_t> size) {
  uint64_t before = 0;
  {
    const MutexLock lock(mu_);
    const auto found = sizes_.find(Prefix64(digest));
    if (found != sizes_.end()) before = found->second;
    if (size.has_value()) {
      sizes_[Prefix64(digest)] = *size;
    } else if (found != sizes_.end()) {
      sizes_.erase(found);
    }
  }
  spool_->CountStored(size.value_or(0), before);
}

uint64_t S3BlobStore::used_bytes() const { return spool_->used_bytes(); }

}  // namespace distill::storage
