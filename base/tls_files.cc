#include "base/tls_files.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace distill {
namespace {

constexpr uint64_t kMostPemBytes = 1 << 20;

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, Freer<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;

absl::Status Unusable(absl::string_view what, const std::string& path, absl::string_view cause) {
  return absl::InvalidArgumentError(
      absl::StrCat("cannot use ", what, ": ", cause, "; path=", path));
}

absl::StatusOr<Bio> OpenPem(absl::string_view what, const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path, kMostPemBytes);
  if (absl::IsNotFound(text.status())) {
    return Unusable(what, path, "there is no such file; deploy/ca/ca.sh makes one");
  }
  if (absl::IsPermissionDenied(text.status())) {
    return Unusable(what, path, "this user may not read it; change its owner or mode");
  }
  if (!text.ok()) return Unusable(what, path, std::string(text.status().message()));
  Bio bio(BIO_new(BIO_s_mem()));
  BIO_write(bio.get(), text->data(), static_cast<int>(text->size()));
  return bio;
}

// At least one.
absl::StatusOr<std::vector<Certificate>> ReadCertificates(absl::string_view what,
                                                          const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const Bio bio, OpenPem(what, path));
  std::vector<Certificate> certificates;
  while (Certificate certificate{PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)}) {
    certificates.push_back(std::move(certificate));
  }
  ERR_clear_error();  // The end of the file counts as an error.
  if (certificates.empty()) {
    return Unusable(what, path, "it holds no certificate; want PEM (-----BEGIN CERTIFICATE-----)");
  }
  return certificates;
}

// A key with a passphrase would make a daemon ask at its terminal.
int NoPassphrase(char*, int, int, void*) { return 0; }

absl::StatusOr<PrivateKey> ReadKey(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const Bio bio, OpenPem("private key", path));
  PrivateKey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return Unusable("private key", path, "it holds no key without a passphrase; want PEM");
  }
  return key;
}

absl::Time TimeOf(const ASN1_TIME* time) {
  std::tm parts = {};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return absl::InfinitePast();
  return absl::FromTM(parts, absl::UTCTimeZone());
}

absl::Status CheckTerm(absl::string_view what, const std::string& path, X509* certificate,
                       absl::Time now) {
  const absl::Time first = TimeOf(X509_get0_notBefore(certificate));
  const absl::Time last = TimeOf(X509_get0_notAfter(certificate));
  if (now < first) {
    return Unusable(what, path,
                    absl::StrCat("it is valid only from ", absl::FormatTime(first),
                                 "; check the clock of this machine"));
  }
  if (now > last) {
    return Unusable(what, path,
                    absl::StrCat("it expired at ", absl::FormatTime(last),
                                 "; make a new one with deploy/ca/ca.sh"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckTlsFiles(const TlsFiles& files, absl::Time now) {
  if (files.certificate.empty() != files.key.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "cannot use certificate: it and its private key are given together or not at all; "
        "certificate=",
        files.certificate, " key=", files.key));
  }
  if (!files.certificate.empty()) {
    DISTILL_ASSIGN_OR_RETURN(const std::vector<Certificate> chain,
                             ReadCertificates("certificate", files.certificate));
    DISTILL_ASSIGN_OR_RETURN(const PrivateKey key, ReadKey(files.key));
    if (X509_check_private_key(chain[0].get(), key.get()) != 1) {
      ERR_clear_error();
      return Unusable("private key", files.key,
                      absl::StrCat("it does not belong to the certificate ", files.certificate,
                                   "; give the key that was made with it"));
    }
    for (const Certificate& certificate : chain) {
      DISTILL_RETURN_IF_ERROR(CheckTerm("certificate", files.certificate, certificate.get(), now));
    }
  }
  if (files.ca.empty()) return absl::OkStatus();
  DISTILL_ASSIGN_OR_RETURN(const std::vector<Certificate> authorities,
                           ReadCertificates("certificate authority", files.ca));
  for (const Certificate& authority : authorities) {
    DISTILL_RETURN_IF_ERROR(CheckTerm("certificate authority", files.ca, authority.get(), now));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> CertificateUris(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<Certificate> chain,
                           ReadCertificates("certificate", path));
  const Names names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(chain[0].get(), NID_subject_alt_name, nullptr, nullptr)));
  std::vector<std::string> uris;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
    uris.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                      static_cast<size_t>(ASN1_STRING_length(text)));
  }
  return uris;
}

absl::StatusOr<absl::Time> CertificateExpiry(const std::string& path) {
  DISTILL_ASSIGN_OR_RETURN(const std::vector<Certificate> chain,
                           ReadCertificates("certificate", path));
  return TimeOf(X509_get0_notAfter(chain[0].get()));
}

bool IsLoopbackHost(absl::string_view host) {
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  return host == "localhost" || host == "::1" || absl::StartsWith(host, "127.");
}

bool IsLoopbackAddress(absl::string_view address) {
  if (absl::StartsWith(address, "unix:")) return true;
  return IsLoopbackHost(address.substr(0, address.rfind(':')));
}

}  // namespace distill
