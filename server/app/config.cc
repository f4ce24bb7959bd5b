#include "server/app/config.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <iostream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "base/tls_files.h"

namespace distill::server {
namespace {

void AddOptions(CLI::App& app, ServerConfig& config) {
  app.add_option("--data-dir", config.data_dir,
                 "Folder of the database and the blobs; made if absent")
      ->required();
  app.add_option("--listen", config.listen, "Address of the gRPC API; port 0: any free one")
      ->capture_default_str();
  app.add_option("--http", config.http,
                 "Address of /metrics, /healthz, /readyz and the status page, which are never "
                 "encrypted; none: no HTTP")
      ->capture_default_str();
  app.add_option("--addresses-file", config.addresses_file,
                 "File that gets grpc=HOST:PORT and http=HOST:PORT once the server is ready");
  app.add_option(
         "--state", config.state,
         "Where jobs and tasks are kept: sqlite, a file in the data directory, or postgres, "
         "where several servers stand by for each other")
      ->check(CLI::IsMember({"sqlite", "postgres"}))
      ->capture_default_str();
  app.add_option("--postgres", config.postgres,
                 "Connection string of the PostgreSQL database, without a password: that comes "
                 "from PGPASSFILE, passfile= or PGPASSWORD");
  app.add_option("--advertise", config.advertise,
                 "Address by which clients reach this server, told by those that stand by; "
                 "default: what --listen says");
  app.add_option("--tls-cert", config.tls_certificate,
                 "Certificate of this server (PEM, with its chain). With it the gRPC API is "
                 "encrypted and every caller must prove who it is; without it only this machine "
                 "is served, and everybody on it is an administrator. Renewed files are noticed")
      ->type_name("FILE");
  app.add_option("--tls-key", config.tls_key, "Private key of --tls-cert")->type_name("FILE");
  app.add_option("--tls-client-ca", config.tls_client_ca,
                 "Authorities that certificates of workers and people come from (PEM)")
      ->type_name("FILE");
  app.add_option("--tls-revoked-dir", config.tls_revoked_dir,
                 "Folder of revocation lists, named as by `openssl rehash`")
      ->type_name("DIR");
  app.add_flag("--tls-require-client-certificate", config.tls_require_client_certificate,
               "Refuse connections without a client certificate, so that a token alone does not "
               "do");
  app.add_flag("--insecure-allow-plaintext", config.insecure_allow_plaintext,
               "Serve beyond this machine what is not encrypted: HTTP, and the gRPC API when no "
               "--tls-cert is given (then everybody who reaches it is an administrator); for "
               "trusted networks only");
  app.add_option("--audit-file-bytes", config.audit_file_bytes,
                 "Size at which audit.jsonl in the data folder is set aside for a new one; 1024 to "
                 "1099511627776")
      ->capture_default_str();
  app.add_option("--audit-files", config.audit_files,
                 "How many that were set aside are kept; 1 to 1000")
      ->capture_default_str();
  app.add_option("--stream-stall-seconds", config.stream_stall_seconds,
                 "A stream whose other side neither sends nor takes anything for this long is "
                 "ended; 0.1 to 3600")
      ->capture_default_str();
  app.add_option("--lease-seconds", config.lease_seconds,
                 "A lease that is not renewed for this long is lost; 2 to 3600")
      ->capture_default_str();
  app.add_option("--heartbeat-seconds", config.heartbeat_seconds,
                 "How often workers report; at most a third of the lease")
      ->capture_default_str();
  app.add_option("--max-retry-backoff-seconds", config.max_retry_backoff_seconds,
                 "The pause before a retry doubles with each failure up to this; 0.1 to 3600")
      ->capture_default_str();
  app.add_option("--preempt-seconds", config.preempt_seconds,
                 "What is preempted has so long to write a checkpoint and come back; 1 to 3600")
      ->capture_default_str();
  app.add_option("--preempt-patience-seconds", config.preempt_patience_seconds,
                 "A task that has waited so long takes a slot from one of much lower priority; 0: "
                 "never")
      ->capture_default_str();
  app.add_option("--quarantine-after-failures", config.quarantine_after_failures,
                 "Infrastructure failures in a row that put a worker in quarantine; 0: never")
      ->capture_default_str();
  app.add_option(
         "--poison-after-workers", config.poison_after_workers,
         "Workers whose trainer a task may kill, alone and without getting on; 0: any number")
      ->capture_default_str();
  app.add_option("--stall-minutes", config.stall_minutes,
                 "Heartbeats without progress for so long end an attempt; 0: never")
      ->capture_default_str();
  AddBlobOptions(app, config.blobs);
  app.add_option("--job-retention-hours", config.job_retention_hours,
                 "Finished jobs are kept for this long")
      ->capture_default_str();
  app.add_option("--collect-interval-seconds", config.collect_interval_seconds,
                 "Pause between two rounds of retention; 1 to 86400")
      ->capture_default_str();
  app.add_option("--query-threads", config.query_threads, "Threads that read the database; 1 to 64")
      ->capture_default_str();
  app.add_option("--transfer-threads", config.transfer_threads,
                 "Threads that read and write blobs; 1 to 64")
      ->capture_default_str();
  app.add_option("--dataset-threads", config.dataset_threads,
                 "Threads that decode images of data sets being registered; 1 to 64")
      ->capture_default_str();
  app.add_option("--dataset-root", config.dataset_roots,
                 "Read data sets only below this folder; may be given several times");
  app.add_option("--max-datasets", config.max_datasets, "Most registered data sets; 1 to 100000")
      ->capture_default_str();
  app.add_option("--max-dataset-bytes", config.max_dataset_bytes,
                 "Most bytes of copies of data sets in the blob store, in all")
      ->capture_default_str();
  app.add_option("--log-level", config.log_level, "debug, info, warning or error")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str();
  app.add_option("--log-format", config.log_format, "text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

absl::Status InRange(absl::string_view flag, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot start server: ", flag, ": got ", value, ", want ", low, " to ", high));
}

// `remedy` says what else allows an address beyond this machine.
absl::Status CheckAddress(absl::string_view flag, const std::string& address, bool may_be_remote,
                          absl::string_view remedy) {
  const absl::StatusOr<HostPort> parsed = ParseHostPort(address);
  if (!parsed.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot start server: ", flag, ": ", std::string(parsed.status().message())));
  }
  if (IsLoopbackHost(parsed->host) || may_be_remote) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "cannot start server: ", flag, ": got ", address,
      ", want a loopback address such as 127.0.0.1:7700, since traffic is not encrypted; ", remedy,
      "--insecure-allow-plaintext allows it on a trusted network"));
}

absl::Status CheckState(const ServerConfig& config) {
  if (config.state == "sqlite") {
    if (config.postgres.empty() && config.advertise.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError(
        "cannot start server: --postgres and --advertise have a meaning with --state=postgres "
        "only");
  }
  if (config.postgres.empty()) {
    return absl::InvalidArgumentError(
        "cannot start server: --postgres: got nothing, want a connection string such as \"host=db "
        "dbname=distill user=distill\"");
  }
  if (config.advertise.empty()) return absl::OkStatus();
  const absl::StatusOr<HostPort> parsed = ParseHostPort(config.advertise);
  if (parsed.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("cannot start server: --advertise: ", std::string(parsed.status().message())));
}

absl::Status CheckTlsFlags(const ServerConfig& config) {
  const bool any =
      !config.tls_certificate.empty() || !config.tls_key.empty() || !config.tls_client_ca.empty();
  const std::pair<absl::string_view, const std::string*> flags[] = {
      {"--tls-cert", &config.tls_certificate},
      {"--tls-key", &config.tls_key},
      {"--tls-client-ca", &config.tls_client_ca}};
  for (const auto& [flag, file] : flags) {
    if (any && file->empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot start server: ", flag,
          ": got nothing, want a file: --tls-cert, --tls-key and --tls-client-ca go together"));
    }
  }
  if (any || (config.tls_revoked_dir.empty() && !config.tls_require_client_certificate)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "cannot start server: --tls-cert: got nothing, want a file, since other --tls flags are "
      "given");
}

}  // namespace

