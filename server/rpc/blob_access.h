// Which blobs a caller may read and write: people those of their projects, workers those that the
// tasks need whose leases they hold.
//
// A digest is no secret, and blobs are shared by whoever made the same bytes; so a project owns a
// blob only once somebody of it has sent all its bytes, or one of its tasks made it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/digest.h"
#include "distill/v1/artifact_service.pb.h"
#include "server/auth/gate.h"
#include "server/engine/driver.h"
#include "server/rpc/convert.h"
#include "storage/state/state_store.h"

namespace distill::server {

// The name under which the store knows an upload: nobody can go on with another's.
std::string UploadIdOf(const Caller& caller, const std::string& upload_id);

// For whom a blob is sent, as the sender says.
struct UploadPurpose {
  std::string project;            // Of people; empty: the default.
  std::optional<LeaseRef> lease;  // Of workers.
};

// Of any request that has these fields.
template <typename Request>
UploadPurpose PurposeOf(const Request& request) {
  UploadPurpose purpose;
  purpose.project = request.project();
  if (request.has_lease()) purpose.lease = FromProto(request.lease());
  return purpose;
}

// Thread-safe. Every call that is not static blocks, for the driver and the database: on I/O
// threads only.
class BlobAccess {
 public:
  // Both are borrowed.
  BlobAccess(Driver& driver, const storage::StateStore& store) : driver_(&driver), store_(&store) {}

  // kNotFound, as for a blob that does not exist, unless the caller may read it.
  absl::Status CheckReadable(const Caller& caller, const Digest& digest) const;

  // Of `digests`, those that the caller may not read, and so must send.
  absl::StatusOr<std::vector<Digest>> Hidden(const Caller& caller,
                                             const std::vector<Digest>& digests) const;

  // Whose an upload will be; none when nobody says. kPermissionDenied for people without the right
  // to edit there; kFailedPrecondition for a worker without the lease.
  absl::StatusOr<std::vector<ProjectId>> OwnersOfUpload(const Admission& admission,
                                                        const UploadPurpose& purpose) const;

  // Whether the caller may send bytes past the server, which then cannot tell who sent them. Others
  // would come to own a blob that somebody else sent a moment before.
  static bool MaySendDirectly(const Caller& caller) {
    return !caller.worker.empty() || caller.Everywhere(Role::kEditor);
  }

 private:
  absl::StatusOr<bool> MayRead(const Caller& caller, const Digest& digest) const;
  absl::StatusOr<bool> WorkerNeeds(const WorkerId& worker, const Digest& digest) const;
  // kUnavailable when the driver stops or does not answer.
  absl::StatusOr<std::vector<LeasedTask>> TasksOf(const WorkerId& worker) const;

  Driver* const driver_;
  const storage::StateStore* const store_;
};

}  // namespace distill::server
