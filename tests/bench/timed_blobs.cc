// Moves blobs to and from a running server as a worker does, and prints how fast, beside what one
// core hashes and the disk takes at the same time. Run by blob_bench.py.
//
// usage: timed_blobs rounds SERVER DIRECTORY SIZE_BYTES   one large blob up and down
//        timed_blobs crowd SERVER DIRECTORY COUNT BYTES   COUNT blobs up at once, then down at once
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/metrics.h"
#include "grpcpp/security/credentials.h"
#include "worker/agent/artifact_cache.h"
#include "worker/agent/blob_client.h"
#include "worker/agent/server_connection.h"

namespace distill {
namespace {

constexpr size_t kChunk = 1 << 20;
constexpr int kRounds = 3;

[[noreturn]] void Fail(const absl::Status& status) {
  std::fprintf(stderr, "timed_blobs: %s\n", status.ToString().c_str());
  std::_Exit(1);
}

void Require(const absl::Status& status) {
  if (!status.ok()) Fail(status);
}

double SecondsOf(const std::function<void()>& work) {
  const SystemClock clock;
  const MonotonicTime start = clock.Now();
  work();
  return absl::ToDoubleSeconds(clock.Now() - start);
}

// Fills a chunk with bytes that no layer can compress or share.
void Fill(uint64_t& state, std::string& chunk) {
  for (size_t i = 0; i + sizeof(state) <= chunk.size(); i += sizeof(state)) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    std::memcpy(&chunk[i], &state, sizeof(state));
  }
}

// Writes a file that is like no other, durably or not.
Digest WriteSource(const std::string& path, uint64_t seed, int64_t size) {
  DigestBuilder digest;
  const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  std::string chunk(kChunk, '\0');
  uint64_t state = seed * 0x9E3779B97F4A7C15U + 1;
  for (int64_t done = 0; done < size; done += static_cast<int64_t>(chunk.size())) {
    chunk.resize(static_cast<size_t>(std::min<int64_t>(kChunk, size - done)));
    Fill(state, chunk);
    digest.Append(chunk);
    if (write(descriptor, chunk.data(), chunk.size()) != static_cast<ssize_t>(chunk.size())) {
      Fail(ErrnoStatus(errno, "write", path));
    }
  }
  close(descriptor);
  Require(SyncFile(path));
  return digest.Finish();
}

// Copies a file durably, from memory: what the disk takes.
double DiskWriteSeconds(const std::string& path, int64_t size) {
  std::string chunk(kChunk, '\0');
  uint64_t state = 88172645463325252U;
  Fill(state, chunk);
  const double seconds = SecondsOf([&] {
    const int descriptor = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    for (int64_t done = 0; done < size; done += static_cast<int64_t>(chunk.size())) {
      if (write(descriptor, chunk.data(), chunk.size()) < 0)
        Fail(ErrnoStatus(errno, "write", path));
    }
    if (fdatasync(descriptor) != 0) Fail(ErrnoStatus(errno, "sync", path));
    close(descriptor);
  });
  Require(RemoveFile(path));
  return seconds;
}

void DropFromMemory(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) Fail(ErrnoStatus(errno, "open", path));
  posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  close(descriptor);
}

double DiskReadSeconds(const std::string& path) {
  DropFromMemory(path);
  std::string chunk(kChunk, '\0');
  return SecondsOf([&] {
    const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    while (read(descriptor, chunk.data(), chunk.size()) > 0) {
    }
    close(descriptor);
  });
}

double HashSeconds(int64_t size) {
  const std::string chunk(kChunk, 'x');
  return SecondsOf([&] {
    DigestBuilder digest;
    for (int64_t done = 0; done < size; done += static_cast<int64_t>(chunk.size())) {
      digest.Append(chunk);
    }
    digest.Finish();
  });
}

worker::BlobClient ClientOf(worker::ServerConnection& connection, const std::string& name) {
  worker::BlobClient::Config config;
  config.worker_id = name;
  config.stream_deadline = absl::Minutes(5);
  return worker::BlobClient(config, connection);
}

void UploadFully(worker::BlobClient& client, const worker::LocalBlob& blob) {
  worker::CancelToken cancel;
  Require(client.Upload(blob, cancel));
}

