#include "worker/training/checkpoint.h"

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace distill::training {
namespace {

constexpr char kFormat[] = "distillery-checkpoint-1";
constexpr absl::string_view kParameterPrefix = "module.";
constexpr absl::string_view kOptimizerPrefix = "optimizer.";
constexpr char kSeriesName[] = "series";

absl::Status NotACheckpoint(const std::string& path, absl::string_view cause) {
  return absl::DataLossError(absl::StrCat("cannot resume from ", path, ": ", cause));
}

}  // namespace

Digest FingerprintOf(const v1::TaskSpec& spec) {
  v1::TaskSpec essence = spec;
  essence.clear_checkpoint_interval_seconds();
  essence.mutable_dataset()->clear_path();
  return Digest::OfBytes(essence.SerializeAsString());
}

absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path, const Digest& fingerprint) {
  absl::StatusOr<TensorFile> file = ReadTensorFile(path);
  if (!file.ok()) return NotACheckpoint(path, file.status().message());
  const std::map<std::string, std::string>& metadata = file->metadata;
  const auto text = [&metadata](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  if (text("format") != kFormat) return NotACheckpoint(path, "not a checkpoint of this version");
  if (text("task") != fingerprint.str()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot resume from ", path, ": checkpoint of another task; task=", text("task"),
        " wanted=", fingerprint.str()));
  }
  Checkpoint checkpoint;
  checkpoint.fingerprint = fingerprint;
  if (!absl::SimpleAtoi(text("step"), &checkpoint.step) || checkpoint.step < 0 ||
      !absl::SimpleAtod(text("cpu_seconds"), &checkpoint.cpu_seconds) ||
      !absl::SimpleAtoi(text("images_seen"), &checkpoint.images_seen)) {
    return NotACheckpoint(path, "metadata is damaged");
  }
  for (auto& [name, tensor] : file->tensors) {
    absl::string_view rest = name;
    if (name == kSeriesName) {
      if (tensor.scalar_type() != torch::kUInt8 ||
          !checkpoint.series.ParseFromArray(tensor.data_ptr(), static_cast<int>(tensor.numel()))) {
        return NotACheckpoint(path, "series is damaged");
      }
    } else if (absl::ConsumePrefix(&rest, kParameterPrefix)) {
      checkpoint.parameters.emplace(rest, std::move(tensor));
    } else if (absl::ConsumePrefix(&rest, kOptimizerPrefix)) {
      checkpoint.optimizer.emplace(rest, std::move(tensor));
    } else {
      return NotACheckpoint(path, absl::StrCat("unknown tensor ", name));
    }
  }
  return checkpoint;
}

absl::Status WriteCheckpoint(const std::string& path, const Checkpoint& checkpoint) {
  TensorFile file;
  file.metadata = {{"format", kFormat},
                   {"task", checkpoint.fingerprint.str()},
                   {"step", absl::StrCat(checkpoint.step)},
                   {"cpu_seconds", absl::StrFormat("%.6f", checkpoint.cpu_seconds)},
                   {"images_seen", absl::StrCat(checkpoint.images_seen)}};
  for (const auto& [name, tensor] : checkpoint.parameters) {
    file.tensors.emplace(absl::StrCat(kParameterPrefix, name), tensor);
  }
  for (const auto& [name, tensor] : checkpoint.optimizer) {
    file.tensors.emplace(absl::StrCat(kOptimizerPrefix, name), tensor);
  }
  const std::string series = checkpoint.series.SerializeAsString();
  torch::Tensor bytes = torch::empty({static_cast<int64_t>(series.size())}, torch::kUInt8);
  if (!series.empty()) std::memcpy(bytes.data_ptr(), series.data(), series.size());
  file.tensors.emplace(kSeriesName, std::move(bytes));
  return WriteTensorFile(path, file);
}

}  // namespace distill::training
