// Structured log lines on standard error: time, severity, message, then key=value fields.
//
//   LogInfo("lease granted", {{"task", task.str()}, {"attempt", attempt_number}});
//   2026-11-22T10:00:00.123Z I lease granted task=job-1/distill-2 attempt=1
//
// The message is static text; everything that varies is a field. Thread-safe; one write(2) a line.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace distill {

enum class LogSeverity { kDebug, kInfo, kWarning, kError };

// One key=value pair; any value that absl::StrCat accepts. Values with spaces are quoted.
struct LogField {
  LogField(absl::string_view field_key, const absl::AlphaNum& field_value)
      : key(field_key), value(field_value.Piece()) {}
  LogField(absl::string_view field_key, const absl::Status& status)
      : key(field_key), value(status.ToString(absl::StatusToStringMode::kWithNoExtraData)) {}
  std::string key;
  std::string value;
};

enum class LogFormat { kText, kJson };

// Adds fields to every line that this thread logs for as long as it lives; scopes nest.
//
//   const LogScope scope({{"job", job.str()}, {"trace", trace_id}});
class LogScope {
 public:
  explicit LogScope(std::initializer_list<LogField> fields);
  ~LogScope();
  LogScope(const LogScope&) = delete;
  LogScope& operator=(const LogScope&) = delete;

 private:
  const size_t count_;
};

// Sets the least severity that is written and the format. Call once, in main, before threads start.
void ConfigureLog(LogSeverity least, LogFormat format);

void Log(LogSeverity severity, absl::string_view message, std::initializer_list<LogField> fields);

inline void LogDebug(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogSeverity::kDebug, message, fields);
}
inline void LogInfo(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogSeverity::kInfo, message, fields);
}
inline void LogWarning(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogSeverity::kWarning, message, fields);
}
inline void LogError(absl::string_view message, std::initializer_list<LogField> fields = {}) {
  Log(LogSeverity::kError, message, fields);
}

}  // namespace distill
