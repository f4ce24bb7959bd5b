#include "server/rpc/grpc_status.h"

#include <string>

namespace distill::server {
namespace {

constexpr size_t kLongestMessage = 4096;

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      std::string(status.message().substr(0, kLongestMessage)));
}

}  // namespace distill::server
