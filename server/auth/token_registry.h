// Bearer tokens: random, shown once, kept as digests, bound to a project and a role, expiring and
// revocable.
//
//   distill_1f0c9a63d2e84b75_<64 hex digits>
//           id, in the clear  secret
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "base/random_ids.h"
#include "server/auth/caller.h"
#include "storage/state/records.h"

namespace distill::server {

struct NewToken {
  storage::TokenRecord record;
  std::string text;  // What its holder presents; nobody can tell it again.
};

// Makes a token; nothing is stored. `id` must be a token id; see TokenIdOf().
NewToken MakeToken(std::string id, IdSource& ids);
// The id that the token of a request gets, so that a repeat of the request is known as such.
std::string TokenIdOf(absl::string_view creator, absl::string_view request_id);

// Knows all tokens of the store; told of changes once these are durable. Thread-safe.
class TokenRegistry {
 public:
  // `clock` is borrowed. `on_use` is told, now and then, of a last use to be stored; called on a
  // caller's thread, must not block.
  TokenRegistry(const Clock& clock, std::function<void(const storage::TouchToken&)> on_use)
      : clock_(&clock), on_use_(std::move(on_use)) {}

  // Who presents `text`. kUnauthenticated: no token, unknown, expired or revoked; which of these is
  // said only to those who know the secret.
  absl::StatusOr<Caller> Authenticate(absl::string_view text) ABSL_LOCKS_EXCLUDED(mu_);

  // Adds or replaces.
  void Put(const storage::TokenRecord& record) ABSL_LOCKS_EXCLUDED(mu_);
  void Remove(const std::string& id) ABSL_LOCKS_EXCLUDED(mu_);
  // kNotFound.
  absl::StatusOr<storage::TokenRecord> Find(const std::string& id) const ABSL_LOCKS_EXCLUDED(mu_);
  // By id.
  std::vector<storage::TokenRecord> All() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  const Clock* const clock_;
  const std::function<void(const storage::TouchToken&)> on_use_;
  mutable Mutex mu_;
  std::map<std::string, storage::TokenRecord, std::less<>> tokens_ ABSL_GUARDED_BY(mu_);
};

}  // namespace distill::server
