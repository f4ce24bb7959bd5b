#include "client/cli/format.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/jobfile/names.h"

namespace distill::client {
namespace {

std::string EnumText(const google::protobuf::EnumDescriptor& type, int number) {
  const google::protobuf::EnumValueDescriptor* const value = type.FindValueByNumber(number);
  // A newer server may know states that we do not.
  return value == nullptr ? absl::StrCat("state ", number) : ShortEnumName(*value);
}

}  // namespace

std::string StateName(v1::JobState state) { return EnumText(*v1::JobState_descriptor(), state); }
std::string StateName(v1::TaskState state) { return EnumText(*v1::TaskState_descriptor(), state); }
std::string StateName(v1::WorkerState state) {
  return EnumText(*v1::WorkerState_descriptor(), state);
}

std::string StateName(v1::Quarantine quarantine) {
  return EnumText(*v1::Quarantine_descriptor(), quarantine);
}
std::string StateName(v1::WaitReason reason) {
  return EnumText(*v1::WaitReason_descriptor(), reason);
}
std::string StateName(v1::Predicate predicate) {
  return EnumText(*v1::Predicate_descriptor(), predicate);
}

std::string StateName(v1::LossCause cause) { return EnumText(*v1::LossCause_descriptor(), cause); }
std::string StateName(v1::CacheOutcome outcome) {
  return EnumText(*v1::CacheOutcome_descriptor(), outcome);
}

std::string ArtifactTypeName(v1::ArtifactType type) {
  const auto* const value = v1::ArtifactType_descriptor()->FindValueByNumber(type);
  return value == nullptr || type == 0 ? "-" : ShortEnumName(*value);
}

std::string ShortTaskName(absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '/');
  if (parts.size() != 6 || parts[2] != "jobs" || parts[4] != "tasks") return std::string(name);
  return absl::StrCat(parts[3], "/", parts[5]);
}

absl::Time ToTime(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

std::string FormatTime(const google::protobuf::Timestamp& timestamp) {
  if (timestamp.seconds() == 0) return "-";
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", ToTime(timestamp), absl::UTCTimeZone());
}

std::string FormatSeconds(double seconds) {
  if (!(seconds >= 0)) return "-";
  if (seconds < 60) return absl::StrFormat("%.1f s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 3600) return absl::StrFormat("%d:%02d", whole / 60, whole % 60);
  return absl::StrFormat("%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string FormatBytes(int64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  static constexpr std::array<const char*, 5> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string FormatCount(double count) {
  if (!std::isfinite(count)) return "-";
  if (count < 1000) return absl::StrFormat("%.0f", count);
  if (count < 1e6) return absl::StrFormat("%.1fk", count / 1e3);
  return absl::StrFormat("%.1fM", count / 1e6);
}

std::string FormatAccuracy(double accuracy) { return absl::StrFormat("%.4f", accuracy); }

}  // namespace distill::client
