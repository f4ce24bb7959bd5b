// How the ends of a connection tell that the other is gone, and when connections are renewed. In
// one place because they must agree: a server ends connections of clients that ping too often.
#pragma once

#include "absl/time/time.h"

namespace distill {

// Clients and workers ping a silent connection this often, and give it up without an answer. They
// ping while calls are open; workers always, since the next heartbeat must not find a dead route.
inline constexpr absl::Duration kClientPingInterval = absl::Seconds(20);
inline constexpr absl::Duration kPingTimeout = absl::Seconds(10);
// Of clients that know several servers, so that they soon notice that one went without a word.
inline constexpr absl::Duration kFailoverPingInterval = absl::Seconds(12);
inline constexpr absl::Duration kFailoverPingTimeout = absl::Seconds(5);

// The server takes pings that are this far apart, less than any client's interval, so that jitter
// never makes one look as if it pinged too often; and it pings by itself.
inline constexpr absl::Duration kLeastPingInterval = absl::Seconds(10);
inline constexpr absl::Duration kServerPingInterval = absl::Seconds(30);

// A connection is closed, gently, after this long (gRPC adds a tenth of jitter), so that clients
// spread anew over servers and new certificates come into use; calls that are open then may go on
// for the grace. Streams that are cut resume: watches by revision, transfers by offset.
inline constexpr absl::Duration kConnectionAge = absl::Minutes(30);
inline constexpr absl::Duration kConnectionAgeGrace = absl::Minutes(5);
// Without any call.
inline constexpr absl::Duration kConnectionIdle = absl::Minutes(30);

}  // namespace distill