CommandLine ParseCommandLine(int argc, const char* const* argv) {
  CommandLine line;
  CLI::App app("The control plane of Distillery: jobs, tasks, leases and artifacts.",
               "distill-server");
  app.set_version_flag("--version", DISTILL_VERSION);
  AddOptions(app, line.config);
  app.set_config("--config", "", "File of settings, one \"name = value\" a line; flags win");
  app.allow_config_extras(CLI::config_extras_mode::error);
  bool print_config = false;
  bool check_config = false;
  app.add_flag("--print-config", print_config, "Print all settings and exit");
  app.add_flag("--check-config", check_config, "Check all settings and certificates, and exit");
  app.add_option("--issue-admin-token", line.token_file,
                 "Make a token of an administrator that holds for a day, write it into this new "
                 "file (mode 0600) and exit; the server must not run meanwhile")
      ->type_name("FILE");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    line.action = CommandLine::Action::kExit;
    line.exit_code = app.exit(error) == 0 ? 0 : 2;
    return line;
  }
  if (line.config.http == "none") line.config.http.clear();
  if (print_config) line.action = CommandLine::Action::kPrintConfig;
  if (!line.token_file.empty()) line.action = CommandLine::Action::kIssueAdminToken;
  if (check_config) line.action = CommandLine::Action::kCheckConfig;
  return line;
}

