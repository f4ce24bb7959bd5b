#include "worker/training/checkpoint.h"

#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "base/status_macros.h"

namespace distill::training {
namespace {

constexpr char kFormat[] = "distillery-checkpoint-1";
constexpr char kSeriesName[] = "series";

// The groups of tensors, each with the prefix of their names in the file.
struct Group {
  absl::string_view prefix;
  NamedTensors Checkpoint::*tensors;
};
constexpr Group kGroups[] = {{"module.", &Checkpoint::parameters},
                             {"optimizer.", &Checkpoint::optimizer},
                             {"average.", &Checkpoint::average},
                             {"loss_scaler.", &Checkpoint::loss_scaler},
                             {"network_run.", &Checkpoint::network_run}};

absl::Status NotACheckpoint(const std::string& path, absl::string_view cause) {
  return absl::DataLossError(absl::StrCat("cannot resume from ", path, ": ", cause));
}

// Moves the tensor to the group that its name says; false when there is none.
bool Sort(absl::string_view name, torch::Tensor tensor, Checkpoint* checkpoint) {
  for (const Group& group : kGroups) {
    if (!absl::ConsumePrefix(&name, group.prefix)) continue;
    (checkpoint->*group.tensors).emplace(name, std::move(tensor));
    return true;
  }
  return false;
}

}  // namespace

Digest FingerprintOf(const v1::TaskSpec& spec) {
  v1::TaskSpec essence = spec;
  essence.clear_checkpoint_interval_seconds();
  essence.mutable_dataset()->clear_path();
  if (essence.has_few_shot()) essence.mutable_few_shot()->mutable_dataset()->clear_path();
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
    if (name == kSeriesName) {
      if (tensor.scalar_type() != torch::kUInt8 ||
          !checkpoint.series.ParseFromArray(tensor.data_ptr(), static_cast<int>(tensor.numel()))) {
        return NotACheckpoint(path, "series is damaged");
      }
    } else if (!Sort(name, std::move(tensor), &checkpoint)) {
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
  for (const Group& group : kGroups) {
    for (const auto& [name, tensor] : checkpoint.*group.tensors) {
      file.tensors.emplace(absl::StrCat(group.prefix, name), tensor);
    }
  }
  const std::string series = checkpoint.series.SerializeAsString();
  torch::Tensor bytes = torch::empty({static_cast<int64_t>(series.size())}, torch::kUInt8);
  if (!series.empty()) std::memcpy(bytes.data_ptr(), series.data(), series.size());
  file.tensors.emplace(kSeriesName, std::move(bytes));
  return WriteTensorFile(path, file);
}

}  // namespace distill::training
