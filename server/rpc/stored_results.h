// Whether the blobs of results are where the books say: asked before a job takes them, since a job
// of which every task is a hit is over before anybody reads one.
#pragma once

#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/metrics.h"
#include "storage/blob/blob_store.h"
#include "storage/state/records.h"

namespace distill::server {

// Longest that the look may take. What was not looked at in time is found by whoever reads it, or
// by the scrubber.
inline constexpr absl::Duration kLongestLook = absl::Milliseconds(500);

// Returns those that are not in the store, each once. What has another size than it should is set
// aside, counted as corrupt, and one of them. A store that cannot be asked is believed. Blocks for
// I/O.
std::vector<Digest> FindGone(const std::vector<storage::NamedBlob>& wanted, const Clock& clock,
                             Counter& corrupt, storage::BlobStore& blobs);

}  // namespace distill::server
