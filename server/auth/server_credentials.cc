#include "server/auth/server_credentials.h"

#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/status_context.h"
#include "base/status_macros.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_certificate_verifier.h"
#include "grpcpp/security/tls_credentials_options.h"

namespace distill::server {
namespace {

constexpr unsigned kRefreshSeconds = 5;

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(const ServerTls& tls,
                                                                               absl::Time now) {
  const absl::Status usable = CheckTlsFiles(tls.files, now);
  if (!usable.ok()) return Annotate(usable, "cannot start server");
  if (!tls.revoked_directory.empty() && !ListDirectory(tls.revoked_directory).ok()) {
    return absl::InvalidArgumentError(absl::StrCat("cannot start server: --tls-revoked-dir: got ",
                                                   tls.revoked_directory, ", want a folder"));
  }
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          tls.files.key, tls.files.certificate, tls.files.ca, kRefreshSeconds));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  // Chains and dates are verified all the same; only the check of a host's name is off, which
  // clients do not have.
  options.set_certificate_verifier(std::make_shared<grpc::experimental::NoOpCertificateVerifier>());
  options.set_check_call_host(false);
  options.set_cert_request_type(tls.require_client_certificate
                                    ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                    : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  if (!tls.revoked_directory.empty()) options.set_crl_directory(tls.revoked_directory);
  return grpc::experimental::TlsServerCredentials(options);
}

}  // namespace distill::server
