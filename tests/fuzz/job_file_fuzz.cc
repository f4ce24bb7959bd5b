// Any text may arrive as a job file, in any of the formats: it is read or refused.
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "client/jobfile/job_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using distill::client::JobFileFormat;
  if (size == 0) return 0;
  constexpr JobFileFormat kFormats[] = {JobFileFormat::kYaml, JobFileFormat::kJson,
                                        JobFileFormat::kTextProto};
  const absl::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto file = distill::client::ParseJobFile(text, "fuzz", kFormats[data[0] % 3]);
  if (file.ok()) distill::client::FindMentionedField(*file, "teacher.depth: is wrong");
  return 0;
}
