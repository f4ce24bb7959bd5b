// A job as it happens: on a terminal one live line per task, in a pipe one plain line per change.
#pragma once

#include <functional>
#include <map>
#include <ostream>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "client/cli/environment.h"
#include "distill/v1/job_service.pb.h"

namespace distill::client {

// What the events of a job add up to: an event tells only what is new about a task. Not
// thread-safe.
class WatchModel {
 public:
  // Returns the event with all that was known of its task before.
  v1::JobEvent Apply(const v1::JobEvent& event);

  const v1::Job& job() const { return job_; }
  // In the order in which the tasks were first heard of, which is plan order.
  const std::vector<v1::Task>& tasks() const { return tasks_; }

 private:
  v1::Job job_;
  std::vector<v1::Task> tasks_;
  std::map<std::string, size_t> index_;
};

struct WatchStyle {
  TerminalSize size;
  bool color = false;
};

// Returns the lines of a terminal: the job, then as many tasks as fit, those that run or failed
// first; no line is wider than the terminal.
std::vector<std::string> RenderLive(const WatchModel& model, const WatchStyle& style,
                                    absl::Time now);

// Returns the line that tells of a change, or "" for changes that are not worth one.
std::string RenderPlain(const v1::JobEvent& event, absl::Time now);

// Not thread-safe.
class WatchView {
 public:
  enum class Mode { kSilent, kPlain, kLive };

  // Borrows all; `terminal_size` is asked at each drawing, since windows change.
  WatchView(Mode mode, bool color, const Clock* clock, std::ostream* out,
            std::function<TerminalSize()> terminal_size);

  void OnEvent(const v1::JobEvent& event);
  // Draws the last state, below which others may write. Call once.
  void Close();

 private:
  void Draw();

  const Mode mode_;
  const bool color_;
  const Clock* const clock_;
  std::ostream* const out_;
  const std::function<TerminalSize()> terminal_size_;
  WatchModel model_;
  MonotonicTime last_draw_;
  size_t lines_drawn_ = 0;
};

}  // namespace distill::client