absl::Status ValidateConfig(const ServerConfig& config) {
  if (config.data_dir.empty()) {
    return absl::InvalidArgumentError(
        "cannot start server: --data-dir: got nothing, want a folder");
  }
  DISTILL_RETURN_IF_ERROR(CheckTlsFlags(config));
  DISTILL_RETURN_IF_ERROR(CheckAddress(
      "--listen", config.listen, config.insecure_allow_plaintext || !config.tls_certificate.empty(),
      "give --tls-cert, --tls-key and --tls-client-ca (deploy/ca/ca.sh makes them), or "));
  if (!config.http.empty()) {
    DISTILL_RETURN_IF_ERROR(CheckAddress("--http", config.http, config.insecure_allow_plaintext,
                                         "put a proxy in front of it, or "));
  }
  DISTILL_RETURN_IF_ERROR(CheckState(config));
  DISTILL_RETURN_IF_ERROR(InRange("--audit-file-bytes",
                                  static_cast<double>(config.audit_file_bytes), 1024,
                                  static_cast<double>(int64_t{1} << 40)));
  DISTILL_RETURN_IF_ERROR(InRange("--audit-files", config.audit_files, 1, 1000));
  DISTILL_RETURN_IF_ERROR(
      InRange("--stream-stall-seconds", config.stream_stall_seconds, 0.1, 3600));
  DISTILL_RETURN_IF_ERROR(InRange("--lease-seconds", config.lease_seconds, 2, 3600));
  DISTILL_RETURN_IF_ERROR(
      InRange("--heartbeat-seconds", config.heartbeat_seconds, 0.1, config.lease_seconds / 3));
  DISTILL_RETURN_IF_ERROR(
      InRange("--max-retry-backoff-seconds", config.max_retry_backoff_seconds, 0.1, 3600));
  DISTILL_RETURN_IF_ERROR(InRange("--preempt-seconds", config.preempt_seconds, 1, 3600));
  DISTILL_RETURN_IF_ERROR(
      InRange("--preempt-patience-seconds", config.preempt_patience_seconds, 0, 86400));
  DISTILL_RETURN_IF_ERROR(
      InRange("--quarantine-after-failures", config.quarantine_after_failures, 0, 1000));
  DISTILL_RETURN_IF_ERROR(InRange("--poison-after-workers", config.poison_after_workers, 0, 1000));
  DISTILL_RETURN_IF_ERROR(InRange("--stall-minutes", config.stall_minutes, 0, 10080));
  DISTILL_RETURN_IF_ERROR(CheckBlobSettings(config.blobs));
  DISTILL_RETURN_IF_ERROR(InRange("--job-retention-hours", config.job_retention_hours, 0, 1e6));
  DISTILL_RETURN_IF_ERROR(
      InRange("--collect-interval-seconds", config.collect_interval_seconds, 1, 86400));
  DISTILL_RETURN_IF_ERROR(InRange("--query-threads", config.query_threads, 1, 64));
  DISTILL_RETURN_IF_ERROR(InRange("--dataset-threads", config.dataset_threads, 1, 64));
  DISTILL_RETURN_IF_ERROR(
      InRange("--max-datasets", static_cast<double>(config.max_datasets), 1, 1e5));
  DISTILL_RETURN_IF_ERROR(
      InRange("--max-dataset-bytes", static_cast<double>(config.max_dataset_bytes), 0, 1e18));
  for (const std::string& root : config.dataset_roots) {
    if (absl::StartsWith(root, "/")) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("cannot start server: --dataset-root: got ", root, ", want an absolute path"));
  }
  return InRange("--transfer-threads", config.transfer_threads, 1, 64);
}

