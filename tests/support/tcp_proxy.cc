#include "tests/support/tcp_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <list>
#include <vector>

#include "absl/strings/numbers.h"
#include "base/check.h"
#include "base/clock.h"

namespace distill {
namespace {

constexpr size_t kChunkBytes = 64 << 10;
constexpr size_t kMostHeldBytes = 4 << 20;

// What is taken in goes on at once, as through a cable: held back for an acknowledgement it would
// add 40 ms to each call.
void SendAtOnce(int descriptor) {
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int ConnectTo(const std::string& server) {
  const bool is_path = !server.empty() && server[0] == '/';
  const int descriptor =
      socket(is_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  DISTILL_CHECK(descriptor >= 0, "a test needs a socket");
  if (is_path) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    DISTILL_CHECK(server.size() < sizeof(address.sun_path), "the path of a socket is short");
    std::copy(server.begin(), server.end(), address.sun_path);
    connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address));
    return descriptor;
  }
  const size_t colon = server.rfind(':');
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  int port = 0;
  DISTILL_CHECK(colon != std::string::npos && absl::SimpleAtoi(server.substr(colon + 1), &port),
                "the server of a proxy is host:port");
  address.sin_port = htons(static_cast<uint16_t>(port));
  inet_pton(AF_INET, server.substr(0, colon).c_str(), &address.sin_addr);
  SendAtOnce(descriptor);
  connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  return descriptor;
}

// One direction of one connection.
class Stream {
 public:
  Stream(int from, int to) : from_(from), to_(to) {}

  bool WantsToRead(bool cut) const { return !cut && !ended_ && held_bytes_ < kMostHeldBytes; }
  bool WantsToWrite(bool cut, MonotonicTime now) const {
    return !cut && !chunks_.empty() && chunks_.front().due <= now;
  }
  bool finished() const { return ended_ && chunks_.empty(); }
  // When the next bytes are due; infinite: none wait.
  MonotonicTime due() const { return chunks_.empty() ? InfiniteFuture() : chunks_.front().due; }

  // False: the connection is broken.
  bool Read(MonotonicTime due) {
    std::string bytes(kChunkBytes, '\0');
    const ssize_t count = read(from_, bytes.data(), bytes.size());
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    if (count == 0) {
      ended_ = true;
      return true;
    }
    bytes.resize(static_cast<size_t>(count));
    held_bytes_ += bytes.size();
    chunks_.push_back({due, std::move(bytes)});
    return true;
  }
  bool Write() {
    Chunk& chunk = chunks_.front();
    const ssize_t count = send(to_, chunk.bytes.data(), chunk.bytes.size(), MSG_NOSIGNAL);
    if (count < 0) return errno == EAGAIN || errno == EINTR;
    held_bytes_ -= static_cast<size_t>(count);
    chunk.bytes.erase(0, static_cast<size_t>(count));
    if (chunk.bytes.empty()) chunks_.pop_front();
    return true;
  }
  int from() const { return from_; }
  int to() const { return to_; }

 private:
  struct Chunk {
    MonotonicTime due;
    std::string bytes;
  };

  const int from_;
  const int to_;
  bool ended_ = false;
  size_t held_bytes_ = 0;
  std::deque<Chunk> chunks_;
};

}  // namespace

