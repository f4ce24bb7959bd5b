#include "server/auth/audit_log.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mutex.h"
#include "base/status_macros.h"

namespace distill::server {
namespace {

constexpr size_t kLongestText = 1024;

// Callers choose some of these texts: bounded, and whatever is not UTF-8 replaced.
std::string LineOf(const AuditEntry& entry, absl::Time now) {
  nlohmann::ordered_json line;
  line["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", now, absl::UTCTimeZone());
  line["caller"] = entry.caller.substr(0, kLongestText);
  line["peer"] = entry.peer.substr(0, kLongestText);
  line["method"] = entry.method;
  line["resource"] = entry.resource.substr(0, kLongestText);
  line["request_id"] = entry.request_id.substr(0, kLongestText);
  line["code"] = absl::StatusCodeToString(entry.result.code());
  line["message"] = std::string(entry.result.message().substr(0, kLongestText));
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

class FileAuditLog : public AuditLog {
 public:
  FileAuditLog(Config config, const Clock& clock) : config_(std::move(config)), clock_(&clock) {}
  ~FileAuditLog() override {
    {
      MutexLock lock(mu_);
      stopping_ = true;
      changed_.NotifyAll();
    }
    if (thread_.joinable()) thread_.join();
    if (descriptor_ >= 0) close(descriptor_);
  }

  absl::Status Start() {
    DISTILL_RETURN_IF_ERROR(OpenFile());
    thread_ = std::thread([this] {
      pthread_setname_np(pthread_self(), "audit");
      Loop();
    });
    return absl::OkStatus();
  }

  void Append(const AuditEntry& entry) override ABSL_LOCKS_EXCLUDED(mu_) {
    std::string line = LineOf(entry, clock_->WallNow());
    MutexLock lock(mu_);
    if (entry.caller.empty()) {
      const std::string left_out = StartMinute();
      if (++strangers_ > config_.max_strangers_per_minute) return;
      line = left_out + line;
    }
    while (static_cast<int>(queue_.size()) >= config_.max_queue) changed_.Wait(mu_);
    queue_.push_back(std::move(line));
    changed_.NotifyAll();
  }

  void Flush() override ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    while (!queue_.empty() || writing_) changed_.Wait(mu_);
  }

 private:
  // Counts strangers anew every minute. Returns an entry for those left out before, if any.
  std::string StartMinute() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    const MonotonicTime now = clock_->Now();
    if (strangers_ > 0 && now - minute_ < absl::Minutes(1)) return std::string();
    const int left_out = std::max(0, strangers_ - config_.max_strangers_per_minute);
    minute_ = now;
    strangers_ = 0;
    if (left_out == 0) return std::string();
    AuditEntry entry;
    entry.result = absl::UnauthenticatedError(absl::StrCat(
        "calls of unknown callers that were refused and not written; count=", left_out));
    return LineOf(entry, clock_->WallNow());
  }

  absl::Status OpenFile() {
    descriptor_ =
        open(config_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat info = {};
    if (descriptor_ < 0 || fstat(descriptor_, &info) != 0) {
      return ErrnoStatus(errno, "open audit log", config_.path);
    }
    size_ = info.st_size;
    return absl::OkStatus();
  }

  void Loop() ABSL_LOCKS_EXCLUDED(mu_) {
    for (;;) {
      std::vector<std::string> lines;
      {
        MutexLock lock(mu_);
        writing_ = false;
        changed_.NotifyAll();
        while (queue_.empty() && !stopping_) changed_.Wait(mu_);
        if (queue_.empty()) return;
        lines.swap(queue_);
        writing_ = true;
      }
      for (const std::string& line : lines) Write(line);
    }
  }

  // On the log's own thread. What cannot be written goes to the server's log instead.
  void Write(const std::string& line) {
    if (size_ > 0 && size_ + static_cast<int64_t>(line.size()) > config_.max_file_bytes) Rotate();
    size_t done = 0;
    while (descriptor_ >= 0 && done < line.size()) {
      const ssize_t count = write(descriptor_, line.data() + done, line.size() - done);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) break;
      done += static_cast<size_t>(count);
    }
    size_ += static_cast<int64_t>(done);
    if (done == line.size()) return;
    LogError("cannot write to the audit log", {{"path", config_.path}, {"entry", line}});
  }

  void Rotate() {
    close(descriptor_);
    for (int i = config_.max_old_files - 1; i >= 1; --i) {
      std::rename(absl::StrCat(config_.path, ".", i).c_str(),
                  absl::StrCat(config_.path, ".", i + 1).c_str());
    }
    std::rename(config_.path.c_str(), absl::StrCat(config_.path, ".1").c_str());
    const absl::Status opened = OpenFile();
    if (!opened.ok()) LogError("cannot go on with the audit log", {{"cause", opened}});
  }

  const Config config_;
  const Clock* const clock_;
  // Touched by Start() and then by the thread alone.
  int descriptor_ = -1;
  int64_t size_ = 0;

  Mutex mu_;
  CondVar changed_;
  std::vector<std::string> queue_ ABSL_GUARDED_BY(mu_);
  MonotonicTime minute_ ABSL_GUARDED_BY(mu_);
  int strangers_ ABSL_GUARDED_BY(mu_) = 0;  // Since `minute_`.
  bool writing_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<AuditLog>> AuditLog::Open(Config config, const Clock& clock) {
  auto log = std::make_unique<FileAuditLog>(std::move(config), clock);
  DISTILL_RETURN_IF_ERROR(log->Start());
  return std::unique_ptr<AuditLog>(std::move(log));
}

}  // namespace distill::server
