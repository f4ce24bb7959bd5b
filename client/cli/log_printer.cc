#include "client/cli/log_printer.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "nlohmann/json.hpp"

namespace distill::client {
namespace {

// A line that is longer is printed in pieces.
constexpr size_t kLongestLine = 64 << 10;

// The time with which lines of our programs begin, as text or as JSON.
std::optional<absl::Time> TimeOf(absl::string_view line) {
  absl::ConsumePrefix(&line, "{\"time\":\"");
  const absl::string_view text = line.substr(0, line.find_first_of(" \""));
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, text, &time, &error)) return std::nullopt;
  return time;
}

}  // namespace

std::string BareLine(absl::string_view, absl::string_view line) { return absl::StrCat(line, "\n"); }

std::string NamedLine(absl::string_view task, absl::string_view line) {
  return absl::StrCat("[", task, "] ", line, "\n");
}

std::string JsonLine(absl::string_view task, absl::string_view line) {
  const nlohmann::ordered_json json = {{"task", std::string(task)}, {"line", std::string(line)}};
  // Trainers may log bytes that are no text.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void LogPrinter::PrintLine(absl::string_view task, absl::string_view line) {
  const std::string text = format_(task, line);
  MutexLock lock(mu_);
  *out_ << text;
}

void LogPrinter::Flush() {
  MutexLock lock(mu_);
  out_->flush();
}

void LogSink::Write(absl::string_view bytes) {
  while (!bytes.empty()) {
    const size_t newline = bytes.find('\n');
    const size_t size = newline == absl::string_view::npos ? bytes.size() : newline;
    rest_.append(bytes.data(), size);
    if (newline != absl::string_view::npos || rest_.size() >= kLongestLine) {
      Line(rest_);
      rest_.clear();
    }
    bytes.remove_prefix(newline == absl::string_view::npos ? size : size + 1);
  }
  printer_->Flush();
}

void LogSink::Finish() {
  if (!rest_.empty()) Line(std::exchange(rest_, std::string()));
  printer_->Flush();
}

void LogSink::Line(absl::string_view line) {
  const std::optional<absl::Time> time = TimeOf(line);
  if (time.has_value()) {
    recent_ = *time >= printer_->since();
  } else if (printer_->since() != absl::InfinitePast() && line.substr(0, 2) == "# ") {
    recent_ = true;  // Says whose log begins.
  }
  if (recent_) printer_->PrintLine(task_, line);
}

}  // namespace distill::client
