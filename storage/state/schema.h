// The schema as a row of migrations, embedded from schema/*.sql when the project is built. Forward
// only: a file that was released is never changed.
#pragma once

#include "absl/types/span.h"

namespace distill::storage {

// migrations[i] takes a database from version i to i + 1.
absl::Span<const char* const> SchemaMigrations();

}  // namespace distill::storage
