// A tiny HTTP/1.1 server that does what a test says: answers that are errors, connections that are
// cut or go silent. It judges nothing; what S3 really says is tested against a real one.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/mutex.h"

namespace distill::storage {

// What one request gets.
struct Misbehaviour {
  int status = 200;
  std::map<std::string, std::string> headers;
  std::string body;
  size_t cut_after = std::string::npos;  // Close after that many bytes of the body.
  bool silent = false;                   // Close without a word.
  bool stall = false;                    // Say nothing until the server ends.
};

struct SeenRequest {
  std::string line;                            // "GET /bucket/key HTTP/1.1".
  std::map<std::string, std::string> headers;  // Names in lower case.
  std::string body;
};

// Thread-safe.
class MisbehavingServer {
 public:
  MisbehavingServer();
  ~MisbehavingServer();

  std::string endpoint() const;
  // Appends to what the next requests get; without any they get an empty 200.
  void Plan(Misbehaviour next) ABSL_LOCKS_EXCLUDED(mu_);
  std::vector<SeenRequest> seen() const ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Accept();
  // Until the connection ends.
  void Serve(int connection);
  bool ServeOne(int connection, std::string& input);

  int listener_ = -1;
  int port_ = 0;
  mutable Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<Misbehaviour> plans_ ABSL_GUARDED_BY(mu_);
  std::vector<SeenRequest> seen_ ABSL_GUARDED_BY(mu_);
  std::vector<int> connections_ ABSL_GUARDED_BY(mu_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mu_);
  std::thread acceptor_;
};

}  // namespace distill::storage
