// Content digests, written "sha256:<64 hex digits>" everywhere: in the API, on disk, in reports.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace distill {

class Digest {
 public:
  Digest() = default;  // Empty; equal only to other empty ones.
  // Accepts exactly "sha256:" and 64 lower-case hex digits; otherwise kInvalidArgument.
  static absl::StatusOr<Digest> Parse(absl::string_view text);
  static Digest OfBytes(absl::string_view bytes);

  const std::string& str() const { return text_; }  // "sha256:..." or "".
  absl::string_view hex() const;                    // The 64 digits.
  bool empty() const { return text_.empty(); }

  friend bool operator==(const Digest& a, const Digest& b) { return a.text_ == b.text_; }
  friend bool operator!=(const Digest& a, const Digest& b) { return a.text_ != b.text_; }
  friend bool operator<(const Digest& a, const Digest& b) { return a.text_ < b.text_; }
  template <typename H>
  friend H AbslHashValue(H state, const Digest& digest) {
    return H::combine(std::move(state), digest.text_);
  }

 private:
  explicit Digest(std::string text) : text_(std::move(text)) {}

  std::string text_;
};

// Computes a digest piece by piece. One thread at a time.
class DigestBuilder {
 public:
  DigestBuilder();
  ~DigestBuilder();
  DigestBuilder(DigestBuilder&&) noexcept;
  DigestBuilder& operator=(DigestBuilder&&) noexcept;

  void Append(absl::string_view bytes);
  Digest Finish();  // Once.

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

// Reads the whole file. kNotFound, or kInternal with the errno text.
absl::StatusOr<Digest> DigestOfFile(const std::string& path);

}  // namespace distill