double DownloadSeconds(worker::BlobClient& client, const std::string& directory,
                       const Digest& digest) {
  NullMetrics metrics;
  worker::ArtifactCache::Config config;
  config.directory = directory;
  config.capacity_bytes = int64_t{1} << 40;
  absl::StatusOr<std::unique_ptr<worker::ArtifactCache>> cache =
      worker::ArtifactCache::Open(config, client, metrics);
  Require(cache.status());
  worker::CancelToken cancel;
  const double seconds = SecondsOf([&] { Require((*cache)->Fetch(digest, cancel).status()); });
  (*cache)->Drop(digest);
  return seconds;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void Rounds(const std::string& server, const std::string& directory, int64_t size) {
  worker::ServerConnection connection({{server}, {}}, grpc::InsecureChannelCredentials());
  worker::BlobClient client = ClientOf(connection, "bench");
  const std::string path = JoinPath(directory, "source");
  std::vector<double> up, down, up_ratio, down_ratio, hash, write_speed, read_speed, again;
  const double megabytes = static_cast<double>(size) / 1e6;
  for (int round = 0; round < kRounds; ++round) {
    const worker::LocalBlob blob = {path,
                                    WriteSource(path, static_cast<uint64_t>(round) + 1, size),
                                    size,
                                    v1::ARTIFACT_TYPE_MODEL,
                                    {}};
    hash.push_back(megabytes / HashSeconds(size));
    write_speed.push_back(megabytes / DiskWriteSeconds(JoinPath(directory, "probe"), size));
    up.push_back(megabytes / SecondsOf([&] { UploadFully(client, blob); }));
    again.push_back(SecondsOf([&] { UploadFully(client, blob); }) * 1e3);
    const std::string hex(blob.digest.hex());
    const std::string stored = JoinPath(
        directory,
        absl::StrCat("blobs/blobs/sha256/", hex.substr(0, 2), "/", hex.substr(2, 2), "/", hex));
    read_speed.push_back(megabytes / DiskReadSeconds(path));
    if (FileExists(stored)) DropFromMemory(stored);
    down.push_back(megabytes / DownloadSeconds(client, JoinPath(directory, "cache"), blob.digest));
    up_ratio.push_back(up.back() / std::min(hash.back(), write_speed.back()));
    // What arrives is written to a disk too, though nobody waits for that.
    down_ratio.push_back(down.back() /
                         std::min({hash.back(), read_speed.back(), write_speed.back()}));
  }
  Require(RemoveFile(path));
  std::printf(
      "{\"blob_upload_ratio_of_limit\": %.3f, \"blob_download_ratio_of_limit\": %.3f, "
      "\"blob_upload_megabytes_per_second\": %.1f, \"blob_download_megabytes_per_second\": %.1f, "
      "\"blob_hash_megabytes_per_second\": %.1f, \"blob_disk_write_megabytes_per_second\": %.1f, "
      "\"blob_disk_read_megabytes_per_second\": %.1f, \"blob_second_upload_milliseconds\": %.3f}\n",
      Median(up_ratio), Median(down_ratio), Median(up), Median(down), Median(hash),
      Median(write_speed), Median(read_speed), Median(again));
}

void Crowd(const std::string& server, const std::string& directory, int count, int64_t size) {
  worker::ServerConnection connection({{server}, {}}, grpc::InsecureChannelCredentials());
  std::vector<worker::LocalBlob> blobs;
  for (int i = 0; i < count; ++i) {
    const std::string path = JoinPath(directory, absl::StrCat("crowd-", i));
    blobs.push_back({path,
                     WriteSource(path, static_cast<uint64_t>(i) + 1000, size),
                     size,
                     v1::ARTIFACT_TYPE_MODEL,
                     {}});
  }
  const auto at_once = [&](const std::function<void(int, worker::BlobClient&)>& move) {
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        worker::BlobClient client = ClientOf(connection, absl::StrCat("crowd-", i));
        move(i, client);
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  at_once([&](int i, worker::BlobClient& client) {
    UploadFully(client, blobs[static_cast<size_t>(i)]);
  });
  at_once([&](int i, worker::BlobClient& client) {
    DownloadSeconds(client, JoinPath(directory, absl::StrCat("cache-", i)),
                    blobs[static_cast<size_t>(i)].digest);
  });
  for (const worker::LocalBlob& blob : blobs) Require(RemoveFile(blob.path));
}

int Main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "rounds" && argc == 5) {
    Rounds(argv[2], argv[3], std::atoll(argv[4]));
    return 0;
  }
  if (mode == "crowd" && argc == 6) {
    Crowd(argv[2], argv[3], std::atoi(argv[4]), std::atoll(argv[5]));
    return 0;
  }
  std::fprintf(stderr, "usage: timed_blobs rounds|crowd SERVER DIRECTORY ...\n");
  return 2;
}

}  // namespace
}  // namespace distill

int main(int argc, char** argv) { return distill::Main(argc, argv); }
