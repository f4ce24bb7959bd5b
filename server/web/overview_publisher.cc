#include "server/web/overview_publisher.h"

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "server/web/event_stream.h"

namespace distill::server {

// The newest snapshot of one kind of viewer. Thread-safe. Shared by the streams that send it, and
// by the publisher while it takes a snapshot.
class OverviewPublisher::Feed {
 public:
  void Publish(absl::StatusOr<std::string> snapshot) ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    if (over_) return;
    std::string frame =
        snapshot.ok() ? EventFrame("", "overview", *snapshot) : LastFrame(snapshot.status());
    over_ = !snapshot.ok();
    if (frame == frame_) return;
    frame_ = std::move(frame);
    ++version_;
    changed_.NotifyAll();
  }

  // Lets all streams end, without a word.
  void Close() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    closed_ = true;
    over_ = true;
    changed_.NotifyAll();
  }

  bool over() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    return over_;
  }

  void Wake() ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    changed_.NotifyAll();
  }

  // What a stream that has sent `sent` sends next; see WebStream::Next().
  std::optional<std::string> Await(int64_t& sent, const std::atomic<bool>& cancelled)
      ABSL_LOCKS_EXCLUDED(mu_) {
    MutexLock lock(mu_);
    while (version_ == sent && !over_ && !cancelled) {
      if (!changed_.WaitFor(mu_, kKeepAliveInterval)) break;
    }
    if (closed_ || cancelled) return std::nullopt;
    if (version_ == sent) return over_ ? std::nullopt : std::optional<std::string>(kKeepAlive);
    sent = version_;
    return frame_;
  }

 private:
  Mutex mu_;
  CondVar changed_;
  std::string frame_ ABSL_GUARDED_BY(mu_);
  int64_t version_ ABSL_GUARDED_BY(mu_) = 0;
  bool over_ ABSL_GUARDED_BY(mu_) = false;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
};

class OverviewPublisher::Stream : public WebStream {
 public:
  explicit Stream(std::shared_ptr<Feed> feed) : feed_(std::move(feed)) {}

  std::optional<std::string> Next() override { return feed_->Await(sent_, cancelled_); }
  void Cancel() override {
    cancelled_ = true;
    feed_->Wake();
  }

 private:
  const std::shared_ptr<Feed> feed_;  // Shared with the streams of equal viewers.
  int64_t sent_ = 0;
  std::atomic<bool> cancelled_{false};
};

OverviewPublisher::OverviewPublisher(TakeSnapshot take_snapshot, absl::Duration interval)
    : take_snapshot_(std::move(take_snapshot)), interval_(interval), thread_([this] { Run(); }) {
  pthread_setname_np(thread_.native_handle(), "overview");
}

OverviewPublisher::~OverviewPublisher() { Stop(); }

absl::StatusOr<std::unique_ptr<WebStream>> OverviewPublisher::Subscribe(const Viewer& viewer) {
  std::shared_ptr<Feed> feed;
  {
    MutexLock lock(mu_);
    if (stopping_) return absl::UnavailableError("the server is stopping; retry later");
    const auto found = feeds_.find(viewer);
    if (found != feeds_.end()) feed = found->second.lock();
  }
  if (feed == nullptr || feed->over()) {
    absl::StatusOr<std::string> first = take_snapshot_(viewer);
    if (!first.ok()) return first.status();
    feed = std::make_shared<Feed>();
    feed->Publish(std::move(first));
    MutexLock lock(mu_);
    if (stopping_) return absl::UnavailableError("the server is stopping; retry later");
    // Of two that come at once, the second has a feed of its own until the publisher's next round
    // would forget it: so it takes the first one's.
    std::weak_ptr<Feed>& slot = feeds_[viewer];
    const std::shared_ptr<Feed> other = slot.lock();
    if (other != nullptr && !other->over()) {
      feed = other;
    } else {
      slot = feed;
    }
    changed_.NotifyAll();
  }
  return std::make_unique<Stream>(std::move(feed));
}

std::map<OverviewPublisher::Viewer, std::shared_ptr<OverviewPublisher::Feed>>
OverviewPublisher::LiveFeeds() {
  std::map<Viewer, std::shared_ptr<Feed>> live;
  for (auto entry = feeds_.begin(); entry != feeds_.end();) {
    std::shared_ptr<Feed> feed = entry->second.lock();
    if (feed == nullptr || feed->over()) {
      entry = feeds_.erase(entry);
    } else {
      live.emplace(entry->first, std::move(feed));
      ++entry;
    }
  }
  return live;
}

void OverviewPublisher::Run() {
  while (true) {
    std::map<Viewer, std::shared_ptr<Feed>> live;
    {
      MutexLock lock(mu_);
      if (!stopping_) changed_.WaitFor(mu_, feeds_.empty() ? absl::InfiniteDuration() : interval_);
      if (stopping_) return;
      live = LiveFeeds();
    }
    for (const auto& [viewer, feed] : live) feed->Publish(take_snapshot_(viewer));
  }
}

void OverviewPublisher::Stop() {
  {
    MutexLock lock(mu_);
    stopping_ = true;
    for (const auto& [viewer, feed] : LiveFeeds()) feed->Close();
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

}  // namespace distill::server
