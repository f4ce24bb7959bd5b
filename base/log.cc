// Formats log lines and writes each with one write(2), so that lines of several threads and
// processes do not mix.
#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace distill {
namespace {

// The log is the one process-wide destination, as standard error is.
std::atomic<LogSeverity> least_severity{LogSeverity::kInfo};
std::atomic<LogFormat> log_format{LogFormat::kText};

// What the scopes of this thread add.
std::vector<LogField>& ScopeFields() {
  thread_local std::vector<LogField> fields;
  return fields;
}

char SeverityLetter(LogSeverity severity) {
  switch (severity) {
    case LogSeverity::kDebug:
      return 'D';
    case LogSeverity::kInfo:
      return 'I';
    case LogSeverity::kWarning:
      return 'W';
    case LogSeverity::kError:
      return 'E';
  }
  return '?';
}

absl::string_view SeverityName(LogSeverity severity) {
  switch (severity) {
    case LogSeverity::kDebug:
      return "debug";
    case LogSeverity::kInfo:
      return "info";
    case LogSeverity::kWarning:
      return "warning";
    case LogSeverity::kError:
      return "error";
  }
  return "unknown";
}

bool NeedsQuotes(absl::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == '\x7f') return true;
  }
  return false;
}

// Appends `text` as a JSON string; bytes that are not ASCII pass through as UTF-8.
void AppendJsonString(absl::string_view text, std::string* line) {
  line->push_back('"');
  for (const char c : text) {
    switch (c) {
      case '"':
        line->append("\\\"");
        break;
      case '\\':
        line->append("\\\\");
        break;
      case '\n':
        line->append("\\n");
        break;
      case '\r':
        line->append("\\r");
        break;
      case '\t':
        line->append("\\t");
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          absl::StrAppendFormat(line, "\\u%04x", static_cast<unsigned>(c));
        } else {
          line->push_back(c);
        }
    }
  }
  line->push_back('"');
}

void AppendTextField(const LogField& field, std::string* line) {
  absl::StrAppend(line, " ", field.key, "=");
  if (NeedsQuotes(field.value)) {
    absl::StrAppend(line, "\"", absl::Utf8SafeCEscape(field.value), "\"");
  } else {
    absl::StrAppend(line, field.value);
  }
}

void AppendJsonField(const LogField& field, std::string* line) {
  line->push_back(',');
  AppendJsonString(field.key, line);
  line->push_back(':');
  AppendJsonString(field.value, line);
}

// A line's own fields win over those of its scopes.
bool Names(std::initializer_list<LogField> fields, absl::string_view key) {
  for (const LogField& field : fields) {
    if (field.key == key) return true;
  }
  return false;
}

std::string TextLine(absl::string_view time, LogSeverity severity, absl::string_view message,
                     std::initializer_list<LogField> fields) {
  std::string line = absl::StrCat(time, " ", std::string(1, SeverityLetter(severity)), " ");
  absl::StrAppend(&line, message);
  for (const LogField& field : fields) AppendTextField(field, &line);
  for (const LogField& field : ScopeFields()) {
    if (!Names(fields, field.key)) AppendTextField(field, &line);
  }
  line.push_back('\n');
  return line;
}

std::string JsonLine(absl::string_view time, LogSeverity severity, absl::string_view message,
                     std::initializer_list<LogField> fields) {
  std::string line = "{\"time\":";
  AppendJsonString(time, &line);
  line.append(",\"severity\":");
  AppendJsonString(SeverityName(severity), &line);
  line.append(",\"message\":");
  AppendJsonString(message, &line);
  for (const LogField& field : fields) AppendJsonField(field, &line);
  for (const LogField& field : ScopeFields()) {
    if (!Names(fields, field.key)) AppendJsonField(field, &line);
  }
  line.append("}\n");
  return line;
}

}  // namespace

LogScope::LogScope(std::initializer_list<LogField> fields) : count_(fields.size()) {
  for (const LogField& field : fields) ScopeFields().push_back(field);
}

LogScope::~LogScope() {
  std::vector<LogField>& fields = ScopeFields();
  fields.erase(fields.end() - static_cast<std::ptrdiff_t>(count_), fields.end());
}

void ConfigureLog(LogSeverity least, LogFormat format) {
  least_severity.store(least, std::memory_order_relaxed);
  log_format.store(format, std::memory_order_relaxed);
}

void Log(LogSeverity severity, absl::string_view message, std::initializer_list<LogField> fields) {
  if (severity < least_severity.load(std::memory_order_relaxed)) return;
  const std::string time =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  const std::string line = log_format.load(std::memory_order_relaxed) == LogFormat::kJson
                               ? JsonLine(time, severity, message, fields)
                               : TextLine(time, severity, message, fields);
  // A log that cannot be written must not stop the program: give up on anything but EINTR.
  while (write(STDERR_FILENO, line.data(), line.size()) < 0 && errno == EINTR) {
  }
}

}  // namespace distill
