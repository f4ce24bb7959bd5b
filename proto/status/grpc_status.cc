#include "proto/status/grpc_status.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error_details.h"
#include "base/error_reasons.h"
#include "google/rpc/error_details.pb.h"

namespace distill {
namespace {

constexpr char kDomain[] = "distillery";
// Together below 8 KiB: gRPC sends the second in base64.
constexpr size_t kLongestMessage = 2048;
constexpr size_t kMostDetailBytes = 4096;
constexpr size_t kLongestDescription = 512;
constexpr size_t kLongestKey = 64;
// For what matters more than metadata: the other details.
constexpr size_t kReservedBytes = 512;
constexpr absl::Duration kDefaultRetryDelay = absl::Seconds(1);

// Returns the start of `text`, not ending within a character.
std::string Cut(absl::string_view text, size_t most) {
  if (text.size() <= most) return std::string(text);
  size_t end = most;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end));
}

absl::string_view GeneralReason(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kInvalidArgument:
      return reason::kInvalidRequest;
    case absl::StatusCode::kNotFound:
      return reason::kResourceNotFound;
    case absl::StatusCode::kAlreadyExists:
      return reason::kResourceExists;
    case absl::StatusCode::kFailedPrecondition:
      return reason::kWrongState;
    case absl::StatusCode::kAborted:
      return reason::kConflict;
    case absl::StatusCode::kResourceExhausted:
      return reason::kLimitReached;
    case absl::StatusCode::kUnavailable:
      return reason::kServerUnavailable;
    case absl::StatusCode::kDeadlineExceeded:
      return reason::kDeadlinePassed;
    case absl::StatusCode::kOutOfRange:
      return reason::kOffsetOutOfRange;
    case absl::StatusCode::kDataLoss:
      return reason::kDataCorrupt;
    case absl::StatusCode::kUnauthenticated:
      return reason::kCredentialsInvalid;
    case absl::StatusCode::kPermissionDenied:
      return reason::kPermissionDenied;
    case absl::StatusCode::kUnimplemented:
      return reason::kNotImplemented;
    case absl::StatusCode::kCancelled:
      return reason::kCallCancelled;
    default:
      return reason::kServerFault;
  }
}

ErrorDetails CompleteDetails(const absl::Status& status) {
  ErrorDetails details = DetailsOf(status);
  if (details.reason.empty()) details.reason = std::string(GeneralReason(status.code()));
  for (auto& [key, value] : MetadataOfMessage(status.message())) {
    details.metadata.emplace(key, value);
  }
  if (absl::IsUnavailable(status) && !details.retry_delay.has_value()) {
    details.retry_delay = kDefaultRetryDelay;
  }
  return details;
}

google::rpc::RetryInfo RetryInfoOf(absl::Duration delay) {
  google::rpc::RetryInfo info;
  const int64_t nanos = absl::ToInt64Nanoseconds(std::max(delay, absl::ZeroDuration()));
  info.mutable_retry_delay()->set_seconds(nanos / 1'000'000'000);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(nanos % 1'000'000'000));
  return info;
}

// Appends what is left of the room, most important first.
class DetailPacker {
 public:
  explicit DetailPacker(google::rpc::Status& status) : status_(&status) {}

  template <typename Message>
  void Add(const Message& message) {
    status_->add_details()->PackFrom(message);
    if (status_->ByteSizeLong() > kMostDetailBytes) status_->mutable_details()->RemoveLast();
  }

  // Adds a message with as many of `violations` as there is room for.
  template <typename Message, typename Append>
  void AddList(const std::vector<ErrorViolation>& violations, Append append) {
    Message message;
    for (const ErrorViolation& violation : violations) {
      Message longer = message;
      append(violation, longer);
      // Beside its own bytes an Any holds its type's name.
      if (status_->ByteSizeLong() + longer.ByteSizeLong() + 64 > kMostDetailBytes) break;
      message = std::move(longer);
    }
    if (message.ByteSizeLong() > 0) Add(message);
  }

 private:
  google::rpc::Status* const status_;
};

