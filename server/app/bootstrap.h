// The first token of a server, made by whoever may write its data folder: who can do that owns the
// server anyway. All others are made through the API.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "base/clock.h"
#include "base/random_ids.h"
#include "server/app/config.h"

namespace distill::server {

// Makes a token of the role admin in all projects that holds for a day, and writes it into a new
// file that only this user may read. The server must not run. Errors: kFailedPrecondition (a server
// has the data folder), kAlreadyExists (the file), and those of the store.
absl::Status IssueAdminToken(const ServerConfig& config, const std::string& path,
                             const Clock& clock, IdSource& ids);

}  // namespace distill::server
