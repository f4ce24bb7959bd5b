// The reasons of errors that programs may act on: part of the API, so none changes its meaning.
// docs/errors.md says what to do about each; a lint compares the two.
#pragma once

namespace distill::reason {

// When nothing more exact is known, one for each code.
inline constexpr char kInvalidRequest[] = "INVALID_REQUEST";
inline constexpr char kResourceNotFound[] = "RESOURCE_NOT_FOUND";
inline constexpr char kResourceExists[] = "RESOURCE_EXISTS";
inline constexpr char kWrongState[] = "WRONG_STATE";
inline constexpr char kConflict[] = "CONFLICT";
inline constexpr char kLimitReached[] = "LIMIT_REACHED";
inline constexpr char kServerUnavailable[] = "SERVER_UNAVAILABLE";
inline constexpr char kDeadlinePassed[] = "DEADLINE_PASSED";
inline constexpr char kOffsetOutOfRange[] = "OFFSET_OUT_OF_RANGE";
inline constexpr char kDataCorrupt[] = "DATA_CORRUPT";
inline constexpr char kCredentialsInvalid[] = "CREDENTIALS_INVALID";
inline constexpr char kPermissionDenied[] = "PERMISSION_DENIED";
inline constexpr char kNotImplemented[] = "NOT_IMPLEMENTED";
inline constexpr char kCallCancelled[] = "CALL_CANCELLED";
inline constexpr char kServerFault[] = "SERVER_FAULT";

// Attempts.
inline constexpr char kLeaseLost[] = "LEASE_LOST";
inline constexpr char kBlobMissing[] = "BLOB_MISSING";
inline constexpr char kResultDiffers[] = "RESULT_DIFFERS";
inline constexpr char kWorkerUnknown[] = "WORKER_UNKNOWN";

// Requests.
inline constexpr char kRequestIdReused[] = "REQUEST_ID_REUSED";
inline constexpr char kEtagMismatch[] = "ETAG_MISMATCH";
inline constexpr char kPageTokenInvalid[] = "PAGE_TOKEN_INVALID";

// Bounds.
inline constexpr char kQuotaUsedUp[] = "QUOTA_USED_UP";
inline constexpr char kDiskNearlyFull[] = "DISK_NEARLY_FULL";
inline constexpr char kTooManyStreams[] = "TOO_MANY_STREAMS";
inline constexpr char kQueueFull[] = "QUEUE_FULL";

// States.
inline constexpr char kJobNotFinished[] = "JOB_NOT_FINISHED";
inline constexpr char kResultPinned[] = "RESULT_PINNED";
inline constexpr char kDatasetInUse[] = "DATASET_IN_USE";
inline constexpr char kDatasetNotReady[] = "DATASET_NOT_READY";
inline constexpr char kServerStopping[] = "SERVER_STOPPING";

}  // namespace distill::reason
