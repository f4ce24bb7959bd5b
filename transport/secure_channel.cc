#include "transport/secure_channel.h"

#include <sys/stat.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "grpc/grpc_security_constants.h"
#include "grpcpp/security/tls_certificate_provider.h"
#include "grpcpp/security/tls_credentials_options.h"
#include "transport/grpc_runtime.h"

namespace distill {
namespace {

constexpr unsigned kRefreshSeconds = 5;
constexpr uint64_t kMostTokenBytes = 4096;
constexpr absl::string_view kSystemAuthorities = "system";

absl::StatusOr<std::string> ReadToken(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) == 0 && (info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot use token: other users may read its file; chmod 600 it; path=", path));
  }
  absl::StatusOr<std::string> text = ReadFile(path, kMostTokenBytes);
  if (!text.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot use token: ", std::string(text.status().message())));
  }
  const std::vector<absl::string_view> lines = absl::StrSplit(*text, '\n');
  std::string token(absl::StripAsciiWhitespace(lines[0]));
  for (const char c : token) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) token.clear();
  }
  if (token.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot use token: the first line of the file is none; path=", path));
  }
  return token;
}

std::shared_ptr<grpc::ChannelCredentials> TlsCredentials(const TlsFiles& files) {
  grpc::experimental::TlsChannelCredentialsOptions options;
  const bool system = files.ca == kSystemAuthorities;
  const std::string ca = system ? "" : files.ca;
  if (!ca.empty() || !files.certificate.empty()) {
    options.set_certificate_provider(
        std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
            files.key, files.certificate, ca, kRefreshSeconds));
  }
  if (!ca.empty()) options.watch_root_certs();
  if (!files.certificate.empty()) options.watch_identity_key_cert_pairs();
  return grpc::experimental::TlsCredentials(options);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> MakeChannelCredentials(
    const std::vector<std::string>& servers, const ChannelSecurity& security, absl::Time now) {
  KeepGrpcRunning();
  if (!security.files.given()) {
    for (const std::string& server : servers) {
      if (security.allow_plaintext || IsLoopbackAddress(server)) continue;
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot connect to server: it is not on this machine, and nothing says how to encrypt; "
          "give --tls-ca FILE (or --tls-ca system), or --insecure-allow-plaintext on a trusted "
          "network; server=",
          server));
    }
    return grpc::InsecureChannelCredentials();
  }
  if (security.files.ca.empty()) {
    return absl::InvalidArgumentError(
        "cannot connect to server: --tls-ca is missing: the certificate of the authority that the "
        "server's certificate comes from, or \"system\"");
  }
  TlsFiles checked = security.files;
  if (checked.ca == kSystemAuthorities) checked.ca.clear();
  DISTILL_RETURN_IF_ERROR(CheckTlsFiles(checked, now));
  std::shared_ptr<grpc::ChannelCredentials> credentials = TlsCredentials(security.files);
  if (security.token_file.empty()) return credentials;
  DISTILL_ASSIGN_OR_RETURN(const std::string token, ReadToken(security.token_file));
  return grpc::CompositeChannelCredentials(credentials, grpc::AccessTokenCredentials(token));
}

void ApplyTo(const ChannelSecurity& security, grpc::ChannelArguments& arguments) {
  if (security.server_name.empty()) return;
  arguments.SetString(GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, security.server_name);
}

}  // namespace distill