std::string PrintConfig(const ServerConfig& config) {
  return absl::StrCat(
      "data-dir = ", config.data_dir, "\nlisten = ", config.listen, "\nhttp = ", config.http,
      "\naddresses-file = ", config.addresses_file, "\nstate = ", config.state,
      "\npostgres = ", config.postgres, "\nadvertise = ", config.advertise,
      "\ntls-cert = ", config.tls_certificate, "\ntls-key = ", config.tls_key,
      "\ntls-client-ca = ", config.tls_client_ca, "\ntls-revoked-dir = ", config.tls_revoked_dir,
      "\ntls-require-client-certificate = ",
      config.tls_require_client_certificate ? "true" : "false",
      "\ninsecure-allow-plaintext = ", config.insecure_allow_plaintext ? "true" : "false",
      "\naudit-file-bytes = ", config.audit_file_bytes, "\naudit-files = ", config.audit_files,
      "\nstream-stall-seconds = ", config.stream_stall_seconds,
      "\nlease-seconds = ", config.lease_seconds,
      "\nheartbeat-seconds = ", config.heartbeat_seconds,
      "\nmax-retry-backoff-seconds = ", config.max_retry_backoff_seconds,
      "\npreempt-seconds = ", config.preempt_seconds,
      "\npreempt-patience-seconds = ", config.preempt_patience_seconds,
      "\nquarantine-after-failures = ", config.quarantine_after_failures,
      "\npoison-after-workers = ", config.poison_after_workers,
      "\nstall-minutes = ", config.stall_minutes,
      "\njob-retention-hours = ", config.job_retention_hours,
      "\ncollect-interval-seconds = ", config.collect_interval_seconds,
      "\nquery-threads = ", config.query_threads, "\ntransfer-threads = ", config.transfer_threads,
      "\ndataset-threads = ", config.dataset_threads,
      "\ndataset-root = ", absl::StrJoin(config.dataset_roots, ","),
      "\nmax-datasets = ", config.max_datasets, "\nmax-dataset-bytes = ", config.max_dataset_bytes,
      "\nlog-level = ", config.log_level, "\nlog-format = ", config.log_format, "\n",
      PrintBlobSettings(config.blobs));
}

absl::StatusOr<HostPort> ParseHostPort(const std::string& text) {
  const size_t colon = text.rfind(':');
  HostPort parsed;
  if (colon == std::string::npos || colon == 0 ||
      !absl::SimpleAtoi(text.substr(colon + 1), &parsed.port) || parsed.port < 0 ||
      parsed.port > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat("got \"", text, "\", want HOST:PORT such as 127.0.0.1:7700"));
  }
  parsed.host = text.substr(0, colon);
  if (parsed.host.size() > 2 && parsed.host.front() == '[' && parsed.host.back() == ']') {
    parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
  }
  return parsed;
}

std::string JoinHostPort(const HostPort& address) {
  const bool is_ipv6 = address.host.find(':') != std::string::npos;
  return is_ipv6 ? absl::StrCat("[", address.host, "]:", address.port)
                 : absl::StrCat(address.host, ":", address.port);
}

}  // namespace distill::server
