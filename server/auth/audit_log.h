// Who did what, and who was refused: JSON lines in a file that is only ever appended to.
//
//   {"time":"2026-11-23T06:00:00.123Z","caller":"user/alice","peer":"ipv4:10.0.0.7:51034",
//    "method":"CancelJob","resource":"job=job-7f3a9c01","request_id":"","code":"OK","message":""}
//
// Secrets never get here: of a request only the names of what it is about are written.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"

namespace distill::server {

struct AuditEntry {
  std::string caller;  // Empty: nobody knows.
  std::string peer;
  std::string method;
  std::string resource;
  std::string request_id;
  absl::Status result;
};

// Thread-safe.
class AuditLog {
 public:
  struct Config {
    std::string path;
    // A file that would grow above this is renamed to `path`.1, that one to `path`.2, and so on.
    int64_t max_file_bytes = int64_t{64} << 20;
    // Renamed files; the oldest one goes.
    int max_old_files = 16;
    // Entries that wait for the disk; above it the caller waits too.
    int max_queue = 4096;
    // Of callers that nobody knows, who could otherwise fill the files with themselves until what
    // others did is gone. More are counted, and the count is an entry of the next minute that has
    // one.
    int max_strangers_per_minute = 600;
  };

  // Opens or makes the file, for the server's user alone to read. `clock` is borrowed.
  static absl::StatusOr<std::unique_ptr<AuditLog>> Open(Config config, const Clock& clock);
  // Writes what is queued.
  virtual ~AuditLog() = default;

  // Queues one entry. Blocks only while the queue is full: no entry of a known caller is left out.
  virtual void Append(const AuditEntry& entry) = 0;
  // Returns once everything appended before is in the file.
  virtual void Flush() = 0;
};

}  // namespace distill::server
