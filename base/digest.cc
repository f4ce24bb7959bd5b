// SHA-256 through OpenSSL's EVP, which uses the CPU's SHA instructions where it has them.
#include "base/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/file.h"

namespace distill {
namespace {

constexpr absl::string_view kPrefix = "sha256:";
constexpr size_t kHexDigits = 64;

bool IsLowerHex(absl::string_view text) {
  for (const char c : text) {
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<Digest> Digest::Parse(absl::string_view text) {
  const bool valid = absl::StartsWith(text, kPrefix) &&
                     text.size() == kPrefix.size() + kHexDigits &&
                     IsLowerHex(text.substr(kPrefix.size()));
  if (!valid) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot parse digest: want sha256: and 64 lower-case hex digits; got=\"",
                     absl::CHexEscape(text.substr(0, 80)), "\""));
  }
  return Digest(std::string(text));
}

Digest Digest::OfBytes(absl::string_view bytes) {
  DigestBuilder builder;
  builder.Append(bytes);
  return builder.Finish();
}

absl::string_view Digest::hex() const {
  if (text_.empty()) return {};
  return absl::string_view(text_).substr(kPrefix.size());
}

struct DigestBuilder::Context {
  EVP_MD_CTX* evp = nullptr;
  ~Context() { EVP_MD_CTX_free(evp); }
};

DigestBuilder::DigestBuilder() : context_(std::make_unique<Context>()) {
  context_->evp = EVP_MD_CTX_new();
  DISTILL_CHECK(context_->evp != nullptr, "OpenSSL allocates a digest context");
  DISTILL_CHECK(EVP_DigestInit_ex(context_->evp, EVP_sha256(), nullptr) == 1,
                "OpenSSL has SHA-256");
}

DigestBuilder::~DigestBuilder() = default;
DigestBuilder::DigestBuilder(DigestBuilder&&) noexcept = default;
DigestBuilder& DigestBuilder::operator=(DigestBuilder&&) noexcept = default;

void DigestBuilder::Append(absl::string_view bytes) {
  DISTILL_CHECK(context_ != nullptr, "a finished or moved-from builder takes no more bytes");
  if (bytes.empty()) return;
  DISTILL_CHECK(EVP_DigestUpdate(context_->evp, bytes.data(), bytes.size()) == 1,
                "hashing memory cannot fail");
}

Digest DigestBuilder::Finish() {
  DISTILL_CHECK(context_ != nullptr, "Finish() may be called once");
  std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
  unsigned int length = 0;
  DISTILL_CHECK(EVP_DigestFinal_ex(context_->evp, raw.data(), &length) == 1,
                "hashing memory cannot fail");
  context_.reset();
  absl::StatusOr<Digest> digest =
      Digest::Parse(absl::StrCat(kPrefix, absl::BytesToHexString(absl::string_view(
                                              reinterpret_cast<const char*>(raw.data()), length))));
  DISTILL_CHECK(digest.ok(), "the text was built by the rule that Parse() checks");
  return *std::move(digest);
}

absl::StatusOr<Digest> DigestOfFile(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return ErrnoStatus(errno, "open", path);
  DigestBuilder builder;
  std::vector<char> buffer(1 << 20);
  while (true) {
    const ssize_t got = read(descriptor, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int error = errno;
      close(descriptor);
      return ErrnoStatus(error, "read", path);
    }
    if (got == 0) break;
    builder.Append(absl::string_view(buffer.data(), static_cast<size_t>(got)));
  }
  close(descriptor);
  return builder.Finish();
}

}  // namespace distill
