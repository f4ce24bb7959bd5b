// Certificates and keys in PEM files: whether they can be used, said at start and with a remedy,
// where the TLS library would only refuse connections later.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace distill {

struct TlsFiles {
  std::string certificate;  // One's own certificate, then its chain. Empty: none.
  std::string key;          // Private key of `certificate`; set exactly when that is.
  std::string ca;           // Certificates of the authorities to trust. Empty: none.

  bool given() const { return !certificate.empty() || !key.empty() || !ca.empty(); }
};

// Reads all files and checks that they parse, that the key belongs to the certificate, and that
// nothing has expired at `now`. Messages name the file and the remedy. Blocks. kInvalidArgument.
absl::Status CheckTlsFiles(const TlsFiles& files, absl::Time now);

// The URIs that the first certificate of a file names its owner by (subject alternative names).
// kInvalidArgument when it cannot be read.
absl::StatusOr<std::vector<std::string>> CertificateUris(const std::string& path);

// When the first certificate of a file expires. kInvalidArgument when it cannot be read.
absl::StatusOr<absl::Time> CertificateExpiry(const std::string& path);

// Whether "host:port" (or "unix:path") never leaves this machine.
bool IsLoopbackAddress(absl::string_view address);
// The same of a host alone: "localhost", "127.*" or "::1".
bool IsLoopbackHost(absl::string_view host);

}  // namespace distill
