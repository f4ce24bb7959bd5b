// Writes tar archives that depend on nothing but the names, order and bytes of their files.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace distill::storage {

// One thread at a time. An error ends its use.
//
//   TarWriter tar([&](absl::string_view bytes) { return file.Append(bytes); });
//   DISTILL_RETURN_IF_ERROR(tar.BeginFile("train/a.jpg", 3));
//   DISTILL_RETURN_IF_ERROR(tar.Append("abc"));
//   DISTILL_RETURN_IF_ERROR(tar.Finish());
class TarWriter {
 public:
  using Sink = std::function<absl::Status(absl::string_view)>;

  explicit TarWriter(Sink sink) : sink_(std::move(sink)) {}

  // Begins a file of exactly `size_bytes`. kInvalidArgument for a name that CheckTarName() refuses;
  // kFailedPrecondition when the file before is not complete; errors of the sink.
  absl::Status BeginFile(absl::string_view name, uint64_t size_bytes);
  // kFailedPrecondition when it is more than announced.
  absl::Status Append(absl::string_view bytes);
  // Ends the archive. Once.
  absl::Status Finish();

 private:
  absl::Status EndFile();

  const Sink sink_;
  uint64_t missing_bytes_ = 0;
  size_t padding_bytes_ = 0;
};

}  // namespace distill::storage