void ReadDetails(const google::rpc::Status& proto, ErrorDetails& details) {
  for (const google::protobuf::Any& any : proto.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::RetryInfo retry;
    google::rpc::BadRequest bad_request;
    google::rpc::QuotaFailure quota;
    google::rpc::PreconditionFailure precondition;
    google::rpc::ResourceInfo resource;
    if (any.UnpackTo(&info)) {
      details.reason = info.reason();
      details.metadata.insert(info.metadata().begin(), info.metadata().end());
    } else if (any.UnpackTo(&retry)) {
      details.retry_delay = absl::Seconds(retry.retry_delay().seconds()) +
                            absl::Nanoseconds(retry.retry_delay().nanos());
    } else if (any.UnpackTo(&bad_request)) {
      for (const auto& field : bad_request.field_violations()) {
        details.fields.push_back({"", field.field(), field.description()});
      }
    } else if (any.UnpackTo(&quota)) {
      for (const auto& violation : quota.violations()) {
        details.quotas.push_back({"", violation.subject(), violation.description()});
      }
    } else if (any.UnpackTo(&precondition)) {
      for (const auto& violation : precondition.violations()) {
        details.preconditions.push_back(
            {violation.type(), violation.subject(), violation.description()});
      }
    } else if (any.UnpackTo(&resource)) {
      details.resource_type = resource.resource_type();
      details.resource_name = resource.resource_name();
    }
  }
}

}  // namespace

std::string WireReason(const absl::Status& status) {
  const std::string given = ReasonOf(status);
  return given.empty() ? std::string(GeneralReason(status.code())) : given;
}

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status proto;
  if (status.ok()) return proto;
  const ErrorDetails details = CompleteDetails(status);
  proto.set_code(static_cast<int>(status.code()));
  proto.set_message(Cut(status.message(), kLongestMessage));
  google::rpc::ErrorInfo info;
  info.set_reason(details.reason);
  info.set_domain(kDomain);
  DetailPacker packer(proto);
  for (const auto& [key, value] : details.metadata) {
    (*info.mutable_metadata())[Cut(key, kLongestKey)] = Cut(value, kLongestDescription);
    if (proto.ByteSizeLong() + info.ByteSizeLong() > kMostDetailBytes - kReservedBytes) {
      info.mutable_metadata()->erase(Cut(key, kLongestKey));
      break;
    }
  }
  packer.Add(info);
  if (details.retry_delay.has_value()) packer.Add(RetryInfoOf(*details.retry_delay));
  if (!details.resource_name.empty()) {
    google::rpc::ResourceInfo resource;
    resource.set_resource_type(details.resource_type);
    resource.set_resource_name(Cut(details.resource_name, kLongestDescription));
    packer.Add(resource);
  }
  packer.AddList<google::rpc::BadRequest>(
      details.fields, [](const ErrorViolation& from, google::rpc::BadRequest& message) {
        auto& to = *message.add_field_violations();
        to.set_field(Cut(from.subject, kLongestDescription));
        to.set_description(Cut(from.description, kLongestDescription));
      });
  packer.AddList<google::rpc::QuotaFailure>(
      details.quotas, [](const ErrorViolation& from, google::rpc::QuotaFailure& message) {
        auto& to = *message.add_violations();
        to.set_subject(Cut(from.subject, kLongestDescription));
        to.set_description(Cut(from.description, kLongestDescription));
      });
  packer.AddList<google::rpc::PreconditionFailure>(
      details.preconditions,
      [](const ErrorViolation& from, google::rpc::PreconditionFailure& message) {
        auto& to = *message.add_violations();
        to.set_type(from.type);
        to.set_subject(Cut(from.subject, kLongestDescription));
        to.set_description(Cut(from.description, kLongestDescription));
      });
  return proto;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status proto = ToRpcStatus(status);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), proto.message(),
                      proto.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status proto;
  if (status.error_details().empty() || !proto.ParseFromString(status.error_details())) {
    return result;
  }
  ErrorDetails details;
  ReadDetails(proto, details);
  return details.empty() ? result : WithDetails(std::move(result), details);
}

}  // namespace distill
