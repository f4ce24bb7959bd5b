// What an operator can set about a server, from flags, with the defaults and the limits of each.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/app/blob_settings.h"

namespace distill::server {

struct ServerConfig {
  std::string data_dir;
  std::string listen = "127.0.0.1:7700";
  std::string http = "127.0.0.1:7701";  // Empty: no HTTP.
  std::string addresses_file;           // Empty: none.
  std::string state = "sqlite";         // Or "postgres".
  std::string postgres;                 // libpq's connection string, without a password.
  std::string advertise;                // Empty: the address that it listens on.
  // TLS of the gRPC API: all three or none.
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_client_ca;
  std::string tls_revoked_dir;  // Of hashed CRL files; empty: nothing is looked up.
  bool tls_require_client_certificate = false;
  bool insecure_allow_plaintext = false;
  int64_t audit_file_bytes = int64_t{64} << 20;
  int audit_files = 16;
  double stream_stall_seconds = 60;
  double lease_seconds = 30;
  double heartbeat_seconds = 2;
  double max_retry_backoff_seconds = 60;
  double preempt_seconds = 60;
  double preempt_patience_seconds = 120;
  int quarantine_after_failures = 5;
  int poison_after_workers = 4;
  double stall_minutes = 20;
  BlobSettings blobs;
  double job_retention_hours = 30 * 24;
  double collect_interval_seconds = 600;
  int query_threads = 2;
  int transfer_threads = 4;
  int dataset_threads = 1;
  std::vector<std::string> dataset_roots;  // Empty: anywhere.
  int64_t max_datasets = 1000;
  int64_t max_dataset_bytes = int64_t{40} << 30;  // Of copies and records.
  std::string log_level = "info";
  std::string log_format = "text";
};

// What main should do.
struct CommandLine {
  enum class Action { kServe, kPrintConfig, kCheckConfig, kIssueAdminToken, kExit };
  Action action = Action::kServe;
  ServerConfig config;
  std::string token_file;  // For kIssueAdminToken.
  int exit_code = 0;       // For kExit: --help, --version or a usage error, already printed.
};

// Parses the program's arguments. Prints help, the version and usage errors itself.
CommandLine ParseCommandLine(int argc, const char* const* argv);

// kInvalidArgument names the flag: bounds, and plaintext beyond this machine without
// --insecure-allow-plaintext. Does not read files.
absl::Status ValidateConfig(const ServerConfig& config);

// All settings, one "flag = value" line each.
std::string PrintConfig(const ServerConfig& config);

struct HostPort {
  std::string host;
  int port = 0;
};
// Splits "127.0.0.1:0" or "[::1]:0". kInvalidArgument.
absl::StatusOr<HostPort> ParseHostPort(const std::string& text);
// The reverse.
std::string JoinHostPort(const HostPort& address);

}  // namespace distill::server
