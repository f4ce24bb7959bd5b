// The calls about tokens, and the one that tells a caller who it is.
#pragma once

#include "distill/v1/auth_service.grpc.pb.h"
#include "server/rpc/call.h"
#include "server/rpc/rpc_dependencies.h"

namespace distill::server {

// Thread-safe.
class AuthService : public v1::AuthService::CallbackService {
 public:
  explicit AuthService(const RpcDependencies& dependencies);

  grpc::ServerUnaryReactor* CreateToken(grpc::CallbackServerContext* context,
                                        const v1::CreateTokenRequest* request,
                                        v1::CreateTokenResponse* response) override;
  grpc::ServerUnaryReactor* ListTokens(grpc::CallbackServerContext* context,
                                       const v1::ListTokensRequest* request,
                                       v1::ListTokensResponse* response) override;
  grpc::ServerUnaryReactor* RevokeToken(grpc::CallbackServerContext* context,
                                        const v1::RevokeTokenRequest* request,
                                        v1::Token* response) override;
  grpc::ServerUnaryReactor* WhoAmI(grpc::CallbackServerContext* context,
                                   const v1::WhoAmIRequest* request,
                                   v1::WhoAmIResponse* response) override;

 private:
  // Forgets tokens that have long been of no use, and counts the others.
  size_t ForgetOld(absl::Time now, std::vector<storage::Mutation>& rows) const;

  const RpcDependencies dependencies_;
  const CallMetrics metrics_;
};

}  // namespace distill::server
