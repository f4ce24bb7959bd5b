#include "server/app/blob_settings.h"

#include <CLI/CLI.hpp>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status_context.h"
#include "base/status_macros.h"

namespace distill::server {
namespace {

absl::Status InRange(absl::string_view flag, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot start server: ", flag, ": got ", value, ", want ", low, " to ", high));
}

}  // namespace

void AddBlobOptions(CLI::App& app, BlobSettings& settings) {
  storage::AddBlobPlaceOptions(app, settings.place);
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
  app.add_option("--max-disk-bytes", settings.max_disk_bytes, "Cap of all blobs; 0: none")
      ->capture_default_str();
  app.add_option("--min-free-disk-bytes", settings.min_free_disk_bytes,
                 "New uploads must leave that much free on the disk")
      ->capture_default_str();
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
  return Annotate(storage::CheckBlobPlace(settings.place), "cannot start server");
}

std::string PrintBlobSettings(const BlobSettings& settings) {
  return absl::StrCat(
      storage::PrintBlobPlace(settings.place), "max-disk-bytes = ", settings.max_disk_bytes,
      "\nmin-free-disk-bytes = ", settings.min_free_disk_bytes,
      "\ns3-transfers = ", settings.s3_transfers, "\ns3-verify = ", settings.s3_verify,
      "\nblob-grace-hours = ", settings.blob_grace_hours,
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
  storage::BlobUse use;
  use.max_bytes = static_cast<uint64_t>(settings.max_disk_bytes);
  use.low_water_free_bytes = static_cast<uint64_t>(settings.min_free_disk_bytes);
  use.direct_transfers = settings.s3_transfers == "direct";
  use.read_back = settings.s3_verify == "read-back";
  return storage::OpenBlobPlace(settings.place, directory, use, clock, metrics);
}

}  // namespace distill::server