class TcpProxy::Connection {
 public:
  Connection(int client, int server)
      : client_(client),
        server_(server),
        streams_{Stream(client, server), Stream(server, client)} {}
  ~Connection() {
    const linger reset = {1, 0};
    if (broken_) setsockopt(client_, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(client_);
    close(server_);
  }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Break() { broken_ = true; }
  bool finished() const { return broken_ || streams_[0].finished() || streams_[1].finished(); }

  // Adds what to wait for, in the order client, server. Returns when bytes are due next.
  MonotonicTime Prepare(const Orders& orders, MonotonicTime now,
                        std::vector<pollfd>& polled) const {
    pollfd client = {client_, 0, 0};
    pollfd server = {server_, 0, 0};
    MonotonicTime next = InfiniteFuture();
    for (size_t i = 0; i < streams_.size(); ++i) {
      const bool cut = orders.links[i].cut;
      pollfd& from = i == 0 ? client : server;
      pollfd& to = i == 0 ? server : client;
      if (streams_[i].WantsToRead(cut)) from.events = static_cast<short>(from.events | POLLIN);
      if (streams_[i].WantsToWrite(cut, now)) to.events = static_cast<short>(to.events | POLLOUT);
      if (!cut && streams_[i].due() > now && streams_[i].due() < next) next = streams_[i].due();
    }
    // Without a wish, not even a hang-up is of interest: a cut cable carries none.
    if (client.events == 0) client.fd = -1;
    if (server.events == 0) server.fd = -1;
    polled.push_back(client);
    polled.push_back(server);
    return next;
  }

  void Serve(const Orders& orders, MonotonicTime now, const pollfd& client, const pollfd& server) {
    for (size_t i = 0; i < streams_.size() && !broken_; ++i) {
      const bool cut = orders.links[i].cut;
      const pollfd& from = i == 0 ? client : server;
      const pollfd& to = i == 0 ? server : client;
      if (streams_[i].WantsToRead(cut) && (from.revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        broken_ = !streams_[i].Read(now + orders.links[i].delay);
      }
      if (!broken_ && streams_[i].WantsToWrite(cut, now) && to.revents != 0) {
        broken_ = !streams_[i].Write();
      }
    }
  }

 private:
  const int client_;
  const int server_;
  std::array<Stream, 2> streams_;
  bool broken_ = false;
};

TcpProxy::TcpProxy(const std::string& server) : server_(server) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  DISTILL_CHECK(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                    listen(listener_, 128) == 0 &&
                    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0,
                "a test needs a port");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

TcpProxy::~TcpProxy() {
  {
    MutexLock lock(mu_);
    orders_.stop = true;
  }
  Wake();
  thread_.join();
  close(listener_);
  close(wake_);
}

void TcpProxy::Wake() {
  const uint64_t one = 1;
  DISTILL_CHECK(write(wake_, &one, sizeof(one)) == sizeof(one), "the proxy is woken");
}

TcpProxy::Orders TcpProxy::CurrentOrders() {
  MutexLock lock(mu_);
  return orders_;
}

void TcpProxy::SetDelay(Direction direction, absl::Duration delay) {
  {
    MutexLock lock(mu_);
    orders_.links[static_cast<size_t>(direction)].delay = delay;
  }
  Wake();
}

void TcpProxy::Cut(Direction direction) {
  {
    MutexLock lock(mu_);
    orders_.links[static_cast<size_t>(direction)].cut = true;
  }
  Wake();
}

void TcpProxy::CutBoth() {
  Cut(Direction::kToServer);
  Cut(Direction::kToClient);
}

void TcpProxy::Heal() {
  {
    MutexLock lock(mu_);
    for (Link& link : orders_.links) link = Link();
  }
  Wake();
}

void TcpProxy::BreakConnections() {
  {
    MutexLock lock(mu_);
    ++orders_.breaks;
  }
  Wake();
}

void TcpProxy::Run() {
  const SystemClock clock;
  std::list<Connection> connections;
  int breaks = 0;
  for (;;) {
    Orders orders = CurrentOrders();
    if (orders.stop) return;
    if (orders.breaks > breaks) {
      breaks = orders.breaks;
      for (Connection& connection : connections) connection.Break();
    }
    connections.remove_if([](const Connection& connection) { return connection.finished(); });
    const MonotonicTime now = clock.Now();
    MonotonicTime next = InfiniteFuture();
    std::vector<pollfd> polled = {{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const Connection& connection : connections) {
      const MonotonicTime due = connection.Prepare(orders, now, polled);
      if (due < next) next = due;
    }
    const int timeout =
        next == InfiniteFuture()
            ? -1
            : static_cast<int>(absl::ToInt64Milliseconds(next - now + absl::Milliseconds(1)));
    if (poll(polled.data(), polled.size(), timeout) < 0) continue;
    uint64_t ignored = 0;
    if (polled[0].revents != 0 && read(wake_, &ignored, sizeof(ignored)) > 0) continue;
    size_t at = 2;
    for (Connection& connection : connections) {
      connection.Serve(orders, clock.Now(), polled[at], polled[at + 1]);
      at += 2;
    }
    if (polled[1].revents == 0) continue;
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) continue;
    SendAtOnce(client);
    connections.emplace_back(client, ConnectTo(server_));
  }
}

}  // namespace distill
