#include "server/rpc/auth_service.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error_details.h"
#include "server/rpc/convert.h"
#include "server/rpc/page_token.h"

namespace distill::server {
namespace {

constexpr size_t kMostTokens = 10'000;
constexpr absl::Duration kDefaultLifetime = absl::Hours(30 * 24);
// Expired and revoked tokens stay in the list for this long.
constexpr absl::Duration kMemory = absl::Hours(90 * 24);

v1::Token TokenProto(const storage::TokenRecord& record) {
  v1::Token token;
  token.set_id(record.id);
  token.set_project(record.project.str());
  token.set_role(static_cast<v1::Role>(record.role));
  token.set_description(record.description);
  token.set_creator(record.creator);
  *token.mutable_create_time() = ToProto(record.create_time);
  *token.mutable_expire_time() = ToProto(record.expire_time);
  if (record.revoke_time != storage::kUnsetTime) {
    *token.mutable_revoke_time() = ToProto(record.revoke_time);
  }
  if (record.last_used_time != storage::kUnsetTime) {
    *token.mutable_last_used_time() = ToProto(record.last_used_time);
  }
  return token;
}

// Times in the store have microseconds; what memory holds must not say more.
absl::Time Rounded(absl::Time time) { return absl::FromUnixMicros(absl::ToUnixMicros(time)); }

}  // namespace

AuthService::AuthService(const RpcDependencies& dependencies)
    : dependencies_(dependencies),
      metrics_(*dependencies.clock, *dependencies.metrics, *dependencies.gate,
               dependencies.open_calls) {}

size_t AuthService::ForgetOld(absl::Time now, std::vector<storage::Mutation>& rows) const {
  size_t kept = 0;
  for (const storage::TokenRecord& record : dependencies_.tokens->All()) {
    const bool revoked = record.revoke_time != storage::kUnsetTime;
    const absl::Time end = revoked ? record.revoke_time : record.expire_time;
    if (end + kMemory < now) {
      rows.push_back(storage::DeleteToken{record.id});
    } else {
      ++kept;
    }
  }
  return kept;
}

grpc::ServerUnaryReactor* AuthService::CreateToken(grpc::CallbackServerContext* context,
                                                   const v1::CreateTokenRequest* request,
                                                   v1::CreateTokenResponse* response) {
  return StartCall(context, "CreateToken", metrics_, *request, [&](const UnaryCallPtr& call) {
    const std::string id = TokenIdOf(call->caller().name, request->request_id());
    if (dependencies_.tokens->Find(id).ok()) {
      return call->Finish(absl::AlreadyExistsError(
          absl::StrCat("cannot create token: this request has made one already, whose text cannot "
                       "be told again; revoke it and make another; token=",
                       id)));
    }
    const absl::Time now = Rounded(dependencies_.clock->WallNow());
    StoreRows change;
    if (ForgetOld(now, change.rows) >= kMostTokens) {
      return call->Finish(
          WithQuota(absl::ResourceExhaustedError(absl::StrCat(
                        "cannot create token: there are too many, wait for some to expire; most=",
                        kMostTokens)),
                    "server", "tokens, and those that ended in the last 90 days"));
    }
    NewToken token = MakeToken(id, *dependencies_.ids);
    token.record.project =
        ProjectId(request->project().empty() ? kDefaultProject : request->project());
    token.record.role = static_cast<int32_t>(request->role());
    token.record.description = request->description();
    token.record.creator = call->caller().name;
    token.record.create_time = now;
    token.record.expire_time =
        now + (request->lifetime_seconds() == 0 ? kDefaultLifetime
                                                : absl::Seconds(request->lifetime_seconds()));
    change.rows.push_back(storage::PutToken{token.record});
    std::vector<std::string> forgotten;
    for (const storage::Mutation& row : change.rows) {
      const auto* old = std::get_if<storage::DeleteToken>(&row);
      if (old != nullptr) forgotten.push_back(old->id);
    }
    TokenRegistry* const tokens = dependencies_.tokens;
    dependencies_.driver->Post(
        std::move(change), [call, tokens, token, forgotten, response](absl::StatusOr<Done> reply) {
          if (!reply.ok()) return call->Finish(reply.status());
          for (const std::string& old : forgotten) tokens->Remove(old);
          tokens->Put(token.record);
          call->record().NoteMade(absl::StrCat("token=", token.record.id));
          *response->mutable_token() = TokenProto(token.record);
          response->set_text(token.text);
          call->Finish(absl::OkStatus());
        });
  });
}

grpc::ServerUnaryReactor* AuthService::ListTokens(grpc::CallbackServerContext* context,
                                                  const v1::ListTokensRequest* request,
                                                  v1::ListTokensResponse* response) {
  return StartCall(context, "ListTokens", metrics_, *request, [&](const UnaryCallPtr& call) {
    const int limit = request->page_size() == 0 ? kMostPageSize : request->page_size();
    const PageScope scope{"tokens", ""};
    const absl::StatusOr<std::string> after = ReadPageToken(scope, request->page_token());
    if (!after.ok()) return call->Finish(after.status());
    for (const storage::TokenRecord& record : dependencies_.tokens->All()) {
      if (record.id <= *after) continue;
      if (call->caller().RoleIn(record.project) < Role::kAdmin) continue;
      if (response->tokens_size() == limit) {
        response->set_next_page_token(MakePageToken(scope, response->tokens(limit - 1).id()));
        break;
      }
      *response->add_tokens() = TokenProto(record);
    }
    call->Finish(absl::OkStatus());
  });
}

grpc::ServerUnaryReactor* AuthService::RevokeToken(grpc::CallbackServerContext* context,
                                                   const v1::RevokeTokenRequest* request,
                                                   v1::Token* response) {
  return StartCall(context, "RevokeToken", metrics_, *request, [&](const UnaryCallPtr& call) {
    absl::StatusOr<storage::TokenRecord> record = dependencies_.tokens->Find(request->token());
    if (record.ok() && call->caller().RoleIn(record->project) < Role::kAdmin) {
      record = absl::NotFoundError(
          absl::StrCat("cannot find token: no such token; id=", request->token()));
    }
    if (!record.ok()) return call->Finish(record.status());
    if (record->revoke_time == storage::kUnsetTime) {
      record->revoke_time = Rounded(dependencies_.clock->WallNow());
    }
    TokenRegistry* const tokens = dependencies_.tokens;
    // At once, and before it is durable: a token that is refused too early does no harm.
    tokens->Put(*record);
    dependencies_.driver->Post(StoreRows{{storage::PutToken{*record}}},
                               [call, record = *record, response](absl::StatusOr<Done> reply) {
                                 if (reply.ok()) *response = TokenProto(record);
                                 call->Finish(reply.status());
                               });
  });
}

grpc::ServerUnaryReactor* AuthService::WhoAmI(grpc::CallbackServerContext* context,
                                              const v1::WhoAmIRequest* request,
                                              v1::WhoAmIResponse* response) {
  return StartCall(context, "WhoAmI", metrics_, *request, [&](const UnaryCallPtr& call) {
    response->set_caller(call->caller().name);
    for (const ProjectRole& role : call->caller().roles) {
      v1::ProjectGrant* grant = response->add_grants();
      grant->set_project(role.project.str());
      grant->set_role(static_cast<v1::Role>(role.role));
    }
    call->Finish(absl::OkStatus());
  });
}

}  // namespace distill::server
