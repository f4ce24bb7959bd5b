// Calls of the API as a browser's caller: with its credentials, and with a deadline.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proto/status/grpc_status.h"

namespace distill::server {

// Header and metadata key alike.
inline constexpr char kAuthorization[] = "authorization";
inline constexpr std::chrono::seconds kCallDeadline(10);

// gRPC ends the process over metadata that cannot be sent, so this comes before any call.
// kUnauthenticated: too long, or not printable ASCII.
absl::Status CheckAuthorization(absl::string_view authorization);

// `authorization` has passed CheckAuthorization().
inline void SetCaller(const std::string& authorization, grpc::ClientContext& context) {
  if (!authorization.empty()) context.AddMetadata(kAuthorization, authorization);
}

// Makes one unary call and waits for its answer.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> CallApi(Stub& stub,
                                 grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                              Response*),
                                 const std::string& authorization, const Request& request) {
  grpc::ClientContext context;
  SetCaller(authorization, context);
  context.set_deadline(std::chrono::system_clock::now() + kCallDeadline);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return FromGrpcStatus(status);
  return response;
}

// Reads all bytes that a call streams as `data`. kResourceExhausted: more than `most_bytes`.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<std::string> ReadApi(Stub& stub,
                                    std::unique_ptr<grpc::ClientReader<Response>> (Stub::*method)(
                                        grpc::ClientContext*, const Request&),
                                    const std::string& authorization, const Request& request,
                                    size_t most_bytes) {
  grpc::ClientContext context;
  SetCaller(authorization, context);
  context.set_deadline(std::chrono::system_clock::now() + kCallDeadline);
  const std::unique_ptr<grpc::ClientReader<Response>> reader = (stub.*method)(&context, request);
  std::string bytes;
  Response piece;
  while (reader->Read(&piece)) {
    bytes += piece.data();
    if (bytes.size() > most_bytes) {
      context.TryCancel();
      reader->Finish();
      return absl::ResourceExhaustedError(absl::StrCat(
          "cannot show bytes: too many for a page; `distill` reads them; most=", most_bytes));
    }
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return FromGrpcStatus(status);
  return bytes;
}

}  // namespace distill::server
