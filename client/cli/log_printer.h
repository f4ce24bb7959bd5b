// Prints logs of one or of several tasks at a time: whole lines, in a form that may name their
// task, and only those that are recent enough.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace distill::client {

// How a line of a task's log is printed, its end included.
using LineFormat = std::function<std::string(absl::string_view task, absl::string_view line)>;

std::string BareLine(absl::string_view task, absl::string_view line);
// "[distill-module-0] step 100".
std::string NamedLine(absl::string_view task, absl::string_view line);
// {"task":"distill-module-0","line":"step 100"}
std::string JsonLine(absl::string_view task, absl::string_view line);

// Where lines of all logs end up. Thread-safe.
class LogPrinter {
 public:
  // Lines of before `since` are left out; a line without a time goes with the one before it.
  LogPrinter(std::ostream& out, absl::Time since, LineFormat format)
      : out_(&out), since_(since), format_(std::move(format)) {}

  absl::Time since() const { return since_; }
  void PrintLine(absl::string_view task, absl::string_view line) ABSL_LOCKS_EXCLUDED(mu_);
  void Flush() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  std::ostream* const out_ ABSL_PT_GUARDED_BY(mu_);
  const absl::Time since_;
  const LineFormat format_;
  Mutex mu_;
};

// One log, in pieces of any size. One thread.
class LogSink {
 public:
  // The printer must outlive this.
  LogSink(LogPrinter& printer, std::string task) : printer_(&printer), task_(std::move(task)) {}

  void Write(absl::string_view bytes);
  // Prints a last line that has no end.
  void Finish();

 private:
  void Line(absl::string_view line);

  LogPrinter* const printer_;
  const std::string task_;
  std::string rest_;  // Of a line whose end has not come.
  bool recent_ = true;
};

}  // namespace distill::client
