// The schema as a row of migrations, embedded from schema/*.sql when the project is built. Forward
// only: a file that was released is never changed.
//
// One text serves every database. So a migration says INTEGER, TEXT and BLOB, ends each table with
// STRICT or STRICT, WITHOUT ROWID, gives an added column a DEFAULT, and otherwise keeps to what
// SQLite and PostgreSQL have in common: no AUTOINCREMENT, no INSERT OR REPLACE, text in single
// quotes.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace distill::storage {

// migrations[i] takes a database from version i to i + 1.
absl::Span<const char* const> SchemaMigrations();

// kFailedPrecondition, with the remedy, when a database or dump is of a version above these.
absl::Status CheckSchemaVersion(int64_t version);

}  // namespace distill::storage
