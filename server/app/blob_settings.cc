#include "server/app/blob_settings.h"

#include <CLI/CLI.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "storage/blob/filesystem_blob_store.h"
#ifdef DISTILL_WITH_S3
#include "storage/blob/s3_blob_store.h"
#endif

namespace distill::server {
namespace {

absl::Status InRange(absl::string_view flag, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot start server: ", flag, ": got ", value, ", want ", low, " to ", high));
}

void AddS3Options(CLI::App& app, BlobSettings& settings) {
  app.add_option("--s3-endpoint", settings.s3_endpoint,
                 "Object store, such as https://s3.eu-central-1.amazonaws.com");
  app.add_option("--s3-bucket", settings.s3_bucket, "Bucket, which must exist");
  app.add_option("--s3-prefix", settings.s3_prefix,
                 "Put before all keys; empty or ending in /, one for each server");
  app.add_option("--s3-region", settings.s3_region, "Region that requests are signed for")
      ->capture_default_str();
  app.add_option("--s3-addressing", settings.s3_addressing,
                 "path: ENDPOINT/BUCKET/KEY; virtual-hosted: BUCKET.ENDPOINT/KEY")
      ->check(CLI::IsMember({"path", "virtual-hosted"}))
      ->capture_default_str();
  app.add_option("--s3-credentials-file", settings.s3_credentials_file,
                 "File in the format of AWS's tools, mode 0600; without it AWS_ACCESS_KEY_ID and "
                 "AWS_SECRET_ACCESS_KEY of the environment");
  app.add_option("--s3-ca-file", settings.s3_ca_file,
                 "Certificates to trust instead of the system's");
  app.add_option("--s3-transfers", settings.s3_transfers,
                 "direct: workers use the object store by expiring signed requests; server: all "
                 "bytes go through this server")
      ->check(CLI::IsMember({"direct", "server"}))
      ->capture_default_str();
  app.add_option("--s3-verify", settings.s3_verify,
                 "How direct uploads are checked; checksum: by the object store, which is told the "
                 "digest; read-back: also by reading them")
      ->check(CLI::IsMember({"checksum", "read-back"}))
      ->capture_default_str();
}

#ifdef DISTILL_WITH_S3
absl::StatusOr<std::unique_ptr<storage::BlobStore>> OpenS3(const BlobSettings& settings,
                                                           const std::string& directory,
                                                           const Clock& clock, Metrics& metrics) {
  storage::S3BlobStore::Config config;
  config.client.endpoint = settings.s3_endpoint;
  config.client.region = settings.s3_region;
  config.client.bucket = settings.s3_bucket;
  config.client.addressing = settings.s3_addressing == "path"
                                 ? storage::S3Addressing::kPath
                                 : storage::S3Addressing::kVirtualHosted;
  config.client.ca_file = settings.s3_ca_file;
  config.credentials_file = settings.s3_credentials_file;
  config.prefix = settings.s3_prefix;
  config.spool_directory = JoinPath(directory, "spool");
  config.max_bytes = static_cast<uint64_t>(settings.max_disk_bytes);
  config.low_water_free_bytes = static_cast<uint64_t>(settings.min_free_disk_bytes);
  config.direct_transfers = settings.s3_transfers == "direct";
  config.read_back = settings.s3_verify == "read-back";
  return storage::S3BlobStore::Open(std::move(config), clock, metrics);
}
#else
absl::StatusOr<std::unique_ptr<storage::BlobStore>> OpenS3(const BlobSettings&, const std::string&,
                                                           const Clock&, Metrics&) {
  return absl::InvalidArgumentError(
      "cannot start server: --blobs: this build has no S3; build with -DDISTILL_WITH_S3=ON");
}
#endif

}  // namespace

void AddBlobOptions(CLI::App& app, BlobSettings& settings) {
  app.add_option("--blobs", settings.store,
                 "Where blobs are kept; file: below --data-dir; s3: in a bucket, see --s3-*")
      ->check(CLI::IsMember({"file", "s3"}))
      ->capture_default_str();
  app.add_option("--max-disk-bytes", settings.max_disk_bytes, "Cap of all blobs; 0: none")
      ->capture_default_str();
  app.add_option("--min-free-disk-bytes", settings.min_free_disk_bytes,
                 "New uploads must leave that much free on the disk")
      ->capture_default_str();
  AddS3Options(app, settings);
  app.add_option("--blob-grace-hours", settings.blob_grace_hours,
                 "Blobs that nothing refers to are kept for this long")
      ->capture_default_str();
  app.add_option("--checkpoint-grace-hours", settings.checkpoint_grace_hours,
                 "Same for checkpoints, if shorter")
      ->capture_default_str();
  app.add_option("--log-retention-hours", settings.log_retention_hours,
                 "Logs of finished jobs are kept for this long, or as long as the job if that is "
                 "shorter")
      ->capture_default_str();
  app.add_option("--upload-retention-hours", settings.upload_retention_hours,
                 "Unfinished uploads that get nothing more are kept for this long")
      ->capture_default_str();
  app.add_option("--scrub-bytes-per-second", settings.scrub_bytes_per_second,
                 "Stored blobs are read again at this rate and compared with their digests; 0: not")
      ->capture_default_str();
  app.add_option("--scrub-interval-hours", settings.scrub_interval_hours,
                 "A round of scrubbing begins this long after the last one began")
      ->capture_default_str();
}

absl::Status CheckBlobSettings(const BlobSettings& settings) {
  DISTILL_RETURN_IF_ERROR(
      InRange("--max-disk-bytes", static_cast<double>(settings.max_disk_bytes), 0, 1e18));
  DISTILL_RETURN_IF_ERROR(
      InRange("--min-free-disk-bytes", static_cast<double>(settings.min_free_disk_bytes), 0, 1e18));
  DISTILL_RETURN_IF_ERROR(InRange("--blob-grace-hours", settings.blob_grace_hours, 0, 1e6));
  DISTILL_RETURN_IF_ERROR(
      InRange("--checkpoint-grace-hours", settings.checkpoint_grace_hours, 0, 1e6));
  DISTILL_RETURN_IF_ERROR(InRange("--log-retention-hours", settings.log_retention_hours, 0, 1e6));
  DISTILL_RETURN_IF_ERROR(
      InRange("--upload-retention-hours", settings.upload_retention_hours, 0, 1e6));
  DISTILL_RETURN_IF_ERROR(InRange("--scrub-bytes-per-second",
                                  static_cast<double>(settings.scrub_bytes_per_second), 0, 1e12));
  DISTILL_RETURN_IF_ERROR(
      InRange("--scrub-interval-hours", settings.scrub_interval_hours, 0.0001, 1e6));
  if (settings.store != "s3") return absl::OkStatus();
  if (settings.s3_endpoint.empty() || settings.s3_bucket.empty()) {
    return absl::InvalidArgumentError(
        "cannot start server: --blobs: got s3, want --s3-endpoint and --s3-bucket too");
  }
  return absl::OkStatus();
}

std::string PrintBlobSettings(const BlobSettings& settings) {
  return absl::StrCat(
      "blobs = ", settings.store, "\nmax-disk-bytes = ", settings.max_disk_bytes,
      "\nmin-free-disk-bytes = ", settings.min_free_disk_bytes,
      "\ns3-endpoint = ", settings.s3_endpoint, "\ns3-bucket = ", settings.s3_bucket,
      "\ns3-prefix = ", settings.s3_prefix, "\ns3-region = ", settings.s3_region,
      "\ns3-addressing = ", settings.s3_addressing,
      "\ns3-credentials-file = ", settings.s3_credentials_file,
      "\ns3-ca-file = ", settings.s3_ca_file, "\ns3-transfers = ", settings.s3_transfers,
      "\ns3-verify = ", settings.s3_verify, "\nblob-grace-hours = ", settings.blob_grace_hours,
      "\ncheckpoint-grace-hours = ", settings.checkpoint_grace_hours,
      "\nlog-retention-hours = ", settings.log_retention_hours,
      "\nupload-retention-hours = ", settings.upload_retention_hours,
      "\nscrub-bytes-per-second = ", settings.scrub_bytes_per_second,
      "\nscrub-interval-hours = ", settings.scrub_interval_hours, "\n");
}

absl::StatusOr<std::unique_ptr<storage::BlobStore>> OpenBlobStore(const BlobSettings& settings,
                                                                  const std::string& directory,
                                                                  const Clock& clock,
                                                                  Metrics& metrics) {
  if (settings.store == "s3") return OpenS3(settings, directory, clock, metrics);
  storage::FilesystemBlobStore::Config config;
  config.root = directory;
  config.max_bytes = static_cast<uint64_t>(settings.max_disk_bytes);
  config.low_water_free_bytes = static_cast<uint64_t>(settings.min_free_disk_bytes);
  return storage::FilesystemBlobStore::Open(std::move(config));
}

}  // namespace distill::server
