#include "storage/settings/blob_place.h"

#include <CLI/CLI.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "storage/blob/filesystem_blob_store.h"
#ifdef DISTILL_WITH_S3
#include "storage/blob/s3_blob_store.h"
#endif

namespace distill::storage {
namespace {

#ifdef DISTILL_WITH_S3
absl::StatusOr<std::unique_ptr<BlobStore>> OpenS3(const BlobPlace& place,
                                                  const std::string& directory, const BlobUse& use,
                                                  const Clock& clock, Metrics& metrics) {
  S3BlobStore::Config config;
  config.client.endpoint = place.s3_endpoint;
  config.client.region = place.s3_region;
  config.client.bucket = place.s3_bucket;
  config.client.addressing =
      place.s3_addressing == "path" ? S3Addressing::kPath : S3Addressing::kVirtualHosted;
  config.client.ca_file = place.s3_ca_file;
  config.credentials_file = place.s3_credentials_file;
  config.prefix = place.s3_prefix;
  config.spool_directory = JoinPath(directory, "spool");
  config.max_bytes = use.max_bytes;
  config.low_water_free_bytes = use.low_water_free_bytes;
  config.direct_transfers = use.direct_transfers;
  config.read_back = use.read_back;
  return S3BlobStore::Open(std::move(config), clock, metrics);
}
#else
absl::StatusOr<std::unique_ptr<BlobStore>> OpenS3(const BlobPlace&, const std::string&,
                                                  const BlobUse&, const Clock&, Metrics&) {
  return absl::InvalidArgumentError(
      "cannot open the object store: --blobs: this build has no S3; build with "
      "-DDISTILL_WITH_S3=ON");
}
#endif

}  // namespace

void AddBlobPlaceOptions(CLI::App& app, BlobPlace& place) {
  app.add_option("--blobs", place.store,
                 "Where blobs are kept; file: below --data-dir; s3: in a bucket, see --s3-*")
      ->check(CLI::IsMember({"file", "s3"}))
      ->capture_default_str();
  app.add_option("--s3-endpoint", place.s3_endpoint,
                 "Object store, such as https://s3.eu-central-1.amazonaws.com");
  app.add_option("--s3-bucket", place.s3_bucket, "Bucket, which must exist");
  app.add_option("--s3-prefix", place.s3_prefix,
                 "Put before all keys; empty or ending in /, one for each server");
  app.add_option("--s3-region", place.s3_region, "Region that requests are signed for")
      ->capture_default_str();
  app.add_option("--s3-addressing", place.s3_addressing,
                 "path: ENDPOINT/BUCKET/KEY; virtual-hosted: BUCKET.ENDPOINT/KEY")
      ->check(CLI::IsMember({"path", "virtual-hosted"}))
      ->capture_default_str();
  app.add_option("--s3-credentials-file", place.s3_credentials_file,
                 "File in the format of AWS's tools, mode 0600; without it AWS_ACCESS_KEY_ID and "
                 "AWS_SECRET_ACCESS_KEY of the environment");
  app.add_option("--s3-ca-file", place.s3_ca_file, "Certificates to trust instead of the system's");
}

absl::Status CheckBlobPlace(const BlobPlace& place) {
  if (place.store != "s3" || (!place.s3_endpoint.empty() && !place.s3_bucket.empty())) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError("--blobs: got s3, want --s3-endpoint and --s3-bucket too");
}

std::string PrintBlobPlace(const BlobPlace& place) {
  return absl::StrCat("blobs = ", place.store, "\ns3-endpoint = ", place.s3_endpoint,
                      "\ns3-bucket = ", place.s3_bucket, "\ns3-prefix = ", place.s3_prefix,
                      "\ns3-region = ", place.s3_region, "\ns3-addressing = ", place.s3_addressing,
                      "\ns3-credentials-file = ", place.s3_credentials_file,
                      "\ns3-ca-file = ", place.s3_ca_file, "\n");
}

absl::StatusOr<std::unique_ptr<BlobStore>> OpenBlobPlace(const BlobPlace& place,
                                                         const std::string& directory,
                                                         const BlobUse& use, const Clock& clock,
                                                         Metrics& metrics) {
  if (place.store == "s3") return OpenS3(place, directory, use, clock, metrics);
  FilesystemBlobStore::Config config;
  config.root = directory;
  config.max_bytes = use.max_bytes;
  config.low_water_free_bytes = use.low_water_free_bytes;
  return FilesystemBlobStore::Open(std::move(config));
}

}  // namespace distill::storage
