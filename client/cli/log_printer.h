// Prints logs of one or of several tasks at a time: whole lines, each behind the name of its task
// when there are several, and only those that are recent enough.
#pragma once

#include <ostream>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/mutex.h"

namespace distill::client {

// Where lines of all logs end up. Thread-safe.
class LogPrinter {
 public:
  // Lines of before `since` are left out; a line without a time goes with the one before it.
  LogPrinter(std::ostream& out, absl::Time since) : out_(&out), since_(since) {}

  absl::Time since() const { return since_; }
  void PrintLine(absl::string_view prefix, absl::string_view line) ABSL_LOCKS_EXCLUDED(mu_);
  void Flush() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  std::ostream* const out_ ABSL_PT_GUARDED_BY(mu_);
  const absl::Time since_;
  Mutex mu_;
};

// One log, in pieces of any size. One thread.
class LogSink {
 public:
  // `prefix` stands before each line; may be empty. The printer must outlive this.
  LogSink(LogPrinter& printer, std::string prefix)
      : printer_(&printer), prefix_(std::move(prefix)) {}

  void Write(absl::string_view bytes);
  // Prints a last line that has no end.
  void Finish();

 private:
  void Line(absl::string_view line);

  LogPrinter* const printer_;
  const std::string prefix_;
  std::string rest_;  // Of a line whose end has not come.
  bool recent_ = true;
};

}  // namespace distill::client
