#include "server/auth/token_registry.h"

#include <openssl/crypto.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/digest.h"

namespace distill::server {
namespace {

constexpr absl::string_view kPrefix = "distill_";
constexpr size_t kIdChars = 16;
constexpr size_t kSecretChars = 64;
constexpr int kSecretBytes = 32;
// The last use is stored at most this often.
constexpr absl::Duration kUseInterval = absl::Minutes(10);

absl::Status Unknown() {
  return absl::UnauthenticatedError(
      "cannot tell who calls: the token is not known here; ask an administrator for a new one");
}

bool SameSecret(const Digest& a, const Digest& b) {
  return a.str().size() == b.str().size() &&
         CRYPTO_memcmp(a.str().data(), b.str().data(), a.str().size()) == 0;
}

}  // namespace

NewToken MakeToken(std::string id, IdSource& ids) {
  const std::string secret = ids.RandomHex(kSecretBytes);
  NewToken token;
  token.text = absl::StrCat(kPrefix, id, "_", secret);
  token.record.id = std::move(id);
  token.record.secret = Digest::OfBytes(secret);
  return token;
}

std::string TokenIdOf(absl::string_view creator, absl::string_view request_id) {
  const Digest digest = Digest::OfBytes(absl::StrCat(creator, "\n", request_id));
  return std::string(digest.hex().substr(0, kIdChars));
}

absl::StatusOr<Caller> TokenRegistry::Authenticate(absl::string_view text) {
  const bool shaped = absl::ConsumePrefix(&text, kPrefix) &&
                      text.size() == kIdChars + 1 + kSecretChars && text[kIdChars] == '_';
  if (!shaped) return Unknown();
  const Digest secret = Digest::OfBytes(text.substr(kIdChars + 1));
  const absl::Time now = clock_->WallNow();
  Caller caller;
  std::optional<storage::TouchToken> used;
  {
    MutexLock lock(mu_);
    const auto found = tokens_.find(text.substr(0, kIdChars));
    if (found == tokens_.end() || !SameSecret(found->second.secret, secret)) return Unknown();
    storage::TokenRecord& record = found->second;
    if (record.revoke_time != storage::kUnsetTime) {
      return absl::UnauthenticatedError(absl::StrCat(
          "cannot tell who calls: the token was revoked; ask an administrator for a new one; "
          "token=",
          record.id));
    }
    if (now >= record.expire_time) {
      return absl::UnauthenticatedError(absl::StrCat(
          "cannot tell who calls: the token expired; ask an administrator for a new one; token=",
          record.id, " expired=", absl::FormatTime(record.expire_time, absl::UTCTimeZone())));
    }
    caller.name = absl::StrCat("token/", record.id);
    caller.roles = {{record.project, static_cast<Role>(record.role)}};
    if (record.last_used_time == storage::kUnsetTime ||
        now - record.last_used_time >= kUseInterval) {
      record.last_used_time = absl::FromUnixMicros(absl::ToUnixMicros(now));
      used = storage::TouchToken{record.id, record.last_used_time};
    }
  }
  if (used.has_value() && on_use_) on_use_(*used);
  return caller;
}

void TokenRegistry::Put(const storage::TokenRecord& record) {
  MutexLock lock(mu_);
  tokens_[record.id] = record;
}

void TokenRegistry::Remove(const std::string& id) {
  MutexLock lock(mu_);
  tokens_.erase(id);
}

absl::StatusOr<storage::TokenRecord> TokenRegistry::Find(const std::string& id) const {
  MutexLock lock(mu_);
  const auto found = tokens_.find(id);
  if (found != tokens_.end()) return found->second;
  return absl::NotFoundError(absl::StrCat("cannot find token: no such token; id=", id));
}

std::vector<storage::TokenRecord> TokenRegistry::All() const {
  MutexLock lock(mu_);
  std::vector<storage::TokenRecord> all;
  for (const auto& [id, record] : tokens_) all.push_back(record);
  return all;
}

}  // namespace distill::server
